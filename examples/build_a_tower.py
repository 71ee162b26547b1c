# %% [markdown]
# # A tower of bricks
#
# Build a scene in a sandbox, run it, and plot the smallest gap between two bodies. Start a server with `./run` first;
# `TUSSLE_URL` is its address. The plot needs matplotlib.

# %%
import itertools
import math
import os

import matplotlib.pyplot as plt

import tussle

client = tussle.connect(os.environ.get("TUSSLE_URL", "http://127.0.0.1:8420"))
session = client.create("sandbox", private=True)
scene = session.scene

# %% [markdown]
# The sandbox begins with some bodies; only the floor stays. Lengths are in metres, y is up. Each call below is one step
# that `scene.undo()` takes back. Bodies never touch: between them is a gap larger than 0.

# %%
for name in scene:
    if name != "floor":
        del scene[name]
side, gap = 0.3, 0.02
brick = scene.add("box", size=(side, side, side), position=(0, side / 2 + gap, 0), id="brick")
scene.array("brick", 5, (0, side + gap, 0))
scene["brick-5"].material = "jelly"
with session.lock("brick-5"):  # nobody else can change it meanwhile
    scene["brick-5"].position = (0.05, *scene["brick-5"].position[1:])
print(len(scene), "bodies; the scene can start:", scene.check().ok)

# %%
session.run()
frames = list(itertools.islice(session.frames(), 60))
gaps = [frame.min_distance * 1e3 for frame in frames]
print(f"{len(frames)} frames; the smallest gap is {min(gaps):.3g} mm")

# %%
plt.semilogy([frame.tick for frame in frames], [g if math.isfinite(g) else math.nan for g in gaps])
plt.xlabel("tick")
plt.ylabel("smallest gap [mm]")
plt.savefig("smallest_gap.png")

# %%
session.leave()
client.close()
