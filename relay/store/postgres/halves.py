"""An event that both a page and a server post: what is known of it, and what the other side's post adds.

Few events are, and each of their posts is looked at alone, with the event's key locked.
"""

from collections import Counter
from typing import Final

import msgspec
from msgspec.structs import replace

from relay.event.families import family_path
from relay.event.outcome import ASLEEP, UNREPORTED, Admission, BrowserState, FateReason
from relay.event.pairing import Completed, pairs
from relay.event.records import OutboxEvent
from relay.store.checksum import checksum, is_intact
from relay.store.postgres.accept import ADD_ORDERS
from relay.store.postgres.counter import At
from relay.store.postgres.database import Connection
from relay.store.postgres.ended import Later, put_back, recounts
from relay.store.postgres.families import Way, way
from relay.store.postgres.known import KNOWN_AGAIN, Admitted, KnownEvent, know, meet, write_known
from relay.store.postgres.rows import add_legs, put_visitors
from relay.store.rules import EndedEvent, Held, KnownHalf, leg_row, stored_leg

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


async def _read_half(connection: Connection, row_id: int) -> KnownHalf | None:
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


async def _put_completed(
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


def is_other_side(known: KnownEvent, event: OutboxEvent) -> bool:
    """Whether the known event and this post of it are of two sides; most posts are of one."""
    return known.row is not None and known.row["state"] is not None and pairs(event, known.row["state"])


async def meet_alone(
    connection: Connection, event: OutboxEvent, ways: Counter[Way], counts: Counter[At], shard: int
) -> Admitted:
    """One post of an event that both sides post, after what the posts before it have written."""
    known = (await know(connection, {event.key}))[event.key]
    half = None
    if known.row_id is not None and is_other_side(known, event):
        half = await _read_half(connection, known.row_id)
    if half is None:
        admitted = meet(known, event, ways)
        counts.update(await write_known(connection, [known]))
        return admitted
    event = replace(event, findings=())  # the two sides may say different things of it
    if await _pair(connection, half, event, ways, counts, shard):
        return Admission.UPDATED, event
    await connection.execute(KNOWN_AGAIN, [event.key], [1], [known.visitors or None], (), ())
    return Admission.DUPLICATE, event


async def _pair(
    connection: Connection,
    half: KnownHalf,
    event: OutboxEvent,
    ways: Counter[Way],
    counts: Counter[At],
    shard: int,
) -> bool:
    """Take what the other side's post knows: the browser's report always, the rest while the event is unsent."""
    completed = half.completed_by(event)
    if event.leg.state not in UNREPORTED:
        hold_ms = completed.due_ms if completed else None
        await add_legs(connection, [leg_row(half.row_id, half.seq + 1, event.leg, hold_ms)])
        if half.due_ms is None:
            later = Later(
                event=Held(half.row_id, event.site, event.event_name),
                before=stored_leg(half.leg[2], half.leg[6], half.leg[7]),
                after=stored_leg(event.leg.state, event.leg.settled_ms, event.leg.reported_ms),
            )
            counts.update(await recounts(connection, [later]))
    if completed is None:
        return False
    await _put_completed(connection, half, completed, event, shard)
    if completed.takes_addresses:
        visitor = (half.row_id, completed.client_ip_address, completed.client_user_agent, event.addresses)
        await put_visitors(connection, [visitor])
        if path := family_path(event.addresses):
            ways[way(path, event.site, event.received_ms)] += 1
    if event.order_key is not None:
        await connection.fetch(ADD_ORDERS, [event.order_key], [half.row_id], [event.received_ms])
    return True
