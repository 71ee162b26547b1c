"""A server where little is allowed: IPv6 only, another user without a home, a root that cannot be written, and 256
descriptors."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.support.http import healthy, http_client
from tests.support.one_store import store_url as store_url
from tests.support.paths import ROOT
from tests.support.stack import Stack, until
from tests.support.stranger import Line, Person
from tussle.lobby.store.embedded import free_port

NOBODY = "54321"
MAY_CONFINE = (
    shutil.which("unshare") is not None
    and shutil.which("setpriv") is not None
    and subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False).returncode == 0
)

CONFINE = """
mount --make-rprivate / || exit 90
if [ -n "{closed}" ]; then # the interpreter is in a folder that only its owner may enter
    mount -t tmpfs tmpfs /mnt && mkdir /mnt/base && mount --bind {base} /mnt/base || exit 91
    mount -t tmpfs -o mode=755 tmpfs {closed} && mkdir -p {base} && mount --bind /mnt/base {base} || exit 92
fi
mount -o remount,ro,bind / || exit 93
for place in /tmp /var/tmp /dev/shm; do
    case "{root}/ {data}/ {base}/ {kernels}/" in *$place/*) continue ;; esac # read-only, as the root is
    mount -t tmpfs -o ro tmpfs $place || exit 94
done
mount -t tmpfs -o mode=755,uid={user} tmpfs {data} || exit 95
cd {root} && exec prlimit --nofile=256 setpriv --reuid={user} --regid={user} --clear-groups "$@"
"""


def closed_folder(path: Path) -> str:
    """The first folder on the way to ``path`` that others may not enter, or ''."""
    ways = [*reversed(path.parents), path]
    return next((str(way) for way in ways if not way.stat().st_mode & 0o001), "")


@pytest.mark.skipif(not MAY_CONFINE, reason="A READ-ONLY ROOT NOT TESTED (needs root, unshare and setpriv)")
async def test_a_server_that_may_do_little(store_url: str, tmp_path: Path) -> None:
    """IPv6 only, a user without a name, HOME or a place for temporary files, a root that cannot be written but for
    DATA_DIR, 256 descriptors. It compiles nothing, plays, refuses connections that it has no descriptors for, and ends
    in order."""
    stack = Stack.up(store_url, "places-confined", SIM_SPEED="0")
    data = ROOT / "data"
    data.mkdir(exist_ok=True)
    kernels = os.environ.get("NUMBA_CACHE_DIR", str(Path(sys.prefix) / "kernels"))
    port = free_port()
    async with stack:
        log = (tmp_path / "server.log").open("wb")
        server = await asyncio.create_subprocess_exec(
            "unshare", "--mount", "sh", "-c", CONFINE.format(
                user=NOBODY, data=data, root=ROOT, base=sys.base_prefix, kernels=kernels,
                closed=closed_folder(Path(sys.base_prefix)),
            ),
            "sh",
            sys.executable, "-P", "-m", "tussle.server",
            env={
                "PATH": os.environ["PATH"], "PYTHONPATH": os.environ.get("PYTHONPATH", str(ROOT)),
                "NUMBA_CACHE_DIR": kernels, "REDIS_URL": store_url, "REALM": stack.realm, "HOST": "::1",
                "PORT": str(port), "DATA_DIR": str(data), **stack.environment,
            },
            stdout=log, stderr=log,
        )  # fmt: skip
        log.close()

        def output() -> str:
            return (tmp_path / "server.log").read_text()

        try:
            await until(
                lambda: "server_started" in output() or server.returncode is not None, "the server", 120
            )
            assert server.returncode is None, output()
            url = f"http://[::1]:{port}"
            async with Person(url) as ada:
                await ada.login()
                seat = await ada.ask("/api/open", mode="sandbox", size=1, ready=True)
                assert seat["ws_url"] == f"ws://[::1]:{port}/ws"
                async with Line.to(seat["ws_url"]) as line:
                    await line.hello(ticket=seat["ticket"])
                    await line.until("running")
                    assert (await line.act("gravity", strength=5.0))["t"] == "ack"
                    await line.command("leave")
            lines = [await asyncio.open_connection("::1", port) for _ in range(300)]
            for _, writer in lines:
                writer.close()
            async with http_client(url) as http, asyncio.timeout(60):
                well = False
                while not well:
                    with contextlib.suppress(httpx.RemoteProtocolError):  # it still closes the 300
                        await healthy(http)
                        well = True
            server.terminate()
            async with asyncio.timeout(30):
                assert await server.wait() == 0, output()
        finally:
            if server.returncode is None:
                server.kill()
                await server.wait()
        for bad in ("Traceback", "kernels_compiled", "Too many open files"):
            assert bad not in output(), output()[-3000:]
