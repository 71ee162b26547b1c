"""Rules that make a script legal on Redis >= 7, Valkey, Dragonfly and Redis Cluster, read from the Lua sources.

Dragonfly is not available in the tests, so what it would refuse is refused here. The guard of tests/conftest.py
asserts the declared keys again, at run time, in every test that runs a script.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support.paths import ROOT
from tussle import lobby
from tussle.lobby import lifecycle
from tussle.lobby.lifecycle import TRANSITIONS, LifecycleEvent, Status
from tussle.lobby.store.scripting import load_scripts
from tussle.lobby.store.store import REFUSALS

FOLDER = Path(lobby.__file__ or "").parent / "store" / "scripts"
SCRIPTS = sorted(path.stem for path in FOLDER.glob("*.lua"))
PARTS = sorted(path.stem for path in (FOLDER / "parts").glob("*.lua"))

ALLOWED = {
    "DEL", "EXISTS", "EXPIRE", "GET", "GETDEL", "HDEL", "HEXISTS", "HGET", "HGETALL", "HINCRBY", "HKEYS", "HLEN",
    "HMGET", "HSET", "HSETNX", "LLEN", "LPUSH", "LRANGE", "LTRIM", "PERSIST", "PEXPIRE", "PEXPIREAT", "PTTL", "PUBLISH",
    "RPUSH", "SADD", "SCARD", "SET", "SISMEMBER", "SMEMBERS", "SREM", "TIME", "XACK", "XADD", "XDEL", "XGROUP", "XINFO",
    "XLEN", "XRANGE", "XREVRANGE", "XTRIM", "ZADD", "ZCARD", "ZRANGE", "ZRANGEBYLEX", "ZRANGEBYSCORE", "ZREM", "ZSCORE",
}  # fmt: skip
"""What scripts may call: each is the same in Redis 7.0, Valkey and Dragonfly. Add one only after reading all three."""

FORBIDDEN = re.compile(
    r"\b(HEXPIRE|HPEXPIRE|HTTL|FCALL|FUNCTION|WAIT|OBJECT|KEYS \*|SCAN|FLUSHALL|FLUSHDB|CONFIG|SELECT|EVAL|SCRIPT"
    r"|TRACKING)\b"
)
KEYLESS = {"TIME", "PUBLISH"}
SECOND = {"XGROUP", "XINFO"}
"""Commands whose key comes after a subcommand."""


def code(text: str) -> str:
    """The source without comments."""
    return re.sub(r"--[^\n]*", "", text)


def header(path: Path) -> str:
    """The comment that a file begins with."""
    lines = []
    for line in path.read_text().splitlines():
        if not line.startswith("--"):
            break
        if not line.startswith("--@include"):
            lines.append(line)
    return "\n".join(lines)


def key_names(text: str) -> set[str]:
    """Names that hold a declared key: assigned from KEYS, or parameters that say so."""
    names = {"KEYS"}
    for left, right in re.findall(r"local ([\w, ]+?) = ([^\n]*KEYS\[[^\n]*(?:\n\s+KEYS\[[^\n]*)*)", text):
        for name, value in zip(left.split(","), re.split(r",\s*(?![^\[]*\])", right), strict=False):
            if re.match(r"\s*KEYS\[", value):
                names.add(name.strip())
    for parameters in re.findall(r"function \w+\(([^)]*)\)", text):
        names |= {name.strip() for name in parameters.split(",") if name.strip().endswith("_key")}
    return names


def undeclared(text: str) -> list[str]:
    """The calls whose key is not a declared one."""
    known = key_names(text)
    found = []
    for command, rest in re.findall(r"redis\.p?call\(\s*'(\w+)'([^\n]*)", text):
        arguments = [argument.strip() for argument in rest.strip().lstrip(",").split(",")]
        key = arguments[1 if command in SECOND else 0] if len(arguments) > (command in SECOND) else ""
        name = re.match(r"\w+", key)
        if command not in KEYLESS and (name is None or name[0] not in known or ".." in key):
            found.append(f"{command} {key}")
    return found


@pytest.mark.parametrize("name", SCRIPTS)
def test_every_key_is_declared(name: str) -> None:
    """The key of every call comes from KEYS, never from a name that is made inside."""
    text = code(load_scripts()[name].text)
    assert "redis.call(" in text, "a script that calls nothing"
    assert undeclared(text) == []


@pytest.mark.parametrize(
    "text",
    [
        "redis.call('GET', 'main:x')",
        "redis.call('GET', KEYS[1] .. ':seats')",
        "local key = redis.call('GET', KEYS[1])\nredis.call('DEL', key)",
        "local key = 'session:' .. ARGV[1]\nredis.call('DEL', key)",
        "redis.call('XINFO', 'STREAM', name)",
    ],
)
def test_the_check_of_keys_sees(text: str) -> None:
    """A made, a concatenated and a read key are found."""
    assert undeclared(text)


@pytest.mark.parametrize("name", SCRIPTS)
def test_only_known_commands(name: str) -> None:
    """Each command is one that all of the family have, spelled as a literal."""
    text = code(load_scripts()[name].text)
    spelled = re.findall(r"redis\.p?call\(\s*'(\w+)'", text)
    assert len(spelled) == len(re.findall(r"redis\.p?call\(", text)), "a command that is no literal"
    assert set(spelled) <= ALLOWED, set(spelled) - ALLOWED
    assert not FORBIDDEN.search(re.sub(r"\bKEYS\b", "", text))


@pytest.mark.parametrize("name", SCRIPTS)
def test_the_header_says_what_goes_in_and_out(name: str) -> None:
    """A script documents KEYS, ARGV and its replies."""
    about = header(FOLDER / f"{name}.lua")
    for word in ("-- KEYS ", "-- ARGV ", "-- Returns "):
        assert word in about, f"{name}: no {word!r}"


@pytest.mark.parametrize("name", PARTS)
def test_a_part_says_what_it_is(name: str) -> None:
    """A part begins with a comment, and every function of it has one."""
    text = (FOLDER / "parts" / f"{name}.lua").read_text()
    assert header(FOLDER / "parts" / f"{name}.lua")
    for match in re.finditer(r"^local function (\w+)", text, re.MULTILINE):
        before = text[: match.start()].rstrip("\n").splitlines()[-1]
        if match[1] not in ("lobby_timer", "seat_timer"):
            assert before.startswith("--"), f"{match[1]} has no comment"


@pytest.mark.parametrize("name", SCRIPTS)
def test_no_globals_and_no_chance(name: str) -> None:
    """Lua 5.1 and 5.4 alike: no global, no random number, no clock but the store's, no float in a reply."""
    text = code(load_scripts()[name].text)
    for word in (
        "math.random",
        "os.time",
        "os.clock",
        "loadstring",
        "setfenv",
        "unpack(",
        "table.getn",
        "//",
    ):
        assert word not in text, word
    assigned = set(re.findall(r"^\s*([a-z_]\w*) =[^=]", text, re.MULTILINE))
    declared = {
        name.strip()
        for names in re.findall(r"local ([\w, ]+)", text)
        for name in names.replace("function ", "").split(",")
    } | {name for names in re.findall(r"function \w+\(([^)]*)\)", text) for name in re.split(r",\s*", names)}
    fields_of_tables = set(re.findall(r"[{,]\s*([a-z_]\w*) = ", text))
    assert assigned - declared - fields_of_tables == set()
    for reply in re.findall(r"return \{([^}]*)\}", text):
        assert not re.search(r"tonumber|math\.", reply), f"a number in a reply: {reply}"


def test_every_refusal_is_in_the_table() -> None:
    """Each code that a script refuses with is in REFUSALS, and each code of REFUSALS is used by a script."""
    text = "".join(code(path.read_text()) for path in FOLDER.rglob("*.lua"))
    used = set(re.findall(r"refuse\('(\w+)'", text))
    assert used == set(REFUSALS)


STATUSES = "|".join(status.value for status in Status)
EVENTS = "|".join(event.value for event in LifecycleEvent)


@pytest.mark.parametrize("path", sorted(FOLDER.rglob("*.lua")), ids=lambda path: path.stem)
def test_no_script_spells_a_status(path: Path) -> None:
    """Statuses and lifecycle events come from lobby/lifecycle.py; an error code may share the word."""
    text = re.sub(r"refuse\('\w+'", "", code(path.read_text()))
    assert re.findall(rf"',?(?:{STATUSES}),?'", text) == [], path
    assert not re.findall(rf"announce\('|' ?(?:{EVENTS})'", text), "an event that is spelled"


def test_a_status_is_written_by_the_table_only() -> None:
    """A script sets the status that status_after returns. Only open.lua, which makes the session, has no status before.
    Replay rooms have a table of their own."""
    wrong, writes = [], 0
    for path in FOLDER.rglob("*.lua"):
        text = code(path.read_text())
        computed = set(re.findall(r"local (\w+) = status_after\(", text))
        for value in re.findall(r"'HSET', session_key, 'status', ([\w.]+)", text):
            writes += 1
            if (
                value != "status_after"
                and value not in computed
                and (path.stem, value) != ("open", "STATUS.OPEN")
            ):
                wrong.append(f"{path.stem}: {value}")
    assert wrong == []
    assert writes > 5


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_that_uses_the_lifecycle_includes_it(name: str) -> None:
    """Each name of the generated part is defined before its first use."""
    text = code(load_scripts()[name].text)
    for word in (
        "STATUS",
        "EVENT",
        "WAITING",
        "SETTING_UP",
        "HELD",
        "LIVE",
        "ENDED",
        "TRANSITIONS",
        "status_after",
    ):
        uses = [match.start() for match in re.finditer(rf"(?<![.\w']){word}\b(?! = ')", text)]
        if uses:
            definition = re.search(rf"^local (?:function )?{word}\b", text, re.MULTILINE)
            assert definition is not None and definition.start() < uses[0], word


def test_lua_has_the_transitions_of_python() -> None:
    """The generated table, read back, is TRANSITIONS; the sets have the members that they have in Python."""
    text = load_scripts()["unseat"].text
    table = text[text.index("local TRANSITIONS = {") : text.index("local function status_after")]
    found = {
        (Status(source), LifecycleEvent(event)): Status(target)
        for source, row in re.findall(r"(\w+) = \{([^{}]*)\}", table)
        for event, target in re.findall(r"(\w+) = '(\w+)'", row)
    }
    assert found == TRANSITIONS
    for name, members in (("WAITING", lifecycle.WAITING), ("HELD", lifecycle.HELD)):
        line = re.search(rf"^local {name} = \{{(.*)\}}$", text, re.MULTILINE)
        assert line is not None
        assert {Status(word) for word in re.findall(r"(\w+) = true", line[1])} == members


def test_keys_are_spelled_in_keys_only() -> None:
    """No module but keys.py writes the name of a key, no module but store.py imports redis."""
    root = ROOT
    for path in [*root.glob("*/**/*.py"), root / "build_db.py"]:
        folder = path.relative_to(root).parts[0]
        if folder in ("lobby", "worker", "server", "cli", "player", "build_db.py"):
            text = path.read_text()
            if path.name != "store.py":
                assert not re.search(r"^\s*(import|from) (redis|valkey)\b", text, re.MULTILINE), path
            if path.name != "keys.py" and folder in ("lobby", "worker"):
                assert not re.search(
                    r'f?"(session|player|login|ticket|lobbies|catalogue|server|leaderboard):', text
                ), path


def test_the_protocol_lists_every_event_of_the_scripts() -> None:
    """The paragraph of lobby and lifecycle events in docs/protocol.md has the events that scripts append, and no other.
    The final ones come from the table: ``close_session`` emits the event of its caller."""
    text = "".join(code(path.read_text()) for path in FOLDER.rglob("*.lua"))
    sent = set(re.findall(r"emit\('(\w+)'", text))
    sent |= set(re.findall(r"append_event\(\w+, \w+, [\w\[\]]+, '(\w+)'", text))
    sent |= {LifecycleEvent[name].value for name in re.findall(r"emit\(EVENT\.(\w+)", text)}
    sent |= {event.value for (_, event), status in TRANSITIONS.items() if status in lifecycle.ENDED}
    page = (ROOT / "docs" / "protocol.md").read_text()
    paragraph = page[page.index("**Lobby and lifecycle**") :].split("The last three are final")[0]
    assert set(re.findall(r"`(\w+)`", paragraph)) == sent
