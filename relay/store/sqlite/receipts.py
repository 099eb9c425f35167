"""What the console and the API read: receipts, the list, the status line."""

import sqlite3
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from relay.event.outcome import FATE_SENTENCES, AttemptOutcome, BrowserState, Fate, FateReason, Transport
from relay.event.records import BrowserLeg, Json, PixelSeen, SeenAddress
from relay.event.tally import Topic
from relay.store.checksum import is_intact
from relay.store.protocol import (
    Attempt,
    EventRow,
    FateRecord,
    Filters,
    PixelAttempt,
    PixelState,
    Status,
    StoredReceipt,
    Totals,
)
from relay.store.rules import FATE, REFUSED
from relay.store.sqlite.outbox import oldest_waiting_ms

LINE: Final = """
    event.id AS row_id, event.site, event.pixel, event.event_name, event.event_id,
    event.event_time_ms, event.received_ms,
    (SELECT state FROM leg WHERE leg.event = event.id ORDER BY seq DESC LIMIT 1) AS state,
    queue.due_ms, queue.lease,
    pixel_state.parked_ms, pixel_state.code AS parked_code, pixel_state.message AS parked_message,
    fate.fate, fate.reason, fate.detail, fate.at_ms
"""

# Each list is walked newest first along the index of its filter, so that a page costs what a page holds;
# CROSS JOIN pins that choice.
EVERY_EVENT: Final = "event LEFT JOIN queue ON queue.event = event.id LEFT JOIN fate ON fate.event = event.id"
WAITING_EVENTS: Final = (
    "queue CROSS JOIN event ON event.id = queue.event LEFT JOIN fate ON fate.event = queue.event"
)
ENDED_EVENTS: Final = (
    "fate CROSS JOIN event ON event.id = fate.event LEFT JOIN queue ON queue.event = fate.event"
)

RECEIPT: Final = f"""
SELECT {LINE},
    event.key, event.server_event, event.why, event.crc,
    visitor.event AS visitor, visitor.client_ip_address, visitor.client_user_agent,
    visitor.crc AS visitor_crc, visitor.addresses, visitor.addresses_crc, dedup.duplicates
FROM {EVERY_EVENT}
LEFT JOIN pixel_state ON pixel_state.pixel = event.pixel
LEFT JOIN visitor ON visitor.event = event.id
LEFT JOIN dedup ON dedup.key = event.key
"""  # noqa: S608  # made of this module's constants only

RECEIPTS: Final = f"{RECEIPT} WHERE event.event_id = ? ORDER BY event.id"

RECEIPT_OF_ROW: Final = f"{RECEIPT} WHERE event.id = ?"

LATEST: Final = f"{RECEIPT} WHERE event.id < ? ORDER BY event.id DESC LIMIT ?"

LATEST_OF_SITE: Final = f"{RECEIPT} WHERE event.site = ? ORDER BY event.id DESC LIMIT ?"

EVENT_OF_ORDER: Final = """
SELECT event.event_id FROM purchase CROSS JOIN event ON event.id = purchase.event WHERE purchase.key = ?
"""

LATEST_ATTEMPTS: Final = """
SELECT pixel, started_ms, finished_ms, events, outcome, http_status, code, subcode, message, fbtrace_id
FROM attempt WHERE id < ? ORDER BY id DESC LIMIT ?
"""

LEGS: Final = """
SELECT
    event, seq, state, evidence, transport, dispatched_ms, settled_ms, reported_ms, seen, not_before_ms, crc
FROM leg WHERE event = ? ORDER BY seq
"""

ATTEMPTS: Final = """
SELECT started_ms, finished_ms, events, outcome, http_status, code, subcode, message, fbtrace_id
FROM attempt_event CROSS JOIN attempt ON attempt.id = attempt_event.attempt
WHERE attempt_event.event = ? ORDER BY attempt.id
"""

# Steps from name to name through the index instead of reading every event.
EVENT_NAMES: Final = """
WITH RECURSIVE name (event_name) AS (
    SELECT min(event_name) FROM event
    UNION ALL
    SELECT (SELECT min(event_name) FROM event WHERE event_name > name.event_name)
    FROM name WHERE name.event_name IS NOT NULL
)
SELECT event_name FROM name WHERE event_name IS NOT NULL
"""

PARKED: Final = "SELECT pixel, parked_ms, code, message FROM pixel_state ORDER BY pixel"

WAITING: Final = "SELECT count(*) FROM queue"

TOTALS: Final = "SELECT what, n FROM total"

NEWEST: Final = 2**63 - 1  # above every row id


def recent(connection: sqlite3.Connection, filters: Filters, now_ms: int) -> list[EventRow]:
    if filters.waiting and filters.fate is not None:
        return []  # what waits has no fate
    asked = {
        "before": NEWEST if filters.before_row_id is None else filters.before_row_id,
        "site": filters.site,
        "event_name": filters.event_name,
        "fate": filters.fate,
        "limit": filters.limit,
    }
    return [_line(row, now_ms) for row in connection.execute(_list_query(filters), asked)]


def find(connection: sqlite3.Connection, event_id: str, now_ms: int) -> list[StoredReceipt]:
    return [_receipt(connection, row, now_ms) for row in connection.execute(RECEIPTS, (event_id,)).fetchall()]


def of_row(connection: sqlite3.Connection, row_id: int, now_ms: int) -> list[StoredReceipt]:
    """The receipt of one row; none where it has gone meanwhile."""
    rows = connection.execute(RECEIPT_OF_ROW, (row_id,)).fetchall()
    return [_receipt(connection, row, now_ms) for row in rows]


def latest(
    connection: sqlite3.Connection, *, site: str | None, limit: int, now_ms: int
) -> list[StoredReceipt]:
    if site is None:
        rows = connection.execute(LATEST, (NEWEST, limit)).fetchall()
    else:
        rows = connection.execute(LATEST_OF_SITE, (site, limit)).fetchall()
    return [_receipt(connection, row, now_ms) for row in rows]


def orders(connection: sqlite3.Connection, keys: Sequence[bytes]) -> list[str]:
    found = (connection.execute(EVENT_OF_ORDER, (key,)).fetchone() for key in keys)
    return list(dict.fromkeys(row[0] for row in found if row is not None))


def attempts(connection: sqlite3.Connection, limit: int) -> list[PixelAttempt]:
    rows = connection.execute(LATEST_ATTEMPTS, (NEWEST, limit))
    return [PixelAttempt(pixel=row["pixel"], attempt=_attempt(row)) for row in rows]


def event_names(connection: sqlite3.Connection) -> list[str]:
    return [name for (name,) in connection.execute(EVENT_NAMES)]


def parked(connection: sqlite3.Connection) -> list[PixelState]:
    return [
        PixelState(pixel=pixel, parked_ms=parked_ms, code=code, message=message)
        for pixel, parked_ms, code, message in connection.execute(PARKED)
    ]


def totals(connection: sqlite3.Connection) -> Totals:
    counted: dict[str, int] = dict(connection.execute(TOTALS).fetchall())
    return Totals(
        waiting=connection.execute(WAITING).fetchone()[0],
        oldest_due_ms=oldest_waiting_ms(connection),
        fates={what.removeprefix(FATE): n for what, n in counted.items() if what.startswith(FATE) and n},
        duplicates=counted.get("duplicate", 0),
        ambiguous_attempts=counted.get(Topic.AMBIGUOUS, 0),
        refused=sum(n for what, n in counted.items() if what.startswith(REFUSED)),
    )


def _list_query(filters: Filters) -> str:
    source, row_id = EVERY_EVENT, "event.id"
    conditions = []
    if filters.waiting:
        source, row_id = WAITING_EVENTS, "queue.event"
    elif filters.fate is not None:
        source, row_id = ENDED_EVENTS, "fate.event"
        conditions.append("fate.fate = :fate")
    if filters.site is not None:
        conditions.append("event.site = :site")
    if filters.event_name is not None:
        conditions.append("event.event_name = :event_name")
    where = " AND ".join([*conditions, f"{row_id} < :before"])
    return f"""
SELECT {LINE} FROM {source} LEFT JOIN pixel_state ON pixel_state.pixel = event.pixel
WHERE {where} ORDER BY {row_id} DESC LIMIT :limit
"""  # noqa: S608  # chooses between constants; every value is bound


def _line(row: sqlite3.Row, now_ms: int) -> EventRow:
    return EventRow(
        row_id=row["row_id"],
        site=row["site"],
        pixel=row["pixel"],
        event_name=row["event_name"],
        event_id=row["event_id"],
        event_time_ms=row["event_time_ms"],
        received_ms=row["received_ms"],
        state=row["state"] or "",
        status=_status(row, now_ms),
        fate=None if row["fate"] is None else Fate(row["fate"]),
        fate_reason=None if row["reason"] is None else FateReason(row["reason"]),
        ended_ms=row["at_ms"],
    )


def _status(row: sqlite3.Row, now_ms: int) -> Status:
    if row["fate"] is not None:
        return "ended"
    if row["lease"] is not None:
        return "sending"
    if row["parked_ms"] is not None:
        return "parked"
    return "held" if row["due_ms"] > now_ms else "due"


def _receipt(connection: sqlite3.Connection, row: sqlite3.Row, now_ms: int) -> StoredReceipt:
    legs = [leg for leg in connection.execute(LEGS, (row["row_id"],)) if is_intact(leg[:-1], leg["crc"])]
    holds = [leg["not_before_ms"] for leg in legs if leg["not_before_ms"] is not None]
    attempts = tuple(_attempt(attempt) for attempt in connection.execute(ATTEMPTS, (row["row_id"],)))
    server_event, why = _event_and_why(row)
    visitor = (row["visitor"], row["client_ip_address"], row["client_user_agent"])
    address, agent = visitor[1:] if is_intact(visitor, row["visitor_crc"]) else (None, None)
    return StoredReceipt(
        row=_line(row, now_ms),
        not_before_ms=holds[-1] if holds else row["received_ms"],
        due_ms=row["due_ms"],
        legs=tuple(_leg(leg) for leg in legs),
        server_event=server_event,
        client_ip_address=address,
        client_user_agent=agent,
        addresses=_addresses(row),
        why=why,
        duplicates=row["duplicates"] or 0,
        attempts=attempts,
        ambiguous=sum(attempt.outcome is AttemptOutcome.UNKNOWN for attempt in attempts),
        fate=_fate(row),
        parked=_parked_pixel(row),
    )


def _event_and_why(row: sqlite3.Row) -> tuple[Json, Json]:
    """The two JSON columns; of a damaged row nothing is believed, and `why` says so."""
    facts: Sequence[Any] = (
        row["key"],
        row["site"],
        row["pixel"],
        row["event_name"],
        row["event_id"],
        row["event_time_ms"],
        row["received_ms"],
        row["server_event"],
        row["why"],
    )
    if not is_intact(facts, row["crc"]):
        return {}, {"corrupt_row": FATE_SENTENCES[FateReason.CORRUPT_ROW]}
    return msgspec.json.decode(row["server_event"]), msgspec.json.decode(row["why"])


def _addresses(row: sqlite3.Row) -> tuple[SeenAddress, ...]:
    seen = (row["visitor"], row["addresses"])
    if row["addresses"] is None or not is_intact(seen, row["addresses_crc"]):
        return ()  # forgotten, of version 1, or damaged
    return msgspec.json.decode(row["addresses"], type=tuple[SeenAddress, ...])


def _leg(row: sqlite3.Row) -> BrowserLeg:
    return BrowserLeg(
        state=BrowserState(row["state"]),
        evidence=row["evidence"],
        transport=Transport(row["transport"]),
        dispatched_ms=row["dispatched_ms"],
        settled_ms=row["settled_ms"],
        reported_ms=row["reported_ms"],
        seen=None if row["seen"] is None else msgspec.json.decode(row["seen"], type=PixelSeen),
    )


def _attempt(row: sqlite3.Row) -> Attempt:
    return Attempt(
        started_ms=row["started_ms"],
        finished_ms=row["finished_ms"],
        events=row["events"],
        outcome=None if row["outcome"] is None else AttemptOutcome(row["outcome"]),
        http_status=row["http_status"],
        code=row["code"],
        subcode=row["subcode"],
        message=row["message"],
        fbtrace_id=row["fbtrace_id"],
    )


def _fate(row: sqlite3.Row) -> FateRecord | None:
    if row["fate"] is None:
        return None
    return FateRecord(
        fate=Fate(row["fate"]), reason=FateReason(row["reason"]), detail=row["detail"], at_ms=row["at_ms"]
    )


def _parked_pixel(row: sqlite3.Row) -> PixelState | None:
    """The pixel's trouble, where it still concerns this event."""
    if row["parked_ms"] is None or row["fate"] is not None:
        return None
    return PixelState(
        pixel=row["pixel"],
        parked_ms=row["parked_ms"],
        code=row["parked_code"],
        message=row["parked_message"],
    )
