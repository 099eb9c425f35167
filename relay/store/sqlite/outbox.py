"""The courier's side of the outbox: claim, begin, settle, park, recover.

Every write is fenced by the lease's token.
"""

import secrets
import sqlite3
from collections.abc import Collection, Iterable, Sequence
from typing import Final, Literal

import msgspec

from relay.errors import LeaseLost
from relay.event.outcome import AttemptOutcome, Fate, FateReason
from relay.event.tally import Topic, error_name
from relay.store.protocol import AttemptResult, Backlog, Decision, Lease, LeasedEvent
from relay.store.rules import BLAMELESS, Counted, Ending, Held, leased_event, settled
from relay.store.sqlite.counter import count
from relay.store.sqlite.ended import end

# The oldest free row of each pixel, found by stepping from pixel to pixel through the index: one step per
# pixel, however many rows wait behind it. The queries that begin so are made of constants only (S608).
HEADS: Final = """
WITH RECURSIVE waiting (pixel) AS (
    SELECT min(pixel) FROM queue WHERE lease IS NULL
    UNION ALL
    SELECT (SELECT min(pixel) FROM queue WHERE lease IS NULL AND pixel > waiting.pixel)
    FROM waiting WHERE waiting.pixel IS NOT NULL
),
head (pixel, due_ms) AS (
    SELECT pixel, (SELECT min(due_ms) FROM queue WHERE lease IS NULL AND pixel = waiting.pixel)
    FROM waiting WHERE pixel IS NOT NULL
),
closed (pixel) AS (
    SELECT value FROM json_each(:busy)
    UNION ALL
    SELECT pixel FROM pixel_state
)
"""

OLDEST_DUE_PIXEL: Final = f"""{HEADS}
SELECT pixel FROM head
WHERE due_ms <= :now_ms AND pixel NOT IN (SELECT pixel FROM closed)
ORDER BY due_ms, pixel LIMIT 1
"""  # noqa: S608

NEXT_DUE: Final = f"""{HEADS}
SELECT min(due_ms) FROM (
    SELECT due_ms FROM head WHERE pixel NOT IN (SELECT pixel FROM closed)
    UNION ALL
    SELECT lease_until_ms FROM queue
    WHERE lease_until_ms IS NOT NULL AND pixel NOT IN (SELECT pixel FROM closed)
)
"""  # noqa: S608

OLDEST_WAITING: Final = f"""{HEADS}
SELECT min(due_ms) FROM (
    SELECT due_ms FROM head
    UNION ALL
    SELECT due_ms FROM queue WHERE lease_until_ms IS NOT NULL
)
"""  # noqa: S608

# CROSS JOIN pins the order: along the index of free rows, never over all events.
DUE_EVENTS: Final = """
SELECT
    event.id, queue.attempts,
    CASE queue.attempts WHEN 0 THEN 0 ELSE (
        SELECT count(*) FROM attempt_event CROSS JOIN attempt ON attempt.id = attempt_event.attempt
        WHERE attempt_event.event = queue.event AND attempt.outcome = 'unknown' AND attempt.started_ms >
            coalesce((SELECT max(replayed_ms) FROM replay WHERE replay.event = queue.event), 0)
    ) END,
    event.crc, visitor.crc,
    event.key, event.site, event.pixel, event.event_name, event.event_id,
    event.event_time_ms, event.received_ms, event.server_event, event.why,
    visitor.event, visitor.client_ip_address, visitor.client_user_agent,
    leg.state, leg.settled_ms, leg.reported_ms
FROM queue
CROSS JOIN event ON event.id = queue.event
LEFT JOIN visitor ON visitor.event = queue.event
LEFT JOIN leg ON leg.event = queue.event AND leg.seq = (SELECT max(seq) FROM leg WHERE leg.event = queue.event)
WHERE queue.lease IS NULL AND queue.pixel = ? AND queue.due_ms <= ?
ORDER BY queue.due_ms, queue.event
LIMIT ?
"""

# Foreign keys keep this from happening; a damaged file may have it all the same.
FORGET_LOST: Final = (
    "DELETE FROM queue WHERE pixel = ? AND lease IS NULL AND event NOT IN (SELECT id FROM event)"
)

TAKE: Final = "UPDATE queue SET lease = ?, lease_until_ms = ? WHERE event = ?"

EXPIRED_LEASES: Final = "SELECT DISTINCT lease FROM queue WHERE lease_until_ms <= ?"

FREE_EXPIRED: Final = "UPDATE queue SET lease = NULL, lease_until_ms = NULL WHERE lease_until_ms <= ?"

FREE_ALL: Final = "UPDATE queue SET lease = NULL, lease_until_ms = NULL WHERE lease_until_ms IS NOT NULL"

# By key, through dedup: answers only while this lease holds the event.
HELD_BY: Final = """
SELECT event.id, event.site, event.event_name
FROM dedup
CROSS JOIN queue ON queue.event = dedup.event
CROSS JOIN event ON event.id = dedup.event
WHERE dedup.key = ? AND queue.lease = ?
"""

GIVE_BACK: Final = "UPDATE queue SET lease = NULL, lease_until_ms = NULL WHERE event = ?"

DUE_AGAIN: Final = "UPDATE queue SET lease = NULL, lease_until_ms = NULL, due_ms = ? WHERE event = ?"

BEGIN_ATTEMPT: Final = "INSERT INTO attempt (pixel, lease, events, started_ms) VALUES (?, ?, ?, ?)"

ADD_ATTEMPT_EVENT: Final = "INSERT INTO attempt_event (attempt, event) VALUES (?, ?)"

COUNT_ATTEMPT: Final = "UPDATE queue SET attempts = attempts + 1 WHERE event = ?"

UNCOUNT_ATTEMPT: Final = """
UPDATE queue SET attempts = attempts - 1
WHERE lease = :lease AND event IN (SELECT event FROM attempt_event WHERE attempt = :attempt)
"""

# An attempt is closed once: what a lost lease's courier says later does not replace "ambiguous".
CLOSE_ATTEMPT: Final = """
UPDATE attempt
SET finished_ms = ?, outcome = ?, http_status = ?, code = ?, subcode = ?, message = ?, fbtrace_id = ?
WHERE id = ? AND lease = ? AND finished_ms IS NULL
"""

CUT_SHORT_OF_LEASE: Final = """
UPDATE attempt SET finished_ms = ?, outcome = 'unknown' WHERE lease = ? AND finished_ms IS NULL
"""

CUT_SHORT_ALL: Final = "UPDATE attempt SET finished_ms = ?, outcome = 'unknown' WHERE finished_ms IS NULL"

# Begun by a courier that is gone, and still waiting. Leased rows and open attempts are few after any crash.
LEFT_AMBIGUOUS: Final = """
SELECT DISTINCT event.id, event.site, event.event_name
FROM queue
CROSS JOIN attempt ON attempt.lease = queue.lease AND attempt.finished_ms IS NULL
CROSS JOIN attempt_event ON attempt_event.attempt = attempt.id AND attempt_event.event = queue.event
CROSS JOIN event ON event.id = queue.event
WHERE queue.lease_until_ms IS NOT NULL
"""

MOVE_LEASES: Final = (
    "UPDATE queue SET lease_until_ms = lease_until_ms + :step WHERE lease_until_ms IS NOT NULL"
)

# Rows that were written by the clock as it was: not those that were received within the last minute by the
# clock as it is. The one statement here that reads the whole queue; clocks are seldom set.
MOVE_DUES: Final = """
UPDATE queue SET due_ms = max(due_ms, :expected) + :step
WHERE due_ms > min(:expected, :now)
AND (SELECT received_ms FROM event WHERE id = queue.event) NOT BETWEEN :now - 60000 AND :now
"""

# Reads the queue, which is narrow, and no event: what waits is counted when it is asked for.
BACKLOG: Final = """
SELECT pixel, count(*), min(CASE WHEN lease IS NULL THEN due_ms END), sum(attempts > 0)
FROM queue GROUP BY pixel ORDER BY pixel
"""

PARK: Final = """
INSERT INTO pixel_state (pixel, parked_ms, code, message) VALUES (?, ?, ?, ?)
ON CONFLICT (pixel) DO UPDATE SET code = excluded.code, message = excluded.message
"""

UNPARK: Final = "DELETE FROM pixel_state WHERE pixel = ?"

AMBIGUOUS_ATTEMPT: Final = Counted("", "", Topic.AMBIGUOUS)

# A pixel belongs to one site, so any event of the call tells whose it was.
ATTEMPT_OF: Final = """
SELECT attempt.started_ms, event.site
FROM attempt_event
CROSS JOIN attempt ON attempt.id = attempt_event.attempt
CROSS JOIN event ON event.id = attempt_event.event
WHERE attempt_event.attempt = ? LIMIT 1
"""


def claim(
    connection: sqlite3.Connection, *, now_ms: int, lease_ms: int, limit: int, busy: Collection[str]
) -> Lease | None:
    """Take the due events of the oldest due pixel; those that fail their checksum end here instead."""
    _free_expired(connection, now_ms)
    asked = {"now_ms": now_ms, "busy": _as_json(busy)}
    while (found := connection.execute(OLDEST_DUE_PIXEL, asked).fetchone()) is not None:
        (pixel,) = found
        taken, events = _due_events(connection, pixel, now_ms, limit)
        if events:
            token = secrets.token_hex(16)
            connection.executemany(TAKE, [(token, now_ms + lease_ms, row_id) for row_id in taken])
            return Lease(token=token, pixel=pixel, events=tuple(events))
        connection.execute(FORGET_LOST, (pixel,))  # else a row without its event would be found for ever
    return None


def next_due_ms(connection: sqlite3.Connection, busy: Collection[str]) -> int | None:
    due_ms: int | None = connection.execute(NEXT_DUE, {"busy": _as_json(busy)}).fetchone()[0]
    return due_ms


def oldest_waiting_ms(connection: sqlite3.Connection) -> int | None:
    due_ms: int | None = connection.execute(OLDEST_WAITING, {"busy": "[]"}).fetchone()[0]
    return due_ms


def backlog(connection: sqlite3.Connection) -> list[Backlog]:
    return [
        Backlog(pixel=pixel, waiting=waiting, oldest_due_ms=oldest_due_ms, tried=tried)
        for pixel, waiting, oldest_due_ms, tried in connection.execute(BACKLOG)
    ]


def begin_attempt(connection: sqlite3.Connection, lease: Lease, keys: Sequence[bytes], now_ms: int) -> int:
    held = _held(connection, lease, keys)
    if len(held) != len(keys):
        raise LeaseLost(
            f"The lease on pixel {lease.pixel} has ended; nothing may be sent for it. Claim again."
        )
    attempt = connection.execute(BEGIN_ATTEMPT, (lease.pixel, lease.token, len(held), now_ms)).lastrowid
    connection.executemany(ADD_ATTEMPT_EVENT, [(attempt, event.row_id) for event in held.values()])
    connection.executemany(COUNT_ATTEMPT, [(event.row_id,) for event in held.values()])
    return int(attempt or 0)


def settle(
    connection: sqlite3.Connection,
    lease: Lease,
    decisions: Sequence[Decision],
    *,
    now_ms: int,
    attempt: tuple[int, AttemptResult] | None,
) -> int:
    sent_ms = None if attempt is None else _close(connection, lease, attempt, now_ms)
    held = _held(connection, lease, [decision.key for decision in decisions])
    endings, again = settled(held, lease, decisions)
    end(connection, endings, now_ms, sent_ms=sent_ms)
    connection.executemany(DUE_AGAIN, [(due_ms, event.row_id) for event, due_ms in again])
    return len(endings) + len(again)


def park(
    connection: sqlite3.Connection, lease: Lease, *, now_ms: int, attempt: tuple[int, AttemptResult]
) -> None:
    held = _held(connection, lease, [event.key for event in lease.events])
    if not held:
        return
    _close(connection, lease, attempt, now_ms)
    _, result = attempt
    message = result.message or "Meta refused the access token or a permission."
    connection.execute(PARK, (lease.pixel, now_ms, result.code, message))
    connection.executemany(GIVE_BACK, [(event.row_id,) for event in held.values()])


def unpark(connection: sqlite3.Connection, pixel: str) -> None:
    connection.execute(UNPARK, (pixel,))


def clock_stepped(connection: sqlite3.Connection, *, expected_ms: int, now_ms: int) -> None:
    step = {"expected": expected_ms, "now": now_ms, "step": now_ms - expected_ms}
    connection.execute(MOVE_LEASES, step)
    connection.execute(MOVE_DUES, step)


def recover(connection: sqlite3.Connection, *, now_ms: int, on_unknown: Literal["resend", "hold"]) -> int:
    if on_unknown == "hold":
        left = [Held(*row) for row in connection.execute(LEFT_AMBIGUOUS)]
        end(connection, [Ending(event, Fate.UNKNOWN, FateReason.AMBIGUOUS_SEND) for event in left], now_ms)
    cut_short = connection.execute(CUT_SHORT_ALL, (now_ms,)).rowcount
    connection.execute(FREE_ALL)
    _count_ambiguous(connection, cut_short, now_ms)
    return cut_short


def _free_expired(connection: sqlite3.Connection, now_ms: int) -> None:
    leases = connection.execute(EXPIRED_LEASES, (now_ms,)).fetchall()
    if not leases:
        return
    cut_short = connection.executemany(CUT_SHORT_OF_LEASE, [(now_ms, lease) for (lease,) in leases]).rowcount
    connection.execute(FREE_EXPIRED, (now_ms,))
    _count_ambiguous(connection, cut_short, now_ms)


def _due_events(
    connection: sqlite3.Connection, pixel: str, now_ms: int, limit: int
) -> tuple[list[int], list[LeasedEvent]]:
    """The due events and their rows; each damaged one gets its fate on the way."""
    taken: list[int] = []
    events: list[LeasedEvent] = []
    damaged: list[Held] = []
    for row in connection.execute(DUE_EVENTS, (pixel, now_ms, limit)):
        event = leased_event((row[0], *row[3:]), pixel=pixel, attempts=row[1], ambiguous=row[2])
        if event is None:
            damaged.append(Held(row[0], str(row[6]), str(row[8])))
        else:
            taken.append(row[0])
            events.append(event)
    end(connection, [Ending(event, Fate.REJECTED, FateReason.CORRUPT_ROW) for event in damaged], now_ms)
    return taken, events


def _held(connection: sqlite3.Connection, lease: Lease, keys: Iterable[bytes]) -> dict[bytes, Held]:
    """Those of the keys that the lease still holds."""
    held = {}
    for key in keys:
        row = connection.execute(HELD_BY, (key, lease.token)).fetchone()
        if row is not None:
            held[key] = Held(*row)
    return held


def _close(
    connection: sqlite3.Connection, lease: Lease, attempt: tuple[int, AttemptResult], now_ms: int
) -> int | None:
    """Write down how the call ended, and count it; when it began."""
    number, result = attempt
    said = (
        result.outcome,
        result.http_status,
        result.code,
        result.subcode,
        result.message,
        result.fbtrace_id,
    )
    closed = connection.execute(CLOSE_ATTEMPT, (now_ms, *said, number, lease.token)).rowcount
    if closed and result.outcome in BLAMELESS:
        connection.execute(UNCOUNT_ATTEMPT, {"lease": lease.token, "attempt": number})
    if result.outcome is AttemptOutcome.UNKNOWN:
        _count_ambiguous(connection, closed, now_ms)
    started_ms, site = connection.execute(ATTEMPT_OF, (number,)).fetchone() or (None, "")
    if closed:
        counts = {Counted(site, "", Topic.CALL, result.outcome): 1}
        if error := error_name(result.outcome, result.code, result.http_status):
            counts[Counted(site, "", Topic.ERROR, error)] = 1
        count(connection, counts, now_ms)
    return started_ms


def _count_ambiguous(connection: sqlite3.Connection, attempts: int, now_ms: int) -> None:
    if attempts:
        count(connection, {AMBIGUOUS_ATTEMPT: attempts}, now_ms)


def _as_json(pixels: Collection[str]) -> str:
    return msgspec.json.encode(sorted(pixels)).decode()
