"""Events whose key nobody had. They go in by one statement, however many they are."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from relay.event.families import family_path
from relay.event.records import OutboxEvent
from relay.store.checksum import checksum
from relay.store.postgres.database import Connection
from relay.store.postgres.days import day_of, first_id
from relay.store.postgres.families import Way, way
from relay.store.postgres.rows import columns
from relay.store.rules import facts_of, first_of_order, leg_row, repeated_order, visitor_row

# The ids are in the order of the posts, the rows are locked in the order of their keys.
ADD_KEYS: Final = """
INSERT INTO dedup (key, event, seen_ms, visitors)
SELECT key, event, seen_ms, visitors FROM (
    SELECT key, first_id | nextval('event_seq') AS event, seen_ms, visitors
    FROM unnest($1::bytea[], $2::bigint[], $3::bigint[], $4::bytea[]) AS new (key, first_id, seen_ms, visitors)
) AS numbered
ORDER BY key
ON CONFLICT (key) DO NOTHING
RETURNING key, event
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

# One array for each column, however many tables have it: what a statement costs this process is its arrays.
ACCEPT: Final = """
WITH new AS MATERIALIZED (
    SELECT * FROM unnest(
        $1::bigint[], $2::bytea[], $3::text[], $4::text[], $5::text[], $6::text[], $7::bigint[], $8::bigint[],
        $9::bytea[], $10::bytea[], $11::bigint[],
        $12::text[], $13::text[], $14::bigint[], $15::bytea[], $16::bigint[],
        $17::text[], $18::text[], $19::text[], $20::bigint[], $21::bigint[], $22::bigint[], $23::bytea[],
        $24::bigint[], $25::bigint[]
    ) AS new (
        id, key, site, pixel, event_name, event_id, event_time_ms, received_ms, server_event, why, crc,
        client_ip_address, client_user_agent, visitor_crc, addresses, addresses_crc,
        state, evidence, transport, dispatched_ms, settled_ms, reported_ms, seen, not_before_ms, leg_crc)
),
facts AS (
    INSERT INTO event
        (id, key, site, pixel, event_name, event_id, event_time_ms, received_ms, server_event, why, crc)
    SELECT id, key, site, pixel, event_name, event_id, event_time_ms, received_ms, server_event, why, crc FROM new
),
visitors AS (
    INSERT INTO visitor (event, client_ip_address, client_user_agent, crc, addresses, addresses_crc)
    SELECT id, client_ip_address, client_user_agent, visitor_crc, addresses, addresses_crc FROM new
),
legs AS (
    INSERT INTO leg
        (event, seq, state, evidence, transport, dispatched_ms, settled_ms, reported_ms, seen, not_before_ms, crc)
    SELECT id, 0, state, evidence, transport, dispatched_ms, settled_ms, reported_ms, seen, not_before_ms, leg_crc
    FROM new
),
waiting AS (
    INSERT INTO queue (event, key, pixel, site, event_name, due_ms, attempts)
    SELECT id, key, pixel, site, event_name, not_before_ms, 0 FROM new WHERE id <> ALL ($26::bigint[])
)
INSERT INTO fate (event, fate, reason, detail, at_ms)
SELECT * FROM unnest($26::bigint[], $27::text[], $28::text[], $29::text[], $30::bigint[])
"""


@dataclass(slots=True)
class New:
    """An event whose key nobody had, and the row that it gets."""

    at: int  # its place in the group
    event: OutboxEvent
    row_id: int = 0
    detail: str | None = None


async def accept(connection: Connection, events: Sequence[OutboxEvent], ways: Counter[Way]) -> list[New]:
    """Store those whose key nobody had."""
    offered: dict[bytes, New] = {}
    for at, event in enumerate(events):
        offered.setdefault(event.key, New(at, event))
    rows = [
        (e.key, first_id(day_of(e.received_ms)), e.received_ms, e.visitor)
        for new in offered.values()
        for e in (new.event,)
    ]
    added = dict(await connection.fetch(ADD_KEYS, *zip(*rows, strict=True)))
    fresh = [new for key, new in offered.items() if key in added]
    for new in fresh:
        new.row_id = added[new.event.key]
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
    ended = [
        (new.row_id, e.fate.value, e.fate_reason, new.detail, e.received_ms)
        for new in fresh
        for e in (new.event,)
        if e.fate is not None
    ]
    await connection.execute(ACCEPT, *zip(*map(_row, fresh), strict=True), *columns(ended, 5))


def _row(new: New) -> tuple[Any, ...]:
    """All that is known of it; its id stands at the head of each table's row, and here once."""
    row_id, e = new.row_id, new.event
    facts = facts_of(e)
    visitor = visitor_row(row_id, e.client_ip_address, e.client_user_agent, e.addresses)
    leg = leg_row(row_id, 0, e.leg, e.not_before_ms)
    return (row_id, *facts, checksum(facts), *visitor[1:], *leg[2:])
