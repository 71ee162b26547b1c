"""The names under which Gymnasium makes the environments of one seat and of one hand.

This module must never import an environment: Gymnasium does that when one is made.
"""

from __future__ import annotations

from typing import Any

__all__ = ["ENVIRONMENTS", "register_environments"]

ENVIRONMENTS: dict[str, tuple[str, int | None, dict[str, Any]]] = {
    "Tussle/Duel-v0": ("tussle.env.solo_env:duel_seat", None, {}),
    "Tussle/Curling-v0": ("tussle.env.solo_env:curling_seat", None, {}),
    "Tussle/Reach-v0": ("tussle.env.solo_env:HandEnv", 100, {"task": "reach"}),
    "Tussle/Stack-v0": ("tussle.env.solo_env:HandEnv", 200, {"task": "stack"}),
    "Tussle/Push-v0": ("tussle.env.solo_env:HandEnv", 200, {"task": "push"}),
}
"""Name -> what makes it, the steps after which an episode is truncated, its arguments. A duel and curling end by their
own rules."""


def register_environments() -> None:
    """Register every environment once. Raises ImportError without Gymnasium."""
    try:
        from gymnasium.envs.registration import register, registry
    except ImportError as error:
        raise ImportError(
            "tussle.env needs Gymnasium and PettingZoo: pip install '.[env]' in the project's folder"
            " (after ./run: ./run install env)",
            name=error.name,
        ) from error
    for name, (entry, steps, arguments) in ENVIRONMENTS.items():
        if name not in registry:
            register(id=name, entry_point=entry, max_episode_steps=steps, kwargs=arguments)
