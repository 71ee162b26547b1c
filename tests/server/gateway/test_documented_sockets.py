"""What a real server sends over its sockets is what its AsyncAPI document says."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from tests.support.gateway import GATEWAY_ENVIRONMENT, lobby_of_one, socket_url
from tests.support.replay import joined, recorded
from tests.support.stack import Stack
from tests.support.stranger import Line, Message, Person, duel

jsonschema_rs = pytest.importorskip(
    "jsonschema_rs", reason="!! jsonschema_rs IS NOT INSTALLED: no message was compared"
)

ENVIRONMENT = GATEWAY_ENVIRONMENT

pytestmark = pytest.mark.asyncio(loop_scope="module")


class Document:
    """The AsyncAPI document of a server, and the messages that were compared with it."""

    def __init__(self, document: dict[str, Any]) -> None:
        self.info = document["info"]
        self._named = document["components"]["messages"]
        self._parts = document["components"]
        self.seen: set[str] = set()

    def check(self, socket: str, lines: Iterable[Line]) -> None:
        """Raises AssertionError for a message that is not in the document, or has another form there."""
        for message in (message for line in lines for message in line.messages):
            event = socket == "session" and "v" in message and message["t"] != "session"
            title = f"{socket}.server.{'event.' if event else ''}{message['t']}"
            payload = self._named[title]["payload"]
            validator = jsonschema_rs.validator_for({**payload, "components": self._parts})
            assert [f"{title} {error.message}" for error in validator.iter_errors(message)] == []
            if event:
                self._check_fields(payload["allOf"][1]["properties"]["d"], message)
            self.seen.add(message["t"])

    def _check_fields(self, schema: dict[str, Any], event: Message) -> None:
        """Every field of an event is in the document."""
        kinds = [one["$ref"].rpartition("/")[2] for one in schema.get("anyOf", [schema])]
        fields = [set(self._parts["schemas"][kind]["properties"]) for kind in kinds]
        assert any(set(event["d"]) <= known for known in fields), event


async def read(person: Person) -> Document:
    return Document((await person.get("/asyncapi.json")).json())


async def test_a_session(site: Stack) -> None:
    """Messages of a lobby and of a duel, and their events with all fields."""
    async with Person(site.url) as ada, lobby_of_one(site) as (_, line, seat):
        await ada.login()
        document = await read(ada)
        joined = await ada.ask("/api/join", session=seat["session"])
        async with Line.to(joined["ws_url"]) as other:
            welcome = await other.hello(ticket=joined["ticket"], codecs=document.info["x-codecs"])
            assert [welcome["codec"]] == document.info["x-codecs"]
            assert welcome["schema_hash"] == document.info["x-schema-hash"]
            for kind, d in (
                ("chat", {"text": "hi"}),
                ("choose", {"body": "halo"}),
                ("ready", {"ready": True}),
            ):
                assert (await other.command(kind, d))["t"] == "ack"
            await line.command("leave")
            await other.until("reopened")
            await other.command("chat", {"text": ""})
            await other.say("ping", {"at": 1.5})
            await other.until("pong")
            document.check("session", [line, other])
        async with duel(site.url, rounds=1) as game:
            for _ in range(2):
                acting, _, _ = await game.turn()
                assert (await acting.act(azimuth=10.0, elevation=10.0, power=0.2))["t"] == "ack"
                await acting.until("turn_ended")
            for one in game.lines:
                await one.until("ended")
            document.check("session", game.lines)
    assert document.seen >= {
        "welcome", "session", "ack", "error", "pong", "observers", "seat_taken", "seat_left", "seat_connected",
        "seat_ready", "body_chosen", "host_changed", "chat", "filled", "reopened", "starting", "running", "set_up",
        "turn_started", "action", "turn_ended", "result", "ended",
    }  # fmt: skip


async def test_live_mode(site: Stack) -> None:
    """Readings of a session that runs, the list of sources, and a refusal."""
    async with duel(site.url) as game, Line.to(socket_url(site).removesuffix("/ws") + "/live") as line:
        document = await read(game.persons[0])
        await line.say("live", {"protocol": 1, "login": game.persons[0].token})
        await line.until("live")
        await line.say("sources", None, 1)
        await line.until("sources")
        await line.say("subscribe", {"source": game.session}, 2)
        await line.until("subscribed")
        acting, _, _ = await game.turn()
        await acting.act("brace")
        await line.until("batches")
        await line.say("sensor_info", {"source": game.session}, 3)
        await line.until("sensor_info")
        await line.say("unsubscribe", {"source": game.session}, 4)
        await line.until("unsubscribed")
        await line.say("sensor_info", {"source": "nothing"}, 5)
        await line.until("error")
        await line.say("ping", {"at": 1})
        await line.until("pong")
        document.check("live", [line])
    assert document.seen >= {
        "live", "sources", "subscribed", "batches", "sensor_info", "unsubscribed", "error", "pong",
    }  # fmt: skip


async def test_a_replay_room(site: Stack) -> None:
    """A presenter, marks, chat and a refusal."""
    token = await recorded(site)
    camera = {"position": [1, 2, 3], "target": [0, 0, 0]}
    async with Person(site.url) as ada:
        await ada.login()
        document = await read(ada)
        async with joined(site.url, token, ada) as (line, _):
            for number, (kind, d, answer) in enumerate(
                (
                    ("scrub", {"frame": 5}, "error"),
                    ("present", {}, "presenter"),
                    ("scrub", {"frame": 5}, "scrub"),
                    ("bookmark", {"name": "here", "frame": 5}, "bookmark"),
                    ("view", {"name": "left", "camera": camera}, "view"),
                    ("chat", {"text": "look"}, "chat"),
                    ("ping", {"at": 1}, "pong"),
                ),
                1,
            ):
                await line.say(kind, d, None if kind == "ping" else number)
                mark = await line.until(answer)
                if answer == "bookmark":
                    await line.say("remove_bookmark", {"id": mark["d"]["id"]}, 20)
                    await line.until("bookmark_removed")
            await line.say("remove_view", {"name": "left"}, 21)
            await line.until("view_removed")
            document.check("replay", [line])
    assert document.seen >= {
        "welcome", "presence", "error", "presenter", "scrub", "bookmark", "bookmark_removed", "view",
        "view_removed", "chat", "pong",
    }  # fmt: skip
