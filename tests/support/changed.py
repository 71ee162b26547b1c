"""``python -m tests.support.changed [BASE]``: the test files for what has changed, nearest first, one a line.
``python -m tests.support.changed --web [BASE]``: the changed files of the web client that its unit tests import.

    tests/lobby/test_names.py       changed itself
    lobby/names.py                  -> tests/lobby/test_names.py, then the tests that import tussle.lobby.names
    docs/, README.md, examples/     -> the tests that read them
    always                          the tests of layers, tidiness and generated files

Changed is what differs from where the branch left BASE (default: main), and what git does not track yet. On BASE itself
it is the last commit.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable, Iterable

from tests.support.paths import ROOT

__all__ = ["changed_files", "chosen_tests"]

ALWAYS = ("tests/test_layers.py", "tests/test_tidy.py", "tests/test_reference.py")
READERS = {
    "docs/": ("tests/test_tutorial.py", "tests/test_streams_doc.py", "tests/test_query.py"),
    "README.md": ("tests/test_examples.py", "tests/test_query.py"),
    "player/web/": ("tests/player/web/test_generated.py",),
    "examples/": ("tests/test_examples.py",),
    "compose/": ("tests/compose/test_files.py", "tests/compose/test_store_users.py"),
    "run": ("tests/test_run.py",),
    "constraints.txt": ("tests/test_run.py",),
    "pyproject.toml": ("tests/test_install.py",),
    "hatch_build.py": ("tests/test_install.py",),
    "build_db.py": ("tests/test_build_db.py",),
}
"""Beginning of a path -> tests that read such files without an import."""
WEB = re.compile(r"player/web/(src|client|test)/.*\.tsx?$")
"""Files of the web client that its unit tests are, or import."""


def _git(*arguments: str) -> list[str]:
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout.split("\n")


def changed_files(base: str) -> list[str]:
    """The changed files, relative to the root. Raises CalledProcessError if there is no such branch or no git."""
    (fork, *_), (head, *_) = _git("merge-base", "HEAD", base), _git("rev-parse", "HEAD")
    since = f"{fork}~1" if fork == head else fork
    found = _git("diff", "--name-only", since) + _git("ls-files", "--others", "--exclude-standard")
    return sorted(set(found) - {""})


def chosen_tests(changed: Iterable[str], tests: dict[str, str], exists: Callable[[str], bool]) -> list[str]:
    """The test files for the changed ones, nearest first. ``tests``: path -> text of every test file."""
    near: list[str] = []
    far: list[str] = []
    for path in changed:
        if path in tests:
            near.append(path)
        near += [test for start, readers in READERS.items() if path.startswith(start) for test in readers]
        if path.endswith(".py") and not path.startswith("tests/"):
            folder, _, name = path.rpartition("/")
            near.append(f"tests/{folder + '/' if folder else ''}test_{name}")
        if path.endswith(".py"):
            module = path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
            prefix = "" if path.startswith(("tests/", "bench/")) else r"tussle\."
            parent, _, last = module.rpartition(".")
            used = re.compile(
                rf"\b{prefix}{re.escape(module)}\b|from {prefix}{re.escape(parent)} import [^\n]*\b{last}\b"
            )
            far += sorted(test for test, text in tests.items() if used.search(text))
    return [path for path in dict.fromkeys([*near, *ALWAYS, *far]) if exists(path)]


def main(arguments: list[str]) -> int:
    web = "--web" in arguments
    arguments = [one for one in arguments if one != "--web"]
    tests = {str(path.relative_to(ROOT)): path.read_text() for path in (ROOT / "tests").rglob("test_*.py")}
    try:
        changed = changed_files(arguments[0] if arguments else "main")
    except (OSError, subprocess.CalledProcessError):
        sys.stderr.write("tussle: --quick compares with the branch main of a git clone\n")
        return 2
    if web:
        sys.stdout.write(
            "".join(f"{path}\n" for path in changed if WEB.match(path) and (ROOT / path).is_file())
        )
        return 0
    chosen = chosen_tests(changed, tests, lambda path: (ROOT / path).is_file())
    sys.stdout.write("".join(f"{path}\n" for path in chosen))
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
