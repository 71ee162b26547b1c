"""The rights of each role, as a table that is independent of lobby/roles.py."""

from __future__ import annotations

import pytest

from tussle.lobby.errors import Forbidden
from tussle.lobby.roles import Operation, Role, check_right, may

MATRIX = """
              anonymous observer player operator
login         yes       yes      yes    yes
list          yes       yes      yes    yes
inspect       yes       yes      yes    yes
pages         yes       yes      yes    yes
recording     yes       yes      yes    yes
scene         yes       yes      yes    yes
logout        no        yes      yes    yes
profile       no        yes      yes    yes
find          no        yes      yes    yes
open          no        yes      yes    yes
join          no        yes      yes    yes
mesh          no        yes      yes    yes
fork          no        yes      yes    yes
fill          no        yes      yes    yes
serve         no        yes      yes    yes
rematch       no        yes      yes    yes
release       no        yes      yes    yes
shape         no        yes      yes    yes
spring        no        yes      yes    yes
upload        no        yes      yes    yes
watch         no        yes      yes    yes
sensor_info   no        yes      yes    yes
subscribe     no        yes      yes    yes
replay        no        yes      yes    yes
present       no        yes      yes    yes
discuss       no        yes      yes    yes
act           no        no       yes    no
chat          no        no       yes    no
ready         no        no       yes    no
choose        no        no       yes    no
leave         no        no       yes    no
edit          no        no       yes    no
pause         no        no       no     yes
resume        no        no       no     yes
end           no        no       no     yes
kick          no        no       no     yes
drain         no        no       no     yes
ban           no        no       no     yes
notify        no        no       no     yes
oversee       no        no       no     yes
"""

ROWS = [line.split() for line in MATRIX.strip().splitlines()]
CELLS = [
    (Role(role), Operation(row[0]), cell == "yes")
    for row in ROWS[1:]
    for role, cell in zip(ROWS[0], row[1:], strict=True)
]


@pytest.mark.parametrize(("role", "operation", "allowed"), CELLS)
def test_a_role_has_exactly_its_rights(role: Role, operation: Operation, allowed: bool) -> None:
    """Every cell of the table, for ``may`` and for ``check_right``."""
    assert may(role, operation) is allowed
    if allowed:
        check_right(operation, role)
    else:
        with pytest.raises(Forbidden, match="may not"):
            check_right(operation, role)


def test_one_of_several_roles_is_enough() -> None:
    """A player who is also an operator may act and pause; a caller without any role may do nothing."""
    roles = (Role.OBSERVER, Role.PLAYER, Role.OPERATOR)
    check_right(Operation.ACT, *roles)
    check_right(Operation.PAUSE, *roles)
    with pytest.raises(Forbidden, match="nobody may not login"):
        check_right(Operation.LOGIN)


def test_the_table_is_complete() -> None:
    """It has every role and every operation."""
    assert {(role, operation) for role, operation, _ in CELLS} == {(r, o) for r in Role for o in Operation}
