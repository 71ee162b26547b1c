"""One real server for all tests of a module, in its own processes and realm."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.support.stack import Stack


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(request: pytest.FixtureRequest, store_url: str) -> AsyncIterator[Stack]:
    """A server with the settings in the module's ``ENVIRONMENT``. Fails if its log has an error at the end."""
    environment = getattr(request.module, "ENVIRONMENT", {})
    async with Stack.up(store_url, f"test-{secrets.token_hex(4)}", **environment) as stack:
        server = await stack.server()
        yield stack
        assert server.running, f"ended with {server.process.returncode}: {server.output[-4000:]}"
        errors = [
            line for line in server.output.splitlines() if '"level":"error"' in line or "Traceback" in line
        ]
        assert not errors, "\n".join(errors)[:8000]
