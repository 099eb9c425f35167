"""An event that both a page and a server post: what is known of it, and what the other side's post adds.

Few events are, and each of their posts is looked at alone, with the event's key locked.
"""

from typing import Final

import msgspec

from relay.event.outcome import ASLEEP, UNREPORTED, BrowserState, FateReason
from relay.event.pairing import Completed
from relay.event.records import OutboxEvent
from relay.store.checksum import checksum, is_intact
from relay.store.postgres.database import Connection
from relay.store.postgres.ended import put_back
from relay.store.rules import EndedEvent, KnownHalf

FACTS: Final = """
SELECT key, site, pixel, event_name, event_id, event_time_ms, received_ms, server_event, why, crc
FROM event WHERE id = $1
"""

VISITOR: Final = "SELECT client_ip_address, client_user_agent FROM visitor WHERE event = $1"

# The last report is the best one: only better ones are added.
BEST_LEG: Final = """
SELECT event, seq, state, evidence, transport, dispatched_ms, settled_ms, reported_ms, seen, not_before_ms, crc
FROM leg WHERE event = $1 ORDER BY seq DESC LIMIT 1
"""

# Never attempted, and in no courier's hands.
HELD_UNTIL: Final = "SELECT due_ms FROM queue WHERE event = $1 AND attempts = 0 AND lease IS NULL FOR UPDATE"

END: Final = "SELECT fate, reason, at_ms FROM fate WHERE event = $1 FOR UPDATE"

COMPLETE: Final = "UPDATE event SET event_time_ms = $1, server_event = $2, why = $3, crc = $4 WHERE id = $5"

RENEW_VISITOR: Final = """
UPDATE visitor SET client_ip_address = $1, client_user_agent = $2, crc = $3 WHERE event = $4
"""

MOVE_DUE: Final = "UPDATE queue SET due_ms = $1 WHERE event = $2"

RENEW_HOLD: Final = "UPDATE leg SET not_before_ms = $1, crc = $2 WHERE event = $3 AND seq = $4"


async def read_half(connection: Connection, row_id: int) -> KnownHalf | None:
    """None where a byte of it has changed: the courier will find that; a new checksum would hide it."""
    event = await connection.fetchrow(FACTS, row_id)
    leg = await connection.fetchrow(BEST_LEG, row_id)
    if event is None or leg is None:
        return None
    facts, report = tuple(event.values()), tuple(leg.values())
    if not is_intact(facts[:-1], facts[-1]) or not is_intact(report[:-1], report[-1]):
        return None
    held_ms: int | None = await connection.fetchval(HELD_UNTIL, row_id)
    end = await connection.fetchrow(END, row_id)
    visitor = await connection.fetchrow(VISITOR, row_id)
    ended = (
        None
        if end is None
        else EndedEvent(row_id, event["site"], event["event_name"], event["pixel"], end["fate"], end["at_ms"])
    )
    return KnownHalf(
        row_id=row_id,
        seq=leg["seq"],
        state=BrowserState(leg["state"]),
        leg=report[:-1],
        facts=facts[:-1],
        due_ms=held_ms,
        end=ended,
        asleep=FateReason(end["reason"]) if end is not None and end["reason"] in ASLEEP else None,
        visitor=(None, None) if visitor is None else (visitor[0], visitor[1]),
    )


async def put_completed(
    connection: Connection, half: KnownHalf, completed: Completed, event: OutboxEvent, shard: int
) -> None:
    """Keep what the event has become, and when it is due."""
    head, received_ms = half.facts[:5], half.facts[6]
    body = (completed.event_time_ms, completed.server_event, msgspec.json.encode(completed.why))
    crc = checksum((*head, body[0], received_ms, *body[1:]))
    await connection.execute(COMPLETE, *body, crc, half.row_id)
    visitor = (completed.client_ip_address, completed.client_user_agent)
    await connection.execute(RENEW_VISITOR, *visitor, checksum((half.row_id, *visitor)), half.row_id)
    if completed.due_ms is None:
        return
    if half.end is not None:
        await put_back(connection, [half.end], event.received_ms, shard, due_ms=completed.due_ms)
    else:
        await connection.execute(MOVE_DUE, completed.due_ms, half.row_id)
    if event.leg.state in UNREPORTED:  # the page's own report brings its hold along
        leg = (*half.leg[:-1], completed.due_ms)
        await connection.execute(RENEW_HOLD, completed.due_ms, checksum(leg), half.row_id, half.seq)
