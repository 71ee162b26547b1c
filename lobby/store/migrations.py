"""Upgrades of the stored layout, one step per version.

    meta: schema = n  --MIGRATIONS[n]-->  n + 1  --...-->  SCHEMA

A step runs before the number is raised. A run that was interrupted is repeated from the stored number, so every step
must be safe to repeat, also while another process runs it. This module must never change data of a newer schema.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from tussle.lobby.errors import StoreError
from tussle.lobby.store.store import SCHEMA, Store

__all__ = ["MIGRATIONS", "migrate"]

Migration = Callable[[Store], Awaitable[None]]

MIGRATIONS: Mapping[int, Migration] = {}
"""Version -> the step from it to the next. Empty: there has been one schema so far."""


async def migrate(
    store: Store, *, migrations: Mapping[int, Migration] = MIGRATIONS, schema: int = SCHEMA
) -> list[int]:
    """Upgrade a realm to ``schema``. Returns the versions that were left behind, in order; empty if it was current.

    ``store`` is one from ``Store.connect(..., check_schema=False)``. Raises StoreError ``schema_mismatch`` when the
    stored schema is newer, or when a step is missing: then nothing was changed. Raises StoreError when the store does
    not answer: the steps so far are kept, and calling again continues.
    """
    stored = await store.call("HGET", store.keys.meta, "schema")
    version = schema if stored is None else int(stored)
    if version > schema:
        raise StoreError(
            f"the store has schema {version}, newer than {schema}: this Tussle is too old for it",
            code="schema_mismatch",
        )
    missing = [step for step in range(version, schema) if step not in migrations]
    if missing:
        raise StoreError(
            f"the store has schema {version}, and there is no migration from {missing[0]}",
            code="schema_mismatch",
        )
    for step in range(version, schema):
        await migrations[step](store)
        await store.run("set_schema", [store.keys.meta], [step, step + 1])
    return list(range(version, schema))
