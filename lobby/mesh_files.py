"""The files of meshes below the archive's URL, each named by the SHA-256 of its bytes.

    ARCHIVE_URL/meshes/<sha256>.upload      what a person sent; read by the worker only
    ARCHIVE_URL/meshes/<sha256>.mesh        what the worker made of an upload; scenes name this hash
    ARCHIVE_URL/meshes/realm.<name>         a realm that has meshes here: no other one knows which of them it needs

A file is written whole or not at all, and never changed. A ready mesh is compared with its name when it is read. The
ready meshes of the catalogue are read from the package. This module must never look into a mesh.
"""

from __future__ import annotations

import errno
import hashlib
import math
import re
import secrets
import shutil
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

import fsspec

from tussle.lobby.ready_meshes import ready_mesh_file

__all__ = ["READY", "UPLOAD", "MeshFiles", "is_mesh_hash"]

UPLOAD, READY = "upload", "mesh"
"""The kinds of files: the endings of their names."""

MARK = "realm."

_HASH = re.compile(r"[0-9a-f]{64}")


def is_mesh_hash(text: object) -> bool:
    """Whether a value has the form of a mesh's hash."""
    return isinstance(text, str) and _HASH.fullmatch(text) is not None


class MeshFiles:
    """The meshes of one archive. Every method blocks, and raises OSError."""

    def __init__(self, archive_url: str, realm: str = "") -> None:
        """``realm``: the realm that stores the files; a program that only reads needs none."""
        self._realm = realm
        self._noted = not realm
        self._fs, root = fsspec.core.url_to_fs(archive_url)
        self._root = f"{root.rstrip('/')}/meshes"
        self._local = "file" in self._fs.protocol

    def _path(self, sha256: str, kind: str) -> str:
        assert is_mesh_hash(sha256)
        return f"{self._root}/{sha256}.{kind}"

    def _call(self, name: str, *args: Any, **options: Any) -> Any:
        try:
            return getattr(self._fs, name)(*args, **options)
        except OSError:
            raise
        except Exception as error:  # an object store that is out of reach
            raise OSError(errno.EIO, f"{type(error).__name__}: {error}") from error

    def put(self, source: Path, sha256: str, kind: str) -> None:
        """Store a local file, whose hash is ``sha256``. Equal files are stored once."""
        path = self._path(sha256, kind)
        self.note_realm()
        if not self._local:
            self._call("put_file", str(source), path)
            return
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        other = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
        try:
            shutil.copyfile(source, other)
            other.replace(target)
        except OSError:
            with suppress(OSError):
                other.unlink()
            raise

    def note_realm(self) -> None:
        """Record that the realm has meshes here, once."""
        if not self._noted:
            self._call("makedirs", self._root, exist_ok=True)
            self._call("pipe_file", f"{self._root}/{MARK}{self._realm}", b"")
            self._noted = True

    def shared(self) -> bool:
        """Whether another realm has meshes here."""
        return any(name.startswith(MARK) and name != f"{MARK}{self._realm}" for name in self._names())

    def fetch(self, sha256: str, kind: str, target: Path) -> None:
        """Copy a file to a local one. Raises FileNotFoundError."""
        self._call("get_file", self._path(sha256, kind), str(target))

    def read(self, sha256: str) -> bytes:
        """The bytes of a ready mesh. Raises FileNotFoundError, and OSError if they are not those that were stored."""
        shipped = ready_mesh_file(sha256)
        data: bytes = shipped.read_bytes() if shipped else self._call("cat_file", self._path(sha256, READY))
        if hashlib.sha256(data).hexdigest() != sha256:
            raise OSError(errno.EIO, f"the stored mesh {sha256[:12]} is damaged")
        return data

    def delete(self, sha256: str, kind: str) -> None:
        """Remove a file. Nothing happens if there is none."""
        with suppress(FileNotFoundError):
            self._call("rm_file", self._path(sha256, kind))

    def written(self, sha256: str, kind: str) -> float:
        """When a file was written [s since 1970]; infinity if there is none."""
        try:
            return float(self._call("modified", self._path(sha256, kind)).timestamp())
        except FileNotFoundError:
            return math.inf

    def list(self) -> list[tuple[str, str]]:
        """Hash and kind of every file."""
        names = (name.partition(".") for name in self._names())
        return sorted(
            (sha256, kind) for sha256, _, kind in names if is_mesh_hash(sha256) and kind in (UPLOAD, READY)
        )

    def _names(self) -> Iterable[str]:
        self._call("invalidate_cache")
        try:
            found = self._call("ls", self._root, detail=False)
        except FileNotFoundError:
            return []
        return [str(name).rstrip("/").rsplit("/", 1)[-1] for name in found]
