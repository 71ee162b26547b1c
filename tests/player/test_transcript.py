"""The client's transcript against a model of the server, without a socket."""

from __future__ import annotations

from collections import deque

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.support.pair import ModelSession, raw
from tussle.lobby.errors import (
    ClientError,
    CloseCode,
    ProtocolError,
    Refused,
)
from tussle.lobby.wire.client_messages import decode_client
from tussle.lobby.wire.messages import Event, Notice, NoticeData, encode
from tussle.player.transcript import (
    AFTER_CLOSE,
    Acknowledged,
    Delivered,
    Next,
    Noticed,
    Outcome,
    Ponged,
    Rejected,
    Synced,
    Transcript,
    Welcomed,
    after_close,
)


def meet(transcript: Transcript, session: ModelSession) -> list[Outcome]:
    """Exchange everything there is to say, losslessly."""
    outcomes: list[Outcome] = []
    while data := transcript.data_to_send():
        for message in data:
            for reply in session.answer(message):
                outcomes += transcript.receive(reply)
    return outcomes


def joined(session: ModelSession) -> Transcript:
    transcript = Transcript(ticket="ticket")
    transcript.opened()
    meet(transcript, session)
    return transcript


def event(v: int, *, epoch: int = 1, t: str = "chat") -> bytes:
    return encode(Event(v=v, t=t, d={"n": v}, epoch=epoch))


def delivered(outcomes: list[Outcome]) -> list[int]:
    return [outcome.event.v for outcome in outcomes if isinstance(outcome, Delivered)]


def test_first_hello_carries_the_ticket_and_no_position() -> None:
    """A client that joins shows its ticket and asks for the whole view."""
    session = ModelSession()
    session.publish()
    transcript = Transcript(ticket="ticket")
    transcript.opened()
    welcomed, synced = meet(transcript, session)
    assert isinstance(welcomed, Welcomed) and not welcomed.again
    assert isinstance(synced, Synced) and synced.v == 1 and synced.missed is None
    hello = session.hellos[0].d
    assert (hello.ticket, hello.resume, hello.last_v, hello.last_tick) == ("ticket", None, None, None)


def test_a_client_without_ticket_or_token_cannot_say_hello() -> None:
    """Without a ticket and a resume token, ClientError is raised before a socket is opened."""
    with pytest.raises(ClientError):
        Transcript().opened()


def test_reconnection_resumes_with_the_newest_token_and_gets_the_missed_events() -> None:
    """After a cut, the events of the meantime come out once, in order, and nothing else."""
    session = ModelSession()
    transcript = joined(session)
    assert delivered(transcript.receive(encode(session.publish()))) == [1]
    assert transcript.closed(1006) is Next.RECONNECT
    session.publish()
    session.publish()
    transcript.opened()
    outcomes = meet(transcript, session)
    assert isinstance(outcomes[0], Welcomed) and outcomes[0].again
    assert delivered(outcomes) == [2, 3]
    hello = session.hellos[1].d
    assert (hello.ticket, hello.resume, hello.last_v) == (None, "resume-1", 1)
    assert transcript.resume == "resume-2"


def test_a_client_that_asks_for_history_gets_every_event_instead_of_the_view() -> None:
    """As far as they are kept; else the view."""
    session = ModelSession()
    for _ in range(3):
        session.publish()
    transcript = Transcript(ticket="ticket", history=True)
    transcript.opened()
    assert delivered(meet(transcript, session)) == [1, 2, 3]
    session.kept_from = 3
    transcript = Transcript(ticket="ticket", history=True)
    transcript.opened()
    outcomes = meet(transcript, session)
    assert [(outcome.v, outcome.missed) for outcome in outcomes if isinstance(outcome, Synced)] == [(3, None)]


def test_repeated_events_are_ignored() -> None:
    """A doubled event is delivered once."""
    transcript = joined(ModelSession())
    assert delivered(transcript.receive(event(1))) == [1]
    assert transcript.receive(event(1)) == []


def test_a_hole_asks_for_the_whole_view_once_and_states_what_was_missed() -> None:
    """Events behind a hole wait for the view; those that it covers are not delivered again."""
    session = ModelSession()
    transcript = joined(session)
    for _ in range(4):
        session.publish()
    assert transcript.receive(event(2)) == []
    assert transcript.receive(event(3)) == []
    assert transcript.data_to_send() == [b'{"t":"resync"}']
    (synced,) = transcript.receive(session.whole())
    assert isinstance(synced, Synced)
    assert (synced.v, synced.missed) == (4, (1, 4))
    assert delivered(transcript.receive(event(5))) == [5]


def test_events_that_a_client_does_not_need_are_no_holes() -> None:
    """A client without some types of events gets the others, also after it connects again, and asks for nothing."""
    session = ModelSession()
    transcript = Transcript(ticket="ticket", history=True, without=("turn_started",))
    transcript.opened()
    for kind in ("turn_started", "chat", "turn_started", "chat"):
        session.publish(kind)
    assert delivered(meet(transcript, session)) == [2, 4]
    transcript.closed(1006)
    session.publish("turn_started")
    session.publish()
    transcript.opened()
    assert delivered(meet(transcript, session)) == [6]
    assert session.hellos[1].d.last_v == 4
    assert delivered(transcript.receive(event(8))) == [8]
    assert transcript.data_to_send() == []


def test_events_beyond_the_view_that_fills_a_hole_follow_it() -> None:
    """An event that is newer than the view is delivered after it."""
    session = ModelSession()
    transcript = joined(session)
    session.publish()
    transcript.receive(event(2))
    outcomes = transcript.receive(session.whole())
    assert isinstance(outcomes[0], Synced) and outcomes[0].missed == (1, 1)
    assert delivered(outcomes) == [2]


def test_a_late_event_closes_the_hole() -> None:
    """When the missing event comes before the view, the order is whole again and nothing was missed."""
    session = ModelSession()
    transcript = joined(session)
    for _ in range(2):
        session.publish()
    transcript.receive(event(2))
    assert delivered(transcript.receive(event(1))) == [1, 2]
    (synced,) = transcript.receive(session.whole())
    assert isinstance(synced, Synced) and synced.missed is None


def test_what_an_older_owner_says_is_dropped() -> None:
    """Once an event of epoch 2 came, one of epoch 1 is not believed, and makes no hole."""
    transcript = joined(ModelSession())
    transcript.receive(event(1, epoch=2))
    assert transcript.receive(event(2, epoch=1)) == []
    assert delivered(transcript.receive(event(2, epoch=2))) == [2]


def test_missed_events_of_an_older_owner_are_delivered_after_a_takeover() -> None:
    """A welcome of epoch 2 does not make the stored events of epoch 1 untrue."""
    session = ModelSession()
    transcript = joined(session)
    transcript.closed(1006)
    session.publish()
    session.epoch = 2
    session.publish()
    transcript.opened()
    assert delivered(meet(transcript, session)) == [1, 2]


def test_events_of_the_lobby_carry_no_epoch_and_pass() -> None:
    """A chat line that any server wrote has epoch 0; it is not an old owner's."""
    transcript = joined(ModelSession())
    transcript.receive(event(1, epoch=3))
    assert delivered(transcript.receive(event(2, epoch=0))) == [2]


def test_frames_never_go_back_but_for_a_new_owner() -> None:
    """A frame of an older epoch or tick is dropped; a new owner may resume from an earlier tick."""
    transcript = joined(ModelSession())
    table = [
        (1, 5, True),
        (1, 4, False),
        (1, 5, True),
        (2, 3, True),
        (1, 9, False),
        (2, 2, False),
        (2, 4, True),
    ]
    for epoch, tick, admitted in table:
        assert transcript.admit_frame(epoch, tick) is admitted, (epoch, tick)


def test_a_command_is_sent_when_live_and_answered_once() -> None:
    """The acknowledgement comes out with its tick, and a second one is passed over."""
    session = ModelSession()
    transcript = joined(session)
    number = transcript.command("act", {"kind": "brace", "d": {}})
    assert meet(transcript, session) == [Acknowledged(number, 1)]
    assert transcript.receive(session.replies[number]) == []
    assert transcript.pending == ()


def test_a_command_before_the_welcome_waits_for_it() -> None:
    """Commands wait for the welcome; then they are sent in the order of their ids."""
    session = ModelSession()
    transcript = Transcript(ticket="ticket")
    first, second = transcript.command("chat", {"text": "hi"}), transcript.command("chat", {"text": "ho"})
    transcript.opened()
    outcomes = meet(transcript, session)
    assert [outcome.id for outcome in outcomes if isinstance(outcome, Acknowledged)] == [first, second]


def test_an_unanswered_command_is_repeated_with_its_id_and_has_one_effect() -> None:
    """The acknowledgement was lost with the connection: the repeated command gets it again."""
    session = ModelSession()
    transcript = joined(session)
    number = transcript.command("act", {"kind": "brace", "d": {}})
    for message in transcript.data_to_send():
        session.answer(message)  # the reply never arrives
    transcript.closed(1006)
    transcript.opened()
    assert Acknowledged(number, 1) in meet(transcript, session)
    assert session.effects == [number]


def test_a_forgotten_command_is_not_repeated() -> None:
    """Nobody waits for it any more."""
    session = ModelSession()
    transcript = joined(session)
    number = transcript.command("chat", {"text": "hi"})
    transcript.closed(1006)
    transcript.forget(number)
    transcript.opened()
    meet(transcript, session)
    assert session.effects == []


def test_ids_go_on_after_those_that_the_server_knows() -> None:
    """A new process on an old seat does not reuse an id."""
    session = ModelSession(last_id=41)
    transcript = joined(session)
    assert transcript.command("chat", {"text": "hi"}) == 42


def test_a_refusal_carries_the_error_that_the_server_raised() -> None:
    """The code decides the class, the field comes along."""
    session = ModelSession(refuse={"launch"})
    transcript = joined(session)
    number = transcript.command("act", {"kind": "launch", "d": {"power": 9.0}})
    (rejected,) = meet(transcript, session)
    assert isinstance(rejected, Rejected) and rejected.id == number
    assert isinstance(rejected.error, Refused)
    assert (rejected.error.reason, rejected.error.field) == ("out_of_range", "power")


def test_too_slow_asks_for_the_whole_view_and_still_states_the_hole() -> None:
    """After 4014 the client does not ask for every missed event, and says which ones it never saw."""
    session = ModelSession()
    transcript = joined(session)
    transcript.receive(encode(session.publish()))
    for _ in range(5):
        session.publish()
    assert transcript.closed(CloseCode.TOO_SLOW) is Next.RESYNC
    transcript.opened()
    outcomes = meet(transcript, session)
    assert session.hellos[1].d.last_v is None
    assert [outcome.missed for outcome in outcomes if isinstance(outcome, Synced)] == [(2, 6)]


def test_a_store_that_lost_its_newest_events_takes_the_client_back() -> None:
    """A client ahead of the store gets the whole view, and follows the store from there."""
    session = ModelSession()
    transcript = joined(session)
    for _ in range(3):
        transcript.receive(encode(session.publish()))
    del session.events[1:]
    transcript.closed(1006)
    transcript.opened()
    outcomes = meet(transcript, session)
    assert [(outcome.v, outcome.missed) for outcome in outcomes if isinstance(outcome, Synced)] == [(1, None)]
    assert delivered(transcript.receive(encode(session.publish()))) == [2]


def test_pong_brings_back_what_was_sent() -> None:
    session = ModelSession()
    transcript = joined(session)
    transcript.ping(12.5)
    assert meet(transcript, session) == [Ponged(12.5, 0)]


def test_a_notice_is_passed_on_and_moves_nothing() -> None:
    """It has no v: the events go on where they were."""
    session = ModelSession()
    transcript = joined(session)
    v = transcript.v
    notice = NoticeData("paused", "the store is away")
    assert transcript.receive(encode(Notice(notice))) == [Noticed(notice)]
    assert transcript.v == v and transcript.live


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"nonsense",
        b"[]",
        b'{"t":5}',
        b"{}",
        b"\xff\xfe",
        b'{"t":"session","d":{}}',
        b'{"t":"welcome","d":{"session":1}}',
        b'{"t":"chat","v":"x"}',
        b'{"t":"chat","v":1,"d":[]}',
        b'{"t":"ack","id":1,"d":5}',
    ],
)
def test_what_no_server_sends_raises_and_changes_nothing(data: bytes) -> None:
    """A message that cannot be decoded raises ProtocolError; position and pending commands are kept."""
    session = ModelSession()
    transcript = joined(session)
    transcript.command("chat", {"text": "hi"})
    before = (transcript.v, transcript.epoch, transcript.pending, transcript.live)
    with pytest.raises(ProtocolError):
        transcript.receive(data)
    assert (transcript.v, transcript.epoch, transcript.pending, transcript.live) == before


def test_types_of_a_newer_server_are_no_trouble() -> None:
    """An unknown type with v is an event, without v it is passed over, and unknown fields are not read."""
    transcript = joined(ModelSession())
    assert transcript.receive(raw(t="weather", d={})) == []
    assert delivered(transcript.receive(raw(t="weather", v=1, d={}, mood="fair"))) == [1]


def test_every_close_code_has_its_next_step() -> None:
    """The table is complete, and any other code means a lost line."""
    assert set(AFTER_CLOSE) == set(CloseCode)
    given_up = {code for code in CloseCode if after_close(code) is Next.GIVE_UP}
    assert given_up == {
        CloseCode.RESUME_REFUSED,
        CloseCode.BAD_MESSAGE,
        CloseCode.REPLACED,
        CloseCode.VERSION_MISMATCH,
    }
    assert {after_close(code) for code in (1001, 1006, 1011, 1012)} == {Next.RECONNECT}


class Reconnecting(RuleBasedStateMachine):
    """Any order of events, commands, cuts, lost messages, holes, takeovers and forgotten history."""

    @initialize()
    def start(self) -> None:
        self.session = ModelSession()
        self.transcript = Transcript(ticket="ticket")
        self.up: deque[bytes] = deque()
        self.down: deque[bytes] = deque()
        self.connected = False
        self.greeted = False
        self.position = 0
        self.synced = False
        self.issued: list[int] = []
        self.answered: list[int] = []

    def hear(self, data: bytes) -> None:
        for outcome in self.transcript.receive(data):
            match outcome:
                case Delivered(event):
                    assert event.v == self.position + 1, "events come in order, without a gap, once"
                    assert event == self.session.events[event.v - 1], "as they were published"
                    self.position = event.v
                case Synced(v, _, missed):
                    expected = (self.position + 1, v) if v > self.position and self.synced else None
                    if self.synced or self.position:
                        assert missed == expected, "a hole is stated exactly"
                    self.position, self.synced = v, True
                case Acknowledged(number, _):
                    assert number not in self.answered
                    self.answered.append(number)
                case _:
                    pass
        self.up.extend(self.transcript.data_to_send())

    def serve(self) -> None:
        self.greeted = True
        self.down.extend(self.session.answer(self.up.popleft()))

    @precondition(lambda self: not self.connected)
    @rule()
    def connect(self) -> None:
        self.connected, self.greeted = True, False
        self.transcript.opened()
        self.up.extend(self.transcript.data_to_send())

    @precondition(lambda self: self.connected)
    @rule(code=st.sampled_from([1006, CloseCode.SHUTTING_DOWN, CloseCode.TOO_SLOW]))
    def cut(self, code: int) -> None:
        self.connected = self.greeted = False
        self.up.clear()
        self.down.clear()
        self.transcript.closed(code)

    @rule(lost=st.booleans())
    def publish(self, lost: bool) -> None:
        data = encode(self.session.publish())
        if self.greeted and not lost:
            self.down.append(data)

    @rule()
    def take_over(self) -> None:
        self.session.epoch += 1

    @precondition(lambda self: self.greeted)
    @rule()
    def speak_as_an_old_owner(self) -> None:
        """A new owner speaks, and behind it one that does not know yet that it is none any more."""
        self.session.epoch += 1
        news = self.session.publish()
        self.down.append(encode(news))
        self.down.append(encode(Event(v=news.v + 1, t="stale", d={}, epoch=news.epoch - 1)))

    @precondition(lambda self: self.greeted and self.session.events)
    @rule(data=st.data())
    def repeat(self, data: st.DataObject) -> None:
        """A relay delivers an event twice."""
        self.down.append(encode(data.draw(st.sampled_from(self.session.events))))

    @rule()
    def forget_history(self) -> None:
        self.session.kept_from = self.session.v + 1

    @precondition(lambda self: len(self.issued) - len(self.answered) < 20)
    @rule()
    def say(self) -> None:
        self.issued.append(self.transcript.command("chat", {"text": "hi"}))
        self.up.extend(self.transcript.data_to_send())

    @precondition(lambda self: self.up)
    @rule(count=st.integers(1, 5))
    def upward(self, count: int) -> None:
        for _ in range(min(count, len(self.up))):
            self.serve()

    @precondition(lambda self: self.down)
    @rule(count=st.integers(1, 5))
    def downward(self, count: int) -> None:
        for _ in range(min(count, len(self.down))):
            self.hear(self.down.popleft())

    @precondition(lambda self: self.up or self.down)
    @rule()
    def settle(self) -> None:
        while self.up or self.down:
            while self.up:
                self.serve()
            while self.down:
                self.hear(self.down.popleft())

    @invariant()
    def effects_happen_once_and_in_order(self) -> None:
        if hasattr(self, "session"):
            assert self.session.effects == sorted(set(self.session.effects))
            assert set(self.answered) <= set(self.session.effects)

    def teardown(self) -> None:
        """On a stable connection every event is delivered and every command is answered."""
        if not hasattr(self, "session"):
            return
        if self.connected:
            self.cut(1006)
        self.connect()
        self.settle()
        assert self.position == self.session.v == self.transcript.v
        assert sorted(self.answered) == self.issued == self.session.effects
        assert self.transcript.pending == ()


Reconnecting.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
test_reconnecting = Reconnecting.TestCase


def test_hello_is_legal_for_the_server() -> None:
    """What the transcript says, the server's decoder reads."""
    transcript = Transcript(resume="token")
    transcript.opened()
    (hello,) = transcript.data_to_send()
    assert decode_client(hello).d.resume == "token"  # type: ignore[union-attr]
