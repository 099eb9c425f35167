"""Forgetting: whole days where that is possible, else in bites, so that nobody waits long behind it.

A day goes when all of it has ended and was kept long enough. Of a day in which something still waits, or ended late,
what is a day over its time is deleted row by row.
"""

from typing import Final

from relay.event.tally import Topic
from relay.store.postgres.counter import counted_sites
from relay.store.postgres.database import Connection
from relay.store.postgres.days import first_id
from relay.store.rules import DAY_MS, DEDUP_MS

# A bite: what is removed between two groups of posts.
BITE: Final = 2_000

# How much longer than its time an event may be kept, so that its day can go as a whole.
GRACE_MS: Final = DAY_MS

# A call concerns events that are at most seven days old; then it goes after the last of them.
ATTEMPT_MS: Final = 8 * DAY_MS

OLD_VISITORS: Final = """
SELECT visitor.event FROM visitor JOIN fate ON fate.event = visitor.event
WHERE visitor.event > $1 AND fate.at_ms <= $2 ORDER BY visitor.event LIMIT $3
"""

# A replay between the look and the bite makes the event wait again: then it needs its visitor.
FORGET_VISITORS: Final = """
DELETE FROM visitor WHERE event = ANY($1::bigint[])
AND EXISTS (SELECT 1 FROM fate WHERE fate.event = visitor.event AND fate.at_ms <= $2)
"""

IS_NEEDED: Final = """
SELECT EXISTS (SELECT 1 FROM queue WHERE event >= $1 AND event < $2)
    OR EXISTS (SELECT 1 FROM fate WHERE event >= $1 AND event < $2 AND at_ms > $3)
"""

OLD_EVENTS: Final = """
SELECT event FROM fate WHERE event >= $1 AND event < $2 AND at_ms <= $3 ORDER BY event LIMIT $4
"""

# Everything that belongs to an event; its key stays, and then leads nowhere.
FORGET_EVENT_IN: Final = (
    "DELETE FROM visitor WHERE event = ANY($1::bigint[])",
    "DELETE FROM leg WHERE event = ANY($1::bigint[])",
    "DELETE FROM attempt_event WHERE event = ANY($1::bigint[])",
    "DELETE FROM replay WHERE event = ANY($1::bigint[])",
    "DELETE FROM queue WHERE event = ANY($1::bigint[])",
    "DELETE FROM fate WHERE event = ANY($1::bigint[])",
    "DELETE FROM event WHERE id = ANY($1::bigint[])",
)

FORGET_REPLAYS_OF_DAY: Final = "DELETE FROM replay WHERE event >= $1 AND event < $2"

FORGET_ATTEMPTS: Final = """
DELETE FROM attempt WHERE id IN (SELECT id FROM attempt WHERE started_ms <= $1 ORDER BY started_ms LIMIT $2)
RETURNING 1
"""

FORGET_KEYS: Final = """
DELETE FROM dedup WHERE key IN (
    SELECT key FROM dedup WHERE seen_ms <= $1 AND NOT EXISTS (SELECT 1 FROM event WHERE event.id = dedup.event)
    ORDER BY seen_ms LIMIT $2 FOR UPDATE SKIP LOCKED
) RETURNING 1
"""

FORGET_ORDERS: Final = """
DELETE FROM purchase WHERE key IN (SELECT key FROM purchase WHERE seen_ms <= $1 LIMIT $2 FOR UPDATE SKIP LOCKED)
RETURNING 1
"""

FORGET_COUNTERS: Final = """
DELETE FROM counter WHERE (step_ms, what, site, at_ms, event_name, name, shard) IN (
    SELECT step_ms, what, site, at_ms, event_name, name, shard FROM counter
    WHERE step_ms = $1 AND what = $2 AND site = $3 AND at_ms <= $4 LIMIT $5
) RETURNING 1
"""

FORGET_MARKS: Final = """
DELETE FROM mark WHERE id IN (SELECT id FROM mark WHERE at_ms <= $1 LIMIT $2) RETURNING 1
"""

FORGET_FAMILIES: Final = """
DELETE FROM address_family WHERE (hour_ms, site, page, token, sent, shard) IN
    (SELECT hour_ms, site, page, token, sent, shard FROM address_family WHERE hour_ms <= $1 LIMIT $2)
RETURNING 1
"""

FORGET_DONE: Final = """
DELETE FROM done WHERE id IN (SELECT id FROM done WHERE at < now() - interval '1 hour' LIMIT $1) RETURNING 1
"""


async def old_visitors(connection: Connection, after: int, ended_by_ms: int) -> list[int]:
    return [row["event"] for row in await connection.fetch(OLD_VISITORS, after, ended_by_ms, BITE)]


async def forget_visitors(connection: Connection, row_ids: list[int], ended_by_ms: int) -> None:
    await connection.execute(FORGET_VISITORS, row_ids, ended_by_ms)


async def is_needed(connection: Connection, day: int, ended_by_ms: int) -> bool:
    """Whether something of the day waits, or ended later."""
    return bool(await connection.fetchval(IS_NEEDED, first_id(day), first_id(day + 1), ended_by_ms))


async def forget_replays(connection: Connection, day: int) -> None:
    await connection.execute(FORGET_REPLAYS_OF_DAY, first_id(day), first_id(day + 1))


async def forget_events(connection: Connection, day: int, ended_by_ms: int) -> int:
    """Remove one bite of the day's old events; how many."""
    rows = await connection.fetch(OLD_EVENTS, first_id(day), first_id(day + 1), ended_by_ms, BITE)
    row_ids = [row["event"] for row in rows]
    if row_ids:
        await remove_events(connection, row_ids)
    return len(row_ids)


async def remove_events(connection: Connection, row_ids: list[int]) -> None:
    for statement in FORGET_EVENT_IN:
        await connection.execute(statement, row_ids)


async def forget_attempts(connection: Connection, by_ms: int) -> int:
    return len(await connection.fetch(FORGET_ATTEMPTS, by_ms, BITE))


async def forget_keys(connection: Connection, now_ms: int, retention_ms: int) -> int:
    """Of the keys that are old enough, those whose event has gone."""
    by_ms = now_ms - max(DEDUP_MS, retention_ms)
    return len(await connection.fetch(FORGET_KEYS, by_ms, BITE))


async def forget_orders(connection: Connection, by_ms: int) -> int:
    return len(await connection.fetch(FORGET_ORDERS, by_ms, BITE))


async def forget_counters(connection: Connection, step_ms: int, by_ms: int) -> int:
    """One bite of each topic and site, along the key."""
    forgotten = 0
    for topic in Topic:
        for site in await counted_sites(connection, topic, step_ms):
            rows = await connection.fetch(FORGET_COUNTERS, step_ms, topic.value, site, by_ms, BITE)
            forgotten += len(rows)
    return forgotten


async def forget_marks(connection: Connection, by_ms: int) -> int:
    return len(await connection.fetch(FORGET_MARKS, by_ms, BITE))


async def forget_families(connection: Connection, by_ms: int) -> int:
    return len(await connection.fetch(FORGET_FAMILIES, by_ms, BITE))


async def forget_done(connection: Connection) -> int:
    return len(await connection.fetch(FORGET_DONE, BITE))
