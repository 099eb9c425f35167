"""An event that both a page and a server post: what is known of it, and what the other side's post adds."""

import sqlite3
from typing import Final

import msgspec

from relay.event.outcome import ASLEEP, UNREPORTED, BrowserState, FateReason
from relay.event.pairing import Completed
from relay.event.records import OutboxEvent
from relay.store.checksum import checksum, is_intact
from relay.store.rules import EndedEvent, KnownHalf
from relay.store.sqlite.ended import put_back

FACTS: Final = """
SELECT key, site, pixel, event_name, event_id, event_time_ms, received_ms, server_event, why, crc
FROM event WHERE id = ?
"""

VISITOR: Final = "SELECT client_ip_address, client_user_agent FROM visitor WHERE event = ?"

# The last report is the best one: only better ones are added.
BEST_LEG: Final = """
SELECT event, seq, state, evidence, transport, dispatched_ms, settled_ms, reported_ms, seen, not_before_ms, crc
FROM leg WHERE event = ? ORDER BY seq DESC LIMIT 1
"""

# Never attempted, and in no courier's hands.
HELD_UNTIL: Final = "SELECT due_ms FROM queue WHERE event = ? AND attempts = 0 AND lease IS NULL"

END: Final = "SELECT fate, reason, at_ms FROM fate WHERE event = ?"

COMPLETE: Final = "UPDATE event SET event_time_ms = ?, server_event = ?, why = ?, crc = ? WHERE id = ?"

RENEW_VISITOR: Final = """
UPDATE visitor SET client_ip_address = ?, client_user_agent = ?, crc = ? WHERE event = ?
"""

MOVE_DUE: Final = "UPDATE queue SET due_ms = ? WHERE event = ?"

RENEW_HOLD: Final = "UPDATE leg SET not_before_ms = ?, crc = ? WHERE event = ? AND seq = ?"


def read_half(connection: sqlite3.Connection, row_id: int) -> KnownHalf | None:
    """None where a byte of it has changed: the courier will find that; a new checksum would hide it."""
    event = connection.execute(FACTS, (row_id,)).fetchone()
    leg = connection.execute(BEST_LEG, (row_id,)).fetchone()
    if (
        event is None
        or leg is None
        or not is_intact(event[:-1], event[-1])
        or not is_intact(leg[:-1], leg[-1])
    ):
        return None
    _, site, pixel, event_name, *_ = event
    held = connection.execute(HELD_UNTIL, (row_id,)).fetchone()
    end = connection.execute(END, (row_id,)).fetchone()
    return KnownHalf(
        row_id=row_id,
        seq=leg[1],
        state=BrowserState(leg[2]),
        leg=leg[:-1],
        facts=event[:-1],
        due_ms=None if held is None else held[0],
        end=None if end is None else EndedEvent(row_id, site, event_name, pixel, end[0], end[2]),
        asleep=FateReason(end[1]) if end is not None and end[1] in ASLEEP else None,
        visitor=connection.execute(VISITOR, (row_id,)).fetchone() or (None, None),
    )


def put_completed(
    connection: sqlite3.Connection, half: KnownHalf, completed: Completed, event: OutboxEvent
) -> None:
    """Keep what the event has become, and when it is due."""
    head, received_ms = half.facts[:5], half.facts[6]
    body = (completed.event_time_ms, completed.server_event, msgspec.json.encode(completed.why))
    crc = checksum((*head, body[0], received_ms, *body[1:]))
    connection.execute(COMPLETE, (*body, crc, half.row_id))
    visitor = (completed.client_ip_address, completed.client_user_agent)
    connection.execute(RENEW_VISITOR, (*visitor, checksum((half.row_id, *visitor)), half.row_id))
    if completed.due_ms is None:
        return
    if half.end is not None:
        put_back(connection, [half.end], event.received_ms, due_ms=completed.due_ms)
    else:
        connection.execute(MOVE_DUE, (completed.due_ms, half.row_id))
    if event.leg.state in UNREPORTED:  # the page's own report brings its hold along
        leg = (*half.leg[:-1], completed.due_ms)
        connection.execute(RENEW_HOLD, (completed.due_ms, checksum(leg), half.row_id, half.seq))
