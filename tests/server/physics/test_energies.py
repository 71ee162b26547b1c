"""Each energy agrees with its gradient and Hessian by finite differences."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from tests.support.interpreted import as_python
from tussle.server.physics import barrier as barriers
from tussle.server.physics import distance, elasticity, friction, spring_forces
from tussle.server.physics.distance import EDGE_EDGE, POINT_FACE
from tussle.server.physics.elasticity import CLAMP_LIMIT, FLATTEST
from tussle.server.physics.kernel_arrays import Springs
from tussle.server.physics.world_state import Floats

add_mollifier_gradient = as_python(barriers.add_mollifier_gradient)
affine_energy = as_python(elasticity.affine_energy)
affine_gradient = as_python(elasticity.affine_gradient)
affine_hessian = as_python(elasticity.affine_hessian)
barrier = as_python(barriers.barrier)
closest = as_python(distance.closest)
friction_derivatives = as_python(friction.friction_derivatives)
mollifier = as_python(barriers.mollifier)
new_scratch = as_python(elasticity.new_scratch)
spring_derivatives = as_python(spring_forces.spring_derivatives)
spring_energy = as_python(spring_forces.spring_energy)
tet_derivatives = as_python(elasticity.tet_derivatives)
tet_energy = as_python(elasticity.tet_energy)

STEP = 1e-6


def slope(energy: Callable[[Floats], float], at: Floats) -> Floats:
    """Central differences of a function of an array."""
    out = np.zeros(at.size)
    for k in range(at.size):
        offset = np.zeros(at.size)
        offset[k] = STEP
        offset = offset.reshape(at.shape)
        out[k] = (energy(at + offset) - energy(at - offset)) / (2 * STEP)
    return out.reshape(at.shape)


def curvature(gradient: Callable[[Floats], Floats], at: Floats) -> Floats:
    columns = []
    for k in range(at.size):
        offset = np.zeros(at.size)
        offset[k] = STEP
        offset = offset.reshape(at.shape)
        columns.append((gradient(at + offset) - gradient(at - offset)).ravel() / (2 * STEP))
    return np.array(columns).T


def tetrahedron(seed: int, bend: float) -> tuple[Floats, Floats, Floats]:
    """Deformed nodes (4, 3), the inverse of the rest edges and the rest volume."""
    rng = np.random.default_rng(seed)
    rest = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1.0]]) + 0.1 * rng.normal(size=(4, 3))
    edges = (rest[1:] - rest[0]).T
    nodes = rest + bend * rng.normal(size=(4, 3))
    return nodes, np.ascontiguousarray(np.linalg.inv(edges))[None], np.array([np.linalg.det(edges) / 6])


TET = np.arange(4)[None]
MU, LAM = np.array([1.3]), np.array([2.1])


def tet_slopes(q: Floats, inverse: Floats, volume: Floats) -> tuple[Floats, Floats]:
    """Gradient (4, 3) and positive Hessian (12, 12)."""
    out, block = np.zeros((4, 3)), np.empty((12, 12))
    tet_derivatives(q, TET, 0, inverse, volume, MU, LAM, 1.0, new_scratch(), out, block)
    return out, block


@pytest.mark.parametrize("seed", range(8))
def test_tetrahedron_gradient(seed: int) -> None:
    """The neo-Hookean gradient is the slope of its energy, also under strong deformation."""
    q, inverse, volume = tetrahedron(seed, 0.15)
    numeric = slope(lambda x: tet_energy(x, TET, 0, inverse, volume, MU, LAM, np.empty((3, 3))), q)
    assert tet_slopes(q, inverse, volume)[0] == pytest.approx(numeric, rel=1e-6, abs=1e-8)


@pytest.mark.parametrize("seed", range(16))
def test_tetrahedron_hessian(seed: int) -> None:
    """The neo-Hookean Hessian is positive: exact where that is positive, else slightly clamped, else with its negative
    eigenvalues clamped to zero."""
    q, inverse, volume = tetrahedron(seed, 0.02 if seed < 8 else 0.2)
    block = tet_slopes(q, inverse, volume)[1]
    numeric = curvature(lambda x: tet_slopes(x, inverse, volume)[0], q)
    assert np.linalg.eigvalsh(block).min() > -1e-9
    deformation = (q[1:] - q[0]).T @ inverse[0]
    shape = np.vstack([-inverse[0].sum(axis=0), inverse[0]])
    change = np.linalg.norm(block - numeric, 2)
    moved = np.linalg.norm(np.linalg.inv(deformation), 2) ** 2 * np.linalg.norm(shape, 2) ** 2
    if change > CLAMP_LIMIT * MU[0] * volume[0] * moved + 1e-5:
        # Eigenvalues are clamped per singular mode, so the result is at least the clamped whole.
        assert np.linalg.eigvalsh(0.5 * (numeric + numeric.T)).min() < -1e-6
        assert np.linalg.eigvalsh(block - numeric).min() > -1e-5


def test_inverted_tetrahedron_costs_infinity() -> None:
    """No finite energy is on the other side of an inversion."""
    q, inverse, volume = tetrahedron(0, 0.0)
    q[[1, 2]] = q[[2, 1]]
    assert tet_energy(q, TET, 0, inverse, volume, MU, LAM, np.empty((3, 3))) == np.inf


@pytest.mark.parametrize("seed", range(4))
def test_affine_body(seed: int) -> None:
    """The orthogonality energy agrees with its gradient; its Hessian is positive, and exact where nothing is
    strained."""
    rng = np.random.default_rng(seed)
    q = np.vstack([rng.normal(size=3), np.linalg.qr(rng.normal(size=(3, 3)))[0]])

    def gradient(x: Floats) -> Floats:
        out = np.zeros_like(x)
        affine_gradient(x, 0, 7.0, out)
        return out

    bent = q + 0.1 * rng.normal(size=q.shape)
    assert gradient(bent) == pytest.approx(
        slope(lambda x: affine_energy(x, 0, 7.0), bent), rel=1e-6, abs=1e-6
    )
    block = np.zeros((12, 12))
    affine_hessian(q, 0, 7.0, block)
    assert block == pytest.approx(curvature(gradient, q), abs=1e-5)
    affine_hessian(bent, 0, 7.0, block)
    assert np.linalg.eigvalsh(block).min() > -1e-9
    whole = np.zeros((12, 12))
    affine_hessian(bent, 0, 7.0, whole, 1.0)
    assert whole == pytest.approx(curvature(gradient, bent), abs=1e-4)


@pytest.mark.parametrize("share", [0.01, 0.3, 0.7, 0.99])
def test_barrier(share: float) -> None:
    """The barrier's two derivatives are its slopes; it falls from infinity to zero with zero slope."""
    limit = 1e-4
    s = share * limit
    h = 1e-5 * s
    _, first, second = barrier(s, limit)
    assert first == pytest.approx((barrier(s + h, limit)[0] - barrier(s - h, limit)[0]) / (2 * h), rel=1e-5)
    assert second == pytest.approx((barrier(s + h, limit)[1] - barrier(s - h, limit)[1]) / (2 * h), rel=1e-5)
    assert first < 0 < second


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("kind", [POINT_FACE, EDGE_EDGE])
def test_distance_gradient(kind: int, seed: int) -> None:
    """The squared distance of a pair has the gradient 2 w r that the barrier uses."""
    x = np.random.default_rng(seed).normal(size=(4, 3))
    square, *weights = closest(x, kind, 0, 1, 2, 3)
    r = np.array(weights) @ x
    assert square == pytest.approx(r @ r)
    numeric = slope(lambda y: closest(y, kind, 0, 1, 2, 3)[0], x)
    assert 2 * np.outer(weights, r) == pytest.approx(numeric, rel=1e-4, abs=1e-6)


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("kind", [POINT_FACE, EDGE_EDGE])
def test_closest_points_are_closest(kind: int, seed: int) -> None:
    """No sampled pair of points of the two primitives is nearer than the closest points."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(4, 3))
    if kind == POINT_FACE:
        share = rng.dirichlet(np.ones(3), size=2000)
        points = share @ x[1:] - x[0]
    else:
        s, t = rng.uniform(size=(2, 2000, 1))
        points = (1 - s) * x[0] + s * x[1] - (1 - t) * x[2] - t * x[3]
    assert closest(x, kind, 0, 1, 2, 3)[0] <= (points**2).sum(axis=1).min() + 1e-12


def test_mollifier() -> None:
    """The mollifier of near-parallel edges agrees with its gradient, and is one for others."""
    rng = np.random.default_rng(1)
    rest = np.array([[0, 0, 0], [1, 0, 0], [0, 0.1, 0], [1, 0.1, 0.0]])
    x = rest + 5e-3 * rng.normal(size=(4, 3))
    scale, change = mollifier(x, rest, 0, 1, 2, 3)
    assert 0 < scale < 1
    force = np.zeros((4, 3))
    add_mollifier_gradient(x, 0, 1, 2, 3, change, force)
    assert force == pytest.approx(slope(lambda y: mollifier(y, rest, 0, 1, 2, 3)[0], x), rel=1e-4, abs=1e-5)
    assert mollifier(rng.normal(size=(4, 3)), rest, 0, 1, 2, 3)[0] == 1.0


@pytest.mark.parametrize("y", [1e-5, 4e-4, 9.9e-4, 2e-3])
def test_friction(y: float) -> None:
    """f1 and its derivative are the slopes of f0; beyond eps the force is constant."""
    eps, h = 1e-3, 1e-9
    _, ratio, curve = friction_derivatives(y, eps)
    force = [friction_derivatives(y + k * h, eps)[1] * (y + k * h) for k in (-1, 1)]
    energy = [friction_derivatives(y + k * h, eps)[0] for k in (-1, 1)]
    assert ratio * y == pytest.approx((energy[1] - energy[0]) / (2 * h), rel=1e-5)
    assert curve == pytest.approx((force[1] - force[0]) / (2 * h), rel=1e-4, abs=1e-3)
    assert ratio * y <= 1.0 + 1e-12


@pytest.mark.parametrize("limit", [1e9, 2.0])
def test_spring(limit: float) -> None:
    """A limited spring agrees with its derivatives and never pulls harder than its limit."""
    rng = np.random.default_rng(3)
    weights = np.array([0.2, 0.5, 0.3])
    springs = Springs(
        body=np.zeros(1, dtype=np.int64),
        start=np.array([0, 3]),
        nodes=np.arange(3),
        weights=weights,
        target=np.array([[1.0, 2.0, 3.0]]),
        stiffness=np.array([5.0]),
        limit=np.array([limit]),
    )
    q = rng.normal(size=(3, 3))

    def gradient(x: Floats) -> Floats:
        out, hessian = np.empty(3), np.empty((3, 3))
        spring_derivatives(springs, 0, x, out, hessian)
        return np.outer(weights, out)

    assert gradient(q) == pytest.approx(slope(lambda x: spring_energy(springs, 0, x), q), rel=1e-6, abs=1e-7)
    out, hessian = np.empty(3), np.empty((3, 3))
    spring_derivatives(springs, 0, q, out, hessian)
    assert np.linalg.norm(out) <= limit * (1 + 1e-12)
    numeric = curvature(gradient, q).reshape(3, 3, 3, 3)[0, :, 0, :] / weights[0] ** 2
    assert hessian == pytest.approx(numeric, rel=1e-5, abs=1e-6)


@pytest.mark.parametrize(("volume", "counts"), [(2.0, True), (0.5, False)])
def test_a_body_is_inverted_before_rounding_decides(volume: float, counts: bool) -> None:
    """Below FLATTEST the sign of a determinant is that of rounding: the energy is infinite already there."""
    flat = np.diag([1.0, 1.0, volume * FLATTEST])
    affine = affine_energy(np.vstack([np.zeros(3), flat]), 0, 1e6)
    corners = np.vstack([np.zeros(3), flat])
    one = np.ones(1)
    tet = tet_energy(
        corners, np.arange(4)[None], 0, np.eye(3)[None], one, one, one, np.empty((3, 3))
    )  # fmt: skip
    assert np.isfinite([affine, tet]).all() == counts
    assert np.isinf([affine, tet]).all() != counts
