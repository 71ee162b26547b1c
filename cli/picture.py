"""The state of one session for the terminal: a SessionView, updated by each event. Pure.

    picture = Picture(view)
    picture.apply(event)      # names, health, turn, result; and a line for the log

It must never import a socket, a clock or rich.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tussle.cli.palette import number
from tussle.lobby.text import escape_values
from tussle.lobby.wire.messages import Event, SessionView

__all__ = ["Line", "Picture", "Player"]

LOG_LINES = 400

_STATUSES = {
    "filled": "filled",
    "reopened": "open",
    "starting": "starting",
    "running": "running",
    "paused": "paused",
    "ended": "ended",
    "timed_out": "timed_out",
    "failed": "failed",
}


@dataclass(slots=True)
class Player:
    """One seat. ``health`` None: unknown, or the mode has none."""

    seat: int
    name: str = ""
    kind: str = "person"
    body: str = ""
    ready: bool = False
    connected: bool = True
    health: float | None = None
    full: float | None = None
    out: str = ""
    place: int | None = None
    lost: float = 0.0


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the log. ``tone``: plain, faint, strong, signal or contact; ``seats``: whom it is about."""

    tick: int
    text: str
    tone: str = "plain"
    seats: tuple[int, ...] = ()


@dataclass(slots=True)
class Picture:
    """The state of the session after the newest event.

    positions: centres of the bodies as the turn began [m]. aim: x, z [m] and azimuth [rad] of the launch under way.
    stones: of each seat in an end of a curling.
    """

    session: str = ""
    mode: str = ""
    status: str = "open"
    size: int = 0
    tick: int = 0
    v: int = 0
    epoch: int = 0
    round: int = 0
    turn: int = 0
    turn_seat: int | None = None
    deadline_s: float | None = None
    ends_at: int | None = None
    acting: bool = False
    aim: tuple[float, float, float] | None = None
    positions: Sequence[Sequence[float]] = ()
    players: dict[int, Player] = field(default_factory=dict)
    result: Mapping[str, Any] | None = None
    reason: str = ""
    least_gap_mm: float | None = None
    stones: int = 4
    log: deque[Line] = field(default_factory=lambda: deque(maxlen=LOG_LINES))

    @classmethod
    def of(cls, view: SessionView) -> Picture:
        picture = cls()
        picture.take(view)
        return picture

    def take(self, view: SessionView) -> None:
        """Replace everything but the log by the state in a whole view. Its texts are escaped: others wrote them."""
        view = escape_values(view)
        self.session, self.mode, self.status, self.size = view.session, view.mode, view.status, view.size
        self.tick, self.v, self.epoch = view.tick, view.v, view.epoch
        self.round, self.turn, self.turn_seat = view.round, view.turn, view.turn_seat
        self.result, self.reason = view.result, view.reason
        self.stones = view.params.get("stones", self.stones)
        for seat in view.seats:
            player = self.players.setdefault(seat.seat, Player(seat.seat))
            player.name, player.kind, player.body = seat.name, seat.kind, seat.body or player.body
            player.ready, player.connected = seat.ready, seat.connected
            player.health = seat.health if seat.health is not None else player.health
            if seat.out and not player.out:
                player.out = "out"
        if view.brief:
            self._brief(view.brief)
        if view.result:
            self._places(view.result)

    def name(self, seat: object) -> str:
        """The player's name, for sentences."""
        if isinstance(seat, int) and seat in self.players and self.players[seat].name:
            return self.players[seat].name
        return f"seat {seat}"

    def apply(self, event: Event) -> None:
        """Apply one event. Events must come in order of v. Its texts are escaped: others wrote them."""
        event = escape_values(event)
        d = event.d
        self.v, self.tick, self.epoch = event.v, max(event.tick, self.tick), max(event.epoch, self.epoch)
        if event.t in _STATUSES:
            self.status = _STATUSES[event.t]
        if event.t == "turn_started":
            self._brief(d)
        self._members(event.t, d)
        self._mode(event.t, d)
        line = self._line(event)
        if line is not None:
            self.log.append(line)

    # -- state -----------------------------------------------------------------------------------

    def _brief(self, d: Mapping[str, Any]) -> None:
        self.turn_seat, self.deadline_s, self.ends_at = d.get("seat"), d.get("deadline_s"), d.get("ends_at")
        self.round, self.turn = d.get("round", self.round), d.get("turn", self.turn)
        self.acting, self.aim, self.positions = True, None, d.get("positions") or ()
        for name, key in (("health", "health"), ("full", "health_full"), ("body", "bodies")):
            for seat, value in enumerate(d.get(key) or ()):
                setattr(self.players.setdefault(seat, Player(seat)), name, value)
        for player in self.players.values():
            player.lost = 0.0

    def _members(self, kind: str, d: Mapping[str, Any]) -> None:
        seat = d.get("seat")
        if not isinstance(seat, int):
            return
        match kind:
            case "seat_taken":
                self.players[seat] = Player(
                    seat,
                    d.get("name", ""),
                    d.get("kind", "person"),
                    d.get("body", ""),
                    d.get("ready", False),
                    False,
                )
            case "seat_left" if self.status in ("open", "filled"):
                self.players.pop(seat, None)
            case "seat_connected" | "seat_disconnected" | "seat_left" if seat in self.players:
                self.players[seat].connected = kind == "seat_connected"
            case "seat_ready" if seat in self.players:
                self.players[seat].ready = bool(d.get("ready"))
            case "body_chosen" if seat in self.players:
                self.players[seat].body = d.get("body", "")
            case _:
                pass

    def _mode(self, kind: str, d: Mapping[str, Any]) -> None:
        match kind:
            case "set_up":
                self.stones = (d.get("params") or {}).get("stones", self.stones)
                for row in d.get("seats", ()):
                    player = self.players.setdefault(row["seat"], Player(row["seat"]))
                    player.name, player.kind = row.get("name", player.name), row.get("kind", player.kind)
                    player.body = row.get("body", player.body)
                    player.health = player.full = row.get("health")
            case "action":
                self.acting = False
                azimuth, seat = d.get("azimuth"), d.get("seat", -1)
                if azimuth is not None and 0 <= seat < len(self.positions):
                    x, _, z = self.positions[seat]
                    self.aim = (x, z, math.radians(azimuth))
            case "blow":
                for side in "ab":
                    self._hurt(d.get(side), d.get(f"damage_{side}", 0.0))
                self._gap(d)
            case "out" if d.get("seat") in self.players:
                player = self.players[d["seat"]]
                player.out, player.place = d.get("cause", "out"), d.get("place")
                player.health = d.get("health_left", player.health)
            case "turn_ended":
                self.aim = None
                for seat, health in enumerate(d.get("health") or ()):
                    if seat in self.players:
                        self.players[seat].health = health
                self._gap(d)
            case "result":
                self.result, self.turn_seat, self.acting = d, None, False
                self._places(d)
            case _:
                pass

    def _hurt(self, seat: object, damage: float) -> None:
        player = self.players.get(seat) if isinstance(seat, int) else None
        if player is not None and player.health is not None:
            player.health = max(0.0, player.health - damage)
            player.lost += damage

    def _gap(self, d: Mapping[str, Any]) -> None:
        value = d.get("dist_min_mm")
        if value is not None:
            self.least_gap_mm = value if self.least_gap_mm is None else min(value, self.least_gap_mm)

    def _places(self, result: Mapping[str, Any]) -> None:
        places = result.get("places") or ()
        pairs = places.items() if isinstance(places, Mapping) else enumerate(places)
        for seat, place in pairs:
            if int(seat) in self.players:
                self.players[int(seat)].place = place

    # -- words -----------------------------------------------------------------------------------

    def _line(self, event: Event) -> Line | None:
        d = event.d
        seat = d.get("seat")
        who = self.name(seat)
        about = (seat,) if isinstance(seat, int) else ()

        def line(text: str, tone: str = "plain", seats: tuple[int, ...] = about) -> Line:
            return Line(event.tick, text, tone, seats)

        match event.t:
            case "chat":
                return line(f"{d.get('name') or who}: {d.get('text', '')}")
            case "seat_taken":
                body = f" with {d['body']}" if d.get("body") else ""
                return line(f"{d.get('name') or who} took seat {seat}{body}", "faint")
            case "seat_left":
                return line(f"{who} left", "faint")
            case "seat_disconnected":
                return line(f"{who} lost the connection", "signal")
            case "body_chosen":
                return line(f"{who} chose {d.get('body', '')}", "faint")
            case "host_changed":
                return line(f"{who} is the host now", "faint")
            case "filled":
                return line("All seats are taken", "faint")
            case "reopened":
                return line("A seat is free again", "faint")
            case "running":
                return line(f"The {self.mode or 'session'} begins", "faint")
            case "turn_started":
                return line(f"Round {d.get('round', self.round)}: {who} to act", "strong")
            case "action":
                return line(self._action(d, who))
            case "blow" if self.mode == "curling":
                a, b = self._owner(d.get("a", 0)), self._owner(d.get("b", 0))
                return line(self._knock(d, a, b), "contact", (a, b))
            case "blow":
                seats = (d.get("a", -1), d.get("b", -1))
                return line(self._blow(d), "contact", seats)
            case "stone_lost":
                owner = self._owner(d.get("stone", 0))
                lost = "stopped too short" if d.get("cause") == "short" else "is off the sheet"
                return line(f"A stone of {self.name(owner)} {lost}", "contact", (owner,))
            case "end_scored":
                points = "no stone counts" if seat is None else f"{d.get('points', 0)} for {who}"
                return line(f"End {d.get('end')}: {points}", "signal")
            case "rim_cracked":
                return line(f"The rim cracks on two sides: they fall before round {d.get('falls')}", "signal")
            case "rim_fell":
                return line("Two sides of the mat fall", "signal")
            case "bout_ended":
                winner = d.get("winner")
                won = "nobody wins" if winner is None else f"{self.name(winner)} wins"
                return line(f"Bout {d.get('bout')}: {won}", "signal", () if winner is None else (winner,))
            case "bout_started":
                return line(f"Bout {d.get('bout')}: every body is whole again", "strong")
            case "out":
                return line(self._out(d, who), "contact")
            case "turn_ended" if d.get("undone"):
                return line("The guard rule: the stones are put back", "signal", ())
            case "turn_ended":
                end = {"rest": "All bodies are at rest", "limit": "Time is up; all bodies were stopped"}.get(
                    d.get("end", "")
                )
                took = f" after {d['ticks']} ticks" if d.get("ticks") else ""
                return line(end + took, "faint", ()) if end else None
            case "result":
                return line(self.verdict(), "signal", ())
            case "timed_out":
                return line("The lobby timed out", "signal")
            case "failed":
                return line(f"The session failed: {d.get('reason', '')}", "contact")
            case "ended":
                return None if self.result else line("The session is over", "faint")
            case "recovered":
                exact = "to the exact tick" if d.get("exact", True) else "from its last checkpoint"
                return line(f"The session moved to another server, {exact}", "signal")
            case _:
                return None

    def _action(self, d: Mapping[str, Any], who: str) -> str:
        target = d.get("target")
        at = f" at {self.name(target)}" if target is not None else ""
        power = f", power {round(100 * d['power'])} %" if d.get("power") is not None else ""
        match d.get("kind"):
            case "launch" if self.mode == "curling":
                return f"{who} slides a stone{power}"
            case "launch":
                return f"{who} launches{at}{power}"
            case "spin":
                return f"{who} spins{at}{power}"
            case "hop":
                return f"{who} hops{power}"
            case "brace":
                return f"{who} braces"
            case "skip":
                return f"{who} skipped the turn"
            case kind:
                return f"{who}: {kind}"

    def _blow(self, d: Mapping[str, Any]) -> str:
        sides = [(d.get("a"), d.get("damage_a", 0.0)), (d.get("b"), d.get("damage_b", 0.0))]
        if sides[1][0] == self.turn_seat:  # the seat that acts comes first
            sides.reverse()
        harm = [f"{self.name(seat)} {number(-round(damage))}" for seat, damage in sides if round(damage)]
        impulse = number(d.get("impulse_credited_Ns", 0.0), 1)
        return f"{self.name(sides[0][0])} touched {self.name(sides[1][0])}, {impulse} N·s" + (
            f". {', '.join(harm)}" if harm else ""
        )

    def _owner(self, stone: int) -> int:
        """The seat of a curling stone."""
        return stone // max(1, self.stones)

    def _knock(self, d: Mapping[str, Any], a: int, b: int) -> str:
        impulse = number(d.get("impulse_Ns", 0.0), 1)
        if a == b:
            return f"Two stones of {self.name(a)} touched, {impulse} N·s"
        return f"A stone of {self.name(a)} touched one of {self.name(b)}, {impulse} N·s"

    def _out(self, d: Mapping[str, Any], who: str) -> str:
        by = d.get("by")
        through = f", by {self.name(by)}" if by is not None and by != d.get("seat") else ""
        place = f"; place {d['place']}" if d.get("place") else ""
        how = {"fallen": "is off the mat", "broken": "broke", "forfeit": "gave up"}.get(
            d.get("cause", ""), "is out"
        )
        return f"{who} {how}{through}{place}"

    def verdict(self) -> str:
        """The result in one sentence."""
        result = self.result
        if not result:
            said = {
                "timed_out": "The lobby timed out",
                "failed": "The session failed",
                "ended": "Ended without a result",
            }
            why = f" ({self.reason})" if self.reason else ""
            return said.get(self.status, "Not decided yet") + why
        winner = result.get("winner")
        outcome = f"{self.name(winner)} wins" if winner is not None else "A draw"
        counts = [f"{result[key]} {key}" for key in ("rounds", "turns") if result.get(key)]
        return ", ".join([outcome, *counts])
