"""The matrix of roles and operations."""

from __future__ import annotations

import pytest

from tussle.lobby.errors import Forbidden
from tussle.lobby.roles import Operation, Role, check_right, may

MATRIX = """
              observer player operator
watch         yes      yes    yes
sensor_info   yes      yes    yes
subscribe     yes      yes    yes
act           no       yes    no
chat          no       yes    no
ready         no       yes    no
choose        no       yes    no
leave         no       yes    no
pause         no       no     yes
resume        no       no     yes
end           no       no     yes
kick          no       no     yes
drain         no       no     yes
"""

ROWS = [line.split() for line in MATRIX.strip().splitlines()]
CELLS = [
    (Role(role), Operation(row[0]), cell == "yes")
    for row in ROWS[1:]
    for role, cell in zip(ROWS[0], row[1:], strict=True)
]


@pytest.mark.parametrize(("role", "operation", "allowed"), CELLS)
def test_a_role_has_exactly_its_rights(role: Role, operation: Operation, allowed: bool) -> None:
    """Every cell of the matrix, both ways."""
    assert may(role, operation) is allowed
    if allowed:
        check_right(role, operation)
    else:
        with pytest.raises(Forbidden, match="may not"):
            check_right(role, operation)


def test_the_matrix_is_whole() -> None:
    """No role and no operation is missing from it."""
    assert {(role, operation) for role, operation, _ in CELLS} == {(r, o) for r in Role for o in Operation}
