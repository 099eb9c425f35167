"""Forgetting, in small bites, so that posts never wait long behind it."""

import sqlite3
from collections.abc import Sequence
from typing import Final

from relay.event.tally import Topic
from relay.store.rules import DEDUP_MS
from relay.store.sqlite.counter import counted_sites

# A bite: what the writer removes between two groups of posts.
BITE: Final = 500

# Visitors are few: those that wait, and those of the last hours. So this walks them, and not all fates.
OLD_VISITORS: Final = """
SELECT visitor.event FROM visitor CROSS JOIN fate ON fate.event = visitor.event
WHERE visitor.event > ? AND fate.at_ms <= ? ORDER BY visitor.event LIMIT ?
"""

# A replay between the look and the bite makes the event wait again: then it needs its visitor.
FORGET_VISITOR: Final = """
DELETE FROM visitor
WHERE event = ?1 AND EXISTS (SELECT 1 FROM fate WHERE fate.event = ?1 AND fate.at_ms <= ?2)
"""

OLD_EVENTS: Final = "SELECT event FROM fate WHERE at_ms <= ? ORDER BY at_ms LIMIT ?"

ATTEMPTS_OF_EVENT: Final = "SELECT attempt FROM attempt_event WHERE event = ?"

KEEP_KEY_ONLY: Final = "UPDATE dedup SET event = NULL WHERE key = (SELECT key FROM event WHERE id = ?)"

# Everything else of the event goes by ON DELETE CASCADE.
FORGET_EVENT: Final = "DELETE FROM event WHERE id = ?"

FORGET_EMPTY_ATTEMPT: Final = """
DELETE FROM attempt WHERE id = ?1 AND NOT EXISTS (SELECT 1 FROM attempt_event WHERE attempt = ?1)
"""

FORGET_KEYS: Final = """
DELETE FROM dedup WHERE key IN (SELECT key FROM dedup WHERE event IS NULL AND seen_ms <= ? LIMIT ?)
"""

FORGET_ORDERS: Final = """
DELETE FROM purchase WHERE key IN (SELECT key FROM purchase WHERE seen_ms <= ? LIMIT ?)
"""

FORGET_COUNTERS: Final = """
DELETE FROM counter WHERE (step_ms, what, site, at_ms, event_name, name) IN (
    SELECT step_ms, what, site, at_ms, event_name, name FROM counter
    WHERE step_ms = ? AND what = ? AND site = ? AND at_ms <= ? LIMIT ?
)
"""

FORGET_MARKS: Final = "DELETE FROM mark WHERE id IN (SELECT id FROM mark WHERE at_ms <= ? LIMIT ?)"

FORGET_FAMILIES: Final = """
DELETE FROM address_family WHERE (hour_ms, site, page, token, sent) IN
    (SELECT hour_ms, site, page, token, sent FROM address_family WHERE hour_ms <= ? LIMIT ?)
"""


def old_visitors(connection: sqlite3.Connection, after: int, ended_by_ms: int) -> list[int]:
    return [row_id for (row_id,) in connection.execute(OLD_VISITORS, (after, ended_by_ms, BITE))]


def forget_visitors(connection: sqlite3.Connection, row_ids: Sequence[int], ended_by_ms: int) -> None:
    connection.executemany(FORGET_VISITOR, [(row_id, ended_by_ms) for row_id in row_ids])


def forget_events(connection: sqlite3.Connection, ended_by_ms: int) -> int:
    """Remove one bite of the oldest events; how many."""
    row_ids = [row_id for (row_id,) in connection.execute(OLD_EVENTS, (ended_by_ms, BITE))]
    attempts = {
        attempt for row_id in row_ids for (attempt,) in connection.execute(ATTEMPTS_OF_EVENT, (row_id,))
    }
    connection.executemany(KEEP_KEY_ONLY, [(row_id,) for row_id in row_ids])
    connection.executemany(FORGET_EVENT, [(row_id,) for row_id in row_ids])
    connection.executemany(FORGET_EMPTY_ATTEMPT, [(attempt,) for attempt in attempts])
    return len(row_ids)


def forget_keys(connection: sqlite3.Connection, now_ms: int) -> int:
    return connection.execute(FORGET_KEYS, (now_ms - DEDUP_MS, BITE)).rowcount


def forget_orders(connection: sqlite3.Connection, by_ms: int) -> int:
    return connection.execute(FORGET_ORDERS, (by_ms, BITE)).rowcount


def forget_counters(connection: sqlite3.Connection, step_ms: int, by_ms: int) -> int:
    """One bite of each topic and site, along the key."""
    return sum(
        connection.execute(FORGET_COUNTERS, (step_ms, topic, site, by_ms, BITE)).rowcount
        for topic in Topic
        for site in counted_sites(connection, topic, step_ms)
    )


def forget_marks(connection: sqlite3.Connection, by_ms: int) -> int:
    return connection.execute(FORGET_MARKS, (by_ms, BITE)).rowcount


def forget_families(connection: sqlite3.Connection, by_ms: int) -> int:
    return connection.execute(FORGET_FAMILIES, (by_ms, BITE)).rowcount
