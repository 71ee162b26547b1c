"""Offers and candidates as text: what is read, what is refused, and that nothing else happens with any text."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tussle.lobby.errors import Refused
from tussle.server.rtc.sdp import CANDIDATES, LocalCandidate, read_candidate, read_offer, write_answer

PRINT = ":".join(["AB"] * 32)

OFFER = "\r\n".join([
    "v=0", "o=- 46 2 IN IP4 127.0.0.1", "s=-", "t=0 0", "a=group:BUNDLE 0", "a=extmap-allow-mixed",
    "m=application 9 UDP/DTLS/SCTP webrtc-datachannel", "c=IN IP4 0.0.0.0",
    "a=candidate:1 1 udp 2113937151 1f4712db-ea17-4bcf-a596.local 54321 typ host generation 0 network-cost 999",
    "a=candidate:2 1 tcp 1518280447 192.0.2.7 9 typ host tcptype active",
    "a=ice-ufrag:EsAw", "a=ice-pwd:P2uYro0UCOQ4zxjKXaWCBui1", "a=ice-options:trickle",
    f"a=fingerprint:sha-256 {PRINT}", "a=setup:actpass", "a=mid:0", "a=sctp-port:5000",
    "a=max-message-size:262144", "",
])  # fmt: skip
"""As Chromium writes it."""


def test_an_offer_of_a_browser_is_read() -> None:
    """Its ICE parameters, fingerprint, ports and candidates of UDP, those by mDNS name too."""
    offer = read_offer(OFFER)
    assert (offer.mid, offer.ufrag, offer.password) == ("0", "EsAw", "P2uYro0UCOQ4zxjKXaWCBui1")
    assert offer.fingerprints == (("sha-256", PRINT),)
    assert (offer.sctp_port, offer.max_message) == (5000, 262_144)
    assert [(one.host, one.port, one.kind) for one in offer.candidates] == [
        ("1f4712db-ea17-4bcf-a596.local", 54_321, "host")
    ]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("m=application", "m=audio"),
        ("m=application 9", "m=video 9 UDP/TLS/RTP/SAVPF 96\r\nm=application 9"),
        ("UDP/DTLS/SCTP", "UDP/TLS/RTP/SAVPF"),
        ("a=ice-pwd:P2uYro0UCOQ4zxjKXaWCBui1", "a=ice-pwd:short"),
        ("a=fingerprint:sha-256", "a=fingerprint:md5"),
        ("a=setup:actpass", "a=setup:active"),
        ("a=sctp-port:5000", "a=sctp-port:70000"),
        ("a=mid:0", "a=mid:" + "m" * 40),
        ("192.0.2.7", "not.an.address"),
        (
            "a=mid:0",
            "a=mid:0\r\n" + "\r\n".join(["a=candidate:1 1 udp 1 192.0.2.1 4000 typ host"] * CANDIDATES),
        ),
    ],
)
def test_another_offer_is_refused(old: str, new: str) -> None:
    """Media, more than one section, short secrets, weak fingerprints, wrong roles and ports, too many candidates."""
    if "address" in new:
        assert len(read_offer(OFFER.replace(old, new)).candidates) == 1  # a candidate of TCP is not read
        return
    with pytest.raises(Refused) as refused:
        read_offer(OFFER.replace(old, new))
    assert refused.value.reason == "bad_offer"


@pytest.mark.parametrize(
    "text",
    [
        "candidate:1 1 udp 1 example.org 4000 typ host",
        "candidate:1 1 udp 1 192.0.2.1 0 typ host",
        "candidate:1 1 udp 1 192.0.2.1 70000 typ host",
        "candidate",
    ],
)
def test_a_text_that_is_no_candidate_is_refused(text: str) -> None:
    """So is a candidate with a name that only a resolver could turn into an address."""
    with contextlib.suppress(Refused):
        assert read_candidate(text) is None
        pytest.fail("not refused")


@given(
    st.lists(
        st.sampled_from([*OFFER.splitlines(), "m=", "a=candidate:", "\x00", "a=mid:\udcff"]), max_size=40
    )
)
def test_any_lines_are_an_offer_or_refused(lines: list[str]) -> None:
    """Any choice of lines gives an offer or a coded refusal."""
    with contextlib.suppress(Refused):
        read_offer("\r\n".join(lines))


@given(st.text(max_size=256))
def test_any_text_is_a_candidate_or_refused(text: str) -> None:
    """Any text gives a candidate, nothing, or a coded refusal."""
    for one in (text, f"candidate:1 1 udp {text} 4000 typ host"):
        with contextlib.suppress(Refused):
            read_candidate(one)


def test_an_answer_has_all_that_a_browser_needs() -> None:
    """The server's candidates, its fingerprint, and that it begins the handshake."""
    host = LocalCandidate("1", 2_130_706_431, "192.0.2.9", 40_000, "host")
    text = write_answer(
        read_offer(OFFER), ufrag="abcd", password="p" * 22, fingerprint=("sha-256", PRINT), sctp_port=5000,
        candidates=[host],
    )  # fmt: skip
    assert "a=candidate:1 1 udp 2130706431 192.0.2.9 40000 typ host\r\n" in text
    assert "a=setup:active\r\n" in text
    assert text.count("m=") == 1
