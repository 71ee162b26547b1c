"""The replies to the commands of one seat, kept so that a repeated command has one effect.

    new --> under way --> answered --> forgotten (after REMEMBERED newer commands)
     ^          |
     '-- lost --'

This module must never execute a command or write to a socket.
"""

from __future__ import annotations

from tussle.lobby.errors import Conflict

__all__ = ["REMEMBERED", "Replies"]

REMEMBERED = 64
"""Replies kept per seat, for commands that are sent again."""


class Replies:
    """The replies of one seat by command id.

    It outlives connections: a client that did not receive an acknowledgement reconnects and sends the command again.
    ``last_id`` is the newest id that the seat has used. Ids up to ``before`` were used at another server, or before
    this one forgot the session: their replies are not here, but the holder and the store know what they did.
    """

    __slots__ = ("_lost", "_replies", "before", "last_id")

    def __init__(self, last_id: int = 0) -> None:
        self.last_id = self.before = last_id
        self._lost: set[int] = set()
        self._replies: dict[int, bytes | None] = {}

    def begin(self, command: int) -> bytes | bool | None:
        """Register a command.

        Returns True if it is new and must be executed, the reply to send again if it is answered, and None if it is
        under way. True for an id up to ``before``: who executes it must find out whether it had its effect. Raises
        Conflict (``stale_id``) if its reply is not kept any more; nothing changes then.
        """
        if command > self.last_id:
            self.add(command)
            return True
        if command in self._replies:
            return self._replies[command]
        if command in self._lost:
            self._lost.discard(command)
        elif command > self.before:
            raise Conflict(f"command {command} is not newer than {self.last_id}", code="stale_id", field="id")
        self.add(command)
        return True

    def add(self, command: int) -> None:
        """Register a command that is new, or was lost."""
        if command > self.last_id:
            self.last_id = command
        replies = self._replies
        replies[command] = None
        if len(replies) > REMEMBERED:
            oldest = next(iter(replies))
            del replies[oldest]
            if oldest <= self.before:
                self.before = oldest - 1

    def lose(self, command: int) -> None:
        """Record that a command had no effect and gets no reply. The next command with its id is new."""
        self._replies.pop(command, None)
        self._lost.add(command)

    def finish(self, command: int, reply: bytes) -> None:
        """Keep the reply to a command. Does nothing if the command is not under way or kept."""
        if command in self._replies:
            self._replies[command] = reply
