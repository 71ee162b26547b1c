"""HTTP clients for tests. A context for TLS takes 30 ms of the processor, so all clients share one."""

from __future__ import annotations

import ssl
from typing import Any

import httpx

__all__ = ["http_client"]

_TLS = ssl.create_default_context()


def http_client(url: str = "", **options: Any) -> httpx.AsyncClient:
    """A client for ``url`` which ignores the proxies of the environment."""
    return httpx.AsyncClient(base_url=url, trust_env=False, verify=_TLS, **options)
