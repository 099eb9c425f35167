"""The write-ahead log moves into the file beside the writer."""

import asyncio
import queue
import sqlite3
from pathlib import Path

import pytest

from relay.store.sqlite import SqliteStore, checkpoints
from relay.store.sqlite.checkpoints import ROWS, Checkpoints
from tests.store.samples import event

pytestmark = pytest.mark.anyio


class Connection:
    """Tells what it was asked, and fails the first time."""

    def __init__(self) -> None:
        self.asked: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._failures = 1
        self.is_closed = False

    def execute(self, statement: str) -> None:
        self.asked.put(statement)
        if self._failures:
            self._failures -= 1
            raise sqlite3.OperationalError("disk I/O error")

    def close(self) -> None:
        self.is_closed = True


@pytest.fixture
def connection(monkeypatch: pytest.MonkeyPatch) -> Connection:
    connection = Connection()
    monkeypatch.setattr(checkpoints, "connect_plain", lambda _path: connection)
    return connection


async def test_the_log_moves_while_posts_are_taken(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    async with await SqliteStore.open(path) as store:
        before = path.stat().st_size
        await store.admit([event(f"e{number}") for number in range(ROWS // 4)])
        async with asyncio.timeout(30):
            while path.stat().st_size == before:  # noqa: ASYNC110 - a file tells nobody that it grows
                await asyncio.sleep(0.02)
        assert path.with_name("a.db-wal").stat().st_size > 0  # not by the end of the last connection
        assert (await store.totals()).waiting == ROWS // 4


def test_every_so_many_rows_one_checkpoint_and_none_for_fewer(connection: Connection) -> None:
    some = Checkpoints(Path("a.db"))
    some.committed(ROWS - 1)
    some.committed(ROWS)
    assert connection.asked.get(timeout=30) == "PRAGMA wal_checkpoint(PASSIVE)"
    some.committed(2 * ROWS - 1)
    some.close()
    assert connection.asked.empty()
    assert connection.is_closed


def test_a_checkpoint_that_fails_is_tried_again_with_the_next_rows(connection: Connection) -> None:
    some = Checkpoints(Path("a.db"))
    for rows in (ROWS, 2 * ROWS):
        some.committed(rows)
        assert connection.asked.get(timeout=30)
    some.close()
