"""A decoder of delta frames, written from docs/protocol.md alone. It must not import Tussle, and is not fast.

tests/lobby/wire/test_deltas.py checks that it and Tussle's own decoders show the same.
"""

from __future__ import annotations

import json
import math
import struct
from dataclasses import dataclass, field
from typing import Any

Floats = list[float]


class Refused(Exception):
    """Bytes that no encoder sends."""


# -- the topology


@dataclass
class Mesh:
    """A body of a topology: its id, its kind, and its rest vertices [m]."""

    id: str
    kind: str
    vertices: list[tuple[float, ...]]


def read_topology(data: bytes) -> tuple[int, list[Mesh]]:
    """The version and the bodies of a topology."""
    kind, zero, version, size = struct.unpack_from("<BBHI", data)
    if (kind, zero) != (2, 0):
        raise Refused("not a topology")
    at = 8 + (size + 3) // 4 * 4
    meshes = []
    for body in json.loads(data[8 : 8 + size])["bodies"]:
        numbers = struct.unpack_from(f"<{3 * body['vertices']}f", data, at)
        at += 12 * body["vertices"]
        at += (3 * body["faces"] * (4 if body.get("wide") else 2) + 3) // 4 * 4
        vertices = [numbers[i : i + 3] for i in range(0, len(numbers), 3)]
        meshes.append(Mesh(body["id"], body["kind"], vertices))
    return version, meshes


# -- the range decoder


class Context:
    """The probability of a zero, in 65536ths, and how many bits it has learnt from."""

    def __init__(self) -> None:
        self.p, self.n = 32768, 0

    def learn(self, bit: int) -> None:
        rate = 327680 // (5 * self.n + 8)
        if bit == 0:
            self.p = min(65488, self.p + ((65536 - self.p) * rate >> 16))
        else:
            self.p = max(48, self.p - (self.p * rate >> 16))
        self.n = min(60, self.n + 1)


class Contexts(dict[Any, Context]):
    """The contexts of a chain, each under a name; a new one when it is first used."""

    def __missing__(self, name: Any) -> Context:
        self[name] = Context()
        return self[name]


class RangeDecoder:
    """Reads one payload."""

    def __init__(self, data: bytes, contexts: Contexts) -> None:
        self.data = data
        self.contexts = contexts
        self.range = 2**32 - 1
        self.read = 4
        self.code = int.from_bytes(data[:4].ljust(4, b"\0"), "big")
        if self.code == 2**32 - 1:
            raise Refused("out of range")

    def divide(self, bound: int) -> int:
        if self.code < bound:
            bit, self.range = 0, bound
        else:
            bit, self.code, self.range = 1, self.code - bound, self.range - bound
        while self.range < 2**24:
            self.code = 256 * self.code + (self.data[self.read] if self.read < len(self.data) else 0)
            self.range *= 256
            self.read += 1
        return bit

    def even(self) -> int:
        return self.divide(self.range >> 1)

    def bit(self, *names: Any) -> int:
        """A bit with one context or with three."""
        contexts = [self.contexts[name] for name in names]
        if len(contexts) == 1:
            p = contexts[0].p
        else:
            a, b, c = contexts
            p = (2 * a.p + b.p + c.p) >> 2
        bit = self.divide((self.range >> 16) * p)
        for context in contexts:
            context.learn(bit)
        return bit

    def number(self, *sets: Any) -> int:
        def bit(place: int) -> int:
            return self.bit(*((one, place) for one in sets))

        if bit(0) == 0:
            return 0
        negative = bit(1)
        length = 0
        while bit(2 + min(length, 15)) == 1:
            length += 1
            if length > 30:
                raise Refused("out of range")
        top, found = min(length, 15), 1
        for place in range(length):
            if place == 0:
                following = bit(18 + top)
            elif place == 1:
                following = bit(34 + 2 * top + (found & 1))
            else:
                following = self.even()
            found = 2 * found + following
        return -found if negative else found

    def end(self) -> None:
        if self.read < len(self.data):
            raise Refused("bytes that nothing reads")


# -- the state of a chain


def zeros(count: int) -> Floats:
    return [0.0] * count


@dataclass
class Body:
    """The state of one body that moves."""

    rest_places: list[tuple[float, ...]]
    """Of an elastic body; else empty."""
    P: Floats = field(default_factory=lambda: zeros(3))
    V: Floats = field(default_factory=lambda: zeros(3))
    A: Floats = field(default_factory=lambda: zeros(3))
    Q: Floats = field(default_factory=lambda: [1.0, 0.0, 0.0, 0.0])
    S: Floats = field(default_factory=lambda: zeros(3))
    D: Floats = field(default_factory=lambda: zeros(3))
    since: float = 1.0
    E0: Floats = field(default_factory=lambda: zeros(3))
    E1: Floats = field(default_factory=lambda: zeros(3))
    R0: float = 0.0
    R1: float = 0.0
    present: int = 0
    moving: int = 0
    shaped: int = 0
    m: list[int] = field(default_factory=lambda: [0] * 6)
    last: list[int] = field(default_factory=lambda: [0] * 6)
    sign: list[int] = field(default_factory=lambda: [0] * 6)
    H0: int = 0
    H1: int = 0
    u: list[int] = field(default_factory=list)
    d: list[int] = field(default_factory=list)
    w: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        count = 3 * len(self.rest_places)
        self.u, self.d, self.w = [0] * count, [0] * count, [256] * count

    def rest(self) -> None:
        self.V, self.A, self.S, self.D = zeros(3), zeros(3), zeros(3), zeros(3)
        self.E0, self.E1 = [e * 0.5 for e in self.E0], [e * 0.5 for e in self.E1]
        self.R0, self.R1 = self.R0 * 0.5, self.R1 * 0.5
        self.m = [m >> 1 for m in self.m]
        self.last = [0] * 6
        self.moving = 0

    def forget(self, size: int) -> None:
        self.rest()
        self.since = 1.0
        self.E0, self.E1, self.R0, self.R1 = zeros(3), zeros(3), 0.0, 0.0
        self.m, self.sign = [size] * 6, [0] * 6

    def hold(self) -> None:
        self.d = [0] * len(self.d)
        self.w = [w >> 1 for w in self.w]


@dataclass
class Shown:
    """What a frame shows. rows: of all bodies that move, 3 numbers each; None for a body that is not present."""

    tick: int
    epoch: int
    version: int
    keyframe: bool
    distance: float
    contacts: int
    ids: list[int]
    present: list[bool]
    rows: list[list[Floats] | None]


class ReferenceDecoder:
    """Decodes the delta frames of one session. ``numbers``: every number of the last payload, in the order of the
    document, with the name of its set."""

    def __init__(self, topology: bytes) -> None:
        self.version, meshes = read_topology(topology)
        self.moving = [mesh for mesh in meshes if mesh.kind != "static"]
        self.alive = False
        self.chain = self.number = 0
        self.numbers: list[tuple[str, int]] = []

    def decode(self, data: bytes) -> Shown | None:
        """The frame; None for one that is dropped. Raises Refused."""
        if len(data) < 4:
            raise Refused("shorter than its header")
        kind, flags, chain, number = data[:4]
        if kind != 3 or flags & ~1:
            raise Refused("not a delta frame")
        if flags & 1:
            self.alive = False
            payload = data[28:]
            if not self._begin(data, number):
                return None
            self.chain = chain
        else:
            payload = data[4:]
            if self.alive and chain != self.chain:
                return None
            if not self.alive or number != (self.number + 1) % 256:
                self.alive = False
                return None
        self.alive = False
        if payload and payload[-1] == 0:
            raise Refused("zeros at the end")
        self.number = number
        self.numbers = []
        self._frame(payload)
        self.alive = True
        return self._shown(keyframe=bool(flags & 1))

    def _begin(self, data: bytes, number: int) -> bool:
        if len(data) < 28:
            raise Refused("shorter than its header")
        epoch, tick, version, bodies, seats, zero, more, step, turn = struct.unpack_from(
            "<IIHHBBHff", data, 4
        )
        if number or zero or more or not (1e-9 < step < 1e3 and 1e-9 < turn < 1.0):
            raise Refused("not a keyframe")
        if version != self.version:
            return False
        if bodies != len(self.moving):
            raise Refused("other bodies than the topology")
        self.epoch, self.tick, self.step, self.turn = epoch, tick - 1, step, turn
        self.gap, self.level, self.contacts, self.still = 1, 0, 0, 0
        self.ids = [0] * seats
        self.bodies = [Body(mesh.vertices if mesh.kind == "elastic" else []) for mesh in self.moving]
        self.contexts = Contexts()
        return True

    def _number(self, *sets: Any) -> int:
        value = self.coder.number(*sets)
        self.numbers.append((sets[0][0] + str(list(sets[0][1:])).replace(" ", ""), value))
        return value

    def _bit(self, place: int) -> int:
        value = self.coder.bit(("bit", place))
        self.numbers.append((f"bit[{place}]", value))
        return value

    def _frame(self, payload: bytes) -> None:
        self.coder = RangeDecoder(payload, self.contexts)
        self.gap += self._number(("N", 0))
        if not 1 <= self.gap <= 2**24 or self.tick + self.gap > 2**32 - 1:
            raise Refused("out of range")
        self.tick += self.gap
        if self._bit(0):
            for seat in range(len(self.ids)):
                self.ids[seat] += self._number(("N", 1))
                if not 0 <= self.ids[seat] < 2**32:
                    raise Refused("out of range")
        if self._bit(1):
            self.level += self._number(("N", 2))
            self.contacts += self._number(("N", 3))
            if not (0 <= self.level < 256 and 0 <= self.contacts < 65536):
                raise Refused("out of range")
        self.still = self._bit(2 + self.still)
        busy = 0
        for body in self.bodies:
            came = 0 if self.still else self._bit(4 + body.present)
            if came:
                body.present = 1 - body.present
                body.forget(65520)
            moves = (
                not self.still
                and body.present == 1
                and (came or self._bit(8 + 3 * body.moving + min(busy, 2)))
            )
            if not moves:
                body.rest()
                body.hold()
                continue
            busy += self._pose(body, min(busy, 2))
            if came:
                body.forget(64)
            body.moving = 1
            if body.rest_places:
                body.shaped = self._bit(16 + body.shaped)
                if body.shaped:
                    self._vertices(body)
                else:
                    body.hold()
        self.coder.end()

    def _pose(self, body: Body, busy: int) -> int:
        gap, step, turn = self.gap, self.step, self.turn
        mean = (body.since + gap) * 0.5
        size = large = 0

        def residual(k: int, second: int, speed: float) -> int:
            nonlocal size, large
            f = 2 if k > 2 else 1 if k == 1 else 0
            fast = 0
            while speed >= 1.0 and fast < 7:
                speed *= 0.5
                fast += 1
            value = self._number(
                ("SIZE", f, min(10, body.m[k].bit_length()), size),
                ("LAST", f, body.last[k], busy, second),
                ("SPEED", k, body.sign[k], fast),
            )
            found = min(abs(value), 4095)
            body.m[k] = (body.m[k] + 16 * found) >> 1
            body.last[k] = min(7, found.bit_length())
            body.sign[k] = 0 if value == 0 else 1 if value > 0 else 2
            if value != 0 and size == 0:
                size = 1
            if abs(value) >= 4:
                size = 2
                large = 1
            return value

        for k in range(3):
            straight = body.P[k] + body.V[k] * gap
            curved = body.P[k] + (body.V[k] + body.A[k] * mean) * gap
            second = 1 if body.E1[k] < body.E0[k] else 0
            predicted = curved if second else straight
            value = residual(k, second, abs(body.V[k] * gap / step))
            reached = predicted + value * step
            if not -1e6 < reached < 1e6:
                raise Refused("out of range")
            body.E0[k] = body.E0[k] * 0.7 + abs(reached - straight)
            body.E1[k] = body.E1[k] * 0.7 + abs(reached - curved)
            velocity = (reached - body.P[k]) / gap
            body.A[k] = (velocity - body.V[k]) / mean
            body.V[k] = velocity
            body.P[k] = reached
        second = 1 if body.R1 < body.R0 else 0
        x, y, z = (s + d if second else s for s, d in zip(body.S, body.D, strict=True))
        turned_to = turned(body.Q, x * gap, y * gap, z * gap)
        r = [residual(3 + k, second, abs(body.S[k] * gap / turn)) * turn for k in range(3)]
        turned_to = turned(turned_to, r[0], r[1], r[2])
        r = between(body.Q, turned_to)
        held = changed = 0.0
        for k in range(3):
            spin = r[k] / gap
            off = spin - body.S[k]
            held = held + abs(off)
            changed = changed + abs(off - body.D[k])
            body.D[k] = off
            body.S[k] = spin
        body.R0 = body.R0 * 0.7 + held
        body.R1 = body.R1 * 0.7 + changed
        body.Q = turned_to
        body.since = gap
        return large

    def _vertices(self, body: Body) -> None:
        second = 1 if body.H1 < body.H0 else 0
        near = [0, 0, 0]
        lately, held, carried = 32, 0, 0
        for i in range(len(body.u)):
            k, u, d, w = i % 3, body.u[i], body.d[i], body.w[i]
            predicted = u + d if second else u
            shape = ("SHAPE", min(7, w.bit_length()), min(7, lately.bit_length()))
            value = self._number(shape, ("NEAR", k, near[k], second), shape)
            found = min(abs(value), 4095)
            near[k] = min(found, 3)
            lately = (3 * lately + 16 * found) >> 2
            body.w[i] = (w + 16 * found) >> 1
            reached = predicted + value
            if abs(reached) > 10**9:
                raise Refused("out of range")
            held += min(4095, abs(reached - u))
            carried += min(4095, abs(reached - u - d))
            body.d[i] = reached - u
            body.u[i] = reached
        body.H0 = (body.H0 >> 1) + held
        body.H1 = (body.H1 >> 1) + carried

    def _shown(self, *, keyframe: bool) -> Shown:
        rows: list[list[Floats] | None] = []
        for body in self.bodies:
            matrix = matrix_of(body.Q)
            if not body.present:
                rows.append(None)
            elif body.rest_places:
                places = []
                for i, rest in enumerate(body.rest_places):
                    X = [rest[k] + self.step * body.u[3 * i + k] for k in range(3)]
                    places.append([body.P[k] + sum(matrix[k][j] * X[j] for j in range(3)) for k in range(3)])
                rows.append(places)
            else:
                rows.append([list(body.P), *([matrix[k][j] for k in range(3)] for j in range(3))])
        return Shown(
            tick=self.tick,
            epoch=self.epoch,
            version=self.version,
            keyframe=keyframe,
            distance=1e-7 * 2 ** ((self.level - 1) / 8) if self.level else math.inf,
            contacts=self.contacts,
            ids=list(self.ids),
            present=[bool(body.present) for body in self.bodies],
            rows=rows,
        )


def turned(q: Floats, x: float, y: float, z: float) -> Floats:
    a, b, c, d = q
    s = x * x + y * y + z * z
    k = 1 / (1 + s)
    w = (1 - s) * k
    x, y, z = 2 * x * k, 2 * y * k, 2 * z * k
    return [
        w * a - x * b - y * c - z * d,
        w * b + x * a + y * d - z * c,
        w * c - x * d + y * a + z * b,
        w * d + x * c - y * b + z * a,
    ]


def between(q: Floats, t: Floats) -> Floats:
    a, b, c, d = q
    e, f, g, h = t
    w = e * a + f * b + g * c + h * d
    x = f * a - e * b - g * d + h * c
    y = g * a - e * c - h * b + f * d
    z = h * a - e * d - f * c + g * b
    if w < 0:
        w, x, y, z = -w, -x, -y, -z
    k = 1 / (1 + w)
    return [x * k, y * k, z * k]


def matrix_of(q: Floats) -> list[Floats]:
    w, x, y, z = q
    return [
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ]
