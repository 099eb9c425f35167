"""What the console and the API read: receipts, the list, the status line."""

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from relay.event.outcome import FATE_SENTENCES, AttemptOutcome, BrowserState, Fate, FateReason, Transport
from relay.event.records import BrowserLeg, Json, PixelSeen, SeenAddress
from relay.event.tally import Topic
from relay.store.checksum import is_intact
from relay.store.postgres.claims import oldest_waiting_ms
from relay.store.postgres.database import Connection
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

LINE: Final = """
    event.id AS row_id, event.site, event.pixel, event.event_name, event.event_id,
    event.event_time_ms, event.received_ms,
    (SELECT state FROM leg WHERE leg.event = event.id ORDER BY seq DESC LIMIT 1) AS state,
    queue.due_ms, queue.lease,
    pixel_state.parked_ms, pixel_state.code AS parked_code, pixel_state.message AS parked_message,
    fate.fate, fate.reason, fate.detail, fate.at_ms
"""

EVERY_EVENT: Final = "event LEFT JOIN queue ON queue.event = event.id LEFT JOIN fate ON fate.event = event.id"
WAITING_EVENTS: Final = (
    "queue JOIN event ON event.id = queue.event LEFT JOIN fate ON fate.event = queue.event"
)
ENDED_EVENTS: Final = "fate JOIN event ON event.id = fate.event LEFT JOIN queue ON queue.event = fate.event"

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

RECEIPTS: Final = f"{RECEIPT} WHERE event.event_id = $1 ORDER BY event.id"

RECEIPTS_OF_ROWS: Final = f"{RECEIPT} WHERE event.id = ANY($1::bigint[]) ORDER BY event.id"

LATEST: Final = f"{RECEIPT} WHERE event.id < $1 ORDER BY event.id DESC LIMIT $2"

LATEST_OF_SITE: Final = f"{RECEIPT} WHERE event.site = $3 AND event.id < $1 ORDER BY event.id DESC LIMIT $2"

EVENTS_OF_ORDERS: Final = """
SELECT purchase.key, event.event_id
FROM purchase JOIN event ON event.id = purchase.event WHERE purchase.key = ANY($1::bytea[])
"""

LATEST_ATTEMPTS: Final = """
SELECT pixel, started_ms, finished_ms, events, outcome, http_status, code, subcode, message, fbtrace_id
FROM attempt ORDER BY id DESC LIMIT $1
"""

LEGS: Final = """
SELECT
    event, seq, state, evidence, transport, dispatched_ms, settled_ms, reported_ms, seen, not_before_ms, crc
FROM leg WHERE event = $1 ORDER BY seq
"""

ATTEMPTS: Final = """
SELECT started_ms, finished_ms, events, outcome, http_status, code, subcode, message, fbtrace_id
FROM attempt_event JOIN attempt ON attempt.id = attempt_event.attempt
WHERE attempt_event.event = $1 ORDER BY attempt.id
"""

# Steps from name to name through the index instead of reading every event.
EVENT_NAMES: Final = """
WITH RECURSIVE name (event_name) AS (
    (SELECT min(event_name) FROM event)
    UNION ALL
    SELECT (SELECT min(event.event_name) FROM event WHERE event.event_name > name.event_name)
    FROM name WHERE name.event_name IS NOT NULL
)
SELECT event_name FROM name WHERE event_name IS NOT NULL
"""

PARKED: Final = "SELECT pixel, parked_ms, code, message FROM pixel_state ORDER BY pixel"

WAITING: Final = "SELECT count(*) FROM queue"

TOTALS: Final = "SELECT what, sum(n)::bigint AS n FROM total GROUP BY what"

NEWEST: Final = 2**63 - 1  # above every row id


async def recent(connection: Connection, filters: Filters, now_ms: int) -> list[EventRow]:
    if filters.waiting and filters.fate is not None:
        return []  # what waits has no fate
    query, asked = _list_query(filters)
    return [_line(row, now_ms) for row in await connection.fetch(query, *asked)]


async def find(connection: Connection, event_id: str, now_ms: int) -> list[StoredReceipt]:
    if "\0" in event_id:
        return []  # which PostgreSQL cannot even be asked for
    return [await _receipt(connection, row, now_ms) for row in await connection.fetch(RECEIPTS, event_id)]


async def of_rows(connection: Connection, row_ids: Sequence[int], now_ms: int) -> list[StoredReceipt]:
    """The receipts of these rows; none for those that have gone meanwhile."""
    rows = await connection.fetch(RECEIPTS_OF_ROWS, row_ids)
    return [await _receipt(connection, row, now_ms) for row in rows]


async def latest(connection: Connection, *, site: str | None, limit: int, now_ms: int) -> list[StoredReceipt]:
    if site is None:
        rows = await connection.fetch(LATEST, NEWEST, limit)
    else:
        rows = await connection.fetch(LATEST_OF_SITE, NEWEST, limit, site)
    return [await _receipt(connection, row, now_ms) for row in rows]


async def orders(connection: Connection, keys: Sequence[bytes]) -> list[str]:
    found = {row["key"]: row["event_id"] for row in await connection.fetch(EVENTS_OF_ORDERS, keys)}
    return list(dict.fromkeys(found[key] for key in keys if key in found))


async def attempts(connection: Connection, limit: int) -> list[PixelAttempt]:
    rows = await connection.fetch(LATEST_ATTEMPTS, limit)
    return [PixelAttempt(pixel=row["pixel"], attempt=_attempt(row)) for row in rows]


async def event_names(connection: Connection) -> list[str]:
    return [row["event_name"] for row in await connection.fetch(EVENT_NAMES)]


async def parked(connection: Connection) -> list[PixelState]:
    return [
        PixelState(pixel=row["pixel"], parked_ms=row["parked_ms"], code=row["code"], message=row["message"])
        for row in await connection.fetch(PARKED)
    ]


async def totals(connection: Connection) -> Totals:
    counted: dict[str, int] = {row["what"]: row["n"] for row in await connection.fetch(TOTALS)}
    return Totals(
        waiting=await connection.fetchval(WAITING),
        oldest_due_ms=await oldest_waiting_ms(connection),
        fates={what.removeprefix(FATE): n for what, n in counted.items() if what.startswith(FATE) and n},
        duplicates=counted.get("duplicate", 0),
        ambiguous_attempts=counted.get(Topic.AMBIGUOUS, 0),
        refused=sum(n for what, n in counted.items() if what.startswith(REFUSED)),
    )


def _list_query(filters: Filters) -> tuple[str, list[Any]]:
    source, row_id = EVERY_EVENT, "event.id"
    asked: list[Any] = [NEWEST if filters.before_row_id is None else filters.before_row_id, filters.limit]
    conditions = []
    if filters.waiting:
        source, row_id = WAITING_EVENTS, "queue.event"
    elif filters.fate is not None:
        source, row_id = ENDED_EVENTS, "fate.event"
    for column, value in (
        ("fate.fate", filters.fate),
        ("event.site", filters.site),
        ("event.event_name", filters.event_name),
    ):
        if value is not None:
            asked.append(value.replace("\0", ""))
            conditions.append(f"{column} = ${len(asked)}")
    where = " AND ".join([*conditions, f"{row_id} < $1"])
    query = f"""
SELECT {LINE} FROM {source} LEFT JOIN pixel_state ON pixel_state.pixel = event.pixel
WHERE {where} ORDER BY {row_id} DESC LIMIT $2
"""  # noqa: S608  # chooses between constants; every value is bound
    return query, asked


def _line(row: Any, now_ms: int) -> EventRow:
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


def _status(row: Any, now_ms: int) -> Status:
    if row["fate"] is not None:
        return "ended"
    if row["lease"] is not None:
        return "sending"
    if row["parked_ms"] is not None:
        return "parked"
    return "held" if row["due_ms"] > now_ms else "due"


async def _receipt(connection: Connection, row: Any, now_ms: int) -> StoredReceipt:
    stored = [tuple(leg.values()) for leg in await connection.fetch(LEGS, row["row_id"])]
    legs = [leg for leg in stored if is_intact(leg[:-1], leg[-1])]
    holds = [leg[9] for leg in legs if leg[9] is not None]
    attempts = tuple(_attempt(attempt) for attempt in await connection.fetch(ATTEMPTS, row["row_id"]))
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


def _event_and_why(row: Any) -> tuple[Json, Json]:
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


def _addresses(row: Any) -> tuple[SeenAddress, ...]:
    seen = (row["visitor"], row["addresses"])
    if row["addresses"] is None or not is_intact(seen, row["addresses_crc"]):
        return ()  # forgotten, or damaged
    return msgspec.json.decode(row["addresses"], type=tuple[SeenAddress, ...])


def _leg(row: Sequence[Any]) -> BrowserLeg:
    _, _, state, evidence, transport, dispatched_ms, settled_ms, reported_ms, seen, *_ = row
    return BrowserLeg(
        state=BrowserState(state),
        evidence=evidence,
        transport=Transport(transport),
        dispatched_ms=dispatched_ms,
        settled_ms=settled_ms,
        reported_ms=reported_ms,
        seen=None if seen is None else msgspec.json.decode(seen, type=PixelSeen),
    )


def _attempt(row: Any) -> Attempt:
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


def _fate(row: Any) -> FateRecord | None:
    if row["fate"] is None:
        return None
    return FateRecord(
        fate=Fate(row["fate"]), reason=FateReason(row["reason"]), detail=row["detail"], at_ms=row["at_ms"]
    )


def _parked_pixel(row: Any) -> PixelState | None:
    """The pixel's trouble, where it still concerns this event."""
    if row["parked_ms"] is None or row["fate"] is not None:
        return None
    return PixelState(
        pixel=row["pixel"],
        parked_ms=row["parked_ms"],
        code=row["parked_code"],
        message=row["parked_message"],
    )
