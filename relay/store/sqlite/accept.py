"""Events whose key nobody had. They go in by a few statements, however many they are."""

import sqlite3
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from relay.event.families import family_path
from relay.event.records import OutboxEvent
from relay.store.checksum import checksum
from relay.store.rules import HOUR_MS, facts_of, first_of_order, leg_row, repeated_order, visitor_row
from relay.store.sqlite.ended import ADD_FATE
from relay.store.sqlite.families import count_path
from relay.store.sqlite.rows import find, insert

KNOWN_KEYS: Final = "SELECT key FROM dedup WHERE key IN (?)"

# AUTOINCREMENT's own memory: an id is never given twice, not even after pruning.
LAST_ID: Final = "SELECT seq FROM sqlite_sequence WHERE name = 'event'"

ADD_EVENT: Final = """
INSERT INTO event (id, key, site, pixel, event_name, event_id, event_time_ms, received_ms, server_event, why, crc)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""

ADD_KEY: Final = "INSERT INTO dedup (key, event, seen_ms, visitors) VALUES (?, ?, ?, ?)"

FIRST_OF_ORDERS: Final = """
SELECT purchase.key, event.event_id
FROM purchase LEFT JOIN event ON event.id = purchase.event WHERE purchase.key IN (?)
"""

ADD_ORDER: Final = "INSERT OR IGNORE INTO purchase (key, event, seen_ms) VALUES (?, ?, ?)"

ADD_VISITOR: Final = """
INSERT OR REPLACE INTO visitor (event, client_ip_address, client_user_agent, crc, addresses, addresses_crc)
VALUES (?, ?, ?, ?, ?, ?)
"""

ADD_LEG: Final = """
INSERT INTO leg
    (event, seq, state, evidence, transport, dispatched_ms, settled_ms, reported_ms, seen, not_before_ms, crc)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""

ADD_TO_QUEUE: Final = "INSERT INTO queue (event, pixel, due_ms, attempts) VALUES (?, ?, ?, 0)"


@dataclass(slots=True)
class New:
    """An event whose key nobody had, and the row that it gets."""

    at: int  # its place in the group
    row_id: int
    event: OutboxEvent
    detail: str | None = None


def accept(connection: sqlite3.Connection, events: Sequence[OutboxEvent]) -> list[New]:
    """Store those whose key nobody had; of two with one key, the first."""
    offered: dict[bytes, int] = {}
    for at, event in enumerate(events):
        offered.setdefault(event.key, at)
    for (key,) in find(connection, KNOWN_KEYS, list(offered)):
        del offered[key]
    if not offered:
        return []
    (last_id,) = connection.execute(LAST_ID).fetchone() or (0,)
    fresh = [New(at, row_id, events[at]) for row_id, at in enumerate(offered.values(), start=last_id + 1)]
    _once_per_order(connection, fresh)
    _store(connection, fresh)
    return fresh


def _once_per_order(connection: sqlite3.Connection, fresh: Sequence[New]) -> None:
    """Where the pixel has had an event's order before, the event ends, and is told why."""
    orders = [new.event.order_key for new in fresh if new.event.order_key is not None]
    if not orders:
        return
    told: dict[bytes, str | None] = dict(find(connection, FIRST_OF_ORDERS, list(dict.fromkeys(orders))))
    rows = []
    for new in fresh:
        key = new.event.order_key
        if key is None:
            continue
        if key in told:
            new.event, new.detail = repeated_order(new.event), first_of_order(told[key])
        else:
            told[key] = new.event.event_id
            rows.append((key, new.row_id, new.event.received_ms))
    insert(connection, ADD_ORDER, rows)


def _store(connection: sqlite3.Connection, fresh: Sequence[New]) -> None:
    insert(connection, ADD_EVENT, [_event_row(new) for new in fresh])
    insert(
        connection,
        ADD_KEY,
        [(new.event.key, new.row_id, new.event.received_ms, new.event.visitor) for new in fresh],
    )
    insert(
        connection,
        ADD_VISITOR,
        [
            visitor_row(new.row_id, e.client_ip_address, e.client_user_agent, e.addresses)
            for new in fresh
            for e in (new.event,)
        ],
    )
    insert(
        connection,
        ADD_LEG,
        [leg_row(new.row_id, 0, new.event.leg, new.event.not_before_ms) for new in fresh],
    )
    waiting = [new for new in fresh if new.event.fate is None]
    insert(
        connection, ADD_TO_QUEUE, [(new.row_id, new.event.pixel, new.event.not_before_ms) for new in waiting]
    )
    insert(connection, ADD_FATE, list(_ended(fresh)))
    _count_ways(connection, waiting)


def _event_row(new: New) -> tuple[Any, ...]:
    facts = facts_of(new.event)
    return (new.row_id, *facts, checksum(facts))


def _ended(fresh: Sequence[New]) -> Iterator[tuple[Any, ...]]:
    for new in fresh:
        event = new.event
        if event.fate is not None:
            yield new.row_id, event.fate, event.fate_reason, new.detail, event.received_ms


def _count_ways(connection: sqlite3.Connection, waiting: Sequence[New]) -> None:
    """The ways of the addresses of those that may be sent."""
    ways = Counter(
        (path, new.event.site, new.event.received_ms - new.event.received_ms % HOUR_MS)
        for new in waiting
        if (path := family_path(new.event.addresses))
    )
    for (path, site, hour_ms), n in ways.items():
        count_path(connection, path, site, hour_ms, n)
