"""The recording that ``tussle simulate`` writes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from click.testing import CliRunner

import tussle
from tests.support.worlds import cube, ground, scene
from tussle.cli.simulate import simulate as command
from tussle.lobby.rules.scenes import encode_scene
from tussle.server.physics.checkpoint import decode_state
from tussle.server.physics.model import vertices
from tussle.server.physics.scene_compiler import compile_scene


def test_a_simulation_is_recorded_as_a_session_is(tmp_path: Path) -> None:
    """Every second state and the last one, with the positions that were computed and the energies of the series; a
    second simulation into the same folder replaces it."""
    made = scene([ground(), cube("a", position=(0, 0.3, 0)), cube("b", position=(0.4, 0.3, 0))])
    source, out = tmp_path / "scene.json", tmp_path / "out"
    source.write_bytes(encode_scene(made))
    for steps in (4, 7):
        invoked = CliRunner().invoke(command, ["-i", str(source), "-o", str(out), "--steps", str(steps)])
        assert invoked.exit_code == 0, invoked.output
    model, _ = compile_scene(made)
    whole = (out / "states.bin").read_bytes()
    size = len(whole) // 8
    with tussle.recording(str(out / "recording.zarr")) as rec:
        assert rec.tick.tolist() == [0, 2, 4, 6, 7] and rec.attributes["dt"] == made.dt
        for tick, positions in zip(rec.tick.tolist(), rec.positions, strict=True):
            state = decode_state(whole[tick * size : (tick + 1) * size])
            assert np.allclose(positions, vertices(model, state), atol=1e-6)
        series = np.genfromtxt(out / "series.csv", delimiter=",", names=True)
        energies = series["kinetic_J"] + series["gravity_J"] + series["elastic_J"]
        at_first = 9.81 * 0.3 * model.masses.sum()  # at rest, and not deformed
        assert np.allclose(rec.energy, [at_first, *energies[[1, 3, 5, 6]]], rtol=1e-5)
        assert rec[1:].iterations.sum() == series["iterations"].sum()
