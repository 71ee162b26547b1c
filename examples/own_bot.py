"""A bot with a strategy of your making, on asyncio: it plays several duels at once.

python examples/own_bot.py [URL] [BOTS]
"""

import asyncio
import random
import sys

import tussle


def decide(seat: int, last_power: float) -> dict[str, float]:
    """Aim across the arena, and push harder after each turn."""
    azimuth = (0.0 if seat == 0 else 180.0) + random.uniform(-5.0, 5.0)
    return {
        "azimuth": (azimuth + 180.0) % 360.0 - 180.0,
        "elevation": random.uniform(5.0, 25.0),
        "power": min(1.0, last_power + 0.1),
    }


async def play(url: str, number: int) -> None:
    async with tussle.Client(url) as client:
        await client.login(kind="bot", skill="own")
        join = await client.find(mode="duel", size=2)
        async with client.connect(join) as session:
            power = 0.5
            async for event in session:
                if session.my_turn(event):
                    action = decide(session.seat or 0, power)
                    power = action["power"]
                    try:
                        await session.act("launch", **action)
                    except tussle.ClientError as error:  # too late: the deadline skipped the turn
                        print(f"bot {number}: {error}")
                if event.t in ("ended", "failed", "timed_out"):
                    print(f"bot {number}: {event.t} in session {session.session}")
                    return


async def main() -> None:
    url = sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:8420"
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 2
    async with asyncio.TaskGroup() as group:
        for number in range(count):
            group.create_task(play(url, number))


asyncio.run(main())
