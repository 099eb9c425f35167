"""No statement of the hot way reads a table from end to end, and a backlog makes none of them slower."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from relay.event.outcome import Fate, FateReason
from relay.event.report import Sighting
from relay.event.tally import Topic
from relay.store.protocol import STEPS_MS, Again, Ended, Filters, MarkKind
from relay.store.sqlite import counter, ended, families, marks, outbox, prune, receipts, senders
from relay.store.sqlite.admit import admit
from relay.store.sqlite.file import connect_writer
from tests.store.samples import EVER, LEASE_MS, NOW_MS, RECEIPT, REVOKED, event

Work = Callable[[sqlite3.Connection], object]

GROWING_TABLES = (
    "event", "visitor", "leg", "queue", "dedup", "attempt", "attempt_event", "fate", "replay", "address_family",
    "sender",
    "counter", "mark", "purchase",
)  # fmt: skip

FILL = """
WITH RECURSIVE n (i) AS (SELECT 1000 UNION ALL SELECT i + 1 FROM n WHERE i < 1000 + :rows)
INSERT INTO event
    (id, key, site, pixel, event_name, event_id, event_time_ms, received_ms, server_event, why, crc)
SELECT i, randomblob(16), 'shop', '111', 'Purchase', 'e' || i, 0, 0, x'7b7d', x'7b7d', 0 FROM n
"""

FILL_QUEUE = """
INSERT INTO queue (event, pixel, due_ms, attempts) SELECT id, pixel, :due_ms, 0 FROM event WHERE id >= 1000
"""


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    with closing(connect_writer(tmp_path / "a.db")) as connection:
        connection.row_factory = sqlite3.Row
        yield connection


def deliver(connection: sqlite3.Connection) -> None:
    """Two events from the post to the fate, one call each way it can end."""
    marks.mark(connection, kind=MarkKind.TOKEN, subject="111", detail="a", now_ms=NOW_MS)
    for decision in (
        Ended(key=event().key, fate=Fate.REJECTED, reason=FateReason.REJECTED_BY_META),
        Again(key=event().key, due_ms=NOW_MS),
    ):
        admit(connection, [[event()]])
        lease = outbox.claim(connection, now_ms=NOW_MS, lease_ms=LEASE_MS, limit=10, busy=())
        assert lease is not None
        attempt = outbox.begin_attempt(connection, lease, [event().key], NOW_MS)
        outbox.settle(connection, lease, [decision], now_ms=NOW_MS, attempt=(attempt, RECEIPT))
        ended.replay_bite(
            connection, event_id=None, fate=Fate.REJECTED, ended_ms=EVER, after=0, limit=9, now_ms=NOW_MS
        )
        ended.replay_bite(
            connection, event_id="e1", fate=None, ended_ms=EVER, after=0, limit=9, now_ms=NOW_MS
        )


def lose_a_lease(connection: sqlite3.Connection) -> None:
    admit(connection, [[event()]])
    first = outbox.claim(connection, now_ms=NOW_MS, lease_ms=1, limit=10, busy=())
    assert first is not None
    outbox.begin_attempt(connection, first, [event().key], NOW_MS)
    second = outbox.claim(connection, now_ms=NOW_MS + 1, lease_ms=1, limit=10, busy=())
    assert second is not None
    attempt = outbox.begin_attempt(connection, second, [event().key], NOW_MS)
    outbox.park(connection, second, now_ms=NOW_MS, attempt=(attempt, REVOKED))
    outbox.unpark(connection, "111")
    outbox.recover(connection, now_ms=NOW_MS, on_unknown="hold")


def read(connection: sqlite3.Connection) -> None:
    outbox.next_due_ms(connection, ())
    outbox.oldest_waiting_ms(connection)
    receipts.event_names(connection)
    families.families(connection, since_ms=NOW_MS, site=None)
    families.families(connection, since_ms=NOW_MS, site="shop")
    senders.senders(connection, since_ms=NOW_MS, site=None)
    receipts.find(connection, "e1", NOW_MS)
    receipts.orders(connection, [b"order"])
    receipts.attempts(connection, 50)
    marks.marks(connection, since_ms=NOW_MS)
    for site in (None, "shop"):
        counter.counts(connection, Topic.OUTCOME, step_ms=STEPS_MS[0], since_ms=NOW_MS, site=site)
        receipts.latest(connection, site=site, limit=50, now_ms=NOW_MS)
    for site in (None, "shop"):
        for name in (None, "Purchase"):
            for fate in (None, Fate.DELIVERED):
                for waiting in (False, True):
                    filters = Filters(site=site, event_name=name, fate=fate, waiting=waiting)
                    receipts.recent(connection, filters, NOW_MS)


def forget(connection: sqlite3.Connection) -> None:
    admit(connection, [[event(fate=Fate.FILTERED, fate_reason=FateReason.BOT)]])
    prune.forget_visitors(connection, [1], NOW_MS)
    prune.forget_events(connection, NOW_MS)
    prune.forget_keys(connection, NOW_MS)
    prune.forget_counters(connection, STEPS_MS[0], NOW_MS)
    prune.forget_marks(connection, NOW_MS)
    prune.forget_families(connection, NOW_MS)
    senders.note_senders(connection, "shop", [Sighting(sender="gtm")], NOW_MS)
    senders.forget_senders(connection, NOW_MS, prune.BITE)


def plans(connection: sqlite3.Connection, work: Work) -> list[str]:
    """What SQLite plans for every statement of the work, read in the order it ran."""
    statements: dict[str, None] = {}
    connection.set_trace_callback(lambda sql: statements.setdefault(sql))
    work(connection)
    connection.set_trace_callback(None)
    return [
        f"{row['detail']} in {sql}"
        for sql in statements
        if not sql.startswith("--")  # what foreign keys do inside
        for row in connection.execute(f"EXPLAIN QUERY PLAN {sql}")
    ]


@pytest.mark.parametrize("work", [deliver, lose_a_lease, read, forget], ids=lambda work: work.__name__)
def test_no_growing_table_is_scanned(connection: sqlite3.Connection, work: Work) -> None:
    steps = plans(connection, work)
    assert any(step.startswith("SEARCH") for step in steps)
    scans = [step for step in steps if step.startswith(tuple(f"SCAN {table}" for table in GROWING_TABLES))]
    assert [step for step in scans if not is_bounded(step)] == []


def is_bounded(step: str) -> bool:
    """A partial index that holds only leased rows or open calls is read whole on purpose."""
    return "USING INDEX queue_leased" in step or "USING INDEX attempt_open" in step


def test_no_list_is_sorted_in_memory(connection: sqlite3.Connection) -> None:
    lists = [step for step in plans(connection, read) if "LIMIT 50" in step]
    assert lists
    assert [step for step in lists if "TEMP B-TREE" in step] == []


def steps_of(connection: sqlite3.Connection, work: Work) -> int:
    """Hundreds of instructions of SQLite's machine that the work takes."""
    ticks = []
    connection.set_progress_handler(lambda: ticks.append(1), 100)
    work(connection)
    connection.set_progress_handler(None, 0)
    return len(ticks)


def take_one_and_give_it_back(connection: sqlite3.Connection) -> None:
    lease = outbox.claim(connection, now_ms=NOW_MS, lease_ms=LEASE_MS, limit=1, busy=())
    assert lease is not None
    assert len(lease.events) == 1
    again = Again(key=lease.events[0].key, due_ms=0)
    assert outbox.settle(connection, lease, [again], now_ms=NOW_MS, attempt=None) == 1
    assert outbox.next_due_ms(connection, ()) == 0


@pytest.mark.parametrize("due_ms", [NOW_MS - 1, NOW_MS + 1], ids=["due", "held"])
def test_claiming_takes_no_more_steps_from_a_long_queue(connection: sqlite3.Connection, due_ms: int) -> None:
    admit(connection, [[event(pixel="111", not_before_ms=0), event(pixel="222", not_before_ms=5)]])
    short = steps_of(connection, take_one_and_give_it_back)
    connection.execute(FILL, {"rows": 20_000})
    connection.execute(FILL_QUEUE, {"due_ms": due_ms})
    assert steps_of(connection, take_one_and_give_it_back) <= short + 2
