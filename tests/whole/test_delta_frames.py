"""Delta frames from a real server, beside a client that was written before there were any."""

from __future__ import annotations

import secrets

import numpy as np

from tests.support.stack import Stack
from tests.support.stranger import Line, Person, duel
from tussle.lobby.wire.delta_layout import CODEC, DELTA, KEYFRAME, is_keyframe
from tussle.lobby.wire.deltas import DeltaDecoder
from tussle.lobby.wire.frames import Frame, decode_frame, decode_topology

DELTAS = (DELTA, KEYFRAME)


def decoded(line: Line) -> dict[int, Frame]:
    """The frames that a client shows, by tick."""
    decoder, shown = DeltaDecoder(), {}
    for data in line.binary:
        if data[0] == 2:
            decoder.set_topology(decode_topology(data))
            continue
        frame = decoder.decode(data) if data[0] in DELTAS else decode_frame(data)
        if frame is not None:
            shown[frame.tick] = frame
    return shown


async def test_old_and_new_clients_see_the_same_duel(whole_store: str) -> None:
    """A client that offers the codec, among others that the server does not know, sees it in its welcome and gets delta
    frames that show what the whole frames of the older clients show. One that needs few frames gets fewer; a late one
    begins with a keyframe. The older clients get no field and no message that they do not know."""
    async with Stack.up(whole_store, f"whole-{secrets.token_hex(4)}", TURN_S="30", SIM_SPEED="4") as stack:
        url = (await stack.server()).url
        async with duel(url) as game, Person(url) as eve, Person(url) as max_:
            await eve.login()
            await max_.login()
            first = await eve.ask("/api/observe", session=game.session)
            second = await max_.ask("/api/observe", session=game.session)
            async with Line.to(first["ws_url"]) as quick, Line.to(second["ws_url"]) as slow:
                welcome = await quick.hello(ticket=first["ticket"], codecs=["later-9", CODEC], later={"x": 1})
                assert welcome["codec"] == CODEC
                await slow.hello(ticket=second["ticket"], codecs=[CODEC], frame_hz=7)
                for _ in range(2):
                    acting, other, _ = await game.turn()
                    await acting.act("hop", azimuth=0.0, power=0.4)  # stays on the mat
                    for line in (other, quick, slow):
                        await line.until("turn_ended")
                old, new, few = decoded(other), decoded(quick), decoded(slow)
                assert {data[0] for data in other.binary} == {1, 2}
                assert all("codec" not in m["d"] for m in other.messages if m["t"] == "welcome")
                deltas = [data for data in quick.binary if data[0] in DELTAS]
                assert is_keyframe(deltas[0])
                assert len(deltas) > 10
                assert (
                    sum(map(len, deltas)) / len(deltas) < sum(map(len, other.frames)) / len(other.frames) / 3
                )
                assert 0 < sum(data[0] in DELTAS for data in slow.binary) < 0.6 * len(deltas)
                for shown in (new, few):
                    both = old.keys() & shown.keys()
                    assert len(both) > 2
                    for tick in both:
                        assert shown[tick].acks == old[tick].acks
                        gap = np.abs(shown[tick].rows[::4] - old[tick].rows[::4])
                        assert np.nanmax(gap) < 1.1e-4
