"""``python build_db.py [--from PATH | pull PATH|URL]``: fill the catalogue in the store.

    catalogue.json -> read and checked as a whole -> one script -> catalogue:bodies | materials | scenes | meshes

Seeding the same file again changes nothing. Entries that the file no longer has are deleted. Readers see the old
catalogue or the new one, never a mixture. A broken file changes nothing. This module must never build a mesh: a body is
a recipe, a template is computed by lobby/rules/templates.py, and the meshes are files that the package brings.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from tussle.lobby.environment import BadSetting
from tussle.lobby.errors import LobbyError, Refused
from tussle.lobby.ready_meshes import ready_meshes
from tussle.lobby.rules.templates import TEMPLATES, make_template
from tussle.lobby.settings import Settings
from tussle.lobby.store.store import Store

__all__ = [
    "KINDS",
    "SeedSummary",
    "catalogue_path",
    "download",
    "main",
    "parse_catalogue",
    "read_catalogue",
    "seed",
]

KINDS = ("bodies", "materials", "scenes", "meshes")

SHIPPED = Path(__file__).resolve().parent / "catalogue" / "catalogue.json"

PULL_BYTES = 10_000_000
PULL_S = 30.0
"""The largest size [bytes] and the longest time [s] of a download."""

Id = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9][a-z0-9_-]{0,47}(?!\n)$")]
Positive = Annotated[float, msgspec.Meta(gt=0)]
NonNegative = Annotated[float, msgspec.Meta(ge=0)]


class _Body(msgspec.Struct):
    """The fields that every body must have. Other fields are kept unchanged."""

    id: Id
    name: Annotated[str, msgspec.Meta(min_length=1)]
    kind: str
    params: dict[str, Any]
    density: Positive
    stiffness: Positive
    friction: NonNegative
    health: Positive
    speed: Positive
    computed: dict[str, float]


class _Named(msgspec.Struct):
    id: Id


class _Catalogue(msgspec.Struct):
    schema: Literal["tussle-catalogue/1"]
    shapes: dict[str, str]
    bodies: Annotated[list[_Body], msgspec.Meta(min_length=1)]
    materials: list[_Named] = []
    scenes: list[_Named] = []
    templates: list[str] = []
    meshes: list[str] = []
    arena: list[_Named] = []


@dataclass(frozen=True, slots=True)
class SeedSummary:
    """The effect of seeding. ``counts``: entries per kind afterwards. ``changes``: (kind, added | changed | removed,
    id)."""

    counts: Mapping[str, int]
    changes: Sequence[tuple[str, str, str]]

    def __str__(self) -> str:
        held = ", ".join(f"{count} {kind}" for kind, count in self.counts.items())
        if not self.changes:
            return f"catalogue: {held}; nothing changed"
        lines = [f"  {change} {kind} {id}" for kind, change, id in self.changes]
        return "\n".join([f"catalogue: {held}", *lines])


def catalogue_path(settings: Settings, chosen: str | None = None) -> Path:
    """Return the file to seed from: ``chosen``, else the setting CATALOGUE, else the file of the package. A folder
    means its catalogue.json."""
    text = chosen or settings.catalogue
    path = Path(text) if text else SHIPPED
    return path / "catalogue.json" if path.is_dir() else path


def read_catalogue(path: Path) -> dict[str, dict[str, bytes]]:
    """Return kind -> id -> canonical JSON of a file. An arena is a scene, and so is a template. The file only names
    templates and meshes. Raises Refused (bad_catalogue)."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise Refused(f"{path}: {error.strerror}", code="bad_catalogue") from None
    return parse_catalogue(data, str(path))


def download(url: str) -> bytes:
    """Return a catalogue.json over HTTP. Raises Refused (bad_catalogue), also when it is larger than PULL_BYTES or
    takes longer than PULL_S."""
    import httpx  # only a pull needs it

    deadline = time.monotonic() + PULL_S
    data = bytearray()
    try:
        with httpx.stream("GET", url, timeout=PULL_S, follow_redirects=True) as answer:
            answer.raise_for_status()
            for chunk in answer.iter_bytes():
                data += chunk
                if len(data) > PULL_BYTES or time.monotonic() > deadline:
                    raise Refused(
                        f"{url}: more than {PULL_BYTES} bytes or {PULL_S:g} s", code="bad_catalogue"
                    )
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        reason = str(error).partition("\n")[0]
        raise Refused(f"{url}: {reason}", code="bad_catalogue") from None
    return bytes(data)


def parse_catalogue(data: bytes, path: str) -> dict[str, dict[str, bytes]]:
    """Return kind -> id -> canonical JSON of ``data``. ``path``: its origin, for errors. Raises Refused
    (bad_catalogue)."""
    try:
        checked = msgspec.json.decode(data, type=_Catalogue)
        plain = msgspec.json.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise Refused(f"{path}: {error}", code="bad_catalogue") from None
    for body in checked.bodies:
        if body.kind not in checked.shapes:
            raise Refused(
                f"{path}: body {body.id!r} has the unknown shape {body.kind!r}", code="bad_catalogue"
            )
    entries: dict[str, dict[str, bytes]] = {}
    for kind, sections in {
        "bodies": ["bodies"],
        "materials": ["materials"],
        "scenes": ["scenes", "arena"],
    }.items():
        documents: dict[str, bytes] = {}
        listed = [document for section in sections for document in plain.get(section, [])]
        for document in [*listed, *(_templates(checked.templates, path) if kind == "scenes" else [])]:
            if document["id"] in documents:
                raise Refused(f"{path}: {kind} has {document['id']!r} twice", code="bad_catalogue")
            documents[document["id"]] = msgspec.json.encode(document, order="deterministic")
        entries[kind] = documents
    entries["meshes"] = _meshes(checked.meshes, path)
    return entries


def _meshes(names: Sequence[str], path: str) -> dict[str, bytes]:
    """The ready meshes of these names, with their recipes. Raises Refused (bad_catalogue)."""
    known = {mesh.id: mesh for mesh in ready_meshes().values()}
    for name in names:
        if name not in known:
            raise Refused(f"{path}: no ready mesh is called {name!r}", code="bad_catalogue")
    return {
        name: msgspec.json.encode(
            {
                **msgspec.structs.asdict(known[name]),
                "kind": "mesh",
                "params": {"sha256": known[name].sha256},
            },
            order="deterministic",
        )
        for name in names
    }


def _templates(names: Sequence[str], path: str) -> list[dict[str, Any]]:
    """The templates of these names, as documents. Raises Refused (bad_catalogue)."""
    for name in names:
        if name not in TEMPLATES:
            raise Refused(f"{path}: no template is called {name!r}", code="bad_catalogue")
    return [msgspec.json.decode(msgspec.json.encode(make_template(name))) for name in names]


async def seed(store: Store, source: Path | Settings | str) -> SeedSummary:
    """Replace the catalogue in the store, and return what changed.

    source: a file, the settings that name one, or an http(s) address. Raises Refused, and then nothing has changed, and
    StoreError.
    """
    if isinstance(source, str):
        catalogue = parse_catalogue(await asyncio.to_thread(download, source), source)
    else:
        catalogue = read_catalogue(catalogue_path(source) if isinstance(source, Settings) else source)
    args: list[str | bytes | int] = []
    for kind, documents in catalogue.items():
        args += [kind, len(documents)]
        for id, document in documents.items():
            args += [id, document]
    reply = await store.run("seed", [store.keys.catalogue(kind) for kind in catalogue], args)
    flat = [str(part) for part in reply[1:]]
    return SeedSummary(
        {kind: len(documents) for kind, documents in catalogue.items()},
        list(zip(flat[::3], flat[1::3], flat[2::3], strict=True)),
    )


async def _seed_once(settings: Settings, path: Path | str) -> SeedSummary:
    store = await Store.connect(settings.redis_url, settings.realm)
    try:
        return await seed(store, path)
    finally:
        await store.close()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code: 0, or 2 with one line on stderr if nothing was changed."""
    parser = argparse.ArgumentParser(prog="build_db.py", description="Fill the catalogue in the store.")
    parser.add_argument("--from", dest="path", metavar="PATH", help="a catalogue.json, or a folder with one")
    commands = parser.add_subparsers(dest="command")
    pull = commands.add_parser("pull", help="refresh the catalogue from a folder, a file or a URL")
    pull.add_argument("pulled", metavar="PATH|URL")
    asked = parser.parse_args(arguments)
    chosen = asked.pulled if asked.command == "pull" else asked.path
    try:
        settings = Settings.read()
        if not settings.redis_url:
            raise BadSetting("REDIS_URL is not set; `tussle up` starts an embedded store and seeds it")
        remote = chosen is not None and chosen.startswith(("http://", "https://"))
        source = chosen if remote else catalogue_path(settings, chosen)
        summary = asyncio.run(_seed_once(settings, source))
    except (BadSetting, LobbyError) as error:
        sys.stderr.write(f"tussle: {error}\n")
        return 2
    sys.stdout.write(f"{summary}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
