"""Tussle as a training environment: the worlds, rules and contact of live sessions, for Gymnasium and PettingZoo.

    import gymnasium, tussle.env

    env = gymnasium.make("Tussle/Duel-v0", opponent="novice")       # one seat; also Curling, Reach, Stack and Push
    env = tussle.env.DuelEnv(seats=2, render_mode="rgb_array")      # PettingZoo AEC; also CurlingEnv
    env = tussle.env.SandboxEnv(hands=2, task="stack")              # PettingZoo Parallel
    envs = tussle.env.vector(8, "Tussle/Duel-v0")                   # many worlds, in worker processes
    env = tussle.env.remote("http://127.0.0.1:8420")                # PettingZoo: seats in live sessions

Only ``remote`` needs a server. The simulation is that of a session, bit for bit. The extra
``tussle[env]`` installs Gymnasium and PettingZoo. Importing this package registers the environments; names are loaded
when they are first used. Imported before numpy, it computes with the CPU baseline, as servers do (same ``physics_id``).
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from tussle.lobby.cpu_baseline import use_baseline

use_baseline()

from tussle.env.registration import register_environments  # noqa: E402

if TYPE_CHECKING:
    from tussle.env.batch import VectorWorlds, vector
    from tussle.env.curling_env import CurlingEnv
    from tussle.env.duel_env import DuelEnv
    from tussle.env.episode import Episode
    from tussle.env.remote_env import RemoteEnv, remote
    from tussle.env.remote_hands import RemoteHandsEnv
    from tussle.env.sandbox_env import SandboxEnv
    from tussle.env.solo_env import HandEnv, SeatEnv

__all__ = [
    "CurlingEnv",
    "DuelEnv",
    "Episode",
    "HandEnv",
    "RemoteEnv",
    "RemoteHandsEnv",
    "SandboxEnv",
    "SeatEnv",
    "VectorWorlds",
    "remote",
    "vector",
]

_MODULES = {
    "CurlingEnv": "curling_env",
    "DuelEnv": "duel_env",
    "Episode": "episode",
    "HandEnv": "solo_env",
    "RemoteEnv": "remote_env",
    "RemoteHandsEnv": "remote_hands",
    "SandboxEnv": "sandbox_env",
    "SeatEnv": "solo_env",
    "VectorWorlds": "batch",
    "remote": "remote_env",
    "vector": "batch",
}

register_environments()


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'tussle.env' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"tussle.env.{_MODULES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
