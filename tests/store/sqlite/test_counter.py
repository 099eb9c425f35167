"""The roll-ups agree with the rows they count, and stand in the minute in which it happened."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from relay.event.outcome import BrowserState, Fate, FateReason
from relay.store.protocol import STEPS_MS, Ended
from relay.store.sqlite import outbox, receipts
from relay.store.sqlite.admit import admit, count_refused
from relay.store.sqlite.ended import replay_bite
from relay.store.sqlite.file import connect_writer
from tests.store.samples import CUT_OFF, EVER, LEASE_MS, NOW_MS, event, leg

MINUTE_MS = NOW_MS - NOW_MS % 60_000
LATER_MS = NOW_MS + 120_000


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    with closing(connect_writer(tmp_path / "a.db")) as connection:
        yield connection


def reject(connection: sqlite3.Connection, now_ms: int) -> None:
    """One ambiguous call, then an end."""
    lease = outbox.claim(connection, now_ms=now_ms, lease_ms=LEASE_MS, limit=10, busy=())
    assert lease is not None
    attempt = outbox.begin_attempt(connection, lease, [event().key], now_ms)
    decision = Ended(key=event().key, fate=Fate.REJECTED, reason=FateReason.REJECTED_BY_META)
    outbox.settle(connection, lease, [decision], now_ms=now_ms, attempt=(attempt, CUT_OFF))


def test_each_thing_is_counted_in_its_minute(connection: sqlite3.Connection) -> None:
    admit(
        connection,
        [[event(leg=leg(BrowserState.PENDING)), event(), event()], [event("bot", event_name="Lead")]],
    )
    count_refused(connection, "shop", "missing_value", NOW_MS)
    reject(connection, LATER_MS)
    replay_bite(connection, event_id="e1", fate=None, ended_ms=EVER, after=0, limit=9, now_ms=LATER_MS)
    counted = connection.execute(
        "SELECT at_ms, site, event_name, what, name, n FROM counter WHERE step_ms = 60000 ORDER BY 1, 2, 3, 4"
    ).fetchall()
    later_minute = MINUTE_MS + 120_000
    assert counted == [
        (MINUTE_MS, "shop", "", "refused", "missing_value", 1),
        (MINUTE_MS, "shop", "Lead", "accepted", "", 1),
        (MINUTE_MS, "shop", "Purchase", "accepted", "", 1),
        (MINUTE_MS, "shop", "Purchase", "duplicate", "", 1),
        (MINUTE_MS, "shop", "Purchase", "updated", "", 1),
        (later_minute, "", "", "ambiguous", "", 1),
        (later_minute, "shop", "", "call", "unknown", 1),
        (later_minute, "shop", "", "error", "no answer", 1),
        (later_minute, "shop", "Purchase", "fate", "rejected", 1),
        (later_minute, "shop", "Purchase", "outcome", "failed", 0),
        (later_minute, "shop", "Purchase", "replayed", "", 1),
    ]


def test_the_coarser_steps_hold_the_same(connection: sqlite3.Connection) -> None:
    admit(connection, [[event()]])
    reject(connection, NOW_MS)
    sums = connection.execute(
        "SELECT step_ms, what, sum(n) FROM counter GROUP BY 1, 2 ORDER BY 2, 1"
    ).fetchall()
    by_topic = {what: {n for _, each, n in sums if each == what} for _, what, _ in sums}
    assert len(sums) == len(by_topic) * len(STEPS_MS)
    assert all(len(numbers) == 1 for numbers in by_topic.values())


def test_totals_agree_with_the_rows_after_replays(connection: sqlite3.Connection) -> None:
    admit(connection, [[event(), event("bot", fate=Fate.FILTERED, fate_reason=FateReason.BOT)]])
    for _ in range(3):
        reject(connection, NOW_MS)
        assert (
            replay_bite(
                connection, event_id=None, fate=Fate.REJECTED, ended_ms=EVER, after=0, limit=9, now_ms=NOW_MS
            )[0]
            == 1
        )
    reject(connection, NOW_MS)
    assert receipts.totals(connection).fates == {"filtered": 1, "rejected": 1}
    assert connection.execute("SELECT fate, count(*) FROM fate GROUP BY fate").fetchall() == [
        ("filtered", 1),
        ("rejected", 1),
    ]


def test_a_replayed_event_keeps_every_fate_it_had(connection: sqlite3.Connection) -> None:
    admit(connection, [[event()]])
    for now_ms in (NOW_MS, LATER_MS):
        reject(connection, now_ms)
        replay_bite(connection, event_id="e1", fate=None, ended_ms=EVER, after=0, limit=9, now_ms=now_ms + 5)
    history = connection.execute("SELECT fate, reason, at_ms, replayed_ms FROM replay ORDER BY id").fetchall()
    assert history == [
        ("rejected", "rejected_by_meta", NOW_MS, NOW_MS + 5),
        ("rejected", "rejected_by_meta", LATER_MS, LATER_MS + 5),
    ]
