"""Free TCP ports of this machine, for the servers and stores that tests and benchmarks start."""

from __future__ import annotations

import socket


def free_port(host: str = "127.0.0.1") -> int:
    """A port that nothing on ``host`` listens on now. Another process may take it before the caller binds it."""
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])
