"""The spring-damper: its two explicit half-steps and its closed form. Pure: no store, no clock.

    m x'' + d x' + k x = 0,  d = 2 m omega zeta,  omega = sqrt(k / m)
    velocity:  v1 = v0 + (h/m) (-k x0 - d v0),  t1 = t0 + h        (semi-implicit Euler,
    position:  x1 = x0 + h v1                                       first order in h)

The order of the arithmetic must not change: two runs agree to the last bit.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import msgspec

__all__ = ["Spring", "SpringRun", "SpringState", "decode_state", "encode_state"]


class SpringState(msgspec.Struct, frozen=True):
    """Position [m], velocity [m/s], time [s]; n: steps done; run: the id of its trigger entry, "" in the trigger."""

    x: float
    v: float
    t: float
    n: int = 0
    run: str = ""


class SpringRun(msgspec.Struct, frozen=True):
    """The progress of a run: the steps since the previous request, and how far it is.

    run: the id of its trigger. x0 [m], v0 [m/s]: where it begins. cycles: total number of steps, None before the
    first one. n, t [s], x [m], v [m/s]: the steps, one column each; closed_x, closed_v: the scheme's closed form at
    each, None where it does not oscillate. after: argument of the next request. waits_for: solvers that it needs and
    that do not run.
    """

    run: str
    name: str
    x0: float
    v0: float
    after: str
    cycles: int | None = None
    n: tuple[int, ...] = ()
    t: tuple[float, ...] = ()
    x: tuple[float, ...] = ()
    v: tuple[float, ...] = ()
    closed_x: tuple[float | None, ...] = ()
    closed_v: tuple[float | None, ...] = ()
    done: bool = False
    waits_for: tuple[str, ...] = ()


RUN_LENGTH = 64
"""Longest name of a run: it becomes part of a key."""

_decoder = msgspec.json.Decoder(SpringState)
_encoder = msgspec.json.Encoder()


def decode_state(text: str) -> SpringState:
    """A state from its JSON; unknown fields are ignored. Raises ValueError."""
    state = _decoder.decode(text)
    if not all(math.isfinite(value) for value in (state.x, state.v, state.t)) or state.n < 0:
        raise ValueError("a state must be finite, and its n not negative")
    if len(state.run) > RUN_LENGTH:
        raise ValueError(f"run has more than {RUN_LENGTH} characters")
    return state


def encode_state(state: SpringState) -> str:
    """JSON with the fewest digits that restore the same floats."""
    return _encoder.encode(state).decode()


@dataclass(frozen=True, slots=True)
class Spring:
    """m [kg], k [N/m], zeta [1], h [s]; cycles: steps of one run."""

    m: float = 1.0
    k: float = 1.0
    zeta: float = 0.01
    h: float = 0.1
    cycles: int = 1000

    @property
    def omega(self) -> float:
        """Undamped angular frequency [1/s]."""
        return math.sqrt(self.k / self.m)

    @property
    def d(self) -> float:
        """Damping [kg/s]."""
        return 2.0 * self.m * self.omega * self.zeta

    def step_velocity(self, state: SpringState) -> SpringState | None:
        """The next velocity and time, from the present position; None when all cycles are done."""
        if state.n >= self.cycles:
            return None
        v = state.v + (self.h / self.m) * (-self.k * state.x - self.d * state.v)
        return SpringState(x=state.x, v=v, t=state.t + self.h, n=state.n + 1, run=state.run)

    def step_position(self, state: SpringState) -> SpringState | None:
        """The next position, from the present velocity."""
        return SpringState(x=state.x + self.h * state.v, v=state.v, t=state.t, n=state.n, run=state.run)

    def closed_form(self, x0: float, v0: float, n: int) -> tuple[float, float]:
        """(x_n, v_n) of the scheme itself, without stepping.

        The recurrence x_{n+1} = (2 - h d/m - h^2 k/m) x_n - (1 - h d/m) x_{n-1} has the roots r e^{+-i th}. Valid
        while it oscillates: r > 0 and |cos th| < 1. Raises ValueError otherwise.
        """
        h, m = self.h, self.m
        if not 1.0 - h * self.d / m > 0.0:  # also for NaN: k / m or d has overflowed
            raise ValueError("the scheme does not oscillate: h d >= m")
        r = math.sqrt(1.0 - h * self.d / m)
        cosine = (2.0 - h * self.d / m - h * h * self.k / m) / (2.0 * r)
        if not abs(cosine) < 1.0:
            raise ValueError("the scheme does not oscillate: h is too large or the damping too strong")
        th = math.acos(cosine)
        x1 = x0 + h * (v0 + (h / m) * (-self.k * x0 - self.d * v0))

        def x(i: int) -> float:
            b = (x1 - r * x0 * math.cos(th)) / (r * math.sin(th))
            return r**i * (x0 * math.cos(i * th) + b * math.sin(i * th))

        return x(n), v0 if n == 0 else (x(n) - x(n - 1)) / h

    def exact(self, x0: float, v0: float, t: float) -> float:
        """x(t) of the differential equation, underdamped (zeta < 1)."""
        if self.zeta >= 1.0:
            raise ValueError("exact() is for zeta < 1")
        decay = self.zeta * self.omega
        omega_d = self.omega * math.sqrt(1.0 - self.zeta**2)
        b = (v0 + decay * x0) / omega_d if omega_d else 0.0
        return math.exp(-decay * t) * (x0 * math.cos(omega_d * t) + b * math.sin(omega_d * t))
