"""The end of events, and taking it back: queue row and fate change places in one transaction."""

import sqlite3
from collections import Counter
from collections.abc import Sequence
from typing import Final, NamedTuple

from relay.event.outcome import Fate, FateReason
from relay.store.sqlite.counter import Counted, add_to_total, count, of_fate

TAKE_OFF_QUEUE: Final = "DELETE FROM queue WHERE event = ?"

ADD_FATE: Final = "INSERT INTO fate (event, fate, reason, detail, at_ms) VALUES (?, ?, ?, ?, ?)"

# Not delivered (Meta has it) and not filtered (it was never meant to be sent).
REPLAYABLE: Final = (Fate.REJECTED, Fate.EXPIRED, Fate.UNKNOWN)

# Nobody vouches for these; whoever wants to send them all the same has to say so.
REPLAYABLE_BY_NAME: Final = (*REPLAYABLE, Fate.QUARANTINED)

# The two ways to name ended events. Both go forward by row id: a replayed event that soon ends the same way
# is not taken twice.
ENDED_WITH_FATE: Final = """
SELECT event.id, event.site, event.event_name, event.pixel, fate.fate, fate.at_ms
FROM fate CROSS JOIN event ON event.id = fate.event
WHERE fate.fate = :fate AND fate.event > :after
ORDER BY fate.event LIMIT :limit
"""

ENDED_WITH_ID: Final = """
SELECT event.id, event.site, event.event_name, event.pixel, fate.fate, fate.at_ms
FROM event CROSS JOIN fate ON fate.event = event.id
WHERE event.event_id = :event_id AND event.id > :after
ORDER BY event.id LIMIT :limit
"""

KEEP_OLD_FATE: Final = """
INSERT INTO replay (event, fate, reason, detail, at_ms, replayed_ms)
SELECT event, fate, reason, detail, at_ms, ? FROM fate WHERE event = ?
"""

REMOVE_FATE: Final = "DELETE FROM fate WHERE event = ?"

BACK_TO_QUEUE: Final = """
INSERT INTO queue (event, pixel, due_ms, attempts)
VALUES (?1, ?2, ?3, (
    SELECT count(*) FROM attempt_event CROSS JOIN attempt ON attempt.id = attempt_event.attempt
    WHERE attempt_event.event = ?1 AND coalesce(attempt.outcome, '') NOT IN ('reject', 'park')
))
"""


class Held(NamedTuple):
    """A waiting event, with what its counters are kept by."""

    row_id: int
    site: str
    event_name: str


class Ending(NamedTuple):
    event: Held
    fate: Fate
    reason: FateReason
    detail: str | None = None


class EndedEvent(NamedTuple):
    row_id: int
    site: str
    event_name: str
    pixel: str
    fate: str
    at_ms: int


def end(connection: sqlite3.Connection, endings: Sequence[Ending], now_ms: int) -> None:
    """Give every event its fate."""
    connection.executemany(TAKE_OFF_QUEUE, [(ending.event.row_id,) for ending in endings])
    connection.executemany(ADD_FATE, [(e.event.row_id, e.fate, e.reason, e.detail, now_ms) for e in endings])
    counts = Counter(Counted(e.event.site, e.event.event_name, of_fate(e.fate)) for e in endings)
    count(connection, counts, now_ms)


def replayable(fate: Fate | None) -> tuple[Fate, ...]:
    """The fates that a replay of this one takes back; None: of whatever there is."""
    return REPLAYABLE if fate is None else tuple(each for each in REPLAYABLE_BY_NAME if each is fate)


def replay_bite(
    connection: sqlite3.Connection,
    *,
    event_id: str | None,
    fate: Fate | None,
    ended_ms: range,
    after: int,
    limit: int,
    now_ms: int,
) -> tuple[int, int | None]:
    """Replay the next events that ended in the range; how many, and the row to go on after (None: no more)."""
    query = ENDED_WITH_FATE if event_id is None else ENDED_WITH_ID
    asked = {"event_id": event_id, "fate": fate, "after": after, "limit": limit}
    ended = [EndedEvent(*row) for row in connection.execute(query, asked)]
    chosen = [event for event in ended if event.fate in replayable(fate) and event.at_ms in ended_ms]
    _put_back(connection, chosen, now_ms)
    return len(chosen), ended[-1].row_id if len(ended) == limit else None


def _put_back(connection: sqlite3.Connection, events: Sequence[EndedEvent], now_ms: int) -> None:
    connection.executemany(KEEP_OLD_FATE, [(now_ms, event.row_id) for event in events])
    connection.executemany(REMOVE_FATE, [(event.row_id,) for event in events])
    connection.executemany(BACK_TO_QUEUE, [(event.row_id, event.pixel, now_ms) for event in events])
    count(connection, Counter(Counted(event.site, event.event_name, "replayed") for event in events), now_ms)
    for event in events:  # the total counts fates that stand
        add_to_total(connection, of_fate(Fate(event.fate)), -1)
