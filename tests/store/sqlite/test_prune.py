"""Forgetting an event leaves nothing of it but the key, and nothing of its neighbours is touched."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from relay.event.outcome import Fate, FateReason
from relay.store.sqlite import SqliteStore
from relay.store.sqlite.prune import BITE
from tests.store.samples import NOW_MS, RECEIPT, claim, end_all, ended, event

DAY_MS = 24 * 60 * 60 * 1000


def rows(path: Path) -> dict[str, int]:
    """How many rows each table holds."""
    with closing(sqlite3.connect(path)) as connection:
        names = [
            name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")
        ]
        return {name: connection.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in names}


@pytest.mark.anyio
async def test_nothing_but_the_key_is_left_of_a_pruned_event(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    async with await SqliteStore.open(path) as store:
        await store.admit([event(f"e{i}") for i in range(BITE + 3)])
        await end_all(store, Fate.UNKNOWN, FateReason.AMBIGUOUS_SEND)
        await store.replay(event_ids=["e0"], now_ms=NOW_MS)
        await end_all(store)
        await store.prune(now_ms=NOW_MS + DAY_MS, retention_ms=DAY_MS, address_ms=0)
    left = {table: n for table, n in rows(path).items() if n and not table.startswith("sqlite_")}
    assert left.keys() == {"dedup", "total"}
    assert left["dedup"] == BITE + 3


@pytest.mark.anyio
async def test_a_call_is_remembered_as_long_as_one_of_its_events(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    async with await SqliteStore.open(path) as store:
        await store.admit([event("early"), event("late")])
        lease = await claim(store)
        early, late = (leased.key for leased in lease.events)
        attempt = await store.begin_attempt(lease, [early, late], NOW_MS)
        await store.settle(lease, [ended(early)], now_ms=NOW_MS, attempt=(attempt, RECEIPT))
        await store.settle(lease, [ended(late)], now_ms=NOW_MS + 10, attempt=None)
        await store.prune(now_ms=NOW_MS + DAY_MS + 9, retention_ms=DAY_MS, address_ms=0)
        assert await store.find("early") == []
        assert len((await store.find("late"))[0].attempts) == 1
        await store.prune(now_ms=NOW_MS + DAY_MS + 10, retention_ms=DAY_MS, address_ms=0)
    assert rows(path)["attempt"] == 0
