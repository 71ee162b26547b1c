"""Files below one URL of any file system that fsspec knows: recordings and meshes.

A file is written whole or not at all: on a local disk through another name, on an object store by its nature. Every
failure is an OSError, whatever the library of the file system raises. This module must never know what is in a file.
"""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

import fsspec

__all__ = ["READ_BYTES", "Files", "ReadsFiles", "read_whole"]

READ_BYTES = 2**28
"""A larger file is not read: a chunk has about 1 MiB, and a reader holds the whole file [B]."""

SIZE_TRIES = 5
"""How often the size of a folder is asked for while its files come and go."""


class ReadsFiles(Protocol):
    """The operations on files that a reader of a recording needs."""

    def read(self, path: str) -> bytes:
        """Raises FileNotFoundError, or another OSError."""


class Files:
    """The files below ``url``. Paths are relative to it. Every method raises OSError."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._fs, root = fsspec.core.url_to_fs(url)
        self._root = root.rstrip("/")
        self._local = "file" in self._fs.protocol
        self._folders: set[str] = set()

    def below(self, folder: str) -> Files:
        """The files below a folder."""
        return Files(f"{self.url.rstrip('/')}/{folder}")

    def read(self, path: str) -> bytes:
        """A file of at most READ_BYTES. Raises FileNotFoundError."""
        return read_whole(self._fs, f"{self._root}/{path}", READ_BYTES)

    def write(self, path: str, data: bytes) -> None:
        if not self._local:
            _ask(self._fs.pipe_file, f"{self._root}/{path}", data)
            return
        with self._replaced(path) as other:
            other.write_bytes(data)

    def put(self, source: Path, path: str) -> None:
        """Copy a local file here."""
        if not self._local:
            _ask(self._fs.put_file, str(source), f"{self._root}/{path}")
            return
        with self._replaced(path) as other:
            shutil.copyfile(source, other)

    @contextmanager
    def _replaced(self, path: str) -> Iterator[Path]:
        """Yield a local file that takes the place of ``path`` after the block, or is removed if it fails."""
        target = f"{self._root}/{path}"
        folder, _, name = target.rpartition("/")
        other = Path(f"{folder}/.{name}.{secrets.token_hex(4)}")
        if folder not in self._folders:
            Path(folder).mkdir(parents=True, exist_ok=True)
            self._folders.add(folder)
        try:
            yield other
            other.replace(target)
        except OSError:  # the disk is full, or the folder was removed
            with suppress(OSError):
                other.unlink()
            if not Path(folder).is_dir():
                self._folders.discard(folder)
            raise

    def fetch(self, path: str, target: Path, most_bytes: int = READ_BYTES) -> None:
        """Copy a file of at most ``most_bytes`` to a local one. Raises FileNotFoundError."""
        place = f"{self._root}/{path}"
        if int(_ask(self._fs.info, place).get("size") or 0) > most_bytes:
            raise OSError(errno.EFBIG, os.strerror(errno.EFBIG), place)
        _ask(self._fs.get_file, place, str(target))

    def exists(self, path: str) -> bool:
        self._fs.invalidate_cache()
        found: bool = _ask(self._fs.exists, f"{self._root}/{path}" if path else self._root)
        return found

    def list(self, folder: str = "") -> list[str]:
        """Names of the files and folders in a folder; empty if there is none."""
        self._fs.invalidate_cache()
        place = f"{self._root}/{folder}".rstrip("/")
        try:
            found: list[Any] = _ask(self._fs.ls, place, detail=False)
        except FileNotFoundError:
            return []
        return sorted(name.rstrip("/").rsplit("/", 1)[-1] for name in found)

    def size(self, folder: str) -> int:
        """The size of all files below a folder [B]; of one that changes while it is read, some size that it had."""
        for _ in range(SIZE_TRIES):
            with suppress(FileNotFoundError):  # a file was removed after it was listed
                self._fs.invalidate_cache()
                return int(_ask(self._fs.du, f"{self._root}/{folder}"))
        return 0

    def written(self, path: str) -> float:
        """When a file or folder was written [s since 1970]; 0 if the file system does not say."""
        try:
            about: dict[str, Any] = _ask(self._fs.info, f"{self._root}/{path}")
        except FileNotFoundError:
            return 0.0
        for name in ("mtime", "LastModified", "last_modified", "updated", "created"):
            value = about.get(name)
            if isinstance(value, datetime):
                return value.timestamp()
            if isinstance(value, int | float):
                return float(value)
        return 0.0

    def delete(self, path: str) -> None:
        """Remove one file. Nothing happens if it does not exist."""
        if self._local:
            Path(self._root, path).unlink(missing_ok=True)
            return
        with suppress(FileNotFoundError):
            _ask(self._fs.rm_file, f"{self._root}/{path}")

    def remove(self, path: str) -> None:
        """Remove a file or a folder with everything in it. Nothing happens if there is none."""
        self._folders.clear()
        self._fs.invalidate_cache()
        with suppress(FileNotFoundError):
            _ask(self._fs.rm, f"{self._root}/{path}".rstrip("/"), recursive=True)


def read_whole(files: Any, path: str, most_bytes: int) -> bytes:
    """The bytes of one file of a file system of fsspec. Raises FileNotFoundError, or OSError, also for a longer one."""
    if "file" in files.protocol:
        return _read_local(path, most_bytes)
    try:
        data: bytes = _ask(files.cat_file, path, start=0, end=most_bytes + 1)
    except FileNotFoundError:
        raise
    except OSError:
        with suppress(OSError):
            if _ask(files.info, path).get("size") == 0:
                return b""  # object stores have no range of an empty file
        raise
    if len(data) > most_bytes:
        raise OSError(errno.EFBIG, os.strerror(errno.EFBIG), path)
    return data


def _ask(call: Callable[..., Any], *args: Any, **options: Any) -> Any:
    try:
        return call(*args, **options)
    except OSError:
        raise
    except Exception as error:  # an object store that is out of reach
        raise OSError(errno.EIO, f"{type(error).__name__}: {error}") from error


def _read_local(path: str, most_bytes: int) -> bytes:
    """The bytes of a regular file of the local disk. Raises OSError, also for a longer file and for what is no file: a
    named pipe would keep the thread waiting for a writer, and a device has no end."""
    with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as file:
        about = os.fstat(file.fileno())
        if not stat.S_ISREG(about.st_mode):
            raise OSError(errno.EINVAL, "Not a regular file", path)
        if about.st_size > most_bytes:
            raise OSError(errno.EFBIG, os.strerror(errno.EFBIG), path)
        return file.read(about.st_size)
