"""The syntax trees of the sources, for tests that read them. ``ast.walk`` visits ten times as much as they look at."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

__all__ = ["calls", "statements", "tree_of"]


def tree_of(path: Path) -> ast.Module:
    """The syntax tree of a file. Not kept: those of all sources are a million objects."""
    return ast.parse(path.read_text())


def statements(tree: ast.AST) -> Iterator[ast.stmt]:
    """Every statement below a node, also within classes and functions; no expression has one."""
    for part in ("body", "handlers", "orelse", "finalbody", "cases"):
        within = getattr(tree, part, ())
        for node in within if isinstance(within, list) else ():
            if isinstance(node, ast.stmt):
                yield node
            yield from statements(node)


def calls(tree: ast.AST, names: set[str]) -> Iterator[ast.Call]:
    """Every call of a function or method whose last name is one of these."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            called = node.func
            name = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
            if name in names:
                yield node
