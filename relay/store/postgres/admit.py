"""Admission: an event is new, better known, or a duplicate. A group of posts is one transaction.

New events go in by one statement, however many they are. Of known ones the rows are locked and read at once, then
looked at one after the other, as they came, and what changed is written at once. Locks are always taken in one order:
keys, orders, waiting rows, counts.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Final, TypeAlias

import msgspec
from msgspec.structs import replace

from relay.event.families import family_path
from relay.event.observation import upgrades
from relay.event.outcome import STATE_RANK, UNREPORTED, Admission
from relay.event.pairing import pairs
from relay.event.records import OutboxEvent, SeenAddress
from relay.event.sentinel import add_mark, repeat_findings
from relay.store.checksum import checksum, is_intact
from relay.store.postgres.counter import At, count_at
from relay.store.postgres.database import Connection
from relay.store.postgres.days import row_id
from relay.store.postgres.ended import Later, recounts
from relay.store.postgres.families import Way, count_ways, way
from relay.store.postgres.halves import put_completed, read_half
from relay.store.postgres.issues import note
from relay.store.postgres.writer import Post
from relay.store.protocol import IssueSeen
from relay.store.rules import (
    RANK_OF_STORED,
    UNREADABLE,
    Held,
    KnownHalf,
    admission_counts,
    facts_of,
    first_of_order,
    leg_columns,
    repeated_order,
    sightings,
    stored_leg,
    why_with,
)

NUMBERS: Final = "SELECT nextval('event_seq') AS number FROM generate_series(1, $1)"

ADD_KEYS: Final = """
INSERT INTO dedup (key, event, seen_ms, visitors)
SELECT key, event, seen_ms, visitors
FROM unnest($1::bytea[], $2::bigint[], $3::bigint[], $4::bytea[]) AS new (key, event, seen_ms, visitors)
ORDER BY key
ON CONFLICT (key) DO NOTHING
RETURNING key
"""

ADD_ORDERS: Final = """
INSERT INTO purchase (key, event, seen_ms)
SELECT key, event, seen_ms FROM unnest($1::bytea[], $2::bigint[], $3::bigint[]) AS new (key, event, seen_ms)
ORDER BY key
ON CONFLICT (key) DO NOTHING
RETURNING key
"""

FIRST_OF_ORDERS: Final = """
SELECT purchase.key, event.event_id
FROM purchase LEFT JOIN event ON event.id = purchase.event WHERE purchase.key = ANY($1::bytea[])
"""

ACCEPT: Final = """
WITH facts AS (
    INSERT INTO event
        (id, key, site, pixel, event_name, event_id, event_time_ms, received_ms, server_event, why, crc)
    SELECT * FROM unnest(
        $1::bigint[], $2::bytea[], $3::text[], $4::text[], $5::text[], $6::text[], $7::bigint[], $8::bigint[],
        $9::bytea[], $10::bytea[], $11::bigint[])
),
waiting AS (
    INSERT INTO queue (event, key, pixel, site, event_name, due_ms, attempts)
    SELECT *, 0 FROM unnest($12::bigint[], $13::bytea[], $14::text[], $15::text[], $16::text[], $17::bigint[])
)
INSERT INTO fate (event, fate, reason, detail, at_ms)
SELECT * FROM unnest($18::bigint[], $19::text[], $20::text[], $21::text[], $22::bigint[])
"""

PUT_VISITORS: Final = """
INSERT INTO visitor (event, client_ip_address, client_user_agent, crc, addresses, addresses_crc)
SELECT * FROM unnest($1::bigint[], $2::text[], $3::text[], $4::bigint[], $5::bytea[], $6::bigint[])
ON CONFLICT (event) DO UPDATE SET
    client_ip_address = excluded.client_ip_address, client_user_agent = excluded.client_user_agent,
    crc = excluded.crc, addresses = excluded.addresses, addresses_crc = excluded.addresses_crc
"""

ADD_LEGS: Final = """
INSERT INTO leg
    (event, seq, state, evidence, transport, dispatched_ms, settled_ms, reported_ms, seen, not_before_ms, crc)
SELECT * FROM unnest(
    $1::bigint[], $2::integer[], $3::text[], $4::text[], $5::text[], $6::bigint[], $7::bigint[], $8::bigint[],
    $9::bytea[], $10::bigint[], $11::bigint[])
"""

KNOWN: Final = (
    "SELECT key, event, visitors, seen_ms FROM dedup WHERE key = ANY($1::bytea[]) ORDER BY key FOR UPDATE"
)

# Held: never attempted, and in no courier's hands. Locked, so that no courier takes it while its hold is moved.
HELD: Final = """
SELECT event FROM queue WHERE event = ANY($1::bigint[]) AND attempts = 0 AND lease IS NULL ORDER BY event FOR UPDATE
"""

# The last report is the best one: only better ones are added.
STORED: Final = """
SELECT event.id, event.key, event.site, event.pixel, event.event_name, event.event_id, event.event_time_ms,
    event.received_ms, event.server_event, event.why, event.crc,
    leg.seq, leg.state, leg.settled_ms, leg.reported_ms,
    visitor.event AS visitor, visitor.client_ip_address, visitor.client_user_agent,
    visitor.addresses, visitor.addresses_crc
FROM event
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

MOVE_HOLDS: Final = """
UPDATE queue SET due_ms = new.due_ms FROM unnest($1::bigint[], $2::bigint[]) AS new (event, due_ms)
WHERE queue.event = new.event
"""

KNOWN_AGAIN: Final = """
UPDATE dedup SET duplicates = dedup.duplicates + new.duplicates, visitors = new.visitors
FROM unnest($1::bytea[], $2::integer[], $3::bytea[]) AS new (key, duplicates, visitors) WHERE dedup.key = new.key
"""

FACTS: Final = (
    "key", "site", "pixel", "event_name", "event_id", "event_time_ms", "received_ms", "server_event", "why",
)  # fmt: skip


# An event as it was taken, with what the store alone could tell; None: this very post had got here before.
Admitted: TypeAlias = tuple[Admission | None, OutboxEvent]


@dataclass(slots=True)
class _New:
    """An event whose key nobody had, and the row that it gets."""

    at: int  # its place in the group
    row_id: int
    event: OutboxEvent
    detail: str | None = None


@dataclass(slots=True)
class _Known:
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


async def admit(connection: Connection, posts: Sequence[Post], shard: int) -> list[list[Admission]]:
    """Take every event of every post, one answer each; a key that comes twice is known the second time."""
    events = [event for post in posts for event in post.events]
    again = [post.again for post in posts for _ in post.events]
    if not events:
        return [[] for _ in posts]
    numbers = [row["number"] for row in await connection.fetch(NUMBERS, len(events))]
    admitted: list[Admitted | None] = [None] * len(events)
    ways: Counter[Way] = Counter()
    counts: Counter[At] = Counter()
    for new in await _accept(connection, events, numbers, ways):
        admitted[new.at] = (Admission.ACCEPTED, new.event)
    rest = [at for at, done in enumerate(admitted) if done is None]
    if rest:
        known = await _know(connection, {events[at].key for at in rest})
        rest = [
            at for at in rest if not (again[at] and known[events[at].key].seen_ms == events[at].received_ms)
        ]
        sides = {events[at].key for at in rest if _is_other_side(known[events[at].key], events[at])}
        for at in rest:
            if events[at].key not in sides:
                admitted[at] = _meet(known[events[at].key], events[at], ways)
        counts.update(
            await _write_known(connection, [each for key, each in known.items() if key not in sides])
        )
        for at in rest:
            if events[at].key in sides:
                admitted[at] = await _meet_alone(connection, events[at], ways, counts, shard)
    answers = [done or (None, replace(events[at], findings=())) for at, done in enumerate(admitted)]
    await count_ways(connection, ways, shard)
    by_post = list(_by_post(answers, posts))
    await note(connection, _sightings(by_post))
    counts.update(_counts(answers))
    await count_at(connection, counts, shard)
    return [[answer or Admission.ACCEPTED for answer, _ in post] for post in by_post]


def _by_post(answers: Sequence[Admitted], posts: Sequence[Post]) -> Iterator[list[Admitted]]:
    rest = iter(answers)
    return (list(islice(rest, len(post.events))) for post in posts)


def _counts(admitted: Sequence[Admitted]) -> Counter[At]:
    return Counter(
        (event.received_ms, each)
        for answer, event in admitted
        if answer is not None
        for each in admission_counts(answer, event)
    )


def _sightings(posts: Sequence[Sequence[Admitted]]) -> Iterator[tuple[IssueSeen, int]]:
    """What the posts show, each thing once a post: an event for several pixels is still one."""
    for post in posts:
        for sighting in dict.fromkeys(seen for _, event in post for seen in sightings(event)):
            yield sighting, post[0][1].received_ms


async def _accept(
    connection: Connection, events: Sequence[OutboxEvent], numbers: Sequence[int], ways: Counter[Way]
) -> list[_New]:
    """Store those whose key nobody had."""
    offered: dict[bytes, _New] = {}
    for at, (event, number) in enumerate(zip(events, numbers, strict=True)):
        offered.setdefault(event.key, _New(at, row_id(event.received_ms, number), event))
    rows = [(new.event.key, new.row_id, new.event.received_ms, new.event.visitor) for new in offered.values()]
    added = {row["key"] for row in await connection.fetch(ADD_KEYS, *zip(*rows, strict=True))}
    fresh = [new for new in offered.values() if new.event.key in added]
    if fresh:
        await _once_per_order(connection, fresh)
        await _store(connection, fresh)
        for new in fresh:
            path = None if new.event.fate is not None else family_path(new.event.addresses)
            if path is not None:
                ways[way(path, new.event.site, new.event.received_ms)] += 1
    return fresh


async def _once_per_order(connection: Connection, fresh: Sequence[_New]) -> None:
    """Where the pixel has had an event's order before, the event ends, and is told why."""
    firsts: dict[bytes, _New] = {}
    for new in fresh:
        if new.event.order_key is not None:
            firsts.setdefault(new.event.order_key, new)
    if not firsts:
        return
    rows = [(key, new.row_id, new.event.received_ms) for key, new in firsts.items()]
    added = {row["key"] for row in await connection.fetch(ADD_ORDERS, *zip(*rows, strict=True))}
    told = {key: new.event.event_id for key, new in firsts.items() if key in added}
    before = [key for key in firsts if key not in added]
    if before:
        told |= {row["key"]: row["event_id"] for row in await connection.fetch(FIRST_OF_ORDERS, before)}
    for new in fresh:
        key = new.event.order_key
        if key is not None and not (key in added and firsts[key] is new):
            new.event, new.detail = repeated_order(new.event), first_of_order(told.get(key))


async def _store(connection: Connection, fresh: Sequence[_New]) -> None:
    facts = [(new.row_id, *columns, checksum(columns)) for new in fresh for columns in (facts_of(new.event),)]
    waiting = [
        (new.row_id, e.key, e.pixel, e.site, e.event_name, e.not_before_ms)
        for new in fresh
        for e in (new.event,)
        if e.fate is None
    ]
    ended = [
        (new.row_id, e.fate.value, e.fate_reason, new.detail, e.received_ms)
        for new in fresh
        for e in (new.event,)
        if e.fate is not None
    ]
    await connection.execute(ACCEPT, *_columns(facts, 11), *_columns(waiting, 6), *_columns(ended, 5))
    await _put_visitors(
        connection,
        [
            (new.row_id, e.client_ip_address, e.client_user_agent, e.addresses)
            for new in fresh
            for e in (new.event,)
        ],
    )
    await _add_legs(
        connection, [(new.row_id, 0, *leg_columns(new.event.leg), new.event.not_before_ms) for new in fresh]
    )


async def _know(connection: Connection, keys: set[bytes]) -> dict[bytes, _Known]:
    """Everything that is stored of these events, locked."""
    stored = await connection.fetch(KNOWN, list(keys))
    row_ids = [row["event"] for row in stored if row["event"] is not None]
    held = {row["event"] for row in await connection.fetch(HELD, row_ids)}
    rows = {row["id"]: row for row in await connection.fetch(STORED, row_ids)}
    known = {}
    for key, at, visitors, seen_ms in stored:
        row = rows.get(at)
        seq, state = (row["seq"], row["state"]) if row is not None and row["seq"] is not None else (-1, "")
        known[key] = _Known(
            key=key,
            row_id=at,
            visitors=visitors or b"",
            seen_ms=seen_ms,
            row=row,
            is_held=at in held,
            seq=seq,
            rank=RANK_OF_STORED.get(state, UNREADABLE),
            address=None if row is None else row["client_ip_address"],
        )
    return known


def _meet(known: _Known, event: OutboxEvent, ways: Counter[Way]) -> Admitted:
    """The answer to a post of a known event, and the post with what it shows beside the stored one."""
    event = _compare(known, event)
    if known.row is not None and _improve(known, event, ways):
        return Admission.UPDATED, event
    known.duplicates += 1
    return Admission.DUPLICATE, event


def _is_other_side(known: _Known, event: OutboxEvent) -> bool:
    """Whether the known event and this post of it are of two sides; most posts are of one."""
    return known.row is not None and known.row["state"] is not None and pairs(event, known.row["state"])


async def _meet_alone(
    connection: Connection, event: OutboxEvent, ways: Counter[Way], counts: Counter[At], shard: int
) -> Admitted:
    """One post of an event that both sides post, after what the posts before it have written."""
    known = (await _know(connection, {event.key}))[event.key]
    half = None
    if known.row_id is not None and _is_other_side(known, event):
        half = await read_half(connection, known.row_id)
    if half is None:
        admitted = _meet(known, event, ways)
        counts.update(await _write_known(connection, [known]))
        return admitted
    event = replace(event, findings=())  # the two sides may say different things of it
    if await _pair(connection, half, event, ways, counts, shard):
        return Admission.UPDATED, event
    await connection.execute(KNOWN_AGAIN, [event.key], [1], [known.visitors or None])
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
        await _add_legs(connection, [(half.row_id, half.seq + 1, *leg_columns(event.leg), hold_ms)])
        if half.due_ms is None:
            later = Later(
                event=Held(half.row_id, event.site, event.event_name),
                before=stored_leg(half.leg[2], half.leg[6], half.leg[7]),
                after=stored_leg(event.leg.state, event.leg.settled_ms, event.leg.reported_ms),
            )
            counts.update(await recounts(connection, [later]))
    if completed is None:
        return False
    await put_completed(connection, half, completed, event, shard)
    if completed.takes_addresses:
        visitor = (half.row_id, completed.client_ip_address, completed.client_user_agent, event.addresses)
        await _put_visitors(connection, [visitor])
        if path := family_path(event.addresses):
            ways[way(path, event.site, event.received_ms)] += 1
    if event.order_key is not None:
        await connection.fetch(ADD_ORDERS, [event.order_key], [half.row_id], [event.received_ms])
    return True


def _compare(known: _Known, event: OutboxEvent) -> OutboxEvent:
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


def _improve(known: _Known, event: OutboxEvent, ways: Counter[Way]) -> bool:
    """Take what this post knows better: the leg always, the hold and the address while the event is held."""
    rank, known_rank = STATE_RANK[event.leg.state], known.rank
    if rank > known_rank:
        known.seq, known.rank = known.seq + 1, rank
        decided_ms = event.not_before_ms if known.is_held else None
        known.legs.append((known.row_id, known.seq, *leg_columns(event.leg), decided_ms))
    has_address = known.is_held and _take_address(known, event, ways)
    if known.is_held and rank >= known_rank and (has_address or rank > known_rank):
        known.due_ms = event.not_before_ms
    return known.is_held and (has_address or rank > known_rank)


def _take_address(known: _Known, event: OutboxEvent, ways: Counter[Way]) -> bool:
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


async def _write_known(connection: Connection, known: Sequence[_Known]) -> Counter[At]:
    """Write what has changed; what is to be counted of it."""
    if not known:
        return Counter()
    rows = sorted((each.key, each.duplicates, each.visitors or None) for each in known)
    await connection.execute(KNOWN_AGAIN, *zip(*rows, strict=True))
    await _add_legs(connection, [leg for each in known for leg in each.legs])
    if moved := [(each.row_id, each.due_ms) for each in known if each.due_ms is not None]:
        await connection.execute(MOVE_HOLDS, *zip(*moved, strict=True))
    renewed = [each for each in known if each.addresses is not None]
    if renewed:
        whys = [(each.row_id, each.why, checksum((*_facts(each.row)[:-1], each.why))) for each in renewed]
        await connection.execute(RENEW_WHYS, *zip(*whys, strict=True))
        visitors = [
            (each.row_id, each.address, each.row["client_user_agent"], each.addresses)
            for each in renewed
            if each.row is not None
        ]
        await _put_visitors(connection, visitors)
    return await _recount(connection, known)


async def _recount(connection: Connection, known: Sequence[_Known]) -> Counter[At]:
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


async def _put_visitors(connection: Connection, visitors: Sequence[tuple[Any, ...]]) -> None:
    rows = []
    for event, address, agent, addresses in visitors:
        visitor, seen = (event, address, agent), (event, msgspec.json.encode(addresses))
        rows.append((*visitor, checksum(visitor), seen[1], checksum(seen)))
    await connection.execute(PUT_VISITORS, *zip(*rows, strict=True))


async def _add_legs(connection: Connection, legs: Sequence[tuple[Any, ...]]) -> None:
    if legs:
        await connection.execute(ADD_LEGS, *zip(*((*leg, checksum(leg)) for leg in legs), strict=True))


def _facts(row: Mapping[str, Any] | None) -> tuple[Any, ...]:
    return () if row is None else tuple(row[name] for name in FACTS)


def _columns(rows: Sequence[tuple[Any, ...]], width: int) -> list[Any]:
    """The rows turned by a quarter; as many empty columns where there are none."""
    return list(zip(*rows, strict=True)) if rows else [()] * width
