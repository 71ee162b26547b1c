"""The query of the README, run as written over a duel that a storage worker has stored."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import duckdb
import pytest

from tests.support.one_store import store_url as store_url
from tests.support.paths import ROOT
from tests.support.stack import Stack
from tussle.lobby.store.store import Store

README = ROOT / "README.md"


def queries() -> list[str]:
    """The statements of the SQL block in the README."""
    (block,) = re.findall(r"<!-- query: .*?-->\n```sql\n(.*?)```", README.read_text(), re.DOTALL)
    return [statement.strip() for statement in block.split(";") if statement.strip()]


async def test_the_readmes_query_runs_as_written(
    store_url: str, realm: str, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wins by skill, the histogram of impulses and the smallest gap, from a duel of two bots."""
    lake = tmp_path / "data" / "lake"
    async with Stack.up(
        store_url, realm, SIM_SPEED="0", STORAGE_URL=str(lake), STORAGE_FLUSH_S="0.05"
    ) as stack:
        await stack.server()
        storage = await stack.worker("storage")
        bots = await stack.bots(2, 1, "--skill", "sharp")
        assert await bots.wait(90) == 0, bots.output
        await storage.logged("session_stored")
        assert await storage.end() == 0
        (session,) = await store.call("ZRANGE", store.keys.ended, 0, -1)
        lengths = {
            "events": await store.call("XLEN", store.keys.events(session)),
            "telemetry": await store.call("XLEN", store.keys.telemetry(session)),
        }
    monkeypatch.chdir(tmp_path)
    with duckdb.connect() as shell:
        skills, impulses, gaps = [shell.execute(query).fetchall() for query in queries()]
        counted: dict[str, Any] = {
            table: shell.execute(
                f"SELECT count(DISTINCT id) FROM 'data/lake/{table}/**/*.parquet'"
            ).fetchone()
            for table in lengths
        }
    assert [(skill, played, won) for skill, played, won, _ in skills] == [("sharp", 2, 1)]
    assert sum(blows for _, blows, _ in impulses) > 0
    assert impulses == sorted(impulses)
    assert [(row[0], row[1] > 0, row[2] > 0) for row in gaps] == [(session, True, True)]
    assert counted == {table: (length,) for table, length in lengths.items()}
