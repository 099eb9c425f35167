"""The database's clock was set: what waits is moved with it, once, however many couriers notice."""

from typing import Final
from uuid import UUID

from relay.store.postgres.database import Connection

IN_TURN: Final = "SELECT pg_advisory_xact_lock(4710004)"

# The same step to all: they ask for the time within seconds of each other, and see it differ by as much.
NOTICED: Final = """
SELECT EXISTS (
    SELECT 1 FROM clock_step
    WHERE courier <> $1 AND abs(at_ms - $2) <= 120000 AND abs(step_ms - $3) <= 5000
)
"""

NOTICE: Final = "INSERT INTO clock_step (courier, at_ms, step_ms) VALUES ($1, $2, $3)"

MOVE_CIRCUITS: Final = "UPDATE pixel_circuit SET until_ms = until_ms + $1"

MOVE_LEASES: Final = "UPDATE queue SET lease_until_ms = lease_until_ms + $1 WHERE lease_until_ms IS NOT NULL"

# Rows that were written by the clock as it was: not those that were received within the last minute by the
# clock as it is. The one statement here that reads the whole queue; clocks are seldom set.
MOVE_DUES: Final = """
UPDATE queue SET due_ms = greatest(due_ms, $1) + $2
WHERE due_ms > least($1::bigint, $3::bigint)
AND (SELECT received_ms FROM event WHERE id = queue.event) NOT BETWEEN $3 - 60000 AND $3
"""


async def clock_stepped(connection: Connection, *, expected_ms: int, now_ms: int, courier: UUID) -> None:
    """Once, however many couriers notice it."""
    await connection.execute(IN_TURN)
    if await connection.fetchval(NOTICED, courier, now_ms, now_ms - expected_ms):
        return
    await connection.execute(NOTICE, courier, now_ms, now_ms - expected_ms)
    await connection.execute(MOVE_CIRCUITS, now_ms - expected_ms)
    await connection.execute(MOVE_LEASES, now_ms - expected_ms)
    await connection.execute(MOVE_DUES, expected_ms, now_ms - expected_ms, now_ms)
