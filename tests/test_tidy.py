"""House rules that are read from the source: words, names, sizes, references. In the spirit of TigerBeetle's tidy.

Each rule names its exceptions in a table beside it. An exception that is no longer needed fails too, so the tables
only shrink. CONTRIBUTING.md explains the rules to people; docs/glossary.md explains the vocabulary.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.support.paths import ROOT
from tests.support.syntax import calls, statements, tree_of

PACKAGES = ("lobby", "server", "worker", "player", "env", "cli", "tussle")
PROSE = {
    ".py",
    ".ipynb",
    ".lua",
    ".md",
    ".ts",
    ".tsx",
    ".css",
    ".sh",
    ".yml",
    ".toml",
    ".html",
    ".mjs",
    ".conf",
    "",
}

BANNED = {
    "told": "reported, sent, notified",
    "thrice": "three times",
    "anew": "again",
    "afresh": "again",
    "whoever": "the caller, a client that ...",
    "heed": "check, follow",
    "obey": "apply, follow",
    "doubt": "say what is not known",
    "doubtful": "near expiry, unknown",
    "lest": "so that ... not",
    "thereof": "of it",
    "heir": "handover target",
    "insist": "retry",
    "hence": "therefore",
    "whence": "from where",
    "stood": "was, stayed",
    "stands": "is; allowed of bodies",
    "befall": "happen to",
    "beget": "create",
    "aught": "anything",
    "forthwith": "at once",
    "hitherto": "so far",
    "utmost": "at most",
    "nought": "zero",
}
"""A word that is banned, in any of its forms -> what to write instead."""

FORMS = {
    "heed": "heed(?:s|ed|ing)?",
    "obey": "obey(?:s|ed|ing)?",
    "doubt": "doubt(?:s|ed|ing)?",
    "insist": "insist(?:s|ed|ing)?",
    "heir": "heirs?",
    "befall": "befall(?:s|en)?|befell",
    "beget": "begets?|begot(?:ten)?",
}
"""The forms of a word, as a regular expression."""

ROOTS = {"befall": "bef", "beget": "beg"}
"""What all forms of a word have in common, where it is not the word itself: a text without it has none of them."""

WORD_EXCEPTIONS: dict[str, set[str]] = {
    # The list itself, and the page that explains it.
    "tests/test_tidy.py": set(BANNED),
    "docs/glossary.md": set(BANNED),
}
"""File -> banned words that it may use. "stands" is of bodies there."""

LONGEST_MODULE = 600
LONGEST_TEST = 700
LONGEST_LINE = 120

SAME_MODULE_NAME: dict[str, str] = {
    "bot": "how a bot plays: server/modes/<mode>/bot.py, one in each mode",
    "state": "the state of a mode: server/modes/<mode>/state.py, one in each mode",
    "bots": "cli/ has one module per command; player/bots.py is the bots",
    "live": "cli/live.py is the command, lobby/wire/live.py its messages",
    "operators": "lobby/operators.py is what operators may do, server/http/operators.py its routes",
    "processes": "cli/processes.py has commands, worker/processes.py the worker's processes",
    "simulate": "cli/simulate.py is the command, server/simulation/simulate.py the work",
    "spring": "cli/spring.py is the command, lobby/rules/spring.py the scheme",
    "verify": "cli/verify.py is the command, server/archive/verify.py the work",
}
"""Base name that modules of several folders share -> why the folder makes it unmistakable."""

SAME_CLASS_NAME: dict[str, str] = {}
"""Public class name that exists more than once -> why."""

WITHOUT_COUNTERPART: dict[str, str] = {
    "tests/lobby/store/test_cluster.py": "realms on a real Redis Cluster",
    "tests/lobby/store/test_scripts_static.py": "rules that every Lua script keeps",
    "tests/lobby/test_machine.py": "the scripts as a state machine",
    "tests/lobby/test_scene_machine.py": "edits of several clients as a state machine",
    "tests/lobby/test_turn_clock.py": "the turn clock over pauses, takeovers and restarts",
    "tests/player/test_elsewhere.py": "a client whose server died",
    "tests/player/test_party.py": "the program python -m player",
    "tests/server/gateway/test_agreement.py": "versions, an older client, numbers, the tick",
    "tests/server/gateway/test_client_package.py": "the package @tussle/client",
    "tests/server/gateway/test_documented_sockets.py": "the AsyncAPI document",
    "tests/server/gateway/test_documents_client.py": "a client that was written from the documents alone",
    "tests/server/gateway/test_turn.py": "data channels through coturn",
    "tests/server/gateway/test_websocket_framing.py": "RFC 6455, in the groups of the Autobahn test suite",
    "tests/server/modes/test_events.py": "docs/events.md",
    "tests/server/modes/test_imports.py": "what importing the modes loads",
    "tests/server/physics/test_determinism.py": "equal inputs give equal bits",
    "tests/server/physics/test_energies.py": "gradients and Hessians of every energy",
    "tests/server/physics/test_true_defaults.py": "defaults at the extremes of size, mass, stiffness and speed",
    "tests/server/physics/test_golden.py": "hashes of an earlier day",
    "tests/server/physics/test_random_worlds.py": "random scenes",
    "tests/server/recordings/test_memory.py": "what works on a whole recording needs some chunks of it",
    "tests/server/physics/test_scene_document.py": "docs/scenes.md",
    "tests/server/physics/test_torture.py": "a thousand hard steps",
    "tests/server/simulation/test_forks.py": "a fork of every mode goes on like its parent",
    "tests/server/sessions/test_spring_session.py": "mode spring-damper as a session",
}
"""Test module below tests/<package>/ that tests a behaviour, not the module of its name -> what it tests."""

OUTSIDE = re.compile(
    r"\b(game\.md|features\.md|design\.md|conventions\.md|ui\.md|netcode\.md|infrastructure\.md)\b|\bnotes/|\bshared/"
)
"""Documents that the first designers had and the repository does not."""


@cache
def tracked() -> tuple[str, ...]:
    """Every file of the repository that git tracks or would track, as a path from the root."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    return tuple(sorted(path for path in set(listed) if (ROOT / path).is_file()))


def prose() -> Iterator[tuple[str, str]]:
    """Path and text of each file that people read: sources and documents, no data, no generated result."""
    for path in tracked():
        suffix = Path(path).suffix
        generated = path.endswith(("package-lock.json", "LICENSE")) or "/generated/" in path
        if suffix in PROSE and not generated and not path.startswith("tests/golden/archive"):
            try:
                yield path, (ROOT / path).read_text()
            except UnicodeDecodeError:
                continue


def modules() -> list[str]:
    """The path of each Python module of the packages."""
    return [
        path
        for path in tracked()
        if path.endswith(".py") and (path.split("/")[0] in PACKAGES or path == "build_db.py")
    ]


def test_no_banned_word() -> None:
    """Prose, names and log events use plain technical English; the table says what to write instead."""
    found = []
    used: dict[str, set[str]] = defaultdict(set)
    patterns = {
        word: re.compile(rf"(?<![A-Za-z])(?:{FORMS.get(word, word)})(?![A-Za-z])", re.IGNORECASE)
        for word in BANNED
    }
    for path, text in prose():
        spaced = re.sub(r"([a-z])([A-Z])", r"\1 \2", text)
        lower = spaced.lower()
        possible = {word: pattern for word, pattern in patterns.items() if ROOTS.get(word, word) in lower}
        for number, line in enumerate(spaced.splitlines(), 1) if possible else ():
            for word, pattern in possible.items():
                if pattern.search(line):
                    if word in WORD_EXCEPTIONS.get(path, ()):
                        used[path].add(word)
                    else:
                        found.append(
                            f"{path}:{number}: {word!r}, write {BANNED[word]!r}: {line.strip()[:100]}"
                        )
    assert not found, "\n" + "\n".join(found)
    unused = {path: words - used[path] for path, words in WORD_EXCEPTIONS.items() if words - used[path]}
    unused.pop("docs/glossary.md", None)
    assert not unused, f"exceptions that nothing needs: {unused}"


def test_nothing_refers_to_a_document_outside() -> None:
    """A reader of the repository can follow every reference."""
    found = [
        f"{path}:{number}: {line.strip()[:100]}"
        for path, text in prose()
        if path != "tests/test_tidy.py"
        for number, line in enumerate(text.splitlines(), 1)
        if OUTSIDE.search(line)
    ]
    assert not found, "\n" + "\n".join(found)


REFERENCE = re.compile(
    r"(?<![\w./{*<$-])((?:lobby|server|worker|player|env|cli|tussle|tests|bench|docs|compose|examples|catalogue)"
    r"/[\w./-]*\w\.(?:py|md|lua|ts|tsx|json|sh|yml|svg|png))\b"
)
BARE = re.compile(r"(?<![\w./*<>{}'\"$-])([a-z_]\w*\.(?:lua|py))\b(?!\()")


NOT_OURS = {
    "play.py", "putt.py", "stand.py", "tag.py", "bot.py", "server.py", "player.py", "lobby.py", "cli.py", "setup.py",
    "conftest.py",
}  # fmt: skip
"""File names in prose that are a user's own, or any file of that name."""


def test_every_reference_leads_somewhere() -> None:
    """A file that a comment or document names exists: by its path, or a bare name somewhere in the tree."""
    files = set(tracked())
    names = {Path(path).name for path in files} | NOT_OURS
    missing = []
    for path, text in prose():
        if path in ("tests/test_tidy.py", "CHANGELOG.md") or path.startswith("tests/security"):
            continue
        here = path.rsplit("/", 1)[0]
        for number, line in enumerate(text.splitlines(), 1):
            for reference in REFERENCE.findall(line):
                inside = reference.removeprefix("tussle/")  # a wheel has the folders inside of tussle/
                if not {reference, inside, f"{here}/{reference}"} & files and "/dist/" not in reference:
                    missing.append(f"{path}:{number}: {reference}")
            for name in BARE.findall(line) if not path.endswith((".ts", ".tsx")) else ():
                if name not in names:
                    missing.append(f"{path}:{number}: {name}")
    assert not missing, "\n" + "\n".join(missing)


def test_links_of_documents_lead_somewhere() -> None:
    """A relative link of a Markdown file names a file of the repository."""
    missing = []
    for path, text in prose():
        if path.endswith(".md"):
            for target in re.findall(r"\]\(([^)#\s]+)", text):
                if "://" not in target and not (ROOT / path).parent.joinpath(target).exists():
                    missing.append(f"{path}: {target}")
    assert not missing, "\n" + "\n".join(missing)


def test_modules_and_lines_are_not_too_long() -> None:
    """A module past 600 lines holds two concepts; a line of Python or Lua past 120 columns is not read."""
    long = []
    for path, text in prose():
        lines = text.splitlines()
        longest = LONGEST_TEST if path.startswith("tests/") else LONGEST_MODULE
        if path.endswith((".py", ".lua", ".ts", ".tsx")) and len(lines) > longest:
            long.append(f"{path}: {len(lines)} lines")
        if path.endswith((".py", ".lua")):
            long += [
                f"{path}:{n}: {len(line)} columns"
                for n, line in enumerate(lines, 1)
                if len(line) > LONGEST_LINE
            ]
    assert not long, "\n" + "\n".join(long)


def test_a_class_name_exists_once() -> None:
    """A search for a class finds one definition. Nested and underscored classes count too."""
    places = defaultdict(list)
    for path in modules():
        for node in statements(tree_of(ROOT / path)):
            if isinstance(node, ast.ClassDef):
                places[node.name].append(path)
    double = {name: paths for name, paths in places.items() if len(paths) > 1}
    assert set(double) == set(SAME_CLASS_NAME), {
        n: double.get(n, []) for n in set(double) ^ set(SAME_CLASS_NAME)
    }


def test_a_module_name_exists_once() -> None:
    """Two modules share a base name only where their folders make it plain which is meant."""
    places = defaultdict(list)
    for path in modules():
        if Path(path).stem not in ("__init__", "__main__"):
            places[Path(path).stem].append(path)
    double = {name: paths for name, paths in places.items() if len(paths) > 1}
    assert set(double) == set(SAME_MODULE_NAME), {
        n: double.get(n, []) for n in set(double) ^ set(SAME_MODULE_NAME)
    }


def test_tests_mirror_the_tree() -> None:
    """tests/server/x/test_y.py tests server/x/y.py; what tests a behaviour instead is in the table."""
    files = set(tracked())
    lonely = set()
    for path in files:
        parts = path.split("/")
        if (
            parts[0] == "tests"
            and parts[1] in PACKAGES
            and parts[-1].startswith("test_")
            and "web" not in parts
        ) and "/".join([*parts[1:-1], parts[-1].removeprefix("test_")]) not in files:
            lonely.add(path)
    assert lonely == set(WITHOUT_COUNTERPART), lonely ^ set(WITHOUT_COUNTERPART)


def test_a_module_has_one_identity() -> None:
    """All code imports tussle.server.x, never server.x: a module that is loaded twice has two sets of classes. A
    relative import would pass the import rules of tests/test_layers.py unseen."""
    bare = []
    for path in tracked():
        if not path.endswith(".py"):
            continue
        for node in statements(tree_of(ROOT / path)):
            names = (
                ["." * node.level] if isinstance(node, ast.ImportFrom) and node.level
                else [node.module] if isinstance(node, ast.ImportFrom) and node.module
                else [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            )  # fmt: skip
            bare += [
                f"{path}:{node.lineno}: {name}"
                for name in names
                if name.split(".")[0] in {"", *PACKAGES, "build_db", "catalogue"} - {"tussle"}
            ]
    assert not bare, "\n" + "\n".join(bare)


def test_every_module_says_its_role() -> None:
    """Each module of the packages has a docstring, and so has each public class and function of it. A message of the
    wire needs none: its fields say all."""
    silent = []
    for path in modules():
        tree = tree_of(ROOT / path)
        if not ast.get_docstring(tree) and (ROOT / path).read_text().strip():
            silent.append(path)
        for node in tree.body if not path.startswith("lobby/wire/") else ():
            if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and not (
                node.name.startswith("_") or node.name == "main" or ast.get_docstring(node)
            ):
                silent.append(f"{path}:{node.lineno}: {node.name}")
    assert not silent, "\n" + "\n".join(silent)


UNUSED_ALLOWED = ROOT / "tests" / "unused_allowed.txt"


def test_no_dead_code() -> None:
    """vulture finds no function, class, attribute or variable that nothing uses, but for a short list with reasons."""
    done = subprocess.run(
        [
            sys.executable, "-m", "vulture", *PACKAGES, "build_db.py", "tests", "bench", "examples",
            "--exclude", "node_modules", "--min-confidence", "60", "--ignore-decorators",
            "@pytest.fixture,@app.route,@click.command,@property,@njit,@kernel",
        ],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    found = {
        (match[1], match[2])
        for match in re.finditer(
            r"^((?:lobby|server|worker|player|env|cli|tussle|build_db)[\w/]*\.py):\d+: unused \w+ '(\w+)'",
            done.stdout,
            re.M,
        )
    }
    allowed = {
        tuple(line.split("#")[0].split())
        for line in UNUSED_ALLOWED.read_text().splitlines()
        if line.split("#")[0].strip()
    }
    assert found - allowed == set(), "\n" + "\n".join(" ".join(each) for each in sorted(found - allowed))
    assert allowed - found == set(), (
        f"used after all, remove from unused_allowed.txt: {sorted(allowed - found)}"
    )


@pytest.mark.parametrize(
    "path", [path for path in tracked() if path.endswith(".py") and path.startswith(PACKAGES)]
)
def test_nothing_prints(path: str) -> None:
    """Only the command line writes to the terminal, by click and rich; a bare print is a leftover."""
    if "print" not in (ROOT / path).read_text():
        return
    found = [
        call.lineno for call in calls(tree_of(ROOT / path), {"print"}) if isinstance(call.func, ast.Name)
    ]
    assert not found, f"{path}: print at {found}"
