"""The sink for InfluxDB: rows as points over HTTP, in line protocol (InfluxDB 1.x, or the /write endpoint of 2.x).

Measurement, tags and time identify a point, so that a repeated write changes nothing. The position of each feed is kept
in the store after each write. Together they give every row exactly once. The time of a point is the reading's
timestamp, else ``time_ns`` of tables.py. This module must never use an entry's arrival time.
"""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlsplit

import httpx

from tussle.lobby.environment import BadSetting
from tussle.lobby.store.consumer_group import Entry
from tussle.lobby.store.store import Store
from tussle.worker.storage.sink import Position, SinkUnavailable
from tussle.worker.storage.tables import TABLES, Feed, Row, read_rows, time_ns

__all__ = ["InfluxSink", "line"]


LINES = 5_000
"""Points per request, as InfluxDB recommends."""

TIMEOUT_S = 10.0


def line(measurement: str, tags: dict[str, str], fields: Row, at_ns: int) -> str:
    """Return one point in line protocol. An integer ends with i, text is quoted, an empty tag is left out."""

    def escaped(text: str) -> str:
        return (
            text.replace("\\", "\\\\")
            .replace(",", "\\,")
            .replace(" ", "\\ ")
            .replace("=", "\\=")
            .replace("\n", "\\n")
        )

    def value(one: object) -> str:
        match one:
            case bool():
                return "true" if one else "false"
            case int():
                return f"{one}i"
            case float():
                return repr(one)
            case _:
                return '"' + str(one).replace("\\", "\\\\").replace('"', '\\"') + '"'

    head = "".join(f",{escaped(name)}={escaped(text)}" for name, text in sorted(tags.items()) if text)
    body = ",".join(f"{escaped(name)}={value(one)}" for name, one in fields.items())
    return f"{escaped(measurement)}{head} {body} {at_ns}"


class InfluxSink:
    """One database of one server. ``open`` creates it if it does not exist."""

    name = "influx"

    def __init__(self, store: Store, url: str) -> None:
        parts = urlsplit(url)
        self._database = parts.path.strip("/")
        if not self._database:
            raise BadSetting(
                f"STORAGE_URL=influx+{url}: the database is missing, as in influx+http://host:8086/tussle"
            )
        self._store = store
        auth = httpx.BasicAuth(parts.username, parts.password or "") if parts.username else None
        port = f":{parts.port}" if parts.port else ""
        self._http = httpx.AsyncClient(
            base_url=f"{parts.scheme}://{parts.hostname}{port}", auth=auth, timeout=TIMEOUT_S, trust_env=False
        )

    async def open(self) -> None:
        await self._post("/query", params={"q": f'CREATE DATABASE "{self._database}"'})

    async def position(self, feed: Feed) -> Position:
        kept = await self._store.call("HGET", self._store.keys.stored(self.name), feed.key)
        if kept is None:
            return Position()
        entry, _, count = str(kept).partition(" ")
        return Position(entry, int(count))

    async def write(self, feed: Feed, after: Position, entries: Sequence[Entry]) -> Position:
        lines = [one for entry in entries for one in self._lines(feed, entry)]
        for i in range(0, len(lines), LINES):
            await self._post(
                "/write",
                params={"db": self._database, "precision": "ns"},
                content="\n".join(lines[i : i + LINES]).encode(),
            )
        position = Position(entries[-1].id, after.count + len(entries))
        kept = f"{position.id} {position.count}"
        await self._store.call("HSET", self._store.keys.stored(self.name), feed.key, kept)
        return position

    async def finish(self, feed: Feed) -> None:
        await self._store.call("HDEL", self._store.keys.stored(self.name), feed.key)

    async def close(self) -> None:
        await self._http.aclose()

    def _lines(self, feed: Feed, entry: Entry) -> list[str]:
        table = TABLES[feed.table]
        lines = []
        for row in read_rows(feed, entry):
            tags = {tag: str(row[tag]) for tag in table.tags}
            if table.part:
                tags[table.part] = feed.part
            at_ns = row.get("timestamp", time_ns(feed, entry))
            fields = {name: value for name, value in row.items() if name not in tags and name != "timestamp"}
            lines.append(line(table.name, tags, fields, at_ns))
        return lines

    async def _post(self, path: str, *, params: dict[str, str], content: bytes | None = None) -> None:
        try:
            answer = await self._http.post(path, params=params, content=content)
        except httpx.HTTPError as error:
            raise SinkUnavailable(f"{type(error).__name__}: {error}") from error
        if answer.status_code >= 400:
            raise SinkUnavailable(f"InfluxDB answered {answer.status_code}: {answer.text[:300]}")
