"""The form of tokens and ids: they become keys of the store and names of files."""

from __future__ import annotations

import pytest

from tussle.lobby.ids import is_player_id, is_session_token, new_player_id, new_session_token


def test_new_ids_have_their_form() -> None:
    assert is_session_token(new_session_token()) and is_player_id(new_player_id())


@pytest.mark.parametrize("wrong", ["{}\n", "{}2", "\n{}", "{}\x00", "../{}"])
def test_nothing_may_stand_beside_an_id(wrong: str) -> None:
    """Also no line feed at the end, which $ of a regular expression lets pass."""
    assert not is_session_token(wrong.format(new_session_token()))
    assert not is_player_id(wrong.format(new_player_id()))
