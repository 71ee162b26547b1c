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
from pathlib import Path

from tussle.lobby.files import Files
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
        self._files = Files(archive_url).below("meshes")

    def put(self, source: Path, sha256: str, kind: str) -> None:
        """Store a local file, whose hash is ``sha256``. Equal files are stored once."""
        self.note_realm()
        self._files.put(source, _name(sha256, kind))

    def note_realm(self) -> None:
        """Record that the realm has meshes here, once."""
        if not self._noted:
            self._files.write(f"{MARK}{self._realm}", b"")
            self._noted = True

    def shared(self) -> bool:
        """Whether another realm has meshes here."""
        return any(name.startswith(MARK) and name != f"{MARK}{self._realm}" for name in self._files.list())

    def fetch(self, sha256: str, kind: str, target: Path, most_bytes: int) -> None:
        """Copy a file of at most ``most_bytes`` to a local one. Raises FileNotFoundError."""
        self._files.fetch(_name(sha256, kind), target, most_bytes)

    def read(self, sha256: str) -> bytes:
        """The bytes of a ready mesh. Raises FileNotFoundError, and OSError if they are not those that were stored."""
        shipped = ready_mesh_file(sha256)
        data = shipped.read_bytes() if shipped else self._files.read(_name(sha256, READY))
        if hashlib.sha256(data).hexdigest() != sha256:
            raise OSError(errno.EIO, f"the stored mesh {sha256[:12]} is damaged")
        return data

    def delete(self, sha256: str, kind: str) -> None:
        """Remove a file. Nothing happens if there is none."""
        self._files.delete(_name(sha256, kind))

    def written(self, sha256: str, kind: str) -> float:
        """When a file was written [s since 1970]; infinity if there is none, or if the file system does not say."""
        return self._files.written(_name(sha256, kind)) or math.inf

    def list(self) -> list[tuple[str, str]]:
        """Hash and kind of every file."""
        names = (name.partition(".") for name in self._files.list())
        return sorted(
            (sha256, kind) for sha256, _, kind in names if is_mesh_hash(sha256) and kind in (UPLOAD, READY)
        )


def _name(sha256: str, kind: str) -> str:
    assert is_mesh_hash(sha256)
    return f"{sha256}.{kind}"
