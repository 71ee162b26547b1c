"""The address that a server listens on, and the names of its proxies, resolved at its start.

This module must never be used once the event loop runs: name resolution blocks.
"""

from __future__ import annotations

import socket
from ipaddress import ip_network

from tussle.lobby.environment import BadSetting, split_list

__all__ = ["listen", "resolve_proxies"]

UNSENT_BYTES = 16_384
"""Unsent bytes that the kernel buffers for one connection. Its default is megabytes: a slow viewer would see frames
that are minutes old, and the server would not notice the backlog. server/gateway/socket.py reduces it for a connection
that is slow."""


def listen(host: str, port: int) -> socket.socket:
    """A bound, listening socket, of IPv4 if a name has both. ``::`` accepts IPv4 too.

    Raises OSError, with a sentence, when the host is not an address of this machine or the port is taken.
    """
    try:
        found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as error:
        raise OSError(f"HOST={host}: not an address of this machine: {error}") from None
    family, kind, protocol, _, address = min(found, key=lambda one: one[0] != socket.AF_INET)
    listener = socket.socket(family, kind, protocol)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if family == socket.AF_INET6 and host in ("::", ""):
        listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    if hasattr(socket, "TCP_NOTSENT_LOWAT"):  # accepted sockets inherit it
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT_BYTES)
    try:
        listener.bind(address)
        listener.listen(1024)
        listener.setblocking(False)
    except OSError as error:
        listener.close()
        raise OSError(
            error.errno, f"cannot listen on {host} port {port}: {error.strerror or error}"
        ) from None
    return listener


def resolve_proxies(text: str) -> str:
    """TRUSTED_PROXIES with the addresses of its host names in place of them. Raises BadSetting for a name that has
    none."""
    return ",".join(part for word in split_list(text) for part in _addresses(word))


def _addresses(word: str) -> list[str]:
    try:
        ip_network(word, strict=False)
    except ValueError:
        if word == "*" or "/" in word:
            return [word]  # Proxies refuses it
    else:
        return [word]
    try:
        found = socket.getaddrinfo(word, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise BadSetting(
            f"TRUSTED_PROXIES={word}: neither an address nor a known host name ({error})"
        ) from None
    return sorted({str(item[4][0]) for item in found})
