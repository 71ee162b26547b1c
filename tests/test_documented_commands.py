"""The commands of README, tutorial, how-tos and reference: each is known to its program, and those of operators,
draining and backing up run as they are written.

Commands that other tests run: tests/whole/test_play.py (README, "Look inside"), tests/test_tutorial.py, tests/compose.
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import re
import shlex
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.conftest import until as eventually
from tests.support.http import http_client
from tests.support.one_store import store_url as store_url
from tests.support.paths import ROOT
from tests.support.stack import Stack
from tests.support.stranger import Person, duel
from tussle.cli.main import COMMANDS, main
from tussle.lobby.settings import Settings
from tussle.lobby.store.embedded import Binary, EmbeddedStore
from tussle.lobby.store.store import Store

PAGES = sorted(
    [
        ROOT / "README.md",
        ROOT / "CONTRIBUTING.md",
        ROOT / "examples" / "README.md",
        *(ROOT / "docs").rglob("*.md"),
    ]
)
OF_RUN = {
    "--help",
    *re.findall(r"^    (\w+)\)", (ROOT / "run").read_text().partition("\ncase ${1:-up} in")[2], re.M),
}
"""The commands that only ./run has."""
EXTRAS = re.findall(
    r"^(\w+) = \[", (ROOT / "pyproject.toml").read_text().split("[project.optional-dependencies]")[1], re.M
)
CHECKED_ELSEWHERE = {"docker", "compose/make-env.sh", "export"}
"""tests/compose checks these files; the tutorial's ``export`` is part of its test."""

PROGRAMS = ("tussle", "./run", "python", "redis-cli")
SECRET = "a secret of hers"


def commands_of(page: Path) -> list[str]:
    """The commands in a page: lines of shell blocks, and code in the text that begins with a program's name."""
    text = page.read_text()
    blocks = re.findall(r"```bash\n(.*?)```", text, re.DOTALL)
    lines = [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    prose = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    lines += re.findall(rf"`((?:{'|'.join(map(re.escape, PROGRAMS))})(?: [^`\n]+)?)`", prose)
    stripped = (re.sub(r"(^|\s)#.*", "", line).strip() for line in lines)
    return [line for line in dict.fromkeys(stripped) if line]


ALL = [
    pytest.param(page, line, id=f"{page.name}: {line[:60]}") for page in PAGES for line in commands_of(page)
]


def words_of(line: str) -> list[str]:
    """The words of a command, without variables before it and what follows a redirection."""
    words = shlex.split(line.partition(">")[0].replace("...", ""))
    while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
        words = words[1:]
    return words


@pytest.mark.parametrize(("page", "line"), ALL)
def test_a_documented_command_is_known(page: Path, line: str) -> None:
    """Its program, subcommand, options and modules exist."""
    words = words_of(line)
    program, rest = words[0], words[1:]
    if program in CHECKED_ELSEWHERE or program == "redis-cli":
        return
    assert program in PROGRAMS, f"a program that no test knows: {line}"
    if program == "./run" and rest[:1] == ["python"]:
        program, rest = "python", rest[1:]
    if program == "python":
        if rest[0] == "-m":
            name = rest[1] if rest[1].split(".")[0] in ("bench", "tests", "tussle") else f"tussle.{rest[1]}"
            assert importlib.util.find_spec(name) is not None, line
        elif rest[0] not in ("FILE", "play.py", "client.py"):
            assert (ROOT / rest[0]).is_file(), line
    elif program == "./run" and rest[:1] == ["install"]:
        assert set(rest[1:]) <= set(EXTRAS), line
    elif rest and rest[0] not in OF_RUN:
        assert rest[0] in COMMANDS, line
        result = CliRunner().invoke(main, [*rest, "--help"])
        assert result.exit_code == 0, f"{line}\n{result.output}"


def test_the_check_of_commands_sees() -> None:
    """A command, a subcommand and an option that do not exist are found."""
    for line in ("tussle nonsense", "tussle admin --as ada nonsense T", "tussle verify TOKEN --nonsense"):
        with pytest.raises(AssertionError):
            test_a_documented_command_is_known(ROOT, line)


async def test_documented_commands_of_redis_are_well_formed(store_url: str) -> None:
    """The store knows each of them, with these arguments. Keys need not be there."""
    store = await Store.connect(store_url, "main")
    lines = {line for page in PAGES for line in commands_of(page) if line.startswith("redis-cli ")}
    try:
        for line in sorted(lines):
            words = words_of(line)[1:]
            if "-p" in words or words[0] in ("SUBSCRIBE", "PSUBSCRIBE"):
                continue
            try:
                await store.call(*words)
            except Exception as error:  # noqa: BLE001
                assert "no such key" in str(error) or "NOGROUP" in str(error), f"{line}: {error}"
    finally:
        await store.close()


async def tussle(stack: Stack, line: str, *, said: str = "", code: int = 0, **environment: str) -> str:
    """Run a documented command in the folder of a stack. Returns what it prints."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-P", "-c", "from tussle.cli.main import main; main()", *words_of(line)[1:],
        cwd=stack.folder.name, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={
            **os.environ, "REDIS_URL": stack.store_url, "REALM": stack.realm, "COLUMNS": "200",
            "DATA_DIR": str(stack.data_dir),
            "SERVER_URL": stack.servers[0].url if stack.servers else "", **environment,
        },
    )  # fmt: skip
    async with asyncio.timeout(60):
        out, _ = await process.communicate(said.encode())
    assert process.returncode == code, f"{line}\n{out.decode()}"
    return out.decode()


async def test_the_pages_for_operators_and_draining_are_true(store_url: str) -> None:
    """The commands of docs/howto/operate.md run as they are written, with the words of a real session. Then a server is
    drained as docs/howto/drain.md says: its session goes on at the other one."""
    page = (ROOT / "docs" / "howto" / "operate.md").read_text()
    orders = re.findall(r"`tussle ((?:admin|limits) --as ada[^`]*)`", page)
    orders += [
        f"admin --as ada {order}" for order in re.findall(r"`((?:resume|end|kick|unban)[ -][^`]*)`", page)
    ]
    documented = {" ".join(order.split()[3:4] or order.split()[:1]): f"tussle {order}" for order in orders}
    assert set(documented) == {
        "admin", "limits", "pause", "resume", "end", "kick", "ban", "unban", "ban-address", "unban-address", "drain",
        "notice",
    }  # fmt: skip
    async with Stack.up(store_url, "documented-operators", GUESS_RATE="1000") as stack:
        servers = await stack.more_servers(2)
        await tussle(stack, "tussle operator add ada", said=f"{SECRET}\n")
        assert (await tussle(stack, "tussle operator list")).split() == ["ada"]
        assert "ada:" in await tussle(stack, "tussle operator hash ada", said=f"{SECRET}\n")
        async with duel(servers[0].url) as game, Person(servers[0].url) as other:
            await other.login(name="Otto", secret="another secret")

            async def order(verb: str, **words: str) -> str:
                line = " ".join(
                    words.get(word, word) for word in re.findall(r"'[^']*'|\S+", documented[verb])
                )
                return await tussle(stack, line, said=f"{SECRET}\n", SERVER_URL=stack.servers[-1].url)

            overview = json.loads(await tussle(stack, "tussle admin --as ada --json", said=f"{SECRET}\n"))
            at = (
                (await game.persons[0].look(game.session))["ws_url"]
                .replace("ws", "http", 1)
                .removesuffix("/ws")
            )
            [holder] = [one["id"] for one in overview["servers"] if one["url"] == at]
            assert game.session in await order("admin") and "requests" in await order("limits")
            line = game.lines[0]
            await order("notice", T=game.session)
            assert (await line.until("announcement"))["d"]["text"] == "Restart at noon"
            await order("pause", T=game.session)
            await line.until("session_paused")
            await order("resume", T=game.session)
            await line.until("session_resumed")
            await order("ban", NAME="Otto")
            assert (await other.get("/api/me")).json()["code"] == "banned"
            await order("unban", NAME="Otto")
            assert (await other.get("/api/me")).status_code == 200
            await order("ban-address")
            assert "203.0.113.7" in await order("admin")
            await order("unban-address", ADDRESS="203.0.113.7")
            assert "203.0.113.7" not in await order("admin")
            assert documented["drain"].replace("--as ada ", "").replace("SERVER", "ID") in page_of("drain")
            await order("drain", SERVER=holder)
            [drained] = [server for server in servers if server.url == at]
            [kept] = [server for server in servers if server is not drained]
            assert await drained.wait(60) == 0, drained.output
            async with http_client(kept.url) as http:

                async def moved() -> bool:
                    view = (await http.get(f"/api/sessions/{game.session}")).json()
                    return str(view["ws_url"]).startswith(kept.url.replace("http", "ws"))

                await eventually(moved)
            await order("kick", T=game.session, PLAYER=game.persons[1].player)
            async with http_client(kept.url) as http:
                ended = (await http.get(f"/api/sessions/{game.session}")).json()
            assert ended["seats"][1]["out"] or ended["status"] == "ended"
            await tussle(
                stack, documented["end"].replace(" T", f" {game.session}"), said=f"{SECRET}\n", code=0
            )
        await tussle(stack, "tussle operator remove ada")
        assert "nobody" in await tussle(stack, "tussle operator list")


def page_of(name: str) -> str:
    return (ROOT / "docs" / "howto" / f"{name}.md").read_text()


async def tar(*arguments: str | Path) -> None:
    assert await (await asyncio.create_subprocess_exec("tar", *map(str, arguments))).wait() == 0


async def test_a_copy_of_the_store_is_a_backup(valkey: Binary, tmp_path: Path) -> None:
    """As docs/howto/back-up.md says: rewrite, copy the folder while the store runs and takes writes, and start a store
    on the copy. It has every key of before the copy."""
    page = page_of("back-up")
    assert "redis-cli BGREWRITEAOF" in page and "tar czf /backup/store.tgz -C /data appendonlydir" in page
    with EmbeddedStore(Settings(data_dir=tmp_path / "first"), binary=valkey) as first:
        store = await Store.connect(first.url, "main")
        await store.call("SET", "before", "1")
        await store.call("BGREWRITEAOF")

        async def rewritten() -> bool:
            return "aof_rewrite_in_progress:0" in str(await store.call("INFO", "persistence"))

        await eventually(rewritten)
        await store.call("SET", "after", "2")
        await asyncio.sleep(1.1)  # what the page allows to be lost: the last second
        [folder] = (tmp_path / "first").rglob("appendonlydir")
        there = tmp_path / "second" / folder.parent.relative_to(tmp_path / "first")
        there.mkdir(parents=True)
        archive = tmp_path / "store.tgz"
        await tar("czf", archive, "-C", folder.parent, "appendonlydir")
        await store.call("SET", "later", "3")
        await store.close()
    await tar("xzf", archive, "-C", there)
    with EmbeddedStore(Settings(data_dir=tmp_path / "second"), binary=valkey) as second:
        store = await Store.connect(second.url, "main")
        assert await store.call("MGET", "before", "after", "later") == ["1", "2", None]
        await store.close()
