"""HTTP clients for tests. A context for TLS takes 30 ms of the processor, so all clients share one."""

from __future__ import annotations

import ssl
from typing import Any

import httpx

__all__ = ["http_client"]

IDLE_S = 2.0
"""How long an idle connection is used again [s]: well below the 5 s after which the server closes it. Equal times are a
race, in which a request is sent on a connection that is being closed."""

_TLS = ssl.create_default_context()


def http_client(url: str = "", **options: Any) -> httpx.AsyncClient:
    """A client for ``url`` which ignores the proxies of the environment."""
    limits = httpx.Limits(keepalive_expiry=IDLE_S)
    return httpx.AsyncClient(base_url=url, trust_env=False, verify=_TLS, limits=limits, **options)
