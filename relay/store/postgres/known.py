"""Events that are stored already, as far as a group of posts may change them.

Their rows are locked and read at once, then looked at one after the other, as the posts came, and what changed is
written at once.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

import msgspec
from msgspec.structs import replace

from relay.event.families import family_path
from relay.event.observation import upgrades
from relay.event.outcome import STATE_RANK, Admission
from relay.event.records import OutboxEvent, SeenAddress
from relay.event.sentinel import add_mark, repeat_findings
from relay.store.checksum import checksum, is_intact
from relay.store.postgres.counter import At
from relay.store.postgres.database import Connection
from relay.store.postgres.ended import Later, recounts
from relay.store.postgres.families import Way, way
from relay.store.postgres.rows import add_legs, columns, put_visitors
from relay.store.rules import RANK_OF_STORED, UNREADABLE, Held, leg_row, stored_leg, why_with

KNOWN: Final = (
    "SELECT key, event, visitors, seen_ms FROM dedup WHERE key = ANY($1::bytea[]) ORDER BY key FOR UPDATE"
)

# Held: never attempted, and in no courier's hands. Locked, so that no courier takes it while its hold is moved.
# The last report is the best one: only better ones are added.
STORED: Final = """
WITH held AS MATERIALIZED (
    SELECT event FROM queue WHERE event = ANY($1::bigint[]) AND attempts = 0 AND lease IS NULL
    ORDER BY event FOR UPDATE
)
SELECT event.id, event.key, event.site, event.pixel, event.event_name, event.event_id, event.event_time_ms,
    event.received_ms, event.server_event, event.why, event.crc,
    leg.seq, leg.state, leg.settled_ms, leg.reported_ms,
    visitor.event AS visitor, visitor.client_ip_address, visitor.client_user_agent,
    visitor.addresses, visitor.addresses_crc, held.event IS NOT NULL AS is_held
FROM event
LEFT JOIN held ON held.event = event.id
LEFT JOIN visitor ON visitor.event = event.id
LEFT JOIN LATERAL (
    SELECT seq, state, settled_ms, reported_ms FROM leg WHERE leg.event = event.id ORDER BY seq DESC LIMIT 1
) AS leg ON true
WHERE event.id = ANY($1::bigint[])
"""

# The one thing about an accepted event that may change: what is told of its address, with the address.
RENEW_WHYS: Final = """
UPDATE event SET why = new.why, crc = new.crc
FROM unnest($1::bigint[], $2::bytea[], $3::bigint[]) AS new (id, why, crc) WHERE event.id = new.id
"""

# Keys and waiting rows are locked already.
KNOWN_AGAIN: Final = """
WITH moved AS (
    UPDATE queue SET due_ms = new.due_ms FROM unnest($4::bigint[], $5::bigint[]) AS new (event, due_ms)
    WHERE queue.event = new.event
)
UPDATE dedup SET duplicates = dedup.duplicates + new.duplicates, visitors = new.visitors
FROM unnest($1::bytea[], $2::integer[], $3::bytea[]) AS new (key, duplicates, visitors) WHERE dedup.key = new.key
"""

FACTS: Final = (
    "key", "site", "pixel", "event_name", "event_id", "event_time_ms", "received_ms", "server_event", "why",
)  # fmt: skip

# An event as it was taken, with what the store alone could tell; None: this very post had got here before.
Admitted: TypeAlias = tuple[Admission | None, OutboxEvent]


@dataclass(slots=True)
class KnownEvent:
    """An event that is stored, and what the posts of this group change about it."""

    key: bytes
    row_id: int | None
    visitors: bytes
    seen_ms: int  # when its first post was received
    row: Mapping[str, Any] | None  # None: pruned, or erased
    is_held: bool
    seq: int
    rank: int
    duplicates: int = 0
    legs: list[tuple[Any, ...]] = field(default_factory=list)
    due_ms: int | None = None
    why: bytes | None = None
    address: str | None = None
    addresses: tuple[SeenAddress, ...] | None = None  # those of the post that replaced the address


async def know(connection: Connection, keys: set[bytes]) -> dict[bytes, KnownEvent]:
    """Everything that is stored of these events, locked."""
    stored = await connection.fetch(KNOWN, list(keys))
    row_ids = [row["event"] for row in stored if row["event"] is not None]
    rows = {row["id"]: row for row in await connection.fetch(STORED, row_ids)}
    known = {}
    for key, at, visitors, seen_ms in stored:
        row = rows.get(at)
        seq, state = (row["seq"], row["state"]) if row is not None and row["seq"] is not None else (-1, "")
        known[key] = KnownEvent(
            key=key,
            row_id=at,
            visitors=visitors or b"",
            seen_ms=seen_ms,
            row=row,
            is_held=row is not None and row["is_held"],
            seq=seq,
            rank=RANK_OF_STORED.get(state, UNREADABLE),
            address=None if row is None else row["client_ip_address"],
        )
    return known


def meet(known: KnownEvent, event: OutboxEvent, ways: Counter[Way]) -> Admitted:
    """The answer to a post of a known event, and the post with what it shows beside the stored one."""
    event = _compare(known, event)
    if known.row is not None and _improve(known, event, ways):
        return Admission.UPDATED, event
    known.duplicates += 1
    return Admission.DUPLICATE, event


def _compare(known: KnownEvent, event: OutboxEvent) -> OutboxEvent:
    """The visitors of the event are remembered, whether its receipt is there or not."""
    marks, known.visitors = known.visitors, add_mark(known.visitors, event.visitor)
    if known.row is None:
        return replace(event, findings=())
    findings = repeat_findings(
        event,
        marks=marks,
        event_time_ms=known.row["event_time_ms"],
        server_event=known.row["server_event"],
    )
    return replace(event, findings=tuple(findings))


def _improve(known: KnownEvent, event: OutboxEvent, ways: Counter[Way]) -> bool:
    """Take what this post knows better: the leg always, the hold and the address while the event is held."""
    rank, known_rank = STATE_RANK[event.leg.state], known.rank
    if rank > known_rank:
        known.seq, known.rank = known.seq + 1, rank
        decided_ms = event.not_before_ms if known.is_held else None
        known.legs.append(leg_row(known.row_id, known.seq, event.leg, decided_ms))
    has_address = known.is_held and _take_address(known, event, ways)
    if known.is_held and rank >= known_rank and (has_address or rank > known_rank):
        known.due_ms = event.not_before_ms
    return known.is_held and (has_address or rank > known_rank)


def _take_address(known: KnownEvent, event: OutboxEvent, ways: Counter[Way]) -> bool:
    """Replace the address that the event would go with, where a signed one came for the same visitor."""
    row = known.row
    if row is None or row["visitor"] is None or not upgrades(known.address, event):
        return False
    if known.why is None and not is_intact(_facts(row), row["crc"]):
        return False  # the courier will find it damaged; a new checksum would hide that
    before = known.addresses
    if before is None and is_intact((row["visitor"], row["addresses"]), row["addresses_crc"]):
        before = msgspec.json.decode(row["addresses"], type=tuple[SeenAddress, ...])
    for addresses, n in ((before, -1), (event.addresses, 1)) if before is not None else ():
        if path := family_path(addresses):
            ways[way(path, row["site"], row["received_ms"])] += n
    known.why = why_with(known.why or row["why"], event.addresses)
    known.address, known.addresses = event.client_ip_address, event.addresses
    return True


async def write_known(connection: Connection, known: Sequence[KnownEvent]) -> Counter[At]:
    """Write what has changed; what is to be counted of it."""
    if not known:
        return Counter()
    rows = sorted((each.key, each.duplicates, each.visitors or None) for each in known)
    moved = [(each.row_id, each.due_ms) for each in known if each.due_ms is not None]
    await connection.execute(KNOWN_AGAIN, *zip(*rows, strict=True), *columns(moved, 2))
    await add_legs(connection, [leg for each in known for leg in each.legs])
    renewed = [each for each in known if each.addresses is not None]
    if renewed:
        whys = [(each.row_id, each.why, checksum((*_facts(each.row)[:-1], each.why))) for each in renewed]
        await connection.execute(RENEW_WHYS, *zip(*whys, strict=True))
        visitors = [
            (each.row_id, each.address, each.row["client_user_agent"], each.addresses)
            for each in renewed
            if each.row is not None
        ]
        await put_visitors(connection, visitors)
    return await _recount(connection, known)


async def _recount(connection: Connection, known: Sequence[KnownEvent]) -> Counter[At]:
    """A report that came after the end changes what was counted of the pair."""
    return await recounts(
        connection,
        [
            Later(
                event=Held(each.row["id"], each.row["site"], each.row["event_name"]),
                before=stored_leg(each.row["state"], each.row["settled_ms"], each.row["reported_ms"]),
                after=stored_leg(each.legs[-1][2], each.legs[-1][6], each.legs[-1][7]),
            )
            for each in known
            if each.row is not None and each.legs and not each.is_held
        ],
    )


def _facts(row: Mapping[str, Any] | None) -> tuple[Any, ...]:
    return () if row is None else tuple(row[name] for name in FACTS)
