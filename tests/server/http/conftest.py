"""A logged-in client for the tests of the HTTP API."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest_asyncio

from tests.support.one_store import store_url as store_url
from tests.support.stack import Stack
from tests.support.stranger import Person


@pytest_asyncio.fixture(loop_scope="module")
async def ada(site: Stack) -> AsyncIterator[Person]:
    """A guest who is logged in."""
    async with Person(site.url) as person:
        yield await person.login()
