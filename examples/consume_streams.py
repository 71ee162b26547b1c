"""Read the lifecycle and the events of sessions with plain redis-py; nothing of Tussle is imported.

    python examples/consume_streams.py REDIS_URL [REALM]        until one session has ended

`lifecycle` says which sessions exist; each session has a stream of events, whose ids are v-0. docs/streams.md
describes the fields. A program that must not miss an entry reads `lifecycle` with a consumer group of its name.
"""

import sys

import redis

url = sys.argv[1]
tag = "{%s}" % (sys.argv[2] if len(sys.argv) > 2 else "main")
store = redis.Redis.from_url(url, decode_responses=True)
positions = {f"{tag}:lifecycle": "0"}  # stream -> id of the newest entry that was read

finished = 0
while finished == 0:
    for stream, entries in store.xread(positions, count=100, block=1000):
        for entry, fields in entries:
            positions[stream] = entry
            if not stream.endswith(":lifecycle"):
                print(stream.split(":")[2], entry, fields)
                continue
            print("lifecycle", entry, fields)
            positions.setdefault(f"{tag}:session:{fields['session']}:events", "0")
            if fields["event"] in ("ended", "failed", "timed_out"):
                finished += 1
