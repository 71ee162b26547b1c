"""A policy of a duel: launch at the nearest seat that is alive, at full power.

    ./run python -m player --policy examples.policies.charge:decide --count 2
    BOT_POLICY=policies.charge:decide docker compose up --scale player=4      in compose/

``brief`` is what a player sees at its turn: docs/protocol.md, "turn_started". How to train one: docs/howto/train.md.
"""

import math


def decide(brief, seat, rng):
    """Return the input of a turn. rng: the random numbers of this bot, numpy.random.Generator."""
    x, _, z = brief["positions"][seat]
    offsets = [
        (there_x - x, there_z - z)
        for other, (there_x, _, there_z) in enumerate(brief["positions"])
        if other != seat and brief["alive"][other]
    ]
    dx, dz = min(offsets, key=lambda offset: math.hypot(*offset))
    azimuth = math.degrees(math.atan2(dz, dx)) + rng.normal(0.0, 1.0)
    return {"kind": "launch", "azimuth": azimuth, "elevation": 5.0, "power": 1.0}
