"""Waiting that ends early when a worker is stopped. This module must never stop a worker itself."""

from __future__ import annotations

import asyncio

__all__ = ["wait_for_stop"]


async def wait_for_stop(stop: asyncio.Event, seconds: float) -> None:
    """Return when ``stop`` is set, or after ``seconds``."""
    try:
        async with asyncio.timeout(max(0.0, seconds)):
            await stop.wait()
    except TimeoutError:
        return
