"""How settings are read from the environment of the process: the text of a variable, a list in it, a bad value.

lobby/settings.py reads every setting this way. The registry of the modes reads MODES alone: ``physics_id`` covers all
that the simulation imports, and a change of another setting must not change it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

__all__ = ["BadSetting", "read_variable", "split_list"]


class BadSetting(ValueError):
    """A setting that cannot be used; the message names it, its value and what is allowed."""


def read_variable(name: str, environ: Mapping[str, str] | None = None) -> str:
    """The text of the variable of a setting, in ``environ`` (default: the process's); "" means the default."""
    return (os.environ if environ is None else environ).get(name.upper(), "")


def split_list(text: str) -> list[str]:
    """The parts of a comma-separated setting, without surrounding spaces and without empty parts."""
    return [part for word in text.split(",") if (part := word.strip())]
