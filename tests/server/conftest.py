"""A whole server, in processes of its own, for all tests of a module; each module has a realm of its own."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.support.stack import Stack


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(request: pytest.FixtureRequest, store_url: str) -> AsyncIterator[Stack]:
    """One server with the settings in the module's ``ENVIRONMENT``. In the end its log must show no error."""
    environment = getattr(request.module, "ENVIRONMENT", {})
    async with Stack.up(store_url, f"test-{secrets.token_hex(4)}", **environment) as stack:
        server = await stack.server()
        yield stack
        assert server.running, f"ended with {server.process.returncode}: {server.output[-4000:]}"
        errors = [
            line for line in server.output.splitlines() if '"level":"error"' in line or "Traceback" in line
        ]
        assert not errors, "\n".join(errors)[:8000]
