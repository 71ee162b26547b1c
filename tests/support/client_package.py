"""The package @tussle/client, packed as it is published, and unpacked where a program or a page finds it."""

from __future__ import annotations

import importlib.util
import os
import shutil
import tarfile
from pathlib import Path

import pytest

from tests.support.paths import ROOT

WEB = ROOT / "player" / "web"
NODE = shutil.which("node")

needs_node = pytest.mark.skipif(
    (NODE is None or not (WEB / "node_modules" / "vite").is_dir()) and not os.environ.get("CI"),
    reason="!! @tussle/client NOT TESTED: no node, or no player/web/node_modules (npm ci)",
)


def install(folder: Path) -> Path:
    """Pack the package into ``folder`` and unpack the tarball there, as npm does. Returns the folder of the package."""
    spec = importlib.util.spec_from_file_location("tussle_web_build", WEB / "build.py")
    assert spec and spec.loader
    build = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(build)
    assert build.pack_client(folder) is None
    [tarball] = folder.glob("tussle-client-*.tgz")
    target = folder / "node_modules" / "@tussle"
    with tarfile.open(tarball) as packed:
        packed.extractall(target, filter="data")
    return (target / "package").rename(target / "client")
