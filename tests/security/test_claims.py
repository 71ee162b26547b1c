"""SECURITY.md: what it names exists."""

from __future__ import annotations

import re

import pytest

from tests.support.paths import ROOT
from tussle.lobby.settings import Settings

TEXT = (ROOT / "SECURITY.md").read_text()

CHECKS = [
    line.split("|")[1:3]
    for line in TEXT.partition("## How it is checked")[2].partition("**Fuzzed**")[0].splitlines()
    if line.startswith("| ") and not line.startswith("| rule")
]


@pytest.mark.parametrize(("rule", "tests"), CHECKS, ids=[rule.strip()[:40] for rule, _ in CHECKS])
def test_every_rule_names_tests_that_exist(rule: str, tests: str) -> None:
    """Each row names at least one file or folder of tests, and each that it names is in the repository."""
    named = re.findall(r"`([\w/.-]+(?:\.py|\.sh|/))`", tests)
    assert named, rule
    for name in named:
        found = (ROOT / name).exists() if "/" in name.rstrip("/") else any(
            next((ROOT / folder).rglob(name), None) for folder in ("tests", "compose")
        )  # fmt: skip
        assert found, f"{rule.strip()}: {name}"


def test_every_setting_that_it_names_exists() -> None:
    """A limit names the setting that changes it."""
    known = {name.upper() for name in Settings.__dataclass_fields__}
    named = set(re.findall(r"`([A-Z][A-Z0-9]*_[A-Z0-9_]+)`", TEXT))
    assert len(named) > 20
    assert named <= known
