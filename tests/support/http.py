"""HTTP clients for tests. A context for TLS takes 30 ms of the processor, so all clients share one."""

from __future__ import annotations

import asyncio
import ssl
from typing import Any

import httpx

__all__ = ["healthy", "http_client"]

IDLE_S = 2.0
"""How long an idle connection is used again [s]: well below the 5 s after which the server closes it. Equal times are a
race, in which a request is sent on a connection that is being closed."""

ANSWER_S = 30.0
"""The longest wait for an answer [s]. The 5 s of httpx are too few on a busy machine."""

HEALTHY_S = 30.0
"""How long a server may be unhealthy [s]. On a busy machine its lease is late now and then, and it says so."""

_TLS = ssl.create_default_context()


def http_client(url: str = "", **options: Any) -> httpx.AsyncClient:
    """A client for ``url`` which ignores the proxies of the environment and waits ANSWER_S for an answer."""
    more = {"timeout": ANSWER_S, "limits": httpx.Limits(keepalive_expiry=IDLE_S), **options}
    return httpx.AsyncClient(base_url=url, trust_env=False, verify=_TLS, **more)


async def healthy(http: httpx.AsyncClient, path: str = "/healthz") -> dict[str, Any]:
    """Wait until a server is healthy; return what it says. ``path`` may be a whole address."""
    try:
        async with asyncio.timeout(HEALTHY_S):
            while (answer := await http.get(path)).status_code == 503:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
    except TimeoutError:
        raise AssertionError(f"unhealthy for {HEALTHY_S:g} s") from None
    document: dict[str, Any] = answer.json()
    assert (answer.status_code, document["ok"]) == (200, True), document
    return document
