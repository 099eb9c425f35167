"""Who takes what: the claims of couriers, what is due next, and leases that have ended.

Couriers on many machines claim at once: rows that one is taking are passed over by the others (SKIP LOCKED), so that
nobody waits and nobody takes twice.
"""

from collections.abc import Collection, Sequence
from typing import Any, Final
from uuid import uuid4

from relay.event.outcome import Fate, FateReason
from relay.store.postgres.database import Connection
from relay.store.postgres.ended import end
from relay.store.postgres.outbox import LET_GO, count_ambiguous
from relay.store.protocol import Lease, LeasedEvent
from relay.store.rules import Ending, Held, leased_event

# The oldest free row of each pixel, found by stepping from pixel to pixel through the index: one step per
# pixel, however many rows wait behind it. The queries that begin so are made of constants only (S608).
HEADS: Final = """
WITH RECURSIVE head (pixel, due_ms) AS (
    (SELECT pixel, due_ms FROM queue WHERE lease IS NULL ORDER BY pixel, due_ms LIMIT 1)
    UNION ALL
    SELECT next.* FROM head CROSS JOIN LATERAL (
        SELECT pixel, due_ms FROM queue WHERE lease IS NULL AND queue.pixel > head.pixel
        ORDER BY pixel, due_ms LIMIT 1
    ) AS next
),
closed (pixel) AS (
    SELECT * FROM unnest($1::text[])
    UNION ALL
    SELECT pixel FROM pixel_state
)
"""

DUE_PIXELS: Final = f"""{HEADS}
SELECT pixel FROM head
WHERE due_ms <= $2 AND pixel NOT IN (SELECT pixel FROM closed)
ORDER BY due_ms, pixel
"""  # noqa: S608

# A row of each lease, found in the same way. All rows of a lease are of one pixel, and end at once.
LEASES: Final = """
leased (lease, pixel, until_ms) AS (
    (SELECT lease, pixel, lease_until_ms FROM queue WHERE lease IS NOT NULL ORDER BY lease LIMIT 1)
    UNION ALL
    SELECT next.* FROM leased CROSS JOIN LATERAL (
        SELECT lease, pixel, lease_until_ms FROM queue WHERE queue.lease > leased.lease
        ORDER BY queue.lease LIMIT 1
    ) AS next
)
"""

NEXT_DUE: Final = f"""{HEADS}, {LEASES}
SELECT min(due_ms) FROM (
    SELECT due_ms FROM head WHERE pixel NOT IN (SELECT pixel FROM closed)
    UNION ALL
    SELECT until_ms FROM leased WHERE pixel NOT IN (SELECT pixel FROM closed)
) AS moment
"""  # noqa: S608

OLDEST_WAITING: Final = f"""{HEADS}
SELECT min(due_ms) FROM (
    SELECT due_ms FROM head
    UNION ALL
    SELECT due_ms FROM queue WHERE lease_until_ms IS NOT NULL
) AS moment
"""  # noqa: S608

TAKE: Final = """
UPDATE queue SET lease = $4, lease_until_ms = $5 WHERE event = ANY(ARRAY(
    SELECT event FROM queue WHERE lease IS NULL AND pixel = $1 AND due_ms <= $2
    ORDER BY due_ms, event LIMIT $3 FOR UPDATE SKIP LOCKED
))
RETURNING event, due_ms, attempts, site, event_name
"""

TAKEN_EVENTS: Final = """
SELECT event.id, event.crc, visitor.crc AS visitor_crc,
    event.key, event.site, event.pixel, event.event_name, event.event_id,
    event.event_time_ms, event.received_ms, event.server_event, event.why,
    visitor.event AS visitor, visitor.client_ip_address, visitor.client_user_agent,
    leg.state, leg.settled_ms, leg.reported_ms
FROM event
LEFT JOIN LATERAL (SELECT * FROM visitor WHERE visitor.event = event.id LIMIT 1) AS visitor ON true
LEFT JOIN LATERAL (
    SELECT state, settled_ms, reported_ms FROM leg WHERE leg.event = event.id ORDER BY seq DESC LIMIT 1
) AS leg ON true
WHERE event.id = ANY($1::bigint[])
"""

AMBIGUOUS_CALLS: Final = """
SELECT attempt_event.event, count(*) AS n
FROM attempt_event JOIN attempt ON attempt.id = attempt_event.attempt
WHERE attempt_event.event = ANY($1::bigint[]) AND attempt.outcome = 'unknown' AND attempt.started_ms > coalesce(
    (SELECT max(replayed_ms) FROM replay WHERE replay.event = attempt_event.event), 0)
GROUP BY attempt_event.event
"""

# What a day that was dropped, or a hand, has left behind.
FORGET_LOST: Final = "DELETE FROM queue WHERE event = ANY($1::bigint[])"

FREE_EXPIRED: Final = f"""
WITH over AS (
    SELECT event, lease FROM queue WHERE lease_until_ms <= $1 ORDER BY event FOR UPDATE SKIP LOCKED
)
{LET_GO} FROM over WHERE queue.event = over.event RETURNING over.lease
"""  # noqa: S608

CUT_SHORT_OF_LEASES: Final = """
UPDATE attempt SET finished_ms = $1, outcome = 'unknown'
WHERE lease = ANY($2::uuid[]) AND finished_ms IS NULL RETURNING 1
"""


async def claim(
    connection: Connection, *, now_ms: int, lease_ms: int, limit: int, busy: Collection[str], shard: int
) -> Lease | None:
    """Take the due events of the oldest due pixel; those that fail their checksum end here instead."""
    await _free_expired(connection, now_ms, shard)
    for row in await connection.fetch(DUE_PIXELS, sorted(busy), now_ms):
        pixel, token = row["pixel"], uuid4()
        while taken := await connection.fetch(TAKE, pixel, now_ms, limit, token, now_ms + lease_ms):
            events = await _taken_events(connection, taken, pixel, now_ms, shard)
            if events:
                return Lease(token=token.hex, pixel=pixel, events=tuple(events))
    return None


async def next_due_ms(connection: Connection, busy: Collection[str]) -> int | None:
    due_ms: int | None = await connection.fetchval(NEXT_DUE, sorted(busy))
    return due_ms


async def oldest_waiting_ms(connection: Connection) -> int | None:
    due_ms: int | None = await connection.fetchval(OLDEST_WAITING, [])
    return due_ms


async def _free_expired(connection: Connection, now_ms: int, shard: int) -> None:
    leases = {row["lease"] for row in await connection.fetch(FREE_EXPIRED, now_ms)}
    if leases:
        cut_short = len(await connection.fetch(CUT_SHORT_OF_LEASES, now_ms, list(leases)))
        await count_ambiguous(connection, cut_short, now_ms, shard)


async def _taken_events(
    connection: Connection, taken: Sequence[Any], pixel: str, now_ms: int, shard: int
) -> list[LeasedEvent]:
    """The events of the taken rows, in their order; each damaged one gets its fate on the way."""
    taken = sorted(taken, key=lambda row: (row["due_ms"], row["event"]))
    row_ids = [row["event"] for row in taken]
    stored = {row["id"]: row for row in await connection.fetch(TAKEN_EVENTS, row_ids)}
    called = [row["event"] for row in taken if row["attempts"]]
    ambiguous = dict(await connection.fetch(AMBIGUOUS_CALLS, called)) if called else {}
    events: list[LeasedEvent] = []
    damaged: list[Held] = []
    lost: list[int] = []
    for row in taken:
        row_id = row["event"]
        if row_id not in stored:
            lost.append(row_id)
            continue
        event = leased_event(
            tuple(stored[row_id].values()),
            pixel=pixel,
            attempts=row["attempts"],
            ambiguous=ambiguous.get(row_id, 0),
        )
        if event is None:
            damaged.append(Held(row_id, row["site"], row["event_name"]))
        else:
            events.append(event)
    if lost:
        await connection.execute(FORGET_LOST, lost)
    await end(
        connection, [Ending(event, Fate.REJECTED, FateReason.CORRUPT_ROW) for event in damaged], now_ms, shard
    )
    return events
