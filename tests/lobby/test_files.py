"""Files are stored whole or not at all; what is no regular file is neither waited for nor read into memory."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any, ClassVar

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from tussle.lobby import files
from tussle.lobby.files import Files
from tussle.lobby.mesh_files import READY, MeshFiles
from tussle.server.archive import archive


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


class ObjectStore(MemoryFileSystem):  # type: ignore[misc]  # fsspec has no types
    """Answers as S3 does: an empty file has no ranges. ``sent``: the bytes that it has sent."""

    protocol = "objects"
    store: ClassVar[dict[str, Any]] = {}
    pseudo_dirs: ClassVar[list[str]] = [""]
    sent = 0

    def cat_file(self, path: str, start: int | None = None, end: int | None = None, **options: Any) -> bytes:
        if start is not None and self.info(path)["size"] <= start:
            raise RuntimeError("InvalidRange")  # libraries of object stores raise what they like
        data: bytes = super().cat_file(path, start=start, end=end, **options)
        ObjectStore.sent += len(data)
        return data


fsspec.register_implementation("objects", ObjectStore, clobber=True)


@pytest.mark.parametrize("address", ["{}", "objects://files"])
def test_a_file_beyond_the_bound_is_refused(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One of exactly READ_BYTES is read and copied. Of a longer one no more is read, also from an object store."""
    monkeypatch.setattr(files, "READ_BYTES", 1000)
    place = Files(address.format(tmp_path / "place"))
    for size in (0, 1, 1000, 1001, 100_000):
        place.write(str(size), bytes(size))
    for size in (0, 1, 1000):
        assert len(place.read(str(size))) == size
        place.fetch(str(size), tmp_path / "copy", 1000)
        assert (tmp_path / "copy").stat().st_size == size
    ObjectStore.sent = 0
    for size in (1001, 100_000):
        with pytest.raises(OSError) as refused:
            place.read(str(size))
        assert refused.value.errno == errno.EFBIG
        with pytest.raises(OSError) as refused:
            place.fetch(str(size), tmp_path / "copy", 1000)
        assert refused.value.errno == errno.EFBIG
    assert (tmp_path / "copy").stat().st_size == 1000
    assert ObjectStore.sent <= 2 * 1001
    with pytest.raises(FileNotFoundError):
        place.read("none")


def test_an_archive_in_an_object_store_has_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """As one on a disk has: its reader holds the whole file."""
    monkeypatch.setattr(archive, "FILE_BYTES", 1000)
    place = archive.Archive("objects://archive")
    place.write("k7qm2xpv", "most", bytes(1000))
    place.write("k7qm2xpv", "more", bytes(1001))
    assert len(place.read("k7qm2xpv", "most")) == 1000
    with pytest.raises(OSError) as refused:
        place.read("k7qm2xpv", "more")
    assert refused.value.errno == errno.EFBIG


def test_a_copied_file_is_there_whole_or_not_at_all(tmp_path: Path) -> None:
    """A source that cannot be read leaves nothing, not even a file of another name."""
    place, source = Files(str(tmp_path / "place")), tmp_path / "source"
    source.write_bytes(b"mesh")
    place.put(source, "a/0")
    place.fetch("a/0", tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == b"mesh"
    with pytest.raises(OSError):
        place.put(tmp_path, "a/1")
    with pytest.raises(FileNotFoundError):
        place.fetch("a/1", tmp_path / "copy")
    assert [path.name for path in (tmp_path / "place" / "a").iterdir()] == ["0"]


@pytest.mark.timeout(20)
def test_a_mesh_that_is_a_pipe_is_refused(tmp_path: Path) -> None:
    """It kept the thread of the server that read it for ever."""
    (tmp_path / "meshes").mkdir()
    os.mkfifo(tmp_path / "meshes" / f"{'a' * 64}.{READY}")
    with pytest.raises(OSError, match="Not a regular file"):
        MeshFiles(str(tmp_path)).read("a" * 64)
