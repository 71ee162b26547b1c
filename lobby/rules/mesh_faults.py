"""Why a mesh cannot become a body, and where. Programs read ``MeshFault``; docs/protocol.md has the table for people.

This module must never read a mesh.
"""

from __future__ import annotations

from enum import StrEnum

from tussle.lobby.errors import Refused

__all__ = ["BadMesh", "MeshFault", "Place"]

Place = tuple[float, float, float]


class MeshFault(StrEnum):
    """What is wrong with a mesh."""

    UNREADABLE = "unreadable"
    """It is not a file of its format, or it is cut off, or its header states more than its bytes hold."""
    EMPTY = "empty"
    """It has no triangles and no tetrahedra, or all of them are degenerate."""
    TOO_LARGE = "too_large"
    """It has too many vertices, or reading it needs too much memory."""
    NOT_FINITE = "not_finite"
    """A coordinate is not a finite number."""
    FLAT = "flat"
    """It has no volume, or a tetrahedron of it has none."""
    NOT_MANIFOLD = "not_manifold"
    """An edge belongs to three or more triangles."""
    NOT_ORIENTABLE = "not_orientable"
    """No choice of the sides of its triangles agrees, as on a Moebius strip."""
    OPEN = "open"
    """The surface has an edge, so that it has no inside."""
    INTERSECTS = "intersects"
    """The surface intersects itself."""
    INVERTED = "inverted"
    """Tetrahedra lie on one another: the mesh is folded over."""
    UNFILLED = "unfilled"
    """The surface could not be filled with tetrahedra."""
    TOO_SLOW = "too_slow"
    """Making it took longer than MESH_S."""
    GAVE_UP = "gave_up"
    """The process that makes it died, more than once. The same file may be sent again."""


class BadMesh(Refused):
    """A mesh that cannot become a body. ``place``: where the fault is, in the coordinates of the file [m], if it is at
    one place."""

    code = "bad_mesh"

    def __init__(self, message: str, fault: MeshFault, place: Place | None = None) -> None:
        super().__init__(message, field="mesh")
        self.fault = fault
        self.place = place
