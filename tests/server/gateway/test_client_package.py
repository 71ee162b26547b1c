"""The package @tussle/client, packed as it is published, against a real server, in Node."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.support.client_package import NODE, WEB, install, needs_node
from tests.support.gateway import GATEWAY_ENVIRONMENT
from tests.support.paths import ROOT
from tests.support.stack import Stack

ENVIRONMENT = {**GATEWAY_ENVIRONMENT, "SIM_SPEED": "4"}

pytestmark = needs_node

TYPED = """
import { Tussle } from "@tussle/client";
const session = new Tussle("http://x").connect(await new Tussle("http://x").find({ mode: "duel", size: 2 }));
session.on("running", ({ d }) => { const dt: number = d.dt; void dt; });
session.on("frame", (frame) => { const rows: Float32Array = frame.rows; void rows; });
// @ts-expect-error the length of a tick is a number
session.on("running", ({ d }) => { const dt: string = d.dt; void dt; });
"""


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the tarball is installed."""
    folder = tmp_path_factory.mktemp("client")
    install(folder)
    return folder


@pytest.mark.asyncio(loop_scope="module")
async def test_two_clients_play_a_duel_over_a_cut_connection(site: Stack, package: Path) -> None:
    """Events come once and in order over a reconnection, frames are decoded, a refusal has its code."""
    shutil.copy(ROOT / "tests" / "support" / "client_check.mjs", package / "check.mjs")
    done = await asyncio.to_thread(
        subprocess.run,
        [str(NODE), "--experimental-websocket", "--no-warnings", "check.mjs", site.url],
        cwd=package, capture_output=True, text=True, check=False, timeout=40,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    seen: dict[str, Any] = json.loads(done.stdout)
    vs = [v for v, _ in seen["events"]]
    assert vs == list(range(vs[0], vs[0] + len(vs)))
    assert (seen["live"], seen["lost"], seen["refused"], seen["late"]) == (2, 1, "not_your_turn", "closed")
    assert seen["welcome"]["codec"].startswith("delta-")
    assert seen["frames"] > 5
    assert (seen["ticks"], seen["rows"]) == (sorted(seen["ticks"]), 24)
    assert seen["seed"].isdigit()
    assert seen["network"].startswith("20ms")
    assert (seen["ended"], seen["closed"], seen["topology"]) == ("ended", [False], 3)


def test_the_package_has_types_and_a_short_example(package: Path) -> None:
    """Events are typed: a wrong use does not compile. The example is a page of at most 40 lines."""
    client = package / "node_modules" / "@tussle" / "client"
    assert len((client / "example.html").read_text().splitlines()) <= 40
    (package / "typed.ts").write_text(TYPED)
    options = {
        "module": "ESNext",
        "target": "ES2023",
        "moduleResolution": "bundler",
        "strict": True,
        "noEmit": True,
    }
    (package / "tsconfig.json").write_text(
        json.dumps(
            {"compilerOptions": {**options, "lib": ["ES2023", "DOM"], "types": []}, "files": ["typed.ts"]}
        )
    )
    tsc = WEB / "node_modules" / "typescript" / "bin" / "tsc"
    done = subprocess.run(
        [str(NODE), str(tsc), "-p", "."], cwd=package, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stdout
