"""The tests that ./run test --quick chooses, and that it stops in time."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.changed import chosen_tests, main
from tests.support.paths import ROOT

TESTS = {
    "tests/lobby/test_machine_code.py": "from tussle.lobby.machine_code import compiled_mark\n",
    "tests/lobby/test_whole_program.py": "from tussle.lobby import launch, machine_code\n",
    "tests/server/test_app.py": "from tests.support.stack import Stack\n",
    "tests/test_tidy.py": "",
    "tests/compose/test_files.py": "",
    "tests/player/web/test_generated.py": "",
}


@pytest.mark.parametrize(
    ("changed", "chosen"),
    [
        (
            ["lobby/machine_code.py"],
            ["tests/lobby/test_machine_code.py", "tests/test_tidy.py", "tests/lobby/test_whole_program.py"],
        ),
        (["tests/server/test_app.py"], ["tests/server/test_app.py", "tests/test_tidy.py"]),
        (["tests/support/stack.py"], ["tests/test_tidy.py", "tests/server/test_app.py"]),
        (["compose/Dockerfile"], ["tests/compose/test_files.py", "tests/test_tidy.py"]),
        (["lobby/text.py"], ["tests/test_tidy.py"]),
        (["player/web/src/stage/pace.ts"], ["tests/player/web/test_generated.py", "tests/test_tidy.py"]),
        ([], ["tests/test_tidy.py"]),
    ],
)
def test_the_nearest_tests_come_first(changed: list[str], chosen: list[str]) -> None:
    """A module has its own test, then those that import it; a supporting file has those that import it."""
    assert chosen_tests(changed, TESTS, TESTS.__contains__) == chosen


def test_what_the_unit_tests_of_the_page_import_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Sources and tests in TypeScript that are there; no style sheet, and no file that was deleted."""
    files = [
        "src/stage/pace.ts",
        "src/deleted.ts",
        "src/style/base.css",
        "client/index.ts",
        "test/store.test.ts",
        "build.py",
    ]
    changed = [f"player/web/{name}" for name in files] + ["lobby/text.py"]
    monkeypatch.setattr("tests.support.changed.changed_files", lambda base: changed)
    assert main(["--web", "main"]) == 0
    there = ("src/stage/pace.ts", "client/index.ts", "test/store.test.ts")
    assert capsys.readouterr().out.split() == [f"player/web/{name}" for name in there]


@pytest.mark.parametrize("workers", [[], ["-p", "xdist", "-n", "2"]], ids=["alone", "workers"])
def test_no_test_starts_after_the_time(workers: list[str], tmp_path: Path) -> None:
    """No test runs, all are counted, and the run does not fail for them."""
    (tmp_path / "test_many.py").write_text("def test_a(): assert False\ndef test_b(): assert False\n")
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    outer = {key: value for key, value in os.environ.items() if key != "TEST_BUDGET_END"}
    outer |= {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    options = ["-q", "-p", "tests.support.budget", "-p", "no:cacheprovider", *workers, "."]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options],
        env={**outer, "PYTHONPATH": str(ROOT), "TEST_BUDGET_S": "0"}, cwd=tmp_path,
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert "2 tests of the changed files DID NOT RUN" in done.stdout, done.stdout
    assert "failed" not in done.stdout
