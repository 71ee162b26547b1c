"""The page /docs: the calls of the OpenAPI document and the messages of the AsyncAPI document, for people.

    the first request of one of them -> both documents and the page, in a thread -> every answer from then on

The page is made once from both documents and has no script. Below it are the files that docs/protocol.md names. This
module must never describe what the documents do not have.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from tussle.server.http import asyncapi, openapi
from tussle.server.http.endpoints import Endpoint
from tussle.server.http.responses import encode_json
from tussle.server.physics.schema import schema_text

__all__ = ["Description", "DescriptionOnDemand", "published_files", "render"]

VECTORS = Path(__file__).resolve().parents[2] / "lobby" / "wire" / "vectors"

HEAD = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Tussle: the API</title>
<h1>The API of this server</h1>
<p>For programs: <a href="openapi.json">openapi.json</a> (HTTP, OpenAPI 3.1) and
<a href="asyncapi.json">asyncapi.json</a> (WebSockets, AsyncAPI 3). <code>docs/protocol.md</code> of the source has the
meaning of every message and the layouts of binary messages. Encoded messages with what they show:
<a href="./docs/frames.json">frames.json</a> (whole frames and topologies) and
<a href="./docs/deltas.json">deltas.json</a> (delta frames). The JSON Schema of scenes:
<a href="./docs/scene.schema.json">scene.schema.json</a>.</p>
"""


@dataclass(frozen=True, slots=True)
class Description:
    """What /openapi.json, /asyncapi.json and /docs answer, and the files below /docs by name."""

    openapi: bytes
    asyncapi: bytes
    page: bytes
    files: Mapping[str, bytes]


class DescriptionOnDemand:
    """The description of the API. It takes a third of the CPU time in which a server starts, and most servers are never
    asked for it: it is made at the first request, in a thread."""

    def __init__(self, endpoints: Iterable[Endpoint], version: str) -> None:
        self._endpoints = tuple(endpoints)
        self._version = version
        self._made: Description | None = None
        self._lock = asyncio.Lock()

    async def get(self) -> Description:
        """Requests that come while it is made wait for the same one."""
        async with self._lock:
            if self._made is None:
                self._made = await asyncio.to_thread(self._make)
            return self._made

    def _make(self) -> Description:
        calls = openapi.document(self._endpoints, version=self._version)
        sockets = asyncapi.document(version=self._version)
        page = render(calls, sockets).encode()
        return Description(encode_json(calls), encode_json(sockets), page, published_files())


def published_files() -> dict[str, bytes]:
    """The JSON files below /docs by name."""
    vectors = {name: (VECTORS / name).read_bytes() for name in ("deltas.json", "frames.json")}
    return {"scene.schema.json": schema_text().encode(), **vectors}


def render(calls: Mapping[str, Any], sockets: Mapping[str, Any]) -> str:
    """The page as HTML. calls: the OpenAPI document; sockets: the AsyncAPI document."""
    parts = [HEAD, "<h2>HTTP</h2>\n<table border=1>\n<tr><th>call<th>meaning<th>body<th>answer<th>refusals\n"]
    for path, methods in sorted(calls["paths"].items()):
        for method, call in methods.items():
            answers = call["responses"]
            done = next(status for status in answers if status.startswith("2"))
            refusals = ", ".join(status for status in answers if status != done)
            login = "" if not call["security"] else ", with a login"
            parts.append(
                f"<tr><td><code>{method.upper()} {escape(path)}</code><td>{escape(call['summary'])}{login}"
                f"<td>{_media(call.get('requestBody', {}).get('content', {}))}"
                f"<td>{_media(answers[done].get('content', {}))}<td>{refusals}\n"
            )
    parts.append("</table>\n")
    for channel in sockets["channels"].values():
        parts.append(
            f"<h2>WebSocket {escape(channel['address'])}</h2>\n<p>{escape(channel['description'])}.</p>\n"
        )
        for sender, title in (("client", "The client sends"), ("server", "The server sends")):
            parts.append(f"<h3>{title}</h3>\n<ul>\n")
            for key in channel["messages"]:
                if key.split(".")[1] == sender:
                    message = sockets["components"]["messages"][key]
                    payload = message["payload"].get("$ref", "").rpartition("/")[2]
                    about = message.get("summary") or _about(sockets, payload)
                    parts.append(f"<li><code>{escape(message['name'])}</code> {escape(about)}\n")
            parts.append("</ul>\n")
    for title, document in (("Types of HTTP", calls), ("Types of the sockets", sockets)):
        parts.append(f"<h2>{title}</h2>\n<dl>\n")
        for name, schema in sorted(document["components"]["schemas"].items()):
            fields = ", ".join(f"<code>{escape(field)}</code>" for field in schema.get("properties", {}))
            parts.append(
                f'<dt id="{escape(name)}">{escape(name)}<dd>{escape(schema.get("description", ""))} {fields}\n'
            )
        parts.append("</dl>\n")
    return "".join(parts)


def _about(sockets: Mapping[str, Any], schema: str) -> str:
    """The description of a message's type."""
    return str(sockets["components"]["schemas"].get(schema, {}).get("description", ""))


def _media(content: Mapping[str, Any]) -> str:
    """The media types, JSON by the name of its type."""
    shown = []
    for media, described in content.items():
        schema = described.get("schema", {})
        names = [one.get("$ref", "").rpartition("/")[2] for one in schema.get("anyOf", [schema])]
        links = [f'<a href="#{escape(name)}">{escape(name)}</a>' for name in names if name]
        shown.append(" or ".join(links) or f"<code>{escape(media)}</code>")
    return ", ".join(shown)
