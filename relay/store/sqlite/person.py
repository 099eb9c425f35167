"""What the store keeps of one person: found by the hashes in their events, shown, and erased.

No index leads from a hash to its events: it would cost every identified event two fifths more at admission, and
be one more table of personal data. So the events are read once, about two seconds for a million of them.
"""

import sqlite3
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Final

from relay.store.protocol import Erased, StoredReceipt
from relay.store.sqlite import receipts
from relay.store.sqlite.file import connect_reader, explain
from relay.store.sqlite.prune import ATTEMPTS_OF_EVENT, FORGET_EMPTY_ATTEMPT, FORGET_EVENT

# Hashes came in either case; a builder's have an appendix behind them. A damaged row is searched like any other.
MENTIONS: Final = """
SELECT id FROM event
WHERE id > :after AND EXISTS (
    SELECT 1 FROM json_each(:hashes)
    WHERE instr(server_event, CAST(lower(value) AS BLOB)) OR instr(server_event, CAST(upper(value) AS BLOB))
)
ORDER BY id LIMIT :limit
"""

EVERY_ID: Final = "SELECT id FROM event WHERE id > :after ORDER BY id LIMIT :limit"

WAS: Final = """
SELECT event.site, event.pixel, coalesce(fate.fate, iif(queue.lease IS NULL, 'waiting', 'sending')) FROM event
LEFT JOIN fate ON fate.event = event.id LEFT JOIN queue ON queue.event = event.id WHERE event.id = ?
"""

# The key stays its seven days, so that a late copy of the event is not taken for a new one.
KEEP_BARE_KEY: Final = """
UPDATE dedup SET event = NULL, visitors = NULL WHERE key = (SELECT key FROM event WHERE id = ?)
"""

NAMELESS_ISSUE: Final = (
    "UPDATE issue SET event_id = '' WHERE event_id = (SELECT event_id FROM event WHERE id = ?)"
)

PAGE: Final = 200


def mentions(connection: sqlite3.Connection, hashes: str, after: int, limit: int) -> list[int]:
    """Row ids of events that hold one of the hashes, a JSON list."""
    asked = {"hashes": hashes, "after": after, "limit": limit}
    return [row_id for (row_id,) in connection.execute(MENTIONS, asked)]


def erase(connection: sqlite3.Connection, row_ids: Sequence[int]) -> list[Erased]:
    """Remove these events with all that belongs to them; what they were. One may be gone already."""
    found = [connection.execute(WAS, (row_id,)).fetchone() for row_id in row_ids]
    were = Counter(tuple(row) for row in found if row is not None)
    for row_id in row_ids:
        attempts = connection.execute(ATTEMPTS_OF_EVENT, (row_id,)).fetchall()
        for statement in (KEEP_BARE_KEY, NAMELESS_ISSUE, FORGET_EVENT):
            connection.execute(statement, (row_id,))
        connection.executemany(FORGET_EMPTY_ATTEMPT, attempts)
    return [Erased(site=site, pixel=pixel, was=was, events=n) for (site, pixel, was), n in were.items()]


def export(path: Path, hashes: str | None, now_ms: int) -> Iterator[StoredReceipt]:
    """Every receipt of the file, or one person's, oldest first; a running relay is not disturbed."""
    query, after = EVERY_ID if hashes is None else MENTIONS, 0
    try:
        with closing(connect_reader(path)) as connection:
            while True:
                asked = {"hashes": hashes, "after": after, "limit": PAGE}
                row_ids = [row_id for (row_id,) in connection.execute(query, asked)]
                for row_id in row_ids:
                    yield from receipts.of_row(connection, row_id, now_ms)
                if len(row_ids) < PAGE:
                    return
                after = row_ids[-1]
    except sqlite3.DatabaseError as error:
        raise explain(error) from error
