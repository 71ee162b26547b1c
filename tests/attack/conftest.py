"""A real server for the attacks of a module."""

from tests.server.conftest import site as site
