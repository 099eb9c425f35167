"""A damaged file: what can be read is saved, what cannot is given up, and nothing is sent twice for it."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from relay.errors import StoreError, StoreLocked
from relay.event.outcome import Admission
from relay.store.sqlite import SqliteStore
from relay.store.sqlite.rescue import rescue
from tests.store.samples import claim, end_all, event

pytestmark = pytest.mark.anyio

EVENTS = 400
PAGE = 4096


@pytest.fixture
async def path(tmp_path: Path) -> Path:
    """A file of many pages: some events ended, the rest wait."""
    path = tmp_path / "counterfoil.db"
    async with await SqliteStore.open(path) as store:
        await store.admit([event("ended")])
        await end_all(store)
        await store.admit([event(f"e{number}") for number in range(EVENTS)])
    return path


def content_of(path: Path) -> bytes:
    return path.read_bytes()


def trash(path: Path, at: int, length: int) -> None:
    content = bytearray(path.read_bytes())
    content[at : at + length] = b"\xa5" * length
    path.write_bytes(content)


def pages_of(path: Path, table: str) -> list[int]:
    """Offsets of the pages that hold the table's rows; found by what is read when they are damaged."""
    with closing(sqlite3.connect(path)) as connection:
        count = connection.execute("PRAGMA page_count").fetchone()[0]
    offsets = []
    whole = path.read_bytes()
    for offset in range(PAGE, count * PAGE, PAGE):
        trash(path, offset, PAGE)
        with closing(sqlite3.connect(path)) as connection:
            try:
                connection.execute(f"SELECT sum(length(hex(key))) FROM {table} NOT INDEXED").fetchone()
            except sqlite3.DatabaseError:
                offsets.append(offset)
        path.write_bytes(whole)
    return offsets


async def test_a_damaged_page_costs_the_events_on_it_and_no_other(path: Path) -> None:
    leaf = pages_of(path, "event")[-2]
    trash(path, leaf, PAGE)
    saved = rescue(path)
    assert EVENTS - 100 < saved["event"] < EVENTS
    assert path.with_name("counterfoil.db.damaged").exists()
    assert not list(path.parent.glob("*.rescued*")) + list(path.parent.glob("*.copy*"))
    async with await SqliteStore.open(path) as store:
        assert len((await claim(store)).events) == saved["queue"] == saved["event"] - 1
        again = await store.admit([event(f"e{number}") for number in range(EVENTS)])
        assert set(again) == {Admission.DUPLICATE}
        assert await store.replay(event_ids=["ended"], now_ms=0) == 0
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


async def test_a_damaged_header_costs_nothing(path: Path) -> None:
    trash(path, 0, 100)
    with pytest.raises(StoreError, match="run `counterfoil rescue`"):
        await SqliteStore.open(path)
    assert rescue(path)["event"] == EVENTS + 1
    async with await SqliteStore.open(path) as store:
        assert len((await claim(store)).events) == EVENTS


async def test_a_file_whose_schema_is_lost_is_left_as_it_is(path: Path) -> None:
    trash(path, 0, PAGE)
    content = content_of(path)
    with pytest.raises(StoreError, match="Put a backup in its place"):
        rescue(path)
    assert content_of(path) == content


async def test_what_the_log_holds_is_saved_too(path: Path) -> None:
    async with await SqliteStore.open(path) as store:
        await store.admit([event("in the log")])
        with pytest.raises(StoreLocked):
            rescue(path)
        files = {name: path.with_name(name).read_bytes() for name in (path.name, f"{path.name}-wal")}
    for name, content in files.items():  # as after a crash: the log was not moved into the file
        path.with_name(name).write_bytes(content)
    assert rescue(path)["event"] == EVENTS + 2


async def test_a_waiting_row_whose_event_is_lost_stops_nobody(path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("DELETE FROM event WHERE event_id = 'e0'")  # behind the back of foreign keys
    async with await SqliteStore.open(path) as store:
        lease = await claim(store)
        assert len(lease.events) == EVENTS - 1
        assert await store.claim(now_ms=2**60, lease_ms=1, limit=1, busy=frozenset()) is not None
