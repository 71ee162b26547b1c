"""Addresses of servers as text: host and port, HTTP, WebSocket. Pure: nothing is resolved or opened."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import urlsplit

__all__ = [
    "WILDCARDS",
    "RequestAddress",
    "host_port",
    "http_address",
    "is_loopback",
    "is_own_machine",
    "local_host",
    "local_url",
    "socket_address",
]

WILDCARDS = ("0.0.0.0", "::", "")
"""Hosts that a server listens on and no client can connect to."""


def host_port(host: str, port: int) -> str:
    """``host:port``, with brackets around an IPv6 address."""
    return f"[{host}]:{port}" if ":" in host and not host.startswith("[") else f"{host}:{port}"


def is_loopback(host: str) -> bool:
    """Whether a host, without port and brackets, names the machine itself."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def local_host(host: str) -> str:
    """The host by which clients of the same machine reach a server that listens on ``host``."""
    return "127.0.0.1" if host in WILDCARDS else host


def local_url(host: str, port: int) -> str:
    """The HTTP address, for clients of the same machine, of a server that listens on ``host``."""
    return f"http://{host_port(local_host(host), port)}"


def socket_address(url: str, path: str = "/ws") -> str:
    """The WebSocket address of a server. ``url`` is http, https or a path behind a proxy. Returns '' for ''."""
    if not url:
        return ""
    return ("ws" + url.removeprefix("http") if url.startswith("http") else url) + path


def http_address(ws_url: str) -> str:
    """The HTTP address of the server behind a socket's address."""
    return ws_url.replace("ws", "http", 1).removesuffix("/ws")


def is_own_machine(url: str) -> bool:
    """Whether a URL leads to this machine, so that no proxy is used."""
    return is_loopback(urlsplit(url).hostname or "")


@dataclass(frozen=True, slots=True)
class RequestAddress:
    """The address at which a client reached a server: ``base``, http or https, without a final slash; '' if the request
    does not say. direct: without a trusted proxy in between."""

    base: str
    direct: bool = True

    def of_server(self, url: str, own: str = "", *, follows: bool = False) -> str:
        """The HTTP address at which this client reaches the server that publishes ``url``.

        ``own``: what the server of this request publishes. ``follows``: PUBLIC_URL does not say where clients reach
        it, so the client reaches it where this request came. Returns '' if the client may not reach another server:
        that publishes an address of its own machine and the client is elsewhere, or one without TLS to a client that
        has TLS.
        """
        if not url or not self.base:
            return "" if url.startswith("/") else url
        if url == own and follows:
            return self.base
        here, there = urlsplit(self.base), urlsplit(url)
        if url.startswith("/"):  # a path on the proxy that the client came through
            return f"{here.scheme}://{here.netloc}{url}"
        if url == own:
            return url
        near = self.direct and is_loopback(here.hostname or "")
        hidden = is_loopback(there.hostname or "") and not near
        return "" if hidden or (here.scheme, there.scheme) == ("https", "http") else url
