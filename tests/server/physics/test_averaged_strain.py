"""The averaged element bends as beams do, agrees with its derivatives, and never inverts."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
import pytest

from tests.server.physics.test_energies import curvature, new_scratch, slope, tet_energy
from tests.support.interpreted import as_python
from tests.support.worlds import ground, scene
from tussle.lobby.errors import Refused
from tussle.lobby.rules.scenes import Body, Material, Pin, Rail, Recipe, Scene, decode_scene, encode_scene
from tussle.server.physics import averaged_strain
from tussle.server.physics.averaged_strain import STABILISATION
from tussle.server.physics.checkpoint import decode_state, encode_state, state_hash
from tussle.server.physics.contact_check import check_contact
from tussle.server.physics.elasticity import CLAMP_LIMIT
from tussle.server.physics.model import Model
from tussle.server.physics.path_check import check_path
from tussle.server.physics.scene_compiler import compile_scene
from tussle.server.physics.solver import step
from tussle.server.physics.world_state import Control, Floats, State

patch_derivatives = as_python(averaged_strain.patch_derivatives)
patch_energy = as_python(averaged_strain.patch_energy)

YOUNG = 1e7
Element = Literal["linear", "averaged"]


def beam(
    cells: tuple[int, int, int],
    poisson: float,
    element: Element,
    *,
    size: tuple[float, float, float] = (1.0, 0.1, 0.1),
) -> Scene:
    """A beam along x that is clamped at its left end, in a gravity of 1 m/s^2."""
    material = Material(density=1000.0, stiffness=YOUNG, poisson=poisson, element=element)
    recipe = Recipe("block", {"size": list(size), "cells": list(cells)})
    clamped = tuple(range((cells[1] + 1) * (cells[2] + 1)))
    body = Body("beam", recipe, material, "elastic", pins=(Pin(clamped),))
    return scene([body], gravity=(0.0, -1.0, 0.0), dt=0.1, tolerance=1e-7, max_iterations=60)


def sag(
    cells: tuple[int, int, int], poisson: float, element: Element, **options: tuple[float, float, float]
) -> float:
    """The static deflection of the free end as a share of Timoshenko's, w L^4 / 8 E I + w L^2 / 2 k G A."""
    made = beam(cells, poisson, element, **options)
    model, state = compile_scene(made)
    start = state.q.copy()
    for _ in range(5):
        state, _ = step(model, state, Control(halt=True), dt=20.0)
    long, high, wide = made.bodies[0].shape.params["size"]
    tip = -(state.q - start)[start[:, 0] > 0.5 * long - 1e-9, 1].mean()
    area, inertia, load = high * wide, wide * high**3 / 12, 1000.0 * high * wide
    shear = YOUNG / (2 * (1 + poisson)) * (5 / 6) * area
    return float(tip / (load * long**4 / (8 * YOUNG * inertia) + load * long**2 / (2 * shear)))


@pytest.mark.parametrize(
    ("cells", "poisson", "least"),
    [((20, 2, 2), 0.3, 0.9), ((40, 4, 4), 0.3, 0.95), ((20, 2, 2), 0.49, 0.9), ((40, 4, 4), 0.49, 0.95)],
)
def test_a_cantilever(cells: tuple[int, int, int], poisson: float, least: float) -> None:
    """At 1,025 vertices it sags by at least 0.95 of Timoshenko's beam, nearly incompressible too, and never by more
    than 1.03."""
    assert least <= sag(cells, poisson, "averaged") <= 1.03


def test_linear_tetrahedra_are_too_stiff() -> None:
    """What the averaged element is for."""
    assert sag((20, 2, 2), 0.3, "linear") < 0.6
    assert sag((20, 2, 2), 0.49, "linear") < 0.25


def jelly(element: Element, poisson: float = 0.4) -> tuple[Model, State]:
    """A small block without gravity."""
    material = Material(density=1000.0, stiffness=1e5, poisson=poisson, element=element)
    recipe = Recipe("block", {"size": [0.3, 0.2, 0.2], "cells": [2, 1, 1]})
    return compile_scene(scene([Body("a", recipe, material, "elastic")], gravity=(0.0, 0.0, 0.0)))


def patch_arguments(model: Model) -> tuple[np.ndarray, ...]:
    t = model.tables
    return t.patch_first, t.patch_nodes, t.patch_slopes, t.patch_volume, t.patch_mu, t.patch_lam


@pytest.mark.parametrize("seed", range(4))
def test_a_patch_agrees_with_its_derivatives(seed: int) -> None:
    """The gradient is the slope of the energy. The Hessian is positive, and exact where nothing is clamped."""
    model, state = jelly("averaged")
    rng = np.random.default_rng(seed)
    t = model.tables
    q = state.q + (0.002 if seed < 2 else 0.03) * rng.normal(size=state.q.shape)
    values = patch_arguments(model)

    def slopes(x: Floats) -> Floats:
        out = np.zeros_like(x)
        patch_derivatives(x, *values, 1, 1.0, new_scratch(), out, np.empty((12, 12)))
        return out

    def energy(x: Floats) -> float:
        return float(patch_energy(x, *values, 1, np.empty((3, 3))))

    assert slopes(q) == pytest.approx(slope(energy, q), rel=1e-5, abs=1e-4)
    block = np.empty((12, 12))
    patch_derivatives(q, *values, 1, 1.0, new_scratch(), np.zeros_like(q), block)
    rows = slice(int(t.patch_first[1]), int(t.patch_first[2]))
    nodes, shape = t.patch_nodes[rows], t.patch_slopes[rows]
    pull = np.einsum("ni,rk->irnk", shape, np.eye(3)).reshape(9, -1)
    whole = pull.T @ block[3:, 3:] @ pull
    exact = curvature(slopes, q)
    places = (3 * nodes[:, None] + np.arange(3)).ravel()
    numeric = exact[np.ix_(places, places)]
    assert np.linalg.eigvalsh(whole).min() > -1e-6 * np.linalg.norm(whole, 2)
    assert np.abs(np.delete(exact, places, axis=0)).max() == 0.0
    moved = CLAMP_LIMIT * t.patch_mu[1] * t.patch_volume[1] * np.linalg.norm(shape, 2) ** 2
    if seed < 2:
        assert np.linalg.norm(whole - numeric, 2) <= 1.5 * moved
        relaxed = np.linalg.norm(whole - numeric, 2) / np.linalg.norm(whole, 2)
        assert relaxed < 0.2
    else:
        assert np.linalg.eigvalsh(whole - numeric).min() > -1.5 * moved


@pytest.mark.parametrize("poisson", [0.0, 0.45])
def test_a_homogeneous_strain_has_the_energy_of_linear_tetrahedra_to_second_order(poisson: float) -> None:
    """Both elements have one material: the energies of small homogeneous strains are equal, and turns cost nothing."""
    rng = np.random.default_rng(1)
    turn = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    turn *= np.sign(np.linalg.det(turn))
    strain = 1e-3 * rng.normal(size=(3, 3))
    energies = []
    elements: tuple[Element, ...] = ("linear", "averaged")
    for element in elements:
        model, state = jelly(element, poisson)
        energies.append(energy_of(model, state.q @ (turn @ (np.eye(3) + strain)).T + 3.0))
        assert abs(energy_of(model, state.q @ turn.T)) < 1e-9
    assert energies[0] == pytest.approx(energies[1], rel=1e-9)


def energy_of(model: Model, q: Floats) -> float:
    t, f = model.tables, np.empty((3, 3))
    tets = [tet_energy(q, t.tets, e, t.inverse, t.volume, t.mu, t.lam, f) for e in range(len(t.tets))]
    patches = [patch_energy(q, *patch_arguments(model), p, f) for p in range(len(t.patch_volume))]
    return float(sum(tets) + sum(patches))


def test_an_inverted_patch_costs_infinity_and_is_found() -> None:
    model, state = jelly("averaged")
    q = state.q * np.array([-1.0, 1.0, 1.0])
    assert patch_energy(q, *patch_arguments(model), 0, np.empty((3, 3))) == np.inf
    assert energy_of(model, q) == np.inf
    inverted = State(q, state.v, state.active)
    tets, patches = len(model.tables.tets), len(model.tables.patch_volume)
    assert check_contact(model, inverted).inversions == tets + patches


def squeezed(element: Element = "averaged") -> Scene:
    """A nearly incompressible block under a press, one that hits the ground hard, and a box that falls on it."""
    soft = Material(density=1000.0, stiffness=2e4, poisson=0.49, friction=0.5, element=element)
    recipe = Recipe("block", {"size": [0.4, 0.3, 0.4], "cells": [2, 2, 2]})
    press = Body(
        "press", Recipe("box", {"size": [1.0, 0.1, 1.0]}), Material(density=1e3), "rail", position=(0, 0.5, 0),
        rail=Rail(amplitude=(0.0, -0.4, 0.0), frequency=0.5),
    )  # fmt: skip
    return scene(
        [
            ground(),
            press,
            Body("a", recipe, soft, "elastic", position=(0, 0.17, 0)),
            Body("b", recipe, soft, "elastic", position=(1.2, 1.0, 0), velocity=(0, -15, 0), rotation=(1, 0.2, 0.3, 0)),
            Body("c", Recipe("box", {"size": [0.2] * 3}), Material(density=2e3), position=(1.2, 1.6, 0)),
        ]
    )  # fmt: skip


def test_nothing_inverts_under_a_press() -> None:
    """Crushed to a fraction of its height and thrown at the ground, every tetrahedron and every patch keeps its sign,
    the tick before is proved by the second CCD, and a restored state goes on alike."""
    model, state = compile_scene(squeezed())
    for tick in range(45):
        restored = decode_state(encode_state(state))
        again, _ = step(model, restored)
        after, _ = step(model, state)
        assert state_hash(again) == state_hash(after)
        assert check_contact(model, after).passed
        if tick in (10, 30):
            assert check_path(model, state).passed
        state = after
    low = state.q[model.node_offset[1] : model.node_offset[2], 1]
    assert np.ptp(low) < 0.25


def test_the_document_has_the_element() -> None:
    """A linear one is not written; an unknown one is refused."""
    made = squeezed()
    assert decode_scene(encode_scene(made)) == made
    assert b"element" not in encode_scene(squeezed("linear"))
    with pytest.raises(Refused, match="element") as caught:
        decode_scene(encode_scene(made).replace(b"averaged", b"quadratic"))
    assert caught.value.reason == "bad_scene"


def test_small_oscillations_have_the_right_frequency() -> None:
    """The first bending mode of a cantilever is within 3 % of Euler-Bernoulli's, 0.5596 sqrt(E I / rho A L^4)."""
    made = beam((20, 2, 2), 0.3, "averaged")
    made = Scene(
        **{**{f: getattr(made, f) for f in made.__struct_fields__}, "dt": 1 / 480, "integrator": "bdf2"}
    )
    model, state = compile_scene(made)
    tip = state.q[:, 0] > 0.5 - 1e-9
    heights = []
    for _ in range(480):
        state, _ = step(model, state)
        heights.append(float(state.q[tip, 1].mean()))
    y = np.array(heights) - np.mean(heights)
    crossings = np.flatnonzero(np.diff(np.sign(y)) != 0)
    period = 2.0 * (crossings[-1] - crossings[0]) / (len(crossings) - 1) / 480
    wanted = 0.5596 * math.sqrt(YOUNG * 0.1**4 / 12 / (1000.0 * 0.1**2))
    assert 1.0 / period == pytest.approx(wanted, rel=0.03)


def test_the_share_that_stabilises_is_a_share() -> None:
    """Lame parameters of patches and tetrahedra add up to those of the material."""
    model, _ = jelly("averaged", 0.4)
    t = model.tables
    assert 0.0 < STABILISATION < 1.0
    assert t.patch_mu[0] + t.mu[0] == pytest.approx(1e5 / 2.8)
    assert (t.patch_lam[0], t.lam[0]) == (pytest.approx(1e5 * 0.4 / (1.4 * 0.2)), 0.0)
