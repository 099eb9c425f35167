"""Admission: an event is new, better known, or a duplicate.

The new ones of a group go in together (`accept.py`); those that are known are met one by one.
"""

import sqlite3
from collections import Counter, defaultdict
from collections.abc import Sequence
from itertools import islice
from typing import Final

import msgspec
from msgspec.structs import replace

from relay.event.families import family_path
from relay.event.observation import upgrades
from relay.event.outcome import STATE_RANK, UNREPORTED, Admission
from relay.event.pairing import pairs
from relay.event.records import OutboxEvent, SeenAddress
from relay.event.sentinel import add_mark, repeat_findings
from relay.event.tally import Topic
from relay.store.checksum import checksum, is_intact
from relay.store.protocol import MINUTE_MS
from relay.store.rules import (
    RANK_OF_STORED,
    UNREADABLE,
    Counted,
    Held,
    KnownHalf,
    admission_counts,
    leg_row,
    sightings,
    visitor_row,
    why_with,
)
from relay.store.sqlite.accept import ADD_LEG, ADD_ORDER, ADD_VISITOR, accept
from relay.store.sqlite.counter import count
from relay.store.sqlite.ended import best_leg, recount
from relay.store.sqlite.families import count_path
from relay.store.sqlite.halves import put_completed, read_half
from relay.store.sqlite.issues import note

KNOWN: Final = "SELECT event, visitors FROM dedup WHERE key = ?"

REMEMBER_VISITORS: Final = "UPDATE dedup SET visitors = ? WHERE key = ?"

STORED: Final = "SELECT event_time_ms, server_event FROM event WHERE id = ?"

VISITOR: Final = (
    "SELECT client_ip_address, client_user_agent, addresses, addresses_crc FROM visitor WHERE event = ?"
)

FACTS: Final = """
SELECT key, site, pixel, event_name, event_id, event_time_ms, received_ms, server_event, why, crc
FROM event WHERE id = ?
"""

# What is told of its address may change, with the address. (What a server adds: `halves.py`.)
RENEW_WHY: Final = "UPDATE event SET why = ?, crc = ? WHERE id = ?"

# The last report is the best one: only better ones are added.
BEST_STATE: Final = "SELECT seq, state FROM leg WHERE event = ? ORDER BY seq DESC LIMIT 1"

# Held: never attempted, and in no courier's hands.
IS_HELD: Final = "SELECT 1 FROM queue WHERE event = ? AND attempts = 0 AND lease IS NULL"

MOVE_HOLD: Final = "UPDATE queue SET due_ms = ? WHERE event = ?"

ADD_DUPLICATE: Final = "UPDATE dedup SET duplicates = duplicates + 1 WHERE key = ?"


def admit(connection: sqlite3.Connection, posts: Sequence[Sequence[OutboxEvent]]) -> list[list[Admission]]:
    """Take every event of every post, one answer each; a key that comes twice is known the second time."""
    events = [event for post in posts for event in post]
    new = {each.at: (Admission.ACCEPTED, each.event) for each in accept(connection, events)}
    admitted = [new.get(at) or _meet(connection, event) for at, event in enumerate(events)]
    counts: defaultdict[int, Counter[Counted]] = defaultdict(Counter)
    for answer, event in admitted:
        counts[event.received_ms - event.received_ms % MINUTE_MS].update(admission_counts(answer, event))
    for minute_ms, counted in counts.items():
        count(connection, counted, minute_ms)
    by_post = [list(islice(rest, len(post))) for rest in [iter(admitted)] for post in posts]
    for post in by_post:
        if any(event.findings for _, event in post):
            seen = (sighting for _, event in post for sighting in sightings(event))
            note(connection, seen, post[0][1].received_ms)
    return [[answer for answer, _ in post] for post in by_post]


def count_refused(connection: sqlite3.Connection, site: str, reason: str, now_ms: int) -> None:
    count(connection, {Counted(site, "", Topic.REFUSED, reason): 1}, now_ms)


def _meet(connection: sqlite3.Connection, event: OutboxEvent) -> tuple[Admission, OutboxEvent]:
    """The answer to a post of a known event, and the event with the findings that the store alone could tell."""
    row_id, visitors = connection.execute(KNOWN, (event.key,)).fetchone()
    half = _other_half(connection, row_id, event)
    if half is not None:
        event = replace(event, findings=())  # the two sides may say different things of it
        is_news = _pair(connection, half, event)
    else:
        event = _compare(connection, row_id, visitors or b"", event)
        is_news = row_id is not None and _improve(connection, row_id, event)
    if is_news:
        return Admission.UPDATED, event
    connection.execute(ADD_DUPLICATE, (event.key,))
    return Admission.DUPLICATE, event


def _compare(
    connection: sqlite3.Connection, row_id: int | None, visitors: bytes, event: OutboxEvent
) -> OutboxEvent:
    """The known event's post with what it shows beside the stored one, whose visitors are remembered."""
    if (marks := add_mark(visitors, event.visitor)) != visitors:
        connection.execute(REMEMBER_VISITORS, (marks, event.key))
    stored = connection.execute(STORED, (row_id,)).fetchone()
    if stored is None:
        return replace(event, findings=())
    event_time_ms, server_event = stored
    findings = repeat_findings(event, marks=visitors, event_time_ms=event_time_ms, server_event=server_event)
    return replace(event, findings=tuple(findings))


def _other_half(connection: sqlite3.Connection, row_id: int | None, event: OutboxEvent) -> KnownHalf | None:
    """The known event, where it and this post are of two sides; most posts are of one."""
    leg = connection.execute(BEST_STATE, (row_id,)).fetchone()
    if row_id is None or leg is None or not pairs(event, leg[1]):
        return None
    return read_half(connection, row_id)


def _pair(connection: sqlite3.Connection, half: KnownHalf, event: OutboxEvent) -> bool:
    """Take what the other side's post knows: the browser's report always, the rest while the event is unsent."""
    completed = half.completed_by(event)
    if event.leg.state not in UNREPORTED:
        before = best_leg(connection, half.row_id)
        hold_ms = completed.due_ms if completed else None
        connection.execute(ADD_LEG, leg_row(half.row_id, half.seq + 1, event.leg, hold_ms))
        if half.due_ms is None:
            recount(connection, Held(half.row_id, event.site, event.event_name), before)
    if completed is None:
        return False
    put_completed(connection, half, completed, event)
    if completed.takes_addresses:
        visitor = (half.row_id, completed.client_ip_address, completed.client_user_agent)
        connection.execute(ADD_VISITOR, visitor_row(*visitor, event.addresses))
        _count_families(connection, event.addresses, event.site, event.received_ms)
    if event.order_key is not None:
        connection.execute(ADD_ORDER, (event.order_key, half.row_id, event.received_ms))
    return True


def _improve(connection: sqlite3.Connection, row_id: int, event: OutboxEvent) -> bool:
    """Take what this post knows better: the leg always, the hold and the address while the event is held."""
    is_held = connection.execute(IS_HELD, (row_id,)).fetchone() is not None
    seq, state = connection.execute(BEST_STATE, (row_id,)).fetchone() or (-1, "")
    rank, known_rank = STATE_RANK[event.leg.state], RANK_OF_STORED.get(state, UNREADABLE)
    if rank > known_rank:
        before = best_leg(connection, row_id)
        hold_ms = event.not_before_ms if is_held else None
        connection.execute(ADD_LEG, leg_row(row_id, seq + 1, event.leg, hold_ms))
        if not is_held:
            recount(connection, Held(row_id, event.site, event.event_name), before)
    has_address = is_held and _take_address(connection, row_id, event)
    if is_held and rank >= known_rank and (has_address or rank > known_rank):
        connection.execute(MOVE_HOLD, (event.not_before_ms, row_id))
    return is_held and (has_address or rank > known_rank)


def _take_address(connection: sqlite3.Connection, row_id: int, event: OutboxEvent) -> bool:
    """Replace the address that the event would go with, where a signed one came for the same visitor."""
    visitor = connection.execute(VISITOR, (row_id,)).fetchone()
    if visitor is None or not upgrades(visitor[0], event):
        return False
    *facts, why, crc = connection.execute(FACTS, (row_id,)).fetchone()
    if not is_intact((*facts, why), crc):
        return False  # the courier will find it damaged; a new checksum would hide that
    told = why_with(why, event.addresses)
    connection.execute(RENEW_WHY, (told, checksum((*facts, told)), row_id))
    if is_intact((row_id, visitor[2]), visitor[3]):
        before = msgspec.json.decode(visitor[2], type=tuple[SeenAddress, ...])
        _, site, *_, received_ms, _ = facts
        _count_families(connection, before, site, received_ms, -1)
        _count_families(connection, event.addresses, site, received_ms)
    row = visitor_row(row_id, event.client_ip_address, visitor[1], event.addresses)
    connection.execute(ADD_VISITOR, row)
    return True


def _count_families(
    connection: sqlite3.Connection, addresses: Sequence[SeenAddress], site: str, received_ms: int, n: int = 1
) -> None:
    if path := family_path(addresses):
        count_path(connection, path, site, received_ms, n)
