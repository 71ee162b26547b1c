"""Pictures of recordings and pages that show them, on a real server whose child process draws."""

from __future__ import annotations

import html
import re
import struct
import zlib
from html.parser import HTMLParser

import pytest

from tests.support.problems import assert_problem
from tests.support.stack import Stack
from tests.support.stranger import Person, duel
from tussle.lobby.recorded_sessions import RecordedSeat, RecordedSession
from tussle.server.http.picture_routes import tags_of

ENVIRONMENT = {"SIM_SPEED": "0", "TURN_S": "60"}


class Tags(HTMLParser):
    """Every tag of a text, and the Open Graph properties."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.names: list[str] = []
        self.found: dict[str, str] = {}
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)
        about = dict(attrs)
        if tag == "meta" and about.get("property"):
            self.found[str(about["property"])] = str(about.get("content"))


def pixels(png: bytes) -> tuple[int, int, set[tuple[int, int, int]]]:
    """Width, height and the colours of a PNG file of 8-bit RGB in which each row has filter 2."""
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    at, data, size = 8, b"", (0, 0)
    while at < len(png):
        length, kind = struct.unpack(">I4s", png[at : at + 8])
        body = png[at + 8 : at + 8 + length]
        assert struct.unpack(">I", png[at + 8 + length : at + 12 + length])[0] == zlib.crc32(kind + body)
        size = struct.unpack(">II", body[:8]) if kind == b"IHDR" else size
        data += body if kind == b"IDAT" else b""
        at += 12 + length
    raw, step = zlib.decompress(data), 1 + 3 * size[0]
    row, colours = bytes(3 * size[0]), set[tuple[int, int, int]]()
    for start in range(0, len(raw), step):
        assert raw[start] == 2
        row = bytes(
            (one + above) % 256 for one, above in zip(raw[start + 1 : start + step], row, strict=True)
        )
        if start % (20 * step) == 0:
            colours |= set(zip(row[::3], row[1::3], row[2::3], strict=True))
    return *size, colours


@pytest.mark.asyncio(loop_scope="module")
async def test_the_picture_of_a_duel_and_its_page(site: Stack) -> None:
    """A duel has a picture of the size that pages ask for, with more than a few colours; it is not sent again to who
    has it, and HEAD of the page works. The page of a private session has tags that name nobody."""
    async with duel(site.url, rounds=1) as game, Person(site.url) as reader:
        await reader.login()
        path = f"/api/recordings/{game.session}/picture.png"
        for _ in range(2):
            acting, _, _ = await game.turn()
            assert (await acting.act(azimuth=10.0, elevation=10.0, power=0.2))["t"] == "ack"
            await acting.until("turn_ended")
        for one in game.lines:
            await one.until("ended")
        answer = await reader.get(path)
        assert (answer.status_code, answer.headers["content-type"]) == (200, "image/png"), answer.text
        width, height, colours = pixels(answer.content)
        assert (width, height) == (1200, 630)
        assert len(colours) > 50
        known = {"if-none-match": answer.headers["etag"]}
        assert (await reader.http.get(path, headers=known)).status_code == 304
        page = await reader.get(f"/r/{game.session}")
        tags = Tags(page.text).found
        assert tags["og:image"] == f"{site.url}{path}"
        assert tags["og:url"] == f"{site.url}/r/{game.session}"
        assert tags["og:title"] == "A match of Tussle"
        assert (await reader.http.head(f"/r/{game.session}")).content == b""


@pytest.mark.asyncio(loop_scope="module")
async def test_what_has_no_picture(site: Stack) -> None:
    """No session, no token, and a page for either: the client's page without tags, which says what is missing."""
    async with Person(site.url) as reader:
        assert_problem(await reader.get("/api/recordings/k7qm2xpv/picture.png"), 404, "no_recording")
        assert_problem(await reader.get("/api/recordings/nonsense/picture.png"), 404, "no_such_session")
        for token in ("nonsense", "a%22b", "x" * 300):
            page = await reader.get(f"/r/{token}")
            assert page.status_code in (200, 404)
            assert "og:" not in page.text


def row(*names: str, winner: int | None = 0) -> RecordedSession:
    seats = tuple(RecordedSeat(seat, f"p{seat}", name, "person", "halo") for seat, name in enumerate(names))
    return RecordedSession("k7qm2xpv", "ended", "duel", len(names), seats, 1, 2, 3, 40, 12.4, winner=winner)


@pytest.mark.parametrize(
    ("names", "winner", "title"),
    [
        (("ada#k3v7", "otto"), 0, "ada beat otto: a duel on Tussle"),
        (("ada", "otto"), None, "ada and otto: a duel on Tussle"),
        (("a", "b", "c"), 2, "c beat a and b: a duel on Tussle"),
        (("a", "b", "c", "d", "e", "f"), None, "a, b, c and 3 others: a duel on Tussle"),
    ],
)
def test_the_title_says_who_won(names: tuple[str, ...], winner: int | None, title: str) -> None:
    """Names without what follows #, at most four of them."""
    tags = Tags(tags_of("k7qm2xpv", row(*names, winner=winner), "http://t")).found
    assert tags["og:title"] == title


def test_names_cannot_leave_their_tag() -> None:
    """A name of quotes and tags is text in the page; the page has no tag but the ones that are meant."""
    hostile = '"><script>alert(1)</script><meta property="og:image" content="http://evil'
    text = tags_of("k7qm2xpv", row(hostile, "otto"), 'http://t"/><b>')
    tags = Tags(text)
    assert set(tags.names) == {"meta"}
    assert tags.found["og:image"].endswith("/api/recordings/k7qm2xpv/picture.png")
    assert html.unescape(tags.found["og:title"]).startswith(hostile)
    assert re.search(r"<script|<b>", text) is None
