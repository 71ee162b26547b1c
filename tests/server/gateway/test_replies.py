"""The replies of one seat, without a socket."""

import pytest

from tussle.lobby.errors import Conflict
from tussle.server.gateway.replies import REMEMBERED, Replies


def test_a_repeated_command_gets_its_reply_and_no_second_effect() -> None:
    """An id is new once, then under way, answered, and in the end too old."""
    replies = Replies()
    assert replies.begin(1) is True
    assert replies.begin(1) is None
    replies.finish(1, b"done")
    assert replies.begin(1) == b"done"
    for command in range(2, REMEMBERED + 2):
        assert replies.begin(command) is True
    with pytest.raises(Conflict) as caught:
        replies.begin(1)
    assert caught.value.reason == "stale_id"
    assert replies.last_id == REMEMBERED + 1


def test_an_id_of_another_server_is_executed_again() -> None:
    """A server that takes over does not have the replies before it. Who executes the command knows what it did; an id
    that this server has forgotten is too old."""
    replies = Replies(5)
    assert replies.begin(4) is True and replies.begin(4) is None and replies.before == 5
    replies.finish(4, b"done")
    assert replies.begin(4) == b"done"
    for command in range(6, REMEMBERED + 7):
        assert replies.begin(command) is True
    for command in (4, 5):
        with pytest.raises(Conflict):
            replies.begin(command)
    assert replies.begin(3) is True


def test_a_lost_command_is_new_when_it_comes_again() -> None:
    """Its session moved to another server before it had an effect. The same id is new once more, and only once."""
    replies = Replies()
    assert replies.begin(1) is True
    replies.lose(1)
    assert replies.begin(1) is True
    assert replies.begin(1) is None
    replies.finish(1, b"done")
    assert replies.begin(1) == b"done"
