"""Requests for bots, as servers answer them and bot processes read them. Pure."""

from __future__ import annotations

import msgspec

__all__ = ["BotRequest", "BotsAsked"]


class BotsAsked(msgspec.Struct, frozen=True):
    """The answer to a request for bots. wanted: bots that are still to come; processes: bot processes that are up."""

    session: str
    wanted: int
    skill: str
    processes: int


class BotRequest(msgspec.Struct, frozen=True):
    """An open lobby that wants bots, and how they should play. group: lobbies of one address have the same name, which
    says nothing about the address; '' if the server does not know it."""

    session: str
    mode: str
    size: int
    wanted: int
    skill: str
    group: str = ""
