"""The table of error codes against the source and the pages of the documentation."""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Iterator

import pytest

from tests.support.paths import ROOT
from tests.support.syntax import calls, statements, tree_of
from tussle.lobby import errors
from tussle.lobby.error_codes import _TABLE, CODES, error_of
from tussle.lobby.errors import (
    ClientError,
    CloseCode,
    Conflict,
    Forbidden,
    LobbyError,
    NotFound,
    NotYourTurn,
    Refused,
    ServerFault,
    StoreError,
)
from tussle.lobby.store.store import REFUSALS

ABSTRACT = {"error"}
"""The code of LobbyError itself, which is never raised."""

PLAIN = {"origin_refused"}
"""Codes of problem documents that the security middleware writes without an exception."""

PASSED_ON = {
    "lobby/store/store.py",  # REFUSALS
    "lobby/connections.py",  # ticket_refused or resume_refused, chosen before
    "lobby/rules/scene_limits.py",  # the same error again, with the body's name
    "server/gateway/channels.py",  # the code of the process of the data channels
    "server/gateway/relay_client.py",  # the holder's code
    "server/solver/solver_calls.py",  # the solver process's code
}
"""Modules that raise an error with a code from a variable."""


def constants(node: ast.expr) -> list[str]:
    """The strings that an expression can be."""
    if isinstance(node, ast.Constant):
        return [node.value] if isinstance(node.value, str) else []
    if isinstance(node, ast.IfExp):
        return constants(node.body) + constants(node.orelse)
    return []


def raised() -> Iterator[tuple[str, str, str]]:
    """(class, code or '', module) of each error in the source, class defaults included."""
    classes = {
        name
        for name, value in vars(errors).items()
        if isinstance(value, type) and issubclass(value, LobbyError)
    }
    for folder in ("lobby", "server", "worker"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            module = path.relative_to(ROOT).as_posix()
            if not re.search(r"\bcode\b", path.read_text()):
                continue
            tree = tree_of(path)
            defined = [node for node in statements(tree) if isinstance(node, ast.ClassDef)]
            bases = {
                node.name: node.bases[0].id
                for node in defined
                if node.bases and isinstance(node.bases[0], ast.Name)
            }
            for node in defined:
                if node.name in classes or bases.get(node.name) in classes:
                    kind = node.name if node.name in classes else bases[node.name]
                    for item in node.body:
                        target = (
                            item.targets[0]
                            if isinstance(item, ast.Assign)
                            else item.target
                            if isinstance(item, ast.AnnAssign)
                            else None
                        )
                        if isinstance(target, ast.Name) and target.id == "code":
                            assert isinstance(item, ast.Assign | ast.AnnAssign) and item.value is not None
                            yield from ((kind, code, module) for code in constants(item.value))
            for call in calls(tree, classes):
                called = ast.unparse(call.func).split(".")[-1]
                for keyword in call.keywords:
                    if keyword.arg == "code":
                        yield from ((called, code, module) for code in constants(keyword.value) or [""])


@functools.cache
def found() -> tuple[tuple[str, str, str], ...]:
    """What ``raised`` gives, read once, and not when the tests are collected: each process of them collects."""
    return tuple(row for row in raised() if row[1] not in ABSTRACT)


def test_every_raised_code_is_listed_with_its_class() -> None:
    """Also the codes that scripts refuse with."""
    used = {(code, kind) for kind, code, _ in found() if code} | {
        (code, kind.__name__) for code, kind in REFUSALS.items()
    }
    listed = {(entry.code, kind.__name__) for entry in _TABLE for kind in entry.kinds}
    assert used - listed == set()
    assert listed - used == {(code, CODES[code].kinds[0].__name__) for code in PLAIN}


def test_codes_from_variables_are_known() -> None:
    """A module that passes a code on is named, so that a new one is looked at."""
    assert {module for _, code, module in found() if not code} <= PASSED_ON


def test_a_code_is_listed_once_with_a_sentence() -> None:
    """Sentences end with a full stop."""
    assert len(CODES) == len(_TABLE)
    assert all(re.fullmatch(r"[A-Z][^|\n]*\.", entry.meaning) for entry in _TABLE)


@pytest.mark.parametrize("page", ["protocol.md", "events.md"])
def test_documents_name_only_codes_that_are_sent(page: str) -> None:
    """The tables of HTTP statuses and their codes."""
    text = (ROOT / "docs" / page).read_text()
    for row in re.findall(r"^\| [45]\d\d \| (.*) \|$", text, re.MULTILINE):
        for code in re.findall(r"`(\w+)`", row):
            assert code in CODES and CODES[code].sent, f"{page}: {code}"


def test_the_protocol_lists_every_close_code() -> None:
    """Each close code of Tussle has a row, and no row has another code."""
    text = (ROOT / "docs" / "protocol.md").read_text()
    listed = {int(code) for code in re.findall(r"^\| (4\d\d\d) \|", text, re.MULTILINE)}
    assert listed == {int(code) for code in CloseCode if code >= 4000}


@pytest.mark.parametrize(
    ("code", "status", "kind"),
    [
        ("not_your_turn", None, NotYourTurn),
        ("unknown_kind", None, Refused),
        ("in_session", 409, Conflict),
        ("not_member", None, Conflict),
        ("not_member", 404, NotFound),
        ("over", None, Refused),
        ("not_allowed", 403, Forbidden),
        ("something_new", 403, Forbidden),
        ("something_new", 409, Conflict),
        ("something_new", 404, NotFound),
        ("something_new", None, ClientError),
        ("something_new", 500, ServerFault),
        ("something_new", 502, ServerFault),
        ("store_unavailable", 503, StoreError),
    ],
)
def test_errors_are_chosen_by_code_then_by_status(code: str, status: int | None, kind: type) -> None:
    error = error_of(code, "a sentence", status=status)
    assert type(error) is kind
    assert (error.reason, str(error)) == (code, "a sentence")


@pytest.mark.parametrize("code", sorted(CODES))
def test_a_client_makes_an_error_of_the_class_that_was_raised(code: str) -> None:
    """Over HTTP the status tells the classes of one code apart; over a socket it is the first of them."""
    assert type(error_of(code, "a sentence")) is CODES[code].kinds[0]
    for kind in CODES[code].kinds:
        assert type(error_of(code, "a sentence", status=kind.status)).status == kind.status
        assert type(error_of(code, "a sentence", status=kind.status)) in CODES[code].kinds
