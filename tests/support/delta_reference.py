"""A decoder of delta frames, written from docs/protocol.md alone. It must not import Tussle, and is not fast.

tests/lobby/wire/test_deltas.py checks that it and Tussle's own decoders show the same.
"""

from __future__ import annotations

import copy
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
    """The contexts of a chain, each under a name; a new one when it is first used. learns: whether they change."""

    learns = True

    def __missing__(self, name: Any) -> Context:
        self[name] = Context()
        return self[name]


ROWS = [
    [int(word) for word in line.split()]
    for line in """
    184 136  90  80  75  85  90 110 150 170
    176 186 120  70  75  85 110 130 150 170
    150 182 130  90  75  90 110 130 150 170
    129 182 170  85  80  95 110 130 150 170
     93 161 166 109 105 125 130 140 150 170
     67 118 171 147 120 120 140 150 150 170
     49  83 134 150 135 150 160 150 150 170
     37  56  86 134 155 155 163 165 160 170
     21  34  60  92 146 165 165 180 180 180
     15  24  41  69  99 139 175 189 190 190
     14  25  29  40  65 109 160 175 200 190
     12  17  18  41  45  77 102 166 210 192
     40   7  12  12  14  26  38  46  62  64
    """.strip().splitlines()
]
"""First probabilities of residuals, in 256ths."""


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
        for context in contexts if self.contexts.learns else ():
            context.learn(bit)
        return bit

    def bit_in_four(self, first: int, *names: Any) -> int:
        """A bit with four contexts. first: the probability of one that has learnt nothing."""
        contexts = [self.contexts[name] for name in names]
        bit = self.divide((self.range >> 16) * (sum(one.p if one.n else first for one in contexts) >> 2))
        for context in contexts if self.contexts.learns else ():
            if context.n == 0:
                context.p, context.n = first, 1
            context.learn(bit)
        return bit

    def number(self, *sets: Any, row: int | None = None) -> int:
        def bit(place: int, column: int | None = None) -> int:
            names = [(one, place) for one in sets]
            if row is None:
                return self.bit(*names)
            return self.bit_in_four(32768 if column is None else 256 * ROWS[row][column], *names)

        if bit(0, 0) == 0:
            return 0
        negative = bit(1)
        length = 0
        while bit(2 + min(length, 15), 1 + min(length, 8)) == 1:
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


def two_best(scores: list[Floats], k: int) -> tuple[int, int]:
    """The best and the second best of the predictions of k, by their scores; of equal ones, the first one."""
    sums = scores[1] if k == 1 else [x + z for x, z in zip(scores[0], scores[2], strict=True)]
    best, second = sorted(range(4), key=lambda j: sums[j])[:2]
    return best, second


def penalty(error: float) -> float:
    error, count = error + 1.0, 0
    while error >= 2.0 and count < 24:
        error, count = error * 0.5, count + 1
    return count + error


def distance(x: float, z: float) -> float:
    least, most = sorted((abs(x), abs(z)))
    if most == 0.0:
        return 0.0
    square, found = x * x + z * z, most + 0.4 * least
    for _ in range(2):
        found = (found + square / found) * 0.5
    return found


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
    E: list[Floats] = field(default_factory=lambda: [zeros(4), zeros(4), zeros(4)])
    R: list[Floats] = field(default_factory=lambda: [zeros(4), zeros(4), zeros(4)])
    slower: float = 0.0
    present: int = 0
    moving: int = 0
    shaped: int = 0
    m: list[int] = field(default_factory=lambda: [0] * 6)
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
        self.E = [[e * 0.5 for e in scores] for scores in self.E]
        self.R = [[e * 0.5 for e in scores] for scores in self.R]
        self.m = [m >> 1 for m in self.m]
        self.moving = 0

    def forget(self, size: int) -> None:
        self.rest()
        self.since = 1.0
        self.E, self.R = [zeros(4), zeros(4), zeros(4)], [zeros(4), zeros(4), zeros(4)]
        self.m, self.sign = [size] * 6, [0] * 6

    def pace(self, gap: int, step: float, turn: float) -> int:
        if not self.moving:
            return 0
        (a, b, c), (d, e, f) = map(abs, self.V), map(abs, self.S)
        speed = (a + b + c) * gap / step + (d + e + f) * gap / turn
        return 1 if speed < 2.0 else 2 if speed < 6.0 else 3

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
        if len(data) < 2:
            raise Refused("shorter than its header")
        kind, chain, number = data[0], data[1] // 32, data[1] % 32
        if kind not in (3, 4):
            raise Refused("not a delta frame")
        if kind == 4:
            self.alive = False
            payload = data[24:]
            if not self._begin(data, number):
                return None
            self.chain = chain
        else:
            payload = data[2:]
            if self.alive and chain != self.chain:
                return None
            if not self.alive or number != (self.number + 1) % 32:
                self.alive = False
                return None
        self.alive = False
        if payload and payload[-1] == 0:
            raise Refused("zeros at the end")
        self.number = number
        self.numbers = []
        self.coder = RangeDecoder(payload, self.contexts)
        self._frame()
        self.coder.end()
        self.alive = True
        return self._shown(keyframe=kind == 4)

    def _begin(self, data: bytes, number: int) -> bool:
        if len(data) < 24:
            raise Refused("shorter than its header")
        version, epoch, tick, bodies, seats, zero, step, turn = struct.unpack_from("<HIIHBBff", data, 2)
        if number or zero or not (1e-9 < step < 1e3 and 1e-9 < turn < 1.0):
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

    def _number(self, *sets: Any, row: int | None = None) -> int:
        value = self.coder.number(*sets, row=row)
        self.numbers.append((sets[0][0] + str(list(sets[0][1:])).replace(" ", ""), value))
        return value

    def _bit(self, place: int) -> int:
        value = self.coder.bit(("bit", place))
        self.numbers.append((f"bit[{place}]", value))
        return value

    def _frame(self) -> None:
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
                and (came or self._bit(8 + 3 * body.pace(self.gap, self.step, self.turn) + min(busy, 2)))
            )
            if not moves:
                body.rest()
                body.hold()
                continue
            busy += self._pose(body)
            if came:
                body.forget(64)
            body.moving = 1
            if body.rest_places:
                body.shaped = self._bit(20 + body.shaped)
                if body.shaped:
                    self._vertices(body)
                else:
                    body.hold()

    def _pose(self, body: Body) -> int:
        gap, step, turn = self.gap, self.step, self.turn
        P, V, A, Q, S, D = body.P, body.V, body.A, body.Q, body.S, body.D
        mean = (body.since + gap) * 0.5
        size = total = 0

        def residual(k: int, speed: float, apart: float) -> int:
            nonlocal size, total
            f = 2 if k > 2 else 1 if k == 1 else 0
            length = min(12, body.m[k].bit_length())
            speed, fast = abs(speed), 0
            while speed >= 1.0 and fast < 7:
                speed *= 0.5
                fast += 1
            n = sum(abs(apart) >= limit for limit in (0.25, 0.75, 1.5, 4.0))
            rough = sum(length >= limit for limit in (4, 6, 8))
            w = min(11, sum(body.m[:3] if k < 3 else body.m[3:]).bit_length())
            value = self._number(
                ("SIZE", f, length, size),
                ("SPEED", k, body.sign[k], fast),
                ("GAP", f, 4 - n if apart < 0 else 4 + n, rough),
                ("SUM", f, 0 if w < 4 else 1 if w < 6 else w - 4, min(7, total.bit_length())),
                row=length,
            )
            found = min(abs(value), 4095)
            body.m[k] = (body.m[k] + 16 * found) >> 1
            body.sign[k] = 0 if value == 0 else 1 if value > 0 else 2
            if found > 0 and size == 0:
                size = 1
            if found >= 4:
                size = 2
            total += found
            return value

        last = [S[k] - D[k] for k in range(3)]
        now, before = 0.0, 0.0
        for k in range(3):
            now, before = now + S[k] * last[k], before + last[k] * last[k]
        fade = 1.0 if now >= before else 0.0 if now <= 0.0 else now / before
        G = [[S[k] * gap, (S[k] + D[k]) * gap, S[k] * fade * gap, 0.0] for k in range(3)]
        g, apart = zeros(3), zeros(3)
        for k in range(3):
            best, second = two_best(body.R, k)
            g[k], apart[k] = G[k][best], G[k][second] - G[k][best]
        r = [residual(3 + k, S[k] * gap / turn, apart[k] / turn) * turn for k in range(3)]
        T = turned(turned(Q, *g), *r)
        q = between(Q, T)
        for k in range(3):
            for j in range(4):
                body.R[k][j] = body.R[k][j] * 0.8 + penalty(abs(q[k] - G[k][j]) / turn)

        way, slow = distance(V[0], V[2]) * gap, body.slower * gap * mean
        left = 1.0 - slow / way if way > slow else 0.0
        C = [
            [
                P[k] + V[k] * gap,
                P[k] + (V[k] + A[k] * mean) * gap,
                P[1] if k == 1 else P[k] + V[k] * gap * left,
                P[k] + V[k] * gap,
            ]
            for k in range(3)
        ]
        C[0][3] = C[0][0] - 4.0 * (q[2] - S[2] * gap) * P[1]
        C[2][3] = C[2][0] + 4.0 * (q[0] - S[0] * gap) * P[1]

        N, jump = zeros(3), 0.0
        first = 2 if abs(V[2]) > abs(V[0]) else 0
        for k in (first, 2 - first, 1):
            best, second = two_best(body.E, k)
            predicted = C[k][best]
            if k == 2 - first and abs(V[first]) * gap > 3.0 * step and abs(jump) > 1.5 * step:
                predicted = predicted + jump * V[k] / V[first]
            value = residual(k, V[k] * gap / step, (C[k][second] - predicted) / step)
            N[k] = predicted + value * step
            if not -1e6 < N[k] < 1e6:
                raise Refused("out of range")
            jump = N[k] - predicted

        x, z = (N[0] - P[0]) / gap, (N[2] - P[2]) / gap
        before, after = distance(V[0], V[2]), distance(x, z)
        if before * gap > 10.0 * step and after * gap > 3.0 * step:
            now = (before - after) / mean
            across = abs(V[0] * z - V[2] * x)
            if across < 0.1 * (before * after) and 3.0 * step < now * gap * gap < 60.0 * step:
                body.slower = now if body.slower == 0.0 else body.slower * 0.7 + now * 0.3
        for k in range(3):
            for j in range(4):
                body.E[k][j] = body.E[k][j] * 0.8 + penalty(abs(N[k] - C[k][j]) / step)
            velocity, spin = (N[k] - P[k]) / gap, q[k] / gap
            A[k] = (velocity - V[k]) / mean
            V[k], P[k] = velocity, N[k]
            D[k] = spin - S[k]
            S[k] = spin
        body.Q = T
        body.since = gap
        return 1 if size == 2 else 0

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


class LossyReference:
    """Decodes the frames of a data channel. ``kept``: what is to be acknowledged."""

    def __init__(self, topology: bytes) -> None:
        self.topology = topology
        self.references: dict[int, ReferenceDecoder] = {}
        self.kept = 0

    def decode(self, data: bytes) -> Shown | None:
        """The frame; None if its reference is not there. Raises Refused."""
        self.kept = 0
        if data[0] == 6:
            chain, number, payload = ReferenceDecoder(self.topology), data[1], data[24:]
            if not chain._begin(data, 0):
                return None
        else:
            reference, number, payload = data[1], data[2], data[3:]
            if data[0] != 5:
                raise Refused("not a frame of a data channel")
            if reference not in self.references:
                return None
            chain = copy.deepcopy(self.references[reference])
            for old in [one for one in self.references if 0 < (reference - one) % 255 < 128]:
                del self.references[old]
        chain.contexts.learns = number > 0
        chain.coder = RangeDecoder(payload, chain.contexts)
        if number and chain._bit(24):
            chain._frame()
        chain._frame()
        chain.coder.end()
        if number:
            self.references[number] = chain
            self.kept = number
        return chain._shown(keyframe=data[0] == 6)


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
