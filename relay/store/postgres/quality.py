"""What Meta said of each pixel's events: the last answer of each day, for all senders and for ours."""

from collections.abc import Sequence
from typing import Final

import msgspec

from relay.event.quality import QualityRecord
from relay.store.postgres.database import Connection
from relay.store.rules import DAY_MS

KEEP: Final = """
INSERT INTO quality (day_ms, pixel, scope, at_ms, record) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (day_ms, pixel, scope) DO UPDATE SET at_ms = excluded.at_ms, record = excluded.record
"""

READ: Final = """
SELECT record FROM quality WHERE day_ms >= $1
ORDER BY day_ms, at_ms, pixel COLLATE "C", scope COLLATE "C"
"""

FORGET: Final = "DELETE FROM quality WHERE day_ms <= $1"


async def keep_quality(connection: Connection, records: Sequence[QualityRecord]) -> None:
    for each in sorted(records, key=lambda record: (record.pixel, record.scope)):
        day_ms = each.at_ms - each.at_ms % DAY_MS
        await connection.execute(KEEP, day_ms, each.pixel, each.scope, each.at_ms, msgspec.json.encode(each))


async def quality(connection: Connection, *, since_ms: int) -> list[QualityRecord]:
    rows = await connection.fetch(READ, since_ms - since_ms % DAY_MS)
    return [msgspec.json.decode(row["record"], type=QualityRecord) for row in rows]


async def forget_quality(connection: Connection, by_ms: int) -> int:
    await connection.execute(FORGET, by_ms)
    return 0  # few rows: one bite takes them all
