"""Play one duel against anyone, with the blocking client.

python examples/play_a_duel.py [URL]        default: http://127.0.0.1:8420
"""

import math
import sys

import tussle

url = sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:8420"

with tussle.connect(url) as client, client.find(mode="duel", size=2, body="halo") as session:
    print(f"seat {session.seat} of session {session.token}; waiting for an opponent")
    for event in session:
        if turn := session.my_turn(event):
            mine, other = (
                turn["positions"][session.seat],
                turn["positions"][1 - session.seat],
            )  # metres, y is up
            azimuth = math.degrees(math.atan2(other[2] - mine[2], other[0] - mine[0]))
            try:
                session.act("launch", azimuth=azimuth, elevation=10.0, power=1.0)
            except tussle.ClientError as error:
                print(f"refused: {error}")
        elif event.t == "blow":
            print(f"tick {event.tick}: a blow {event.d}")
        elif event.t == "result":
            print("won" if event.d.get("winner") == session.seat else "not won")
        elif event.t in ("ended", "failed", "timed_out"):
            break
