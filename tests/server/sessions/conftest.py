"""Tests of whole servers: one store is enough."""

from tests.support.one_store import store_url as store_url
