"""The security tests use the real server of the gateway's tests."""

from tests.server.conftest import site as site
from tests.support.one_store import store_url as store_url
