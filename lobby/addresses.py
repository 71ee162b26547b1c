"""Addresses of servers as text: host and port, HTTP, WebSocket. Pure: nothing is resolved or opened."""

from __future__ import annotations

__all__ = ["host_port", "local_host", "local_url", "socket_address"]

WILDCARDS = ("0.0.0.0", "::", "")
"""Hosts that a server listens on and no client can connect to."""


def host_port(host: str, port: int) -> str:
    """``host:port``, with brackets around an IPv6 address."""
    return f"[{host}]:{port}" if ":" in host and not host.startswith("[") else f"{host}:{port}"


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
