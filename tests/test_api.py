"""The public API of the package ``tussle``, and which modules its import loads."""

from __future__ import annotations

import re
import runpy
import subprocess
import sys

import pytest

import tussle
from tests.support.paths import ROOT

HEAVY = ("httpx", "websockets", "redis", "numpy", "numba", "ipctk", "scipy", "meshio")


def loaded(code: str) -> set[str]:
    """Return the modules of HEAVY that a new interpreter has loaded after ``code``."""
    script = f"{code}\nimport sys; print(*[name for name in {HEAVY} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(done.stdout.splitlines()[-1].split())


@pytest.mark.parametrize("module", ["tussle", "tussle.lobby", "tussle.lobby.errors", "tussle.lobby.settings"])
def test_importing_the_package_loads_no_client(module: str) -> None:
    assert loaded(f"import {module}, sys\nassert 'tussle.player.client' not in sys.modules") == set()


@pytest.mark.parametrize(
    "code",
    ["import tussle; tussle.Client", "import tussle; tussle.connect; tussle.Event; tussle.Disconnected"],
)
def test_the_client_loads_no_store_and_no_physics(code: str) -> None:
    assert loaded(code) <= {"httpx", "websockets"}


def test_the_bots_load_no_physics() -> None:
    code = "import runpy, sys; sys.argv = ['player', '--help']\n"
    code += "try: runpy.run_module('tussle.player', run_name='__main__')\n"
    assert not loaded(f"{code}except SystemExit: pass") & {"numba", "ipctk", "scipy", "meshio", "redis"}
    rules = "import numpy as np\nfrom tussle.player.bots import decide_by_mode\n"
    rules += "decide_by_mode('duel', 'sharp', np.random.default_rng(1))"
    assert not loaded(rules) & {"numba", "ipctk", "scipy", "meshio", "redis"}


@pytest.mark.parametrize("name", tussle.__all__)
def test_every_public_name_exists(name: str) -> None:
    assert name in dir(tussle)
    value = getattr(tussle, name)
    assert value.__name__ == name


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Clinet'"):
        _ = tussle.Clinet


def test_the_page_lists_only_errors_as_errors() -> None:
    """A name that no group of the page has is an error."""
    text = (ROOT / "docs" / "reference" / "python.md").read_text().partition("## The errors")[2]
    names = re.findall(r"^\| `(\w+)` \|", text, re.M)
    assert "LobbyError" in names
    assert [name for name in names if not issubclass(getattr(tussle, name), tussle.LobbyError)] == []


def test_the_page_of_the_package_is_current() -> None:
    """If this fails: python docs/reference/generate_python.py"""
    made = runpy.run_path(str(ROOT / "docs" / "reference" / "generate_python.py"))
    assert made["page"]() == (ROOT / "docs" / "reference" / "python.md").read_text()
