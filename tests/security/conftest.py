"""The security tests use the same real server as the gateway's."""

from tests.server.conftest import site as site
