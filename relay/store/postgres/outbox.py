"""The courier's side of the outbox: claim, begin, settle, park, recover.

Every write is fenced by the lease's token. Couriers on many machines claim at once: rows that one is taking are passed
over by the others (SKIP LOCKED), so that nobody waits and nobody takes twice.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final, Literal
from uuid import uuid4

import msgspec

from relay.errors import LeaseLost
from relay.event.outcome import AttemptOutcome, Fate, FateReason
from relay.event.tally import Topic, error_name
from relay.store.postgres.counter import count
from relay.store.postgres.database import Connection
from relay.store.postgres.ended import COUNTS_AGAINST, end
from relay.store.protocol import AttemptResult, Backlog, Decision, Lease, LeasedEvent
from relay.store.rules import Counted, Ending, Held, leased_event, settled

# The oldest free row of each pixel, found by stepping from pixel to pixel through the index: one step per
# pixel, however many rows wait behind it. The queries that begin so are made of constants only (S608).
HEADS: Final = """
WITH RECURSIVE waiting (pixel) AS (
    (SELECT pixel FROM queue WHERE lease IS NULL ORDER BY pixel LIMIT 1)
    UNION ALL
    SELECT (
        SELECT queue.pixel FROM queue WHERE lease IS NULL AND queue.pixel > waiting.pixel
        ORDER BY queue.pixel LIMIT 1
    )
    FROM waiting WHERE waiting.pixel IS NOT NULL
),
head (pixel, due_ms) AS (
    SELECT pixel, (
        SELECT due_ms FROM queue WHERE lease IS NULL AND queue.pixel = waiting.pixel ORDER BY due_ms LIMIT 1
    )
    FROM waiting WHERE pixel IS NOT NULL
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

# The calls of a leased row's own lease.
CALLS: Final = f"""
SELECT count(*) FROM attempt_event JOIN attempt ON attempt.id = attempt_event.attempt
WHERE attempt_event.event = queue.event AND attempt.lease = queue.lease AND {COUNTS_AGAINST}
"""  # noqa: S608

# A row is charged with the calls of its lease when it is let go: few are, and every one has its calls.
LET_GO: Final = f"UPDATE queue SET lease = NULL, lease_until_ms = NULL, attempts = attempts + ({CALLS})"  # noqa: S608

FREE_EXPIRED: Final = f"""
WITH over AS (
    SELECT event, lease FROM queue WHERE lease_until_ms <= $1 ORDER BY event FOR UPDATE SKIP LOCKED
)
{LET_GO} FROM over WHERE queue.event = over.event RETURNING over.lease
"""  # noqa: S608

FREE_ALL: Final = f"{LET_GO} WHERE lease IS NOT NULL"

# Answers only while this lease holds the events.
HELD_BY: Final = "SELECT event, key, site, event_name FROM queue WHERE lease = $1 ORDER BY event FOR UPDATE"

GIVE_BACK: Final = f"{LET_GO} WHERE event = ANY($1::bigint[])"

DUE_AGAIN: Final = f"""
{LET_GO}, due_ms = new.due_ms
FROM unnest($1::bigint[], $2::bigint[]) AS new (event, due_ms) WHERE queue.event = new.event
"""

BEGIN_ATTEMPT: Final = """
INSERT INTO attempt (pixel, lease, events, started_ms) VALUES ($1, $2, $3, $4) RETURNING id
"""

ADD_ATTEMPT_EVENTS: Final = """
INSERT INTO attempt_event (attempt, event) SELECT $1, event FROM unnest($2::bigint[]) AS new (event)
"""

# An attempt is closed once: what a lost lease's courier says later does not replace "ambiguous".
CLOSE_ATTEMPT: Final = """
UPDATE attempt
SET finished_ms = $1, outcome = $2, http_status = $3, code = $4, subcode = $5, message = $6, fbtrace_id = $7
WHERE id = $8 AND lease = $9 AND finished_ms IS NULL RETURNING started_ms
"""

CUT_SHORT_OF_LEASES: Final = """
UPDATE attempt SET finished_ms = $1, outcome = 'unknown'
WHERE lease = ANY($2::uuid[]) AND finished_ms IS NULL RETURNING 1
"""

CUT_SHORT_ALL: Final = (
    "UPDATE attempt SET finished_ms = $1, outcome = 'unknown' WHERE finished_ms IS NULL RETURNING 1"
)

# Begun by a courier that is gone, and still waiting. Leased rows and open attempts are few after any crash.
LEFT_AMBIGUOUS: Final = """
SELECT DISTINCT queue.event, queue.site, queue.event_name
FROM queue
JOIN attempt ON attempt.lease = queue.lease AND attempt.finished_ms IS NULL
JOIN attempt_event ON attempt_event.attempt = attempt.id AND attempt_event.event = queue.event
WHERE queue.lease IS NOT NULL
"""

# Reads the queue, which is narrow, and no event: what waits is counted when it is asked for.
BACKLOG: Final = f"""
SELECT pixel, count(*) AS waiting, min(due_ms) FILTER (WHERE lease IS NULL) AS oldest_due_ms,
    count(*) FILTER (WHERE attempts > 0 OR lease IS NOT NULL AND ({CALLS}) > 0) AS tried
FROM queue GROUP BY pixel ORDER BY pixel COLLATE "C"
"""  # noqa: S608

PARK: Final = """
INSERT INTO pixel_state (pixel, parked_ms, code, message) VALUES ($1, $2, $3, $4)
ON CONFLICT (pixel) DO UPDATE SET code = excluded.code, message = excluded.message
"""

UNPARK: Final = "DELETE FROM pixel_state WHERE pixel = $1"

AMBIGUOUS_ATTEMPT: Final = Counted("", "", Topic.AMBIGUOUS)

STARTED_MS: Final = "SELECT started_ms FROM attempt WHERE id = $1"


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


async def backlog(connection: Connection) -> list[Backlog]:
    return [msgspec.convert(dict(row), Backlog) for row in await connection.fetch(BACKLOG)]


async def begin_attempt(connection: Connection, lease: Lease, keys: Sequence[bytes], now_ms: int) -> int:
    held = await _held(connection, lease)
    if not held.keys() >= set(keys):
        raise LeaseLost(
            f"The lease on pixel {lease.pixel} has ended; nothing may be sent for it. Claim again."
        )
    attempt: int = await connection.fetchval(BEGIN_ATTEMPT, lease.pixel, lease.token, len(keys), now_ms)
    if keys:
        await connection.execute(ADD_ATTEMPT_EVENTS, attempt, [held[key].row_id for key in keys])
    return attempt


async def settle(
    connection: Connection,
    lease: Lease,
    decisions: Sequence[Decision],
    *,
    now_ms: int,
    attempt: tuple[int, AttemptResult] | None,
    shard: int,
) -> int:
    held = await _held(connection, lease)
    sent_ms = None if attempt is None else await _close(connection, lease, held, attempt, now_ms, shard)
    endings, again = settled(held, lease, decisions)
    await end(connection, endings, now_ms, shard, sent_ms=sent_ms)
    if again:
        row_ids, due_ms = zip(*((event.row_id, due_ms) for event, due_ms in again), strict=True)
        await connection.execute(DUE_AGAIN, row_ids, due_ms)
    return len(endings) + len(again)


async def park(
    connection: Connection, lease: Lease, *, now_ms: int, attempt: tuple[int, AttemptResult], shard: int
) -> None:
    held = await _held(connection, lease)
    if not held:
        return
    await _close(connection, lease, held, attempt, now_ms, shard)
    _, result = attempt
    message = result.message or "Meta refused the access token or a permission."
    await connection.execute(PARK, lease.pixel, now_ms, result.code, message)
    await connection.execute(GIVE_BACK, [event.row_id for event in held.values()])


async def unpark(connection: Connection, pixel: str) -> None:
    await connection.execute(UNPARK, pixel)


async def recover(
    connection: Connection, *, now_ms: int, on_unknown: Literal["resend", "hold"], shard: int
) -> int:
    if on_unknown == "hold":
        left = [Held(*row.values()) for row in await connection.fetch(LEFT_AMBIGUOUS)]
        endings = [Ending(event, Fate.UNKNOWN, FateReason.AMBIGUOUS_SEND) for event in left]
        await end(connection, endings, now_ms, shard)
    cut_short = len(await connection.fetch(CUT_SHORT_ALL, now_ms))
    await connection.execute(FREE_ALL)
    await _count_ambiguous(connection, cut_short, now_ms, shard)
    return cut_short


async def _free_expired(connection: Connection, now_ms: int, shard: int) -> None:
    leases = {row["lease"] for row in await connection.fetch(FREE_EXPIRED, now_ms)}
    if leases:
        cut_short = len(await connection.fetch(CUT_SHORT_OF_LEASES, now_ms, list(leases)))
        await _count_ambiguous(connection, cut_short, now_ms, shard)


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


async def _held(connection: Connection, lease: Lease) -> dict[bytes, Held]:
    """What the lease still holds, by key; locked, so that it holds them until the transaction ends."""
    rows = await connection.fetch(HELD_BY, lease.token)
    return {row["key"]: Held(row["event"], row["site"], row["event_name"]) for row in rows}


async def _close(
    connection: Connection,
    lease: Lease,
    held: Mapping[bytes, Held],
    attempt: tuple[int, AttemptResult],
    now_ms: int,
    shard: int,
) -> int | None:
    """Write down how the call ended, and count it; when it began."""
    number, result = attempt
    said = (
        result.outcome.value,
        result.http_status,
        result.code,
        result.subcode,
        result.message,
        result.fbtrace_id,
    )
    started_ms: int | None = await connection.fetchval(CLOSE_ATTEMPT, now_ms, *said, number, lease.token)
    if started_ms is None:
        return await _started_ms(connection, number)
    site = next((event.site for event in held.values()), "")  # a pixel belongs to one site
    counts = {Counted(site, "", Topic.CALL, result.outcome): 1}
    if result.outcome is AttemptOutcome.UNKNOWN:
        counts[AMBIGUOUS_ATTEMPT] = 1
    if error := error_name(result.outcome, result.code, result.http_status):
        counts[Counted(site, "", Topic.ERROR, error)] = 1
    await count(connection, counts, now_ms, shard)
    return started_ms


async def _started_ms(connection: Connection, attempt: int) -> int | None:
    started_ms: int | None = await connection.fetchval(STARTED_MS, attempt)
    return started_ms


async def _count_ambiguous(connection: Connection, attempts: int, now_ms: int, shard: int) -> None:
    if attempts:
        await count(connection, {AMBIGUOUS_ATTEMPT: attempts}, now_ms, shard)
