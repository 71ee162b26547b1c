"""The rules of one connection, without a socket or a clock."""

import contextlib

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tussle.lobby.errors import LobbyError, ProtocolError, RateLimited
from tussle.lobby.settings import Settings
from tussle.lobby.wire.client_messages import ClientMessage, Hello, Ping
from tussle.server.gateway.protocol import MAX_STRIKES, SESSION_RULES, Connection, Phase

HELLO = orjson.dumps({"t": "hello", "d": {"protocol": 1, "ticket": "x"}}).decode()
PING = '{"t":"ping"}'


def connection(**overrides: object) -> Connection[ClientMessage]:
    return Connection(Settings.read({}, **overrides), SESSION_RULES)


def test_hello_comes_first_and_once() -> None:
    """A message before hello is fatal. A second hello is refused and changes nothing."""
    early = connection()
    with pytest.raises(ProtocolError) as caught:
        early.receive(PING, 0.0)
    assert caught.value.reason == "hello_expected"
    assert early.fatal
    assert early.phase is Phase.AWAITING_HELLO

    live = connection()
    assert isinstance(live.receive(HELLO, 0.0), Hello)
    with pytest.raises(ProtocolError) as caught:
        live.receive(HELLO, 0.0)
    assert caught.value.reason == "hello_again"
    assert live.phase is Phase.LIVE
    assert not live.fatal
    assert isinstance(live.receive(PING, 0.0), Ping)


@pytest.mark.parametrize(
    ("data", "code"),
    [
        ("{", "bad_json"),
        ("[]", "bad_message"),
        ('{"t":"nonsense"}', "bad_message"),
        ('{"t":"act","id":0,"d":{"kind":"launch"}}', "bad_message"),
        ('{"t":"act","id":"1","d":{"kind":"launch"}}', "bad_message"),
        ('{"t":"chat","d":{"text":""}}', "bad_message"),
        ("[" * 5000, "bad_message"),
        (b"\x00\x01", "binary_message"),
    ],
)
def test_unreadable_messages_are_refused_with_a_code(data: str | bytes, code: str) -> None:
    """Each has its code. The connection stays open until MAX_STRIKES of them."""
    live = connection()
    live.receive(HELLO, 0.0)
    for strike in range(1, MAX_STRIKES + 1):
        with pytest.raises(ProtocolError) as caught:
            live.receive(data, 0.0)
        assert caught.value.reason in (code, "bad_json")
        assert live.fatal == (strike >= MAX_STRIKES)


@pytest.mark.parametrize(
    ("data", "field"),
    [
        ('{"t":"act","id":1,"d":{"kind":"launch"},"extra":1}', None),
        ('{"t":"chat","id":1,"d":{"text":""}}', "text"),
        ('{"d":{"kind":7},"id":1,"t":"act"}', "kind"),
        ('{"t":"fly","id":1,"d":{}}', "t"),
    ],
)
def test_a_refused_command_is_answered_by_its_id(data: str, field: str | None) -> None:
    """The error names the command and, if it can be read, the field. It does not count as unreadable."""
    live = connection()
    live.receive(HELLO, 0.0)
    for _ in range(MAX_STRIKES + 1):
        with pytest.raises(ProtocolError) as caught:
            live.receive(data, 0.0)
        assert (caught.value.command, caught.value.field) == (1, field)
    assert not live.fatal


def test_a_flood_is_limited_until_tokens_return() -> None:
    """Messages past the burst are refused. One second later the bucket holds MESSAGE_RATE tokens again."""
    live = connection(message_rate=10.0, message_burst=20)
    live.receive(HELLO, 0.0)
    for _ in range(19):
        live.receive(PING, 0.0)
    with pytest.raises(RateLimited):
        live.receive(PING, 0.0)
    for _ in range(10):
        live.receive(PING, 1.0)
    with pytest.raises(RateLimited):
        live.receive(PING, 1.0)


def test_a_resync_costs_as_much_as_what_it_is_answered_with() -> None:
    """It counts as twenty messages: six at once, then one in a third of a second. A ping is possible in between."""
    live = connection()
    live.receive(HELLO, 0.0)
    now = 10.0
    for _ in range(6):
        live.receive('{"t":"resync"}', now)
    with pytest.raises(RateLimited):
        live.receive('{"t":"resync"}', now)
    live.receive('{"t":"resync"}', now + 0.4)
    live.receive(PING, now + 0.45)


@given(st.one_of(st.text(), st.binary()))
def test_no_bytes_raise_anything_but_a_lobby_error(data: str | bytes) -> None:
    """Text and bytes of any content give a message or a LobbyError."""
    live = connection()
    live.receive(HELLO, 0.0)
    with contextlib.suppress(LobbyError):
        live.receive(data, 0.0)
