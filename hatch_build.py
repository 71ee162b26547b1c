"""The build hook: an install builds the web client (player/web/build.py), also on a machine without Node.

A client that is built already is not built again. If it cannot be built, the hook prints one line and the install
goes on. The hook also puts build_db.py into the wheel as tussle/build_db.py.

With TUSSLE_KERNELS=FOLDER (``./run wheel``) the wheel also has the compiled kernels, as tussle/kernels: where it is
installed nothing compiles. FOLDER keeps them for the next build. Such a wheel is for one version of Python and one
platform, those of the numba that compiled, and asks for exactly this numba.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


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


COMPILE = """
from tussle.lobby.cpu_baseline import use_baseline
use_baseline()
from tussle.server.solver.kernels import kernel_folders
print(*kernel_folders(), sep="\\n")
"""


def _kernels(folder: Path) -> dict[str, str]:
    """Compile the kernels into the folder, if they are not there. Returns file -> path within the wheel."""
    root = Path(__file__).resolve().parent
    environment = os.environ | {"NUMBA_CACHE_DIR": str(folder.resolve()), "PYTHONPATH": str(root)}
    done = subprocess.run(
        [sys.executable, "-P", "-c", COMPILE], env=environment, stdout=subprocess.PIPE, text=True, check=True
    )
    files = {}
    for made in map(Path, done.stdout.splitlines()):
        for file in sorted(made.iterdir()):
            if file.suffix in (".nbi", ".nbc") or file.name.startswith("compiled-"):
                files[str(file)] = f"tussle/kernels/{made.name}/{file.name}"
    return files


def _numba_tag() -> str:
    """The tag of the installed numba's wheel: the machine code runs where numba does."""
    text = importlib.metadata.distribution("numba").read_text("WHEEL") or ""
    tags = [
        line.partition(":")[2].strip().split("-") for line in text.splitlines() if line.startswith("Tag:")
    ]
    return "-".join(".".join(sorted(set(parts))) for parts in zip(*tags, strict=True))


class WebClientHook(BuildHookInterface[Any]):
    """Runs when a wheel is built; see the module."""

    PLUGIN_NAME = "custom"

    def dependencies(self) -> list[str]:
        """Node from PyPI, if the client must be built and the machine has no Node."""
        web = _web()
        return [] if web is None or web.is_current() or web.system_node() else [web.NODE]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if self.target_name == "wheel" and version == "standard":
            build_data["force_include"]["build_db.py"] = "tussle/build_db.py"
            if folder := os.environ.get("TUSSLE_KERNELS"):
                build_data["force_include"].update(_kernels(Path(folder)))
                build_data["pure_python"] = False
                build_data["tag"] = _numba_tag()
                pins = (f"{name}=={importlib.metadata.version(name)}" for name in ("llvmlite", "numba"))
                build_data["dependencies"].extend(pins)
        web = _web()
        if web is None or web.is_current():
            return
        problem = web.build()
        if problem:
            sys.stderr.write(
                f"\n!!! TUSSLE: THE WEB CLIENT WAS NOT BUILT; everything else works. {problem}\n\n"
            )
