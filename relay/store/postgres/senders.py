"""Who else sends Meta events, rolled up by the day: one row per site, sender, pixel, event name and whose ids."""

from collections.abc import Sequence
from typing import Final

import msgspec

from relay.event.report import Sighting
from relay.store.postgres.database import Connection
from relay.store.protocol import SenderCount
from relay.store.rules import DAY_MS, SENDERS_MAX

SEEN_AGAIN: Final = """
UPDATE sender SET last_ms = greatest(last_ms, $7), pages = pages + 1, n = n + $8
WHERE day_ms = $1 AND site = $2 AND sender = $3 AND pixel = $4 AND event_name = $5 AND ids = $6
RETURNING 1
"""

ADD: Final = """
INSERT INTO sender AS kept (day_ms, site, sender, pixel, event_name, ids, first_ms, last_ms, pages, n)
SELECT $1, $2, $3, $4, $5, $6, $7, $7, 1, $8
WHERE (SELECT count(*) FROM sender WHERE day_ms = $1 AND site = $2) < $9
ON CONFLICT (day_ms, site, sender, pixel, event_name, ids) DO UPDATE SET
    last_ms = greatest(kept.last_ms, excluded.last_ms), pages = kept.pages + 1, n = kept.n + excluded.n
"""

READ: Final = """
SELECT site, sender, pixel, event_name, ids,
    min(first_ms) AS first_ms, max(last_ms) AS last_ms, sum(pages)::bigint AS pages, sum(n)::bigint AS count
FROM sender WHERE day_ms >= $1 AND ($2::text IS NULL OR site = $2)
GROUP BY site, sender, pixel, event_name, ids
ORDER BY site COLLATE "C", sender COLLATE "C", pixel COLLATE "C", event_name COLLATE "C", ids COLLATE "C"
"""

FORGET: Final = """
DELETE FROM sender WHERE (day_ms, site, sender, pixel, event_name, ids) IN
    (SELECT day_ms, site, sender, pixel, event_name, ids FROM sender WHERE day_ms <= $1 LIMIT $2)
RETURNING 1
"""


async def note_senders(connection: Connection, site: str, seen: Sequence[Sighting], now_ms: int) -> None:
    """Count every row of one page's report; a new one beyond the site's bound is left out."""
    for row in sorted(seen, key=lambda row: (row.sender, row.pixel, row.event_name, row.ids)):
        columns = (
            now_ms - now_ms % DAY_MS, site, row.sender, row.pixel, row.event_name, row.ids, now_ms, row.count,
        )  # fmt: skip
        if await connection.fetchval(SEEN_AGAIN, *columns) is None:
            await connection.execute(ADD, *columns, SENDERS_MAX)


async def senders(connection: Connection, *, since_ms: int, site: str | None) -> list[SenderCount]:
    rows = await connection.fetch(READ, since_ms - since_ms % DAY_MS, site)
    return [msgspec.convert(dict(row), SenderCount) for row in rows]


async def forget_senders(connection: Connection, by_ms: int, limit: int) -> int:
    return len(await connection.fetch(FORGET, by_ms, limit))
