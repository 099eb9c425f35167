"""The courier's side of the outbox after a claim (`claims.py`): begin, settle, park, recover.

Every write is fenced by the lease's token.
"""

from collections.abc import Mapping, Sequence
from typing import Final, Literal

import msgspec

from relay.errors import LeaseLost
from relay.event.outcome import AttemptOutcome, Fate, FateReason
from relay.event.tally import Topic, error_name
from relay.store.postgres.counter import count
from relay.store.postgres.database import Connection
from relay.store.postgres.ended import COUNTS_AGAINST, end
from relay.store.protocol import AttemptResult, Backlog, Decision, Lease
from relay.store.rules import Counted, Ending, Held, settled

# The calls of a leased row's own lease.
CALLS: Final = f"""
SELECT count(*) FROM attempt_event JOIN attempt ON attempt.id = attempt_event.attempt
WHERE attempt_event.event = queue.event AND attempt.lease = queue.lease AND {COUNTS_AGAINST}
"""  # noqa: S608

# A row is charged with the calls of its lease when it is let go: few are, and every one has its calls.
LET_GO: Final = f"UPDATE queue SET lease = NULL, lease_until_ms = NULL, attempts = attempts + ({CALLS})"  # noqa: S608

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
    await count_ambiguous(connection, cut_short, now_ms, shard)
    return cut_short


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


async def count_ambiguous(connection: Connection, attempts: int, now_ms: int, shard: int) -> None:
    if attempts:
        await count(connection, {AMBIGUOUS_ATTEMPT: attempts}, now_ms, shard)
