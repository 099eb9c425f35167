"""What the store keeps of one person: found by the hashes in their events, shown, and erased.

No index leads from a hash to its events, as in SQLite: the events are read once.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Final

from relay.store.postgres.database import Connection
from relay.store.postgres.prune import remove_events
from relay.store.protocol import Erased

# Hashes came in either case; a builder's have an appendix behind them. A damaged row is searched like any other.
MENTIONS: Final = """
SELECT id FROM event
WHERE id > $1 AND EXISTS (SELECT 1 FROM unnest($2::bytea[]) AS wanted (hash) WHERE position(hash IN server_event) > 0)
ORDER BY id LIMIT $3
"""

EVERY_ID: Final = "SELECT id FROM event WHERE id > $1 ORDER BY id LIMIT $2"

WERE: Final = """
SELECT event.site, event.pixel,
    coalesce(fate.fate, CASE WHEN queue.lease IS NULL THEN 'waiting' ELSE 'sending' END) AS was
FROM event LEFT JOIN fate ON fate.event = event.id LEFT JOIN queue ON queue.event = event.id
WHERE event.id = ANY($1::bigint[])
"""

# The key stays its seven days, so that a late copy of the event is not taken for a new one.
KEEP_BARE_KEYS: Final = """
UPDATE dedup SET event = NULL, visitors = NULL
WHERE key IN (SELECT key FROM event WHERE id = ANY($1::bigint[]))
"""

NAMELESS_ISSUES: Final = """
UPDATE issue SET event_id = '' WHERE event_id IN (SELECT event_id FROM event WHERE id = ANY($1::bigint[]))
"""


async def mentions(connection: Connection, hashes: Sequence[str], after: int, limit: int) -> list[int]:
    """Row ids of events that hold one of the hashes."""
    spelt = [each.encode() for text in hashes for each in (text.lower(), text.upper())]
    return [row["id"] for row in await connection.fetch(MENTIONS, after, spelt, limit)]


async def every_id(connection: Connection, after: int, limit: int) -> list[int]:
    return [row["id"] for row in await connection.fetch(EVERY_ID, after, limit)]


async def erase(connection: Connection, row_ids: list[int]) -> list[Erased]:
    """Remove these events with all that belongs to them; what they were.

    A call that carried them stays until its time: it names no event and nobody.
    """
    rows = await connection.fetch(WERE, row_ids)
    were = Counter((row["site"], row["pixel"], row["was"]) for row in rows)
    for statement in (KEEP_BARE_KEYS, NAMELESS_ISSUES):
        await connection.execute(statement, row_ids)
    await remove_events(connection, row_ids)
    return [Erased(site=site, pixel=pixel, was=was, events=n) for (site, pixel, was), n in were.items()]
