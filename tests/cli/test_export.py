"""The command that exports recordings."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread

import numpy as np
import pytest
from click.testing import CliRunner, Result

from tests.server.recordings.export import moving
from tests.support.paths import ROOT
from tussle.cli.main import main

TOKEN = "k7qm2xpv"


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one final recording."""
    folder = tmp_path_factory.mktemp("recordings")
    moving.write(folder / f"{TOKEN}.zarr")
    return folder


@pytest.fixture(autouse=True)
def here(tmp_path: Path, recordings: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder as the working directory, and no store or server."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RECORDINGS_URL", str(recordings))
    for name in ("REDIS_URL", "SERVER_URL"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


class QuietHandler(SimpleHTTPRequestHandler):
    """Sends the files of a folder."""

    def log_message(self, *_: object) -> None:
        """Nothing is logged."""


@contextmanager
def served(folder: Path, handler: type[SimpleHTTPRequestHandler]) -> Iterator[str]:
    """The address of an HTTP server that has a folder."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(handler, directory=str(folder)))
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def run(*words: str) -> Result:
    return CliRunner().invoke(main, ["export", *words])


def test_a_recording_is_exported_by_its_token(here: Path) -> None:
    """The file is named after the token; one line says what it contains."""
    result = run(TOKEN, "--to", "npz", "--frames", "10:20:2", "--bodies", "turner,jelly-2")
    assert result.exit_code == 0, result.output
    assert result.output.startswith(f"{TOKEN}.npz: 5 frames, 2 bodies, ")
    with np.load(here / f"{TOKEN}.npz") as loaded:
        assert loaded["tick"].tolist() == [20, 24, 28, 32, 36]


def test_a_group_is_exported_by_its_path_and_by_its_address(here: Path, recordings: Path) -> None:
    """A folder, and any HTTP server that has the group."""
    with served(recordings, QuietHandler) as address:
        for number, place in enumerate([str(recordings / f"{TOKEN}.zarr"), f"{address}/{TOKEN}.zarr"]):
            result = run(place, "--to", "npz", "-o", f"{number}.npz")
            assert result.exit_code == 0, result.output
        result = run(f"{address}/{TOKEN}.zarr", "--to", "zarr", "--frames", "0:3")
        assert "consolidated=False" in result.output, result.output
        result = run(f"{address}/other.zarr", "--to", "npz")
        assert result.exit_code == 1 and "no recording" in result.output
    with np.load("0.npz") as first, np.load("1.npz") as second:
        assert all(
            np.array_equal(first[name], second[name]) for name in first if first[name].dtype.kind != "f"
        )


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        ([TOKEN, "--to", "avi"], 2, "'avi' is not one of"),
        ([TOKEN, "--to", "npz", "--frames", "10:900"], 1, "frames 10:900 are not in the recording, which has 80"),
        ([TOKEN, "--to", "npz", "--frames", "x"], 1, "'x' is not a range of frames"),
        ([TOKEN, "--to", "npz", "--bodies", "halo"], 1, "no body halo; there are turner-0"),
        (["zzzzzzzz", "--to", "npz"], 1, "no recording zzzzzzzz in"),
        (["no/such.zarr", "--to", "npz"], 1, "there is no recording no/such.zarr"),
        (["nosuch://x/y.zarr", "--to", "npz"], 1, "nosuch"),
        ([TOKEN, "--to", "npz", "--server", "http://127.0.0.1:1"], 1, "refused"),
        ([TOKEN, "--to", "npz", "-o", "no/such/folder.npz"], 1, "no such folder"),
        ([TOKEN, "--to", "mp4", "--size", "1281x720"], 2, "even numbers"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_line(here: Path, words: list[str], code: int, says: str) -> None:
    """The error says what is wrong and what exists; nothing is written."""
    result = run(*words)
    assert result.exit_code == code and isinstance(result.exception, SystemExit)
    assert says in result.output
    assert code == 2 or len(result.output.strip().splitlines()) == 1
    assert list(here.iterdir()) == []


def test_a_damaged_recording_and_a_foreign_one_are_one_line(here: Path) -> None:
    """Truncated metadata of a group, and a folder that is not a recording, are refused."""
    broken = here / "broken.zarr"
    moving.write(broken)
    metadata = (broken / "zarr.json").read_bytes()
    for data, says in ((metadata[:-40], "no recording"), (b"{}", "no recording")):
        (broken / "zarr.json").write_bytes(data)
        result = run(str(broken), "--to", "npz")
        assert result.exit_code == 1 and says in result.output
        assert len(result.output.strip().splitlines()) == 1
    assert [path.name for path in here.iterdir()] == ["broken.zarr"]


def test_an_existing_file_is_kept_without_force(here: Path) -> None:
    """The line names --force."""
    (here / "mine").write_text("mine")
    result = run(TOKEN, "--to", "npz", "-o", "mine")
    assert result.exit_code == 1 and "--force" in result.output
    assert (here / "mine").read_text() == "mine"
    assert run(TOKEN, "--to", "npz", "-o", "mine", "--force").exit_code == 0
    assert (here / "mine").read_bytes()[:2] == b"PK"


def test_a_missing_package_is_one_line(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names the extra to install."""
    monkeypatch.setitem(sys.modules, "av", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    result = run(TOKEN, "--to", "mp4")
    assert result.exit_code == 1
    assert "mp4 needs av: pip install '.[export]'" in result.output
    assert len(result.output.strip().splitlines()) == 1


def test_a_terminated_export_leaves_nothing(here: Path, recordings: Path) -> None:
    """SIGTERM, as Ctrl-C, while a server is slow to send the frames."""
    asked, ended = Event(), Event()

    class SlowHandler(QuietHandler):
        def do_GET(self) -> None:
            if "/rows/" in self.path:
                asked.set()
                ended.wait(60)
            super().do_GET()

    with served(recordings, SlowHandler) as address:
        command = [sys.executable, "-m", "tussle", "export", f"{address}/{TOKEN}.zarr", "--to", "vtk"]
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        with subprocess.Popen(command, cwd=here, env=environment, stderr=subprocess.DEVNULL) as started:
            assert asked.wait(60)
            assert len(list(here.iterdir())) == 1  # the series in the making
            started.terminate()
            assert started.wait(60) == 1
        ended.set()
    assert list(here.iterdir()) == []
