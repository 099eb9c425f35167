"""The end of events, and taking it back: queue row and fate change places in one transaction."""

from collections import Counter
from collections.abc import Sequence
from typing import Final, NamedTuple

from relay.event.outcome import Fate
from relay.event.tally import Leg, Topic, counts_of_leg, outcome_of
from relay.store.postgres.counter import At, add_to_totals, count, count_at
from relay.store.postgres.database import Connection
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

TAKE_OFF_QUEUE: Final = "DELETE FROM queue WHERE event = ANY($1::bigint[])"

ADD_FATES: Final = """
INSERT INTO fate (event, fate, reason, detail, at_ms)
SELECT event, fate, reason, detail, $5 FROM unnest($1::bigint[], $2::text[], $3::text[], $4::text[])
    AS new (event, fate, reason, detail)
"""

# The two ways to name ended events. Both go forward by row id: a replayed event that soon ends the same way
# is not taken twice.
ENDED_WITH_FATE: Final = """
SELECT event.id, event.site, event.event_name, event.pixel, fate.fate, fate.at_ms
FROM fate JOIN event ON event.id = fate.event
WHERE fate.fate = $1 AND fate.event > $2
ORDER BY fate.event LIMIT $3 FOR UPDATE OF fate
"""

ENDED_WITH_ID: Final = """
SELECT event.id, event.site, event.event_name, event.pixel, fate.fate, fate.at_ms
FROM event JOIN fate ON fate.event = event.id
WHERE event.event_id = $1 AND event.id > $2
ORDER BY event.id LIMIT $3 FOR UPDATE OF fate
"""

# The last report is the best one.
BEST_LEGS: Final = """
SELECT DISTINCT ON (event) event, state, settled_ms, reported_ms
FROM leg WHERE event = ANY($1::bigint[]) ORDER BY event DESC, seq DESC
"""

WERE_DELIVERED: Final = """
SELECT fate.event, fate.at_ms, max(attempt.started_ms) AS sent_ms
FROM fate
JOIN attempt_event ON attempt_event.event = fate.event
JOIN attempt ON attempt.id = attempt_event.attempt
WHERE fate.event = ANY($1::bigint[]) AND fate.fate = 'delivered' AND attempt.outcome = 'receipt'
GROUP BY fate.event, fate.at_ms
"""

KEEP_OLD_FATES: Final = """
INSERT INTO replay (event, fate, reason, detail, at_ms, replayed_ms)
SELECT event, fate, reason, detail, at_ms, $2 FROM fate WHERE event = ANY($1::bigint[])
"""

REMOVE_FATES: Final = "DELETE FROM fate WHERE event = ANY($1::bigint[])"

# A refused batch says nothing about each of its events, and a bad token nothing about any (`BLAMELESS`).
COUNTS_AGAINST: Final = "coalesce(attempt.outcome, '') NOT IN ('reject', 'park')"

BACK_TO_QUEUE: Final = f"""
INSERT INTO queue (event, key, pixel, site, event_name, due_ms, attempts)
SELECT id, key, pixel, site, event_name, $2, (
    SELECT count(*) FROM attempt_event JOIN attempt ON attempt.id = attempt_event.attempt
    WHERE attempt_event.event = event.id AND {COUNTS_AGAINST}
)
FROM event WHERE id = ANY($1::bigint[])
"""  # noqa: S608 - a constant


class Later(NamedTuple):
    """An event, and its best browser leg before and after a late report."""

    event: Held
    before: Leg | None
    after: Leg | None


async def end(
    connection: Connection,
    endings: Sequence[Ending],
    now_ms: int,
    shard: int,
    *,
    sent_ms: int | None = None,
) -> None:
    """Give every event its fate; `sent_ms` is the call that it rests on."""
    if not endings:
        return
    await connection.execute(TAKE_OFF_QUEUE, [ending.event.row_id for ending in endings])
    rows = [(e.event.row_id, e.fate.value, e.reason.value, e.detail) for e in endings]
    await connection.execute(ADD_FATES, *zip(*rows, strict=True), now_ms)
    delivered = [ending.event.row_id for ending in endings if ending.fate is Fate.DELIVERED]
    legs = await _best_legs(connection, delivered) if delivered else {}
    await count(
        connection,
        ending_counts(endings, legs, now_ms if sent_ms is None else sent_ms, now_ms),
        now_ms,
        shard,
    )


async def _best_legs(connection: Connection, row_ids: Sequence[int]) -> dict[int, Leg | None]:
    rows = await connection.fetch(BEST_LEGS, row_ids)
    return {
        row_id: stored_leg(state, settled_ms, reported_ms) for row_id, state, settled_ms, reported_ms in rows
    }


async def recounts(connection: Connection, later: Sequence[Later]) -> Counter[At]:
    """A report that came after the end changes what was counted of the pair, in the minute of the end."""
    counts: Counter[At] = Counter()
    if not later:
        return counts
    ended = {
        row["event"]: row
        for row in await connection.fetch(WERE_DELIVERED, [each.event.row_id for each in later])
    }
    for event, before, after in later:
        if (row := ended.get(event.row_id)) is None:
            continue
        for sign, leg in ((-1, before), (1, after)):
            for each in counted(event.site, event.event_name, counts_of_leg(leg, row["sent_ms"])):
                counts[row["at_ms"], each] += sign
    return counts


async def replay_bite(
    connection: Connection,
    *,
    event_id: str | None,
    fate: Fate | None,
    ended_ms: range,
    after: int,
    limit: int,
    now_ms: int,
    shard: int,
) -> tuple[int, int | None]:
    """Replay the next events that ended in the range; how many, and the row to go on after (None: no more)."""
    if event_id is None:
        ended = await connection.fetch(ENDED_WITH_FATE, fate, after, limit)
    else:
        ended = await connection.fetch(ENDED_WITH_ID, event_id, after, limit)
    events = [EndedEvent(*row.values()) for row in ended]
    chosen = [event for event in events if event.fate in replayable(fate) and event.at_ms in ended_ms]
    if chosen:
        await put_back(connection, chosen, now_ms, shard)
    return len(chosen), events[-1].row_id if len(events) == limit else None


async def put_back(
    connection: Connection,
    events: Sequence[EndedEvent],
    now_ms: int,
    shard: int,
    *,
    due_ms: int | None = None,
) -> None:
    """Take the fates back; the events are due at `due_ms`, left out: now."""
    row_ids = [event.row_id for event in events]
    await connection.execute(KEEP_OLD_FATES, row_ids, now_ms)
    await connection.execute(REMOVE_FATES, row_ids)
    await connection.execute(BACK_TO_QUEUE, row_ids, due_ms or now_ms)
    counts: Counter[At] = Counter()
    for event in events:  # outcomes and the total count fates that stand
        outcome = outcome_of(Fate(event.fate), None, event.at_ms)
        counts[now_ms, Counted(event.site, event.event_name, Topic.REPLAYED)] += 1
        counts[event.at_ms, Counted(event.site, event.event_name, Topic.OUTCOME, outcome)] -= 1
    await count_at(connection, counts, shard)
    back = Counter(of_fate(Fate(event.fate)) for event in events)
    await add_to_totals(connection, {what: -n for what, n in back.items()}, shard)
