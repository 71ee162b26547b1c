"""The security tests use the real server of the gateway's tests."""

from tests.server.conftest import site as site
