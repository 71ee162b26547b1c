"""The terms of the incremental potential that belong to one body, and its vertices, x = W q.

E(q) = 1/2 (q - predicted)^T M (q - predicted) + dt^2 (elastic + springs) + kappa * barriers + lagged friction. Its
minimiser is the implicit Euler step (Li et al. 2020), in the generalised coordinates x = W q (Lan et al. 2022).
"""

# mypy: allow-untyped-defs

from __future__ import annotations

import numpy as np

from tussle.server.physics.averaged_strain import patch_energy
from tussle.server.physics.elasticity import affine_energy, tet_energy
from tussle.server.physics.jit import inlined
from tussle.server.physics.kernel_arrays import AFFINE
from tussle.server.physics.spring_forces import spring_energy

__all__ = ["body_energy", "elastic_energy", "place_vertices"]


@inlined
def place_vertices(t, body, q, x):
    """Write the vertices of a body, x = W q [m], into x, shape (v, 3)."""
    first = t.node_start[body]
    if t.kind[body] == AFFINE:
        for v in range(t.vertex_start[body], t.vertex_start[body + 1]):
            for k in range(3):
                x[v, k] = (
                    q[first, k]
                    + t.rest[v, 0] * q[first + 1, k]
                    + t.rest[v, 1] * q[first + 2, k]
                    + t.rest[v, 2] * q[first + 3, k]
                )
    else:
        for v in range(t.vertex_start[body], t.vertex_start[body + 1]):
            for k in range(3):
                x[v, k] = q[t.vertex_node[v], k]


@inlined
def elastic_energy(t, body, q):
    """Return the elastic energy of one body [J]; inf if a tetrahedron or a patch is inverted."""
    if t.kind[body] == AFFINE:
        return affine_energy(q, t.node_start[body], t.stiffness[body])
    f = np.empty((3, 3))
    energy = 0.0
    for e in range(t.tet_start[body], t.tet_start[body + 1]):
        energy += tet_energy(q, t.tets, e, t.inverse, t.volume, t.mu, t.lam, f)
    for p in range(t.patch_start[body], t.patch_start[body + 1]):
        energy += patch_energy(
            q, t.patch_first, t.patch_nodes, t.patch_slopes, t.patch_volume, t.patch_mu, t.patch_lam, p, f
        )
    return energy


@inlined
def body_energy(t, springs, body, q, predicted, dt):
    """Return the inertia and dt^2 (elastic + springs) of one body: its potential without contact."""
    energy = 0.0
    first = t.node_start[body]
    if t.kind[body] == AFFINE:
        for i in range(4):
            for j in range(4):
                m = 0.5 * t.mass[body, i, j]
                if m != 0.0:
                    for k in range(3):
                        energy += (
                            m
                            * (q[first + i, k] - predicted[first + i, k])
                            * (q[first + j, k] - predicted[first + j, k])
                        )
    else:
        for n in range(first, t.node_start[body + 1]):
            for k in range(3):
                offset = q[n, k] - predicted[n, k]
                energy += 0.5 * t.node_mass[n] * offset * offset
    energy += dt * dt * elastic_energy(t, body, q)
    for m in range(springs.body.shape[0]):
        if springs.body[m] == body:
            energy += dt * dt * spring_energy(springs, m, q)
    return energy
