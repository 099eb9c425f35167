"""Who else sends Meta events, rolled up by the day: one row per site, sender, pixel, event name and whose ids."""

import sqlite3
from collections.abc import Sequence
from typing import Final

import msgspec

from relay.event.report import Sighting
from relay.store.protocol import SenderCount
from relay.store.rules import DAY_MS, SENDERS_MAX

SEEN_AGAIN: Final = """
UPDATE sender SET last_ms = max(last_ms, ?7), pages = pages + 1, n = n + ?8
WHERE day_ms = ?1 AND site = ?2 AND sender = ?3 AND pixel = ?4 AND event_name = ?5 AND ids = ?6
"""

ADD: Final = """
INSERT INTO sender (day_ms, site, sender, pixel, event_name, ids, first_ms, last_ms, pages, n)
SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?7, 1, ?8
WHERE (SELECT count(*) FROM sender WHERE day_ms = ?1 AND site = ?2) < ?9
"""

READ: Final = """
SELECT site, sender, pixel, event_name, ids,
    min(first_ms) AS first_ms, max(last_ms) AS last_ms, sum(pages) AS pages, sum(n) AS count
FROM sender WHERE day_ms >= ?1 AND (?2 IS NULL OR site = ?2)
GROUP BY site, sender, pixel, event_name, ids ORDER BY site, sender, pixel, event_name, ids
"""

FORGET: Final = """
DELETE FROM sender WHERE (day_ms, site, sender, pixel, event_name, ids) IN
    (SELECT day_ms, site, sender, pixel, event_name, ids FROM sender WHERE day_ms <= ? LIMIT ?)
"""


def note_senders(connection: sqlite3.Connection, site: str, seen: Sequence[Sighting], now_ms: int) -> None:
    """Count every row of one page's report; a new one beyond the site's bound is left out."""
    for row in seen:
        key = (now_ms - now_ms % DAY_MS, site, row.sender, row.pixel, row.event_name, row.ids)
        if not connection.execute(SEEN_AGAIN, (*key, now_ms, row.count)).rowcount:
            connection.execute(ADD, (*key, now_ms, row.count, SENDERS_MAX))


def senders(connection: sqlite3.Connection, *, since_ms: int, site: str | None) -> list[SenderCount]:
    rows = connection.execute(READ, (since_ms - since_ms % DAY_MS, site))
    return [msgspec.convert(dict(row), SenderCount) for row in rows]


def forget_senders(connection: sqlite3.Connection, by_ms: int, limit: int) -> int:
    return connection.execute(FORGET, (by_ms, limit)).rowcount
