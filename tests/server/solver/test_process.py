"""A solver process ends with its server, whatever the server did last."""

from __future__ import annotations

import os
import select
import socket
import subprocess
import sys

from tussle.lobby.launch import child_environment
from tussle.server.solver.spawning import ONE_THREAD


def test_a_server_that_ends_before_it_reads_the_first_reply_is_no_error() -> None:
    """As one with a wrong setting does: the solver has just loaded, and its socket is reset."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        solver = subprocess.Popen(
            [sys.executable, "-P", "-m", "tussle.server.solver.process", str(theirs.fileno()), "0"],
            stderr=subprocess.PIPE, pass_fds=[theirs.fileno()], env=child_environment(os.environ) | ONE_THREAD,
        )  # fmt: skip
        theirs.close()
        assert select.select([ours], [], [], 120.0)[0], "no first reply"
    _, said = solver.communicate(timeout=60.0)
    assert (solver.returncode, said) == (0, b"")
