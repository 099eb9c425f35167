"""The end of events, and taking it back: queue row and fate change places in one transaction."""

import sqlite3
from collections import Counter
from collections.abc import Sequence
from typing import Final

from relay.event.outcome import Fate
from relay.event.tally import Leg, Topic, counts_of_leg, outcome_of
from relay.store.rules import (
    Counted,
    EndedEvent,
    Ending,
    Held,
    counted,
    ending_counts,
    of_fate,
    replayable,
    stored_leg,
)
from relay.store.sqlite.counter import add_to_total, count

TAKE_OFF_QUEUE: Final = "DELETE FROM queue WHERE event = ?"

ADD_FATE: Final = "INSERT INTO fate (event, fate, reason, detail, at_ms) VALUES (?, ?, ?, ?, ?)"

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

BEST_LEG: Final = "SELECT state, settled_ms, reported_ms FROM leg WHERE event = ? ORDER BY seq DESC LIMIT 1"

WAS_DELIVERED: Final = """
SELECT fate.at_ms, max(attempt.started_ms)
FROM fate
CROSS JOIN attempt_event ON attempt_event.event = fate.event
CROSS JOIN attempt ON attempt.id = attempt_event.attempt
WHERE fate.event = ? AND fate.fate = 'delivered' AND attempt.outcome = 'receipt'
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


def end(
    connection: sqlite3.Connection, endings: Sequence[Ending], now_ms: int, *, sent_ms: int | None = None
) -> None:
    """Give every event its fate; `sent_ms` is the call that it rests on."""
    connection.executemany(TAKE_OFF_QUEUE, [(ending.event.row_id,) for ending in endings])
    connection.executemany(ADD_FATE, [(e.event.row_id, e.fate, e.reason, e.detail, now_ms) for e in endings])
    delivered = [ending.event.row_id for ending in endings if ending.fate is Fate.DELIVERED]
    legs = {row_id: best_leg(connection, row_id) for row_id in delivered}
    count(connection, ending_counts(endings, legs, now_ms if sent_ms is None else sent_ms, now_ms), now_ms)


def best_leg(connection: sqlite3.Connection, row_id: int) -> Leg | None:
    """The last report, which is the best one; None where there is none, or a damaged one."""
    row = connection.execute(BEST_LEG, (row_id,)).fetchone()
    return None if row is None else stored_leg(*row)


def recount(connection: sqlite3.Connection, event: Held, before: Leg | None) -> None:
    """A report that came after the end changes what was counted of the pair, in the minute of the end."""
    at_ms, sent_ms = connection.execute(WAS_DELIVERED, (event.row_id,)).fetchone()
    if at_ms is None:
        return
    counts: Counter[Counted] = Counter()
    for sign, leg in ((-1, before), (1, best_leg(connection, event.row_id))):
        for each in counted(event.site, event.event_name, counts_of_leg(leg, sent_ms)):
            counts[each] += sign
    count(connection, counts, at_ms)


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
    put_back(connection, chosen, now_ms)
    return len(chosen), ended[-1].row_id if len(ended) == limit else None


def put_back(
    connection: sqlite3.Connection, events: Sequence[EndedEvent], now_ms: int, *, due_ms: int | None = None
) -> None:
    """Take the fates back; the events are due at `due_ms`, left out: now."""
    connection.executemany(KEEP_OLD_FATE, [(now_ms, event.row_id) for event in events])
    connection.executemany(REMOVE_FATE, [(event.row_id,) for event in events])
    connection.executemany(BACK_TO_QUEUE, [(event.row_id, event.pixel, due_ms or now_ms) for event in events])
    replayed = Counter(Counted(event.site, event.event_name, Topic.REPLAYED) for event in events)
    count(connection, replayed, now_ms)
    for event in events:  # outcomes and the total count fates that stand
        fate = Fate(event.fate)
        outcome = Counted(event.site, event.event_name, Topic.OUTCOME, outcome_of(fate, None, event.at_ms))
        count(connection, {outcome: -1}, event.at_ms)
        add_to_total(connection, of_fate(fate), -1)
