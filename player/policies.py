"""Policies: functions of a user that decide for bots.

    python -m player --policy module:function          function(brief, seat, rng) -> {"kind": ..., argument: ...}

``brief`` is the public payload of ``turn_started`` or ``brief``: what ``info["brief"]`` has in tussle.env, so that a
function which was trained there plays people unchanged. An empty kind does nothing. This module must never know a mode.
"""

from __future__ import annotations

import asyncio
import importlib
import sys
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tussle.lobby.errors import Refused

if TYPE_CHECKING:
    import numpy as np

__all__ = ["Policy", "decide_by_policy", "load_policy"]

Policy = Callable[[Mapping[str, Any], int, "np.random.Generator"], Mapping[str, Any]]


def load_policy(name: str) -> Policy:
    """The function of ``module:function``; modules of the working folder are found too. Raises Refused (bad_params) if
    there is none."""
    module, _, function = name.partition(":")
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.append(here)
    try:
        found = getattr(importlib.import_module(module), function)
    except (ImportError, ValueError, AttributeError) as error:
        raise Refused(f"no policy {name!r}: {error}", code="bad_params", field="policy") from None
    if not callable(found):
        raise Refused(f"{name!r} is no function", code="bad_params", field="policy")
    policy: Policy = found
    return policy


def decide_by_policy(
    policy: Policy, rng: np.random.Generator
) -> Callable[[Mapping[str, Any], int], Awaitable[tuple[str, dict[str, Any]]]]:
    """Return the policy as a bot's program. It runs in a thread, because it may take long."""

    async def decide(brief: Mapping[str, Any], seat: int) -> tuple[str, dict[str, Any]]:
        action = dict(await asyncio.to_thread(policy, brief, seat, rng))
        return str(action.pop("kind", "")), action

    return decide
