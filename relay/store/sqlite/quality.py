"""What Meta said of each pixel's events: the last answer of each day, for all senders and for ours."""

import sqlite3
from collections.abc import Sequence
from typing import Final

import msgspec

from relay.event.quality import QualityRecord
from relay.store.rules import DAY_MS

KEEP: Final = """
INSERT INTO quality (day_ms, pixel, scope, at_ms, record) VALUES (?, ?, ?, ?, ?)
ON CONFLICT (day_ms, pixel, scope) DO UPDATE SET at_ms = excluded.at_ms, record = excluded.record
"""

READ: Final = "SELECT record FROM quality WHERE day_ms >= ? ORDER BY day_ms, at_ms, pixel, scope"

FORGET: Final = "DELETE FROM quality WHERE day_ms <= ?"


def keep_quality(connection: sqlite3.Connection, records: Sequence[QualityRecord]) -> None:
    connection.executemany(
        KEEP,
        [
            (each.at_ms - each.at_ms % DAY_MS, each.pixel, each.scope, each.at_ms, msgspec.json.encode(each))
            for each in records
        ],
    )


def quality(connection: sqlite3.Connection, *, since_ms: int) -> list[QualityRecord]:
    rows = connection.execute(READ, (since_ms - since_ms % DAY_MS,))
    return [msgspec.json.decode(record, type=QualityRecord) for (record,) in rows]


def forget_quality(connection: sqlite3.Connection, by_ms: int) -> int:
    connection.execute(FORGET, (by_ms,))
    return 0  # few rows: one bite takes them all
