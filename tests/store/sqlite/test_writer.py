"""Group commit: shared when many wait, and no unit of work pays for its neighbour."""

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest

from relay.errors import StoreError, StoreFull
from relay.event.outcome import Admission
from relay.event.records import OutboxEvent
from relay.settings import StoreSettings
from relay.store.protocol import STEPS_MS
from relay.store.sqlite import SqliteStore
from relay.store.sqlite.admit import admit
from relay.store.sqlite.file import connect_writer
from relay.store.sqlite.writer import GROUP_MAX, Writer
from tests.store.samples import event

pytestmark = pytest.mark.anyio


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    with closing(connect_writer(tmp_path / "a.db")) as connection:
        yield connection


@pytest.fixture
async def writer(connection: sqlite3.Connection) -> AsyncIterator[Writer]:
    writer = Writer(connection)
    yield writer
    await writer.close()


@asynccontextmanager
async def busy(writer: Writer) -> AsyncIterator[None]:
    """The writer is in the middle of a transaction: what is written meanwhile makes the next group."""
    started, go_on = threading.Event(), threading.Event()

    def hold(_: sqlite3.Connection) -> None:
        started.set()
        go_on.wait(30)

    holding = asyncio.ensure_future(writer.write(hold))
    await asyncio.to_thread(started.wait)
    yield
    go_on.set()
    await holding


async def write_together(writer: Writer, events: list[OutboxEvent]) -> list[list[Admission] | BaseException]:
    async with busy(writer):
        posts = [asyncio.ensure_future(writer.share(admit, [event])) for event in events]
        await asyncio.sleep(0)
        assert writer.waiting == len(events)
    return await asyncio.gather(*posts, return_exceptions=True)


def stored(connection: sqlite3.Connection) -> list[str]:
    return [event_id for (event_id,) in connection.execute("SELECT event_id FROM event ORDER BY id")]


async def test_what_waits_together_is_committed_together(
    writer: Writer, connection: sqlite3.Connection
) -> None:
    commits: list[str] = []
    connection.set_trace_callback(lambda sql: commits.append(sql) if sql == "COMMIT" else None)
    await write_together(writer, [event(f"e{i}") for i in range(100)])
    assert len(commits) == 2  # the one that held the writer up, and one for all hundred
    assert len(stored(connection)) == 100


async def test_posts_that_wait_together_share_their_statements(
    writer: Writer, connection: sqlite3.Connection
) -> None:
    """What is counted alike is written once, and a post that is known by a neighbour's is known."""
    statements: list[str] = []
    connection.set_trace_callback(statements.append)
    answers = await write_together(writer, [event("a"), event("b"), event("a"), event("c")])
    connection.set_trace_callback(None)
    assert answers == [
        [Admission.ACCEPTED],
        [Admission.ACCEPTED],
        [Admission.DUPLICATE],
        [Admission.ACCEPTED],
    ]
    counted = [sql for sql in statements if "INSERT INTO counter" in sql]
    assert len(counted) == 2 * len(STEPS_MS)  # accepted, and duplicate
    assert connection.execute("SELECT count(*) FROM leg").fetchone()[0] == 3


async def test_a_group_has_its_limit(writer: Writer, connection: sqlite3.Connection) -> None:
    commits: list[str] = []
    connection.set_trace_callback(lambda sql: commits.append(sql) if sql == "COMMIT" else None)
    await write_together(writer, [event(f"e{i}") for i in range(GROUP_MAX + 1)])
    assert len(commits) == 3


async def test_a_failing_unit_fails_alone(writer: Writer, connection: sqlite3.Connection) -> None:
    """A lone surrogate cannot be stored, and a fate without a reason breaks a rule of the schema."""
    bad_text = event("bad", site="\ud800")
    bad_row = event("bad row", fate="rejected")
    answers = await write_together(writer, [event("a"), bad_text, event("b"), bad_row, event("c")])
    assert [type(answer) for answer in answers] == [list, UnicodeEncodeError, list, StoreError, list]
    assert stored(connection) == ["a", "b", "c"]


async def test_a_post_is_kept_whole_or_not_at_all(writer: Writer, connection: sqlite3.Connection) -> None:
    with pytest.raises(UnicodeEncodeError):
        await writer.share(admit, [event("good"), event("bad", site="\ud800")])
    assert stored(connection) == []


async def test_a_full_disk_refuses_what_does_not_fit_and_serves_the_rest(
    writer: Writer, connection: sqlite3.Connection
) -> None:
    await writer.share(admit, [event("before")])
    pages = connection.execute("PRAGMA page_count").fetchone()[0]
    connection.execute(f"PRAGMA max_page_count = {pages + 5}")
    large = event("large", server_event=b'{"pad": "' + b"x" * 60_000 + b'"}')
    answers = await write_together(writer, [event("a"), large, event("b"), event("b")])
    assert [type(answer) for answer in answers] == [list, StoreFull, list, list]
    assert stored(connection) == ["before", "a", "b"]


async def test_the_writer_goes_on_when_there_is_room_again(
    writer: Writer, connection: sqlite3.Connection
) -> None:
    pages = connection.execute("PRAGMA page_count").fetchone()[0]
    connection.execute(f"PRAGMA max_page_count = {pages}")
    large = event(server_event=b'{"pad": "' + b"x" * 60_000 + b'"}')
    with pytest.raises(StoreFull, match="Free disk space"):
        await writer.share(admit, [large])
    connection.execute("PRAGMA max_page_count = 100000")
    assert await writer.share(admit, [large]) == [Admission.ACCEPTED]
    assert connection.execute("PRAGMA integrity_check").fetchone()[0] == "ok"


async def test_a_database_tool_that_locks_the_file_gives_a_sentence(
    writer: Writer, connection: sqlite3.Connection, tmp_path: Path
) -> None:
    connection.execute("PRAGMA busy_timeout = 0")
    with closing(sqlite3.connect(tmp_path / "a.db", isolation_level=None)) as tool:
        tool.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match="Close database tools"):
            await writer.share(admit, [event()])
        tool.execute("ROLLBACK")
    assert await writer.share(admit, [event()]) == [Admission.ACCEPTED]


async def test_more_posts_than_the_setting_lets_wait_are_told_to_come_back(tmp_path: Path) -> None:
    async with await SqliteStore.open(tmp_path / "b.db", limits=StoreSettings(waiting_posts_max=2)) as store:
        async with busy(store._writer):
            waiting = [asyncio.ensure_future(store.admit([event(name)])) for name in ("a", "b")]
            await asyncio.sleep(0)
            with pytest.raises(StoreFull, match="Come back"):
                await store.admit([event("c")])
        assert await asyncio.gather(*waiting) == [[Admission.ACCEPTED]] * 2
        assert await store.admit([event("c")]) == [Admission.ACCEPTED]
