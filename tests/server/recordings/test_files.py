"""Files of recordings that are no files of recordings: reading them neither waits nor fills the memory."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from tussle.server.recordings import files
from tussle.server.recordings.files import Files


def test_what_was_written_is_read(tmp_path: Path) -> None:
    """Also through a link, as where recordings were moved to another disk."""
    place = Files(str(tmp_path))
    place.write("a/0", b"chunk")
    (tmp_path / "link").symlink_to(tmp_path / "a")
    assert place.read("a/0") == place.read("link/0") == b"chunk"
    with pytest.raises(FileNotFoundError):
        place.read("a/1")
    with pytest.raises(IsADirectoryError):
        place.read("a")


@pytest.mark.timeout(20)
def test_a_pipe_and_a_device_are_refused(tmp_path: Path) -> None:
    """The one would block a thread for ever, the other fill the memory of the server."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "device").symlink_to("/dev/null")
    for name in ("pipe", "device"):
        with pytest.raises(OSError, match="Not a regular file") as refused:
            Files(str(tmp_path)).read(name)
        assert refused.value.errno == errno.EINVAL


def test_a_file_beyond_the_bound_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One of exactly READ_BYTES is read."""
    monkeypatch.setattr(files, "READ_BYTES", 1000)
    (tmp_path / "most").write_bytes(bytes(1000))
    (tmp_path / "more").write_bytes(bytes(1001))
    assert len(Files(str(tmp_path)).read("most")) == 1000
    with pytest.raises(OSError) as refused:
        Files(str(tmp_path)).read("more")
    assert refused.value.errno == errno.EFBIG
