"""Play one duel against anyone, with the blocking client.

python examples/play_a_duel.py [URL]        default: http://127.0.0.1:8420
"""

import sys

import tussle

url = sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:8420"

with tussle.connect(url) as client, client.find(mode="duel", size=2, body="halo") as session:
    print(f"seat {session.seat} of session {session.token}; waiting for an opponent")
    for event in session:
        if session.my_turn(event):
            # My body starts on one side of the arena and the opponent's on the other, along the x axis.
            azimuth = 0.0 if session.seat == 0 else 180.0
            try:
                session.act("launch", azimuth=azimuth, elevation=15.0, power=0.9)
            except tussle.ClientError as error:
                print(f"refused: {error}")
        elif event.t == "blow":
            print(f"tick {event.tick}: a blow {event.d}")
        elif event.t == "result":
            print("won" if event.d.get("winner") == session.seat else "not won")
        elif event.t in ("ended", "failed", "timed_out"):
            break
