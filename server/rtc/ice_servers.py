"""The STUN and TURN servers of the settings, as clients get them.

TURN servers share a secret with this server and know no users: a client gets a user name with an expiry, and its
HMAC-SHA1 under the secret as the password (draft-uberti-behave-turn-rest-00; ``use-auth-secret`` of coturn). The secret
itself is sent to nobody.
"""

from __future__ import annotations

import base64
import hmac

from tussle.lobby.environment import split_list
from tussle.lobby.settings import TURN_FORM, Settings, port_range
from tussle.lobby.wire.signalling import IceServer
from tussle.server.rtc.rtc_messages import RtcConfiguration

__all__ = ["configuration_of", "ice_servers", "turn_credentials"]

ANY_HOST = ("", "0.0.0.0", "::", "*")


def turn_credentials(secret: str, player: str, expires_s: int) -> tuple[str, str]:
    """The user name and password of ``player`` for a TURN server, valid until ``expires_s`` [s since 1970]."""
    username = f"{expires_s}:{player}"
    digest = hmac.digest(secret.encode(), username.encode(), "sha1")
    return username, base64.b64encode(digest).decode()


def ice_servers(settings: Settings, player: str, now_s: float) -> tuple[IceServer, ...]:
    """The servers that a client uses to connect. ``now_s``: seconds since 1970."""
    servers = []
    if settings.stun_url:
        servers.append(IceServer((settings.stun_url,)))
    if settings.turn_urls:
        username, credential = turn_credentials(
            settings.turn_secret, player, int(now_s) + settings.turn_ttl_s
        )
        servers.append(IceServer(tuple(split_list(settings.turn_urls)), username, credential))
    return tuple(servers)


def configuration_of(settings: Settings) -> RtcConfiguration:
    """What the process of the data channels must know."""
    turns = [TURN_FORM.fullmatch(url) for url in split_list(settings.turn_urls)]
    return RtcConfiguration(
        hosts=[] if settings.host in ANY_HOST else [settings.host],
        announced=list(split_list(settings.webrtc_address)),
        ports=port_range(settings.webrtc_ports),
        stun=settings.stun_url,
        relays=[match[1] for match in turns if match],
    )
