"""The ledger in days: an event's id begins with the day on which it was received, and each day is a partition.

Retention drops a day as a whole, which costs nothing, where deleting its rows would leave as many dead ones behind.
A day is made aside and then attached, so that no reader and no writer of the other days waits for it.
"""

from collections.abc import Collection, Iterable
from typing import Final

import asyncpg

from relay.errors import StoreError
from relay.store.postgres.database import Connection, Database
from relay.store.rules import DAY_MS

SEQUENCE_BITS: Final = (
    38  # 275 thousand million a day; with the day above them it is exact in a JavaScript number
)

# Cut by the id of the event.
DAILY: Final = {"event": "id", "visitor": "event", "leg": "event", "fate": "event", "attempt_event": "event"}

CHANGING_DAYS: Final = 4_710_002
LOCK: Final = "SELECT pg_advisory_xact_lock($1)"
WAIT_FOR_READERS: Final = "SET LOCAL lock_timeout = '300ms'"

KEPT: Final = """
SELECT substring(child.relname from 'event_(\\d+)$')::bigint AS day
FROM pg_inherits JOIN pg_class AS child ON child.oid = inhrelid
WHERE inhparent = to_regclass('event') ORDER BY day
"""

# Names and numbers of our own only (S608).
MAKE: Final = "CREATE TABLE IF NOT EXISTS {table}_{day} (LIKE {table} INCLUDING DEFAULTS)"
ATTACH: Final = "ALTER TABLE {table} ATTACH PARTITION {table}_{day} FOR VALUES FROM ({first}) TO ({after})"


def day_of(at_ms: int) -> int:
    return at_ms // DAY_MS


def first_id(day: int) -> int:
    return day << SEQUENCE_BITS


async def kept_days(connection: Connection) -> list[int]:
    """The days that have a partition, oldest first."""
    return [row["day"] for row in await connection.fetch(KEPT)]


async def make_days(database: Database, days: Iterable[int]) -> set[int]:
    """See that each day has its place; answers with all that have one."""
    wanted = set(days)

    async def unit(connection: Connection) -> set[int]:
        await connection.execute(LOCK, CHANGING_DAYS)
        kept = set(await kept_days(connection))
        for day in sorted(wanted - kept):
            for table in DAILY:
                place = {"table": table, "day": day, "first": first_id(day), "after": first_id(day + 1)}
                await connection.execute(MAKE.format(**place))
                await connection.execute(ATTACH.format(**place))
        return kept | wanted

    return await database.write(unit)


async def drop_days(database: Database, days: Collection[int]) -> None:
    """Let whole days go. Where somebody reads for long, they stay until the next time."""

    async def unit(connection: Connection) -> None:
        await connection.execute(WAIT_FOR_READERS)
        await connection.execute(LOCK, CHANGING_DAYS)
        for day in days:
            for table in DAILY:
                await connection.execute(f"DROP TABLE IF EXISTS {table}_{day}")

    try:
        await database.write(unit)
    except StoreError as error:
        if not isinstance(error.__cause__, asyncpg.LockNotAvailableError):
            raise
