"""An installed wheel: what is in it, and that it runs without a checkout."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from importlib.metadata import version
from pathlib import Path

import pytest

from tests.support.paths import ROOT
from tussle.server.physics.jit import CACHE_FOLDER

CLASHING = ("server.py", "player.py", "lobby.py", "cli.py", "worker.py", "build_db.py")


def built_wheel(folder: Path) -> Path:
    """The wheel of this checkout with the kernels of these tests, built without a network."""
    done = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
        env={**os.environ, "TUSSLE_KERNELS": str(CACHE_FOLDER.parent)}, cwd=ROOT,
        capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built_wheel(tmp_path_factory.mktemp("wheel"))


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_the_wheel_names_what_its_kernels_run_on(wheel: Path) -> None:
    """A wheel with compiled kernels is for this Python and platform, and asks for the numba that compiled them."""
    python = f"cp{sys.version_info.major}{sys.version_info.minor}"
    assert f"-{python}-{python}-" in wheel.name
    assert platform.machine() in wheel.name
    archive = zipfile.ZipFile(wheel)
    (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
    metadata = archive.read(name).decode()
    for package in ("numba", "llvmlite"):
        assert f"Requires-Dist: {package}=={version(package)}\n" in metadata
    assert "Root-Is-Purelib: false" in archive.read(name.replace("METADATA", "WHEEL")).decode()


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_the_wheel_holds_the_package_and_nothing_else(wheel: Path) -> None:
    """Only `tussle` and its metadata, with the web client, the catalogue and the scripts of the store."""
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0].split("-")[0] for name in names} == {"tussle"}
    for path in (
        "py.typed",
        "catalogue/catalogue.json",
        "player/web/dist/index.html",
        "server/app.py",
        "build_db.py",
    ):
        assert f"tussle/{path}" in names
    assert len([name for name in names if name.endswith(".lua")]) == len(
        list((ROOT / "lobby").rglob("*.lua"))
    )
    for part in ("/tests/", "node_modules", ".checkout", "/web/src/", "__pycache__", "/bench/"):
        assert not [name for name in names if part in name], part


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_an_installed_tussle_plays_in_a_folder_of_clashing_names(wheel: Path, tmp_path: Path) -> None:
    """`tussle up --matches 1` in a folder whose server.py, player.py, ... would raise when they are imported. It loads
    the kernels of the wheel and compiles nothing."""
    venv = tmp_path / "installed"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(venv)], check=True, timeout=120)
    paths = {"base": str(venv), "platbase": str(venv)}
    site = Path(sysconfig.get_path("purelib", vars=paths))
    zipfile.ZipFile(wheel).extractall(site)
    (site / "packages.pth").write_text(
        sysconfig.get_path("purelib") + "\n"
    )  # third-party packages of this environment
    folder = tmp_path / "work"
    folder.mkdir()
    for name in CLASHING:
        (folder / name).write_text("raise RuntimeError('the wrong module was imported')\n")
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "SIM_SPEED": "0",
        "BOT_THINK_S": "0",
    }
    python = str(venv / "bin" / "python")
    where = subprocess.run(
        [python, "-P", "-c", "import tussle.server; print(tussle.server.__file__)"],
        cwd=folder, env=environment, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert where.startswith(str(venv))
    loading = (
        "import numba.core.compiler as c; c.compile_extra = None\n"
        "from tussle.server.solver.kernels import kernel_folders; print(*kernel_folders(), sep='\\n')"
    )
    kept = subprocess.run(
        [python, "-P", "-c", loading],
        cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=100,
    )  # fmt: skip
    assert kept.returncode == 0, kept.stderr
    assert [Path(line).parent for line in kept.stdout.splitlines()] == [site / "tussle" / "kernels"] * 3
    done = subprocess.run(
        [python, "-P", "-m", "tussle", "up", "--matches", "1", "--bots", "2", "--port", "0"],
        cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 session finished" in done.stdout
    assert {path.parent.parent for path in tmp_path.rglob("*.nbi")} == {site / "tussle" / "kernels"}
    for made in (folder, venv):
        shutil.rmtree(made)


@pytest.mark.parametrize(
    "command",
    [["-m", "server"], ["-m", "worker", "--help"], ["-m", "player", "--help"], ["build_db.py", "--help"]],
)
def test_the_programs_of_the_checkout_start(command: list[str]) -> None:
    """`python -m server` and the rest run from the checkout's folder; a server without a store says what is missing."""
    environment = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "REDIS_URL")}
    done = subprocess.run(
        [sys.executable, *command],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    if command[-1] == "--help":
        assert done.returncode == 0, done.stderr
        assert "sage:" in done.stdout
    else:
        assert done.returncode == 2
        assert done.stderr == "tussle: REDIS_URL is not set; `tussle up` starts an embedded store\n"
