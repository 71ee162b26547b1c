"""Elastic energies, their gradients and projected Hessians: affine bodies and tetrahedra.

Affine bodies: the orthogonality energy of Lan et al. 2022, "Affine body dynamics": stiffness * volume * |A A^T - I|^2,
written with the columns q1, q2, q3 of A (rows 1 to 3 of the nodes). It is finite for a flat body, so below a volume J =
FLAT of the one at rest stiffness * volume * (FLAT / J - 1)^3 is added, which is C2 and infinite at J = 0.

Tetrahedra: neo-Hookean with a logarithmic barrier against inversion, psi = mu/2 (|F|^2 - 3) - mu ln J + lambda/2 (ln
J)^2 (Bonet and Wood 2008, eq. 6.28), infinite at J = 0. The stable neo-Hookean energy of Smith et al. 2018 permits
inversion and must not replace it. The eigenpairs of the Hessian are those of isotropic energies in the basis of the
SVD (Smith, de Goes and Kim 2019, "Analytic eigensystems for isotropic distortion energies"); negative eigenvalues are
clamped to zero.
"""

# mypy: allow-untyped-defs

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from tussle.server.physics.jit import inlined, inner, kernel
from tussle.server.physics.world_state import Floats

__all__ = [
    "FLATTEST",
    "affine_energy",
    "affine_gradient",
    "affine_hessian",
    "determinant",
    "energy_density",
    "new_scratch",
    "point_derivatives",
    "tet_derivatives",
    "tet_energy",
]

FLAT = 0.5
"""The share of its volume below which an affine body resists with an energy that has no bound."""
FLATTEST = 1e-12
"""The volume at which a body counts as inverted, in units of that at rest. Below it rounding decides on the sign."""
CLAMP_LIMIT = 0.3
"""How far the coefficient c of an element may be clamped to make its Hessian positive, in units of mu; see
point_derivatives.

A larger change takes the eigendecomposition.
"""


@kernel
def _affine_volume(q, start):
    """Return the volume of an affine body, in units of that at rest: the determinant of rows start + 1 to start + 3."""
    a, b, c = start + 1, start + 2, start + 3
    return (
        q[a, 0] * (q[b, 1] * q[c, 2] - q[b, 2] * q[c, 1])
        - q[a, 1] * (q[b, 0] * q[c, 2] - q[b, 2] * q[c, 0])
        + q[a, 2] * (q[b, 0] * q[c, 1] - q[b, 1] * q[c, 0])
    )


@kernel
def affine_energy(q, start, stiffness):
    """Return the energy [J] of the affine body whose nodes start at row ``start`` of q, inf if it is not above
    FLATTEST.

    stiffness: in Pa m^3.
    """
    share = _affine_volume(q, start)
    if share <= FLATTEST:
        return np.inf
    energy = 0.0
    if share < FLAT:
        energy = (FLAT / share - 1.0) ** 3
    for i in range(3):
        for j in range(3):
            defect = -1.0 if i == j else 0.0
            for k in range(3):
                defect += q[start + 1 + i, k] * q[start + 1 + j, k]
            energy += defect * defect
    return stiffness * energy


@kernel
def _cofactor(q, start, i, k):
    """Return the derivative of _affine_volume with respect to q[start + 1 + i, k]."""
    a, b = start + 1 + (i + 1) % 3, start + 1 + (i + 2) % 3
    y, z = (k + 1) % 3, (k + 2) % 3
    return q[a, y] * q[b, z] - q[a, z] * q[b, y]


@kernel
def affine_gradient(q, start, stiffness, out):
    """Add the gradient of affine_energy to ``out``, shape (nodes, 3)."""
    for i in range(3):
        for j in range(3):
            defect = -1.0 if i == j else 0.0
            for k in range(3):
                defect += q[start + 1 + i, k] * q[start + 1 + j, k]
            for k in range(3):
                out[start + 1 + i, k] += 4.0 * stiffness * defect * q[start + 1 + j, k]
    share = _affine_volume(q, start)
    if share < FLAT:
        excess = FLAT / share - 1.0
        slope = -3.0 * stiffness * excess * excess * FLAT / (share * share)
        for i in range(3):
            for k in range(3):
                out[start + 1 + i, k] += slope * _cofactor(q, start, i, k)


@kernel
def affine_hessian(q, start, stiffness, block, kept=0.0):
    """Add a positive semidefinite approximation of the Hessian of affine_energy to ``block``, shape (12, 12).

    Gauss-Newton: the outer products of the gradients of the defects and of the volume, and the second derivative where
    a column is stretched (defect > 0). kept: the share of the other second derivatives of the defects, 0 to 1. With
    them it may be indefinite.
    """
    row = np.empty(9)
    for i in range(3):
        for j in range(i, 3):
            defect = -1.0 if i == j else 0.0
            for k in range(3):
                defect += q[start + 1 + i, k] * q[start + 1 + j, k]
            row[:] = 0.0
            for k in range(3):
                row[3 * i + k] += q[start + 1 + j, k]
                row[3 * j + k] += q[start + 1 + i, k]
            scale = 2.0 * stiffness * (1.0 if i == j else 2.0)
            for a in range(9):
                for b in range(9):
                    block[3 + a, 3 + b] += scale * row[a] * row[b]
            curve = 4.0 * stiffness * (defect if i == j and defect > 0.0 else kept * defect)
            for k in range(3):
                block[3 + 3 * i + k, 3 + 3 * j + k] += curve
                if i != j:
                    block[3 + 3 * j + k, 3 + 3 * i + k] += curve
    share = _affine_volume(q, start)
    if share < FLAT:
        excess = FLAT / share - 1.0
        curve = 6.0 * stiffness * excess * FLAT / share**3 * (FLAT / share + excess)
        for i in range(3):
            for k in range(3):
                row[3 * i + k] = _cofactor(q, start, i, k)
        for a in range(9):
            for b in range(9):
                block[3 + a, 3 + b] += curve * row[a] * row[b]


@kernel
def determinant(f):
    """Return the determinant of f, shape (3, 3)."""
    return (
        f[0, 0] * (f[1, 1] * f[2, 2] - f[1, 2] * f[2, 1])
        - f[0, 1] * (f[1, 0] * f[2, 2] - f[1, 2] * f[2, 0])
        + f[0, 2] * (f[1, 0] * f[2, 1] - f[1, 1] * f[2, 0])
    )


@kernel
def _deformation(q, tets, e, inverse, f):
    """Fill f, shape (3, 3), with the deformation gradient of tetrahedron e. Returns its determinant."""
    a, b, c, d = tets[e, 0], tets[e, 1], tets[e, 2], tets[e, 3]
    for i in range(3):
        x = q[b, i] - q[a, i]
        y = q[c, i] - q[a, i]
        z = q[d, i] - q[a, i]
        for j in range(3):
            f[i, j] = x * inverse[e, 0, j] + y * inverse[e, 1, j] + z * inverse[e, 2, j]
    return determinant(f)


@kernel
def energy_density(f, det, mu, lam):
    """Return the neo-Hookean energy density [Pa] at the deformation gradient f, shape (3, 3). det: its determinant."""
    square = 0.0
    for i in range(3):
        for j in range(3):
            square += f[i, j] * f[i, j]
    log = math.log(det)
    return 0.5 * mu * (square - 3.0) - mu * log + 0.5 * lam * log * log


@kernel
def tet_energy(q, tets, e, inverse, volume, mu, lam, f):
    """Return the energy [J] of tetrahedron e, inf if it is not above FLATTEST. f: scratch, shape (3, 3).

    Takes whole arrays and the number of a row: cutting a row out of an array costs as much as the arithmetic.
    """
    det = _deformation(q, tets, e, inverse, f)
    if det <= FLATTEST:
        return np.inf
    return volume[e] * energy_density(f, det, mu[e], lam[e])


@kernel
def _shape_gradients(inverse, e, shape):
    """Write the gradients of the four linear shape functions in rest space [1/m] into ``shape`` (4, 3)."""
    for j in range(3):
        shape[1, j] = inverse[e, 0, j]
        shape[2, j] = inverse[e, 1, j]
        shape[3, j] = inverse[e, 2, j]
        shape[0, j] = -(inverse[e, 0, j] + inverse[e, 1, j] + inverse[e, 2, j])


@kernel
def _diagonalise(a, v):
    """Diagonalise a, symmetric (3, 3), in place by cyclic Jacobi rotations; v receives the eigenvectors as columns."""
    for i in range(3):
        for j in range(3):
            v[i, j] = 1.0 if i == j else 0.0
    for _ in range(12):
        off = a[0, 1] * a[0, 1] + a[0, 2] * a[0, 2] + a[1, 2] * a[1, 2]
        if off < 1e-30 * (a[0, 0] * a[0, 0] + a[1, 1] * a[1, 1] + a[2, 2] * a[2, 2]) + 1e-300:
            break
        for p in range(2):
            for q in range(p + 1, 3):
                if a[p, q] == 0.0:
                    continue
                theta = (a[q, q] - a[p, p]) / (2.0 * a[p, q])
                t = (1.0 if theta >= 0.0 else -1.0) / (abs(theta) + math.sqrt(theta * theta + 1.0))
                c = 1.0 / math.sqrt(t * t + 1.0)
                s = t * c
                for k in range(3):
                    x, y = a[k, p], a[k, q]
                    a[k, p] = c * x - s * y
                    a[k, q] = s * x + c * y
                for k in range(3):
                    x, y = a[p, k], a[q, k]
                    a[p, k] = c * x - s * y
                    a[q, k] = s * x + c * y
                for k in range(3):
                    x, y = v[k, p], v[k, q]
                    v[k, p] = c * x - s * y
                    v[k, q] = s * x + c * y


@kernel
def _add_mode(eigenvalue, mode, shape, row, block):
    """Add eigenvalue * g g^T to ``block`` (12, 12); g is the 3x3 mode pulled back to the corners."""
    for v in range(4):
        for i in range(3):
            row[3 * v + i] = mode[i, 0] * shape[v, 0] + mode[i, 1] * shape[v, 1] + mode[i, 2] * shape[v, 2]
    for a in range(12):
        scale = eigenvalue * row[a]
        for b in range(row.shape[0]):
            block[a, b] += scale * row[b]


class Scratch(NamedTuple):
    """Scratch arrays for the Hessian at one deformation gradient, allocated once.

    f, metric, v, u, basis, mode (3, 3); shape, spatial (4, 3); row (12,); sigma (3,).
    """

    f: Floats
    shape: Floats
    spatial: Floats
    metric: Floats
    v: Floats
    u: Floats
    basis: Floats
    mode: Floats
    row: Floats
    sigma: Floats


@kernel
def new_scratch():
    """Return Scratch for point_derivatives."""
    square = np.empty((6, 3, 3))
    return Scratch(
        f=square[0],
        shape=np.empty((4, 3)),
        spatial=np.empty((4, 3)),
        metric=square[1],
        v=square[2],
        u=square[3],
        basis=square[4],
        mode=square[5],
        row=np.empty(12),
        sigma=np.empty(3),
    )


@kernel
def tet_derivatives(q, tets, e, inverse, volumes, mus, lams, scale, scratch, out, block):
    """Add scale times the gradient of tet_energy to ``out`` and fill ``block`` with scale times the projected Hessian.

    out: shape (nodes, 3). block: shape (12, 12), positive semidefinite: point_derivatives.
    """
    det = _deformation(q, tets, e, inverse, scratch.f)
    _shape_gradients(inverse, e, scratch.shape)
    point_derivatives(det, tets, e, scale * volumes[e], mus[e], lams[e], scratch, out, block)


@inlined
def point_derivatives(det, tets, e, volume, mu, lam, scratch, out, block):
    """Add the gradient of volume * energy_density to ``out`` and fill ``block`` with its projected Hessian.

    The scratch has the deformation gradient, whose determinant is ``det``, and the gradients of the shape functions of
    the four corners in row e of tets. out: shape (nodes, 3). block: shape (12, 12), positive semidefinite.

    With c = mu - lambda ln J, the second variation of the stress is mu dF + c F^-T dF^T F^-T + lambda (F^-T : dF) F^-T.
    The second term has the eigenvalues +-c / (s_p s_r) of the singular values s of F, so the Hessian is positive where
    |c| <= mu min(s)^2. Gershgorin's discs of F^T F give a lower bound on min(s)^2. There are three cases:

    - c is within that bound: the Hessian is exact.
    - c exceeds it by at most CLAMP_LIMIT * mu (a soft element under its own weight): c is clamped to the bound.
    - Otherwise the negative eigenvalues are clamped to zero, usually one to three of a compressed element.
    """
    f, shape, spatial, metric = scratch.f, scratch.shape, scratch.spatial, scratch.metric
    c = mu - lam * math.log(det)
    for i in range(3):
        a, b = (i + 1) % 3, (i + 2) % 3
        # Row i of F^-T, the cofactors over J.
        k0 = (f[a, 1] * f[b, 2] - f[a, 2] * f[b, 1]) / det
        k1 = (f[a, 2] * f[b, 0] - f[a, 0] * f[b, 2]) / det
        k2 = (f[a, 0] * f[b, 1] - f[a, 1] * f[b, 0]) / det
        for n in range(4):
            spatial[n, i] = k0 * shape[n, 0] + k1 * shape[n, 1] + k2 * shape[n, 2]
            # The first Piola-Kirchhoff stress, mu F - c F^-T, times the gradient of the shape function.
            stretch = f[i, 0] * shape[n, 0] + f[i, 1] * shape[n, 1] + f[i, 2] * shape[n, 2]
            out[tets[e, n], i] += volume * (mu * stretch - c * spatial[n, i])
    for i in range(3):
        for j in range(3):
            metric[i, j] = f[0, i] * f[0, j] + f[1, i] * f[1, j] + f[2, i] * f[2, j]
    least = np.inf
    for i in range(3):
        a, b = (i + 1) % 3, (i + 2) % 3
        least = min(least, metric[i, i] - abs(metric[i, a]) - abs(metric[i, b]))
    bound = mu * max(least, 0.0)
    nearest = min(max(c, -bound), bound)
    clamped = abs(c - nearest) <= CLAMP_LIMIT * mu
    cross = volume * (nearest if clamped else c)
    for n in range(4):
        for m in range(n + 1):
            dot = shape[n, 0] * shape[m, 0] + shape[n, 1] * shape[m, 1] + shape[n, 2] * shape[m, 2]
            for i in range(3):
                for j in range(3):
                    value = (
                        cross * spatial[n, j] * spatial[m, i] + volume * lam * spatial[n, i] * spatial[m, j]
                    )
                    if i == j:
                        value += volume * mu * dot
                    block[3 * n + i, 3 * m + j] = value
                    block[3 * m + j, 3 * n + i] = value
    if not clamped:
        _clamp_negative_eigenvalues(c, volume, mu, lam, scratch, block)


@inner
def _clamp_negative_eigenvalues(c, volume, mu, lam, scratch, block):
    """Add to ``block`` what clamps its negative eigenvalues to zero. Reads f, shape and metric of the scratch."""
    f, shape, metric = scratch.f, scratch.shape, scratch.metric
    v, u, basis, mode, row, sigma = (
        scratch.v,
        scratch.u,
        scratch.basis,
        scratch.mode,
        scratch.row,
        scratch.sigma,
    )
    _diagonalise(metric, v)
    smallest = max(min(metric[0, 0], min(metric[1, 1], metric[2, 2])), 1e-16)
    if abs(c) <= mu * smallest:
        return
    for j in range(3):
        sigma[j] = math.sqrt(max(metric[j, j], 1e-16))
        for i in range(3):
            u[i, j] = (f[i, 0] * v[0, j] + f[i, 1] * v[1, j] + f[i, 2] * v[2, j]) / sigma[j]
    # Three scalings: the Hessian of psi in the singular values, diagonalised. Positive unless J is large.
    if c < 0.0:
        for i in range(3):
            for j in range(3):
                metric[i, j] = lam / (sigma[i] * sigma[j])
            metric[i, i] += mu + c / (sigma[i] * sigma[i])
        _diagonalise(metric, basis)
        for k in range(3):
            if metric[k, k] < 0.0:
                for i in range(3):
                    for j in range(3):
                        mode[i, j] = (
                            u[i, 0] * basis[0, k] * v[j, 0]
                            + u[i, 1] * basis[1, k] * v[j, 1]
                            + u[i, 2] * basis[2, k] * v[j, 2]
                        )
                _add_mode(-volume * metric[k, k], mode, shape, row, block)
    # Three flips and three twists, one of each for every pair of singular values.
    for k in range(3):
        p = 0 if k < 2 else 1
        r = 1 if k == 0 else 2
        ratio = -c / (sigma[p] * sigma[r])
        for turn in range(2):
            sign = 1.0 - 2.0 * turn
            eigenvalue = mu - sign * ratio
            if eigenvalue < 0.0:
                for i in range(3):
                    for j in range(3):
                        mode[i, j] = math.sqrt(0.5) * (u[i, p] * v[j, r] + sign * u[i, r] * v[j, p])
                _add_mode(-volume * eigenvalue, mode, shape, row, block)
