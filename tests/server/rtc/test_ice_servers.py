"""The STUN and TURN servers that a client gets, and what the process of the data channels gets."""

from __future__ import annotations

import pytest

from tussle.lobby.environment import BadSetting
from tussle.lobby.settings import Settings
from tussle.server.rtc.ice_servers import configuration_of, ice_servers, turn_credentials


def test_turn_credentials_are_those_of_the_draft() -> None:
    """User name and password as ``use-auth-secret`` of coturn computes them: base64(HMAC-SHA1(secret, name))."""
    assert turn_credentials("north", "ada", 1433895918) == ("1433895918:ada", "KJ5PTMBeGkZIwdEVUss3BPdY8wE=")


def test_a_client_gets_servers_but_no_secret() -> None:
    """Without settings there are none. With them it gets the URLs and credentials that expire after TURN_TTL_S."""
    assert ice_servers(Settings(), "p1", 1000.0) == ()
    settings = Settings.read(
        {"STUN_URL": "stun:a.example", "TURN_URLS": "turn:b.example:3478, turns:b.example?transport=tcp",
         "TURN_SECRET": "a secret", "TURN_TTL_S": "600"}
    )  # fmt: skip
    stun, turn = ice_servers(settings, "p1", 1000.5)
    assert stun.urls == ("stun:a.example",)
    assert turn.urls == ("turn:b.example:3478", "turns:b.example?transport=tcp")
    assert turn.username == "1600:p1"
    assert "a secret" not in repr((stun, turn))
    assert configuration_of(settings).relays == ["b.example", "b.example"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("WEBRTC_PORTS", "40000"),
        ("WEBRTC_PORTS", "500-600"),
        ("WEBRTC_PORTS", "40100-40000"),
        ("WEBRTC_ADDRESS", "play.example.org"),
        ("STUN_URL", "http://a.example"),
        ("TURN_URLS", "turn:a.example"),
    ],
)
def test_a_bad_setting_is_named(name: str, value: str) -> None:
    """Ports, addresses and URLs that cannot be meant, and TURN servers without a secret, stop the start."""
    with pytest.raises(BadSetting, match=name.replace("TURN_URLS", "TURN_SECRET")):
        Settings.read({name: value})


def test_a_server_on_one_address_binds_it_only() -> None:
    """With HOST on loopback the data channels are on loopback too; a wildcard means all interfaces."""
    assert configuration_of(Settings(host="127.0.0.1")).hosts == ["127.0.0.1"]
    assert configuration_of(Settings(host="0.0.0.0", webrtc_ports="40000-40063")).hosts == []
    assert configuration_of(Settings(webrtc_ports="40000-40063")).ports == (40_000, 40_063)
