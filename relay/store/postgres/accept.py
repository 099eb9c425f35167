"""Events whose key nobody had. They go in by one statement, however many they are."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from relay.event.families import family_path
from relay.event.records import OutboxEvent
from relay.store.checksum import checksum
from relay.store.postgres.database import Connection
from relay.store.postgres.days import row_id
from relay.store.postgres.families import Way, way
from relay.store.postgres.rows import add_legs, put_visitors
from relay.store.rules import facts_of, first_of_order, leg_columns, repeated_order

ADD_KEYS: Final = """
INSERT INTO dedup (key, event, seen_ms, visitors)
SELECT key, event, seen_ms, visitors
FROM unnest($1::bytea[], $2::bigint[], $3::bigint[], $4::bytea[]) AS new (key, event, seen_ms, visitors)
ORDER BY key
ON CONFLICT (key) DO NOTHING
RETURNING key
"""

ADD_ORDERS: Final = """
INSERT INTO purchase (key, event, seen_ms)
SELECT key, event, seen_ms FROM unnest($1::bytea[], $2::bigint[], $3::bigint[]) AS new (key, event, seen_ms)
ORDER BY key
ON CONFLICT (key) DO NOTHING
RETURNING key
"""

FIRST_OF_ORDERS: Final = """
SELECT purchase.key, event.event_id
FROM purchase LEFT JOIN event ON event.id = purchase.event WHERE purchase.key = ANY($1::bytea[])
"""

ACCEPT: Final = """
WITH facts AS (
    INSERT INTO event
        (id, key, site, pixel, event_name, event_id, event_time_ms, received_ms, server_event, why, crc)
    SELECT * FROM unnest(
        $1::bigint[], $2::bytea[], $3::text[], $4::text[], $5::text[], $6::text[], $7::bigint[], $8::bigint[],
        $9::bytea[], $10::bytea[], $11::bigint[])
),
waiting AS (
    INSERT INTO queue (event, key, pixel, site, event_name, due_ms, attempts)
    SELECT *, 0 FROM unnest($12::bigint[], $13::bytea[], $14::text[], $15::text[], $16::text[], $17::bigint[])
)
INSERT INTO fate (event, fate, reason, detail, at_ms)
SELECT * FROM unnest($18::bigint[], $19::text[], $20::text[], $21::text[], $22::bigint[])
"""


@dataclass(slots=True)
class New:
    """An event whose key nobody had, and the row that it gets."""

    at: int  # its place in the group
    row_id: int
    event: OutboxEvent
    detail: str | None = None


async def accept(
    connection: Connection, events: Sequence[OutboxEvent], numbers: Sequence[int], ways: Counter[Way]
) -> list[New]:
    """Store those whose key nobody had."""
    offered: dict[bytes, New] = {}
    for at, (event, number) in enumerate(zip(events, numbers, strict=True)):
        offered.setdefault(event.key, New(at, row_id(event.received_ms, number), event))
    rows = [(new.event.key, new.row_id, new.event.received_ms, new.event.visitor) for new in offered.values()]
    added = {row["key"] for row in await connection.fetch(ADD_KEYS, *zip(*rows, strict=True))}
    fresh = [new for new in offered.values() if new.event.key in added]
    if fresh:
        await _once_per_order(connection, fresh)
        await _store(connection, fresh)
        for new in fresh:
            path = None if new.event.fate is not None else family_path(new.event.addresses)
            if path is not None:
                ways[way(path, new.event.site, new.event.received_ms)] += 1
    return fresh


async def _once_per_order(connection: Connection, fresh: Sequence[New]) -> None:
    """Where the pixel has had an event's order before, the event ends, and is told why."""
    firsts: dict[bytes, New] = {}
    for new in fresh:
        if new.event.order_key is not None:
            firsts.setdefault(new.event.order_key, new)
    if not firsts:
        return
    rows = [(key, new.row_id, new.event.received_ms) for key, new in firsts.items()]
    added = {row["key"] for row in await connection.fetch(ADD_ORDERS, *zip(*rows, strict=True))}
    told = {key: new.event.event_id for key, new in firsts.items() if key in added}
    before = [key for key in firsts if key not in added]
    if before:
        told |= {row["key"]: row["event_id"] for row in await connection.fetch(FIRST_OF_ORDERS, before)}
    for new in fresh:
        key = new.event.order_key
        if key is not None and not (key in added and firsts[key] is new):
            new.event, new.detail = repeated_order(new.event), first_of_order(told.get(key))


async def _store(connection: Connection, fresh: Sequence[New]) -> None:
    facts = [(new.row_id, *columns, checksum(columns)) for new in fresh for columns in (facts_of(new.event),)]
    waiting = [
        (new.row_id, e.key, e.pixel, e.site, e.event_name, e.not_before_ms)
        for new in fresh
        for e in (new.event,)
        if e.fate is None
    ]
    ended = [
        (new.row_id, e.fate.value, e.fate_reason, new.detail, e.received_ms)
        for new in fresh
        for e in (new.event,)
        if e.fate is not None
    ]
    await connection.execute(ACCEPT, *_columns(facts, 11), *_columns(waiting, 6), *_columns(ended, 5))
    await put_visitors(
        connection,
        [
            (new.row_id, e.client_ip_address, e.client_user_agent, e.addresses)
            for new in fresh
            for e in (new.event,)
        ],
    )
    await add_legs(
        connection, [(new.row_id, 0, *leg_columns(new.event.leg), new.event.not_before_ms) for new in fresh]
    )


def _columns(rows: Sequence[tuple[Any, ...]], width: int) -> list[Any]:
    """The rows turned by a quarter; as many empty columns where there are none."""
    return list(zip(*rows, strict=True)) if rows else [()] * width
