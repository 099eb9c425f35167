"""Stores filled and emptied through their own door, with rows as ingest makes them.

A post goes once through the relay's own functions; each row is then that event with an id, a key and an order of its
own. Ids are random, as a browser's are, so that indexes are written where they would be.
"""

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from hashlib import blake2b
from itertools import islice
from pathlib import Path
from typing import Any, Final
from uuid import UUID

from msgspec.structs import replace

from bench.load import ID
from bench.posts import AGENT, event
from bench.processes import OTHER_SITE, PIXEL, PIXELS, SITE
from relay.clock import wall_clock_ms
from relay.event.enrich import connection_address, enrich, key_of_order, outbox_key
from relay.event.fields import Refused
from relay.event.outcome import AttemptOutcome, Fate, FateReason
from relay.event.records import OutboxEvent, RequestFacts
from relay.event.wire import parse_event
from relay.settings import Pixel, Settings, Site
from relay.store.postgres import PostgresStore
from relay.store.protocol import AttemptResult, Ended, Store
from relay.store.sqlite import SqliteStore

PURCHASES: Final = ("Purchase",)
SHOP: Final = ("Purchase", *["PageView"] * 19)  # of twenty events of a shop
GROUP: Final = 500  # events a commit
LEASE_MS: Final = 600_000
HOUR_MS: Final = 3_600_000
TAKEN: Final = AttemptResult(outcome=AttemptOutcome.RECEIPT, http_status=200, fbtrace_id="A1")


@asynccontextmanager
async def opened(folder: str, url: str | None) -> AsyncIterator[Store]:
    """SQLite in the folder, or PostgreSQL where there is an address."""
    store: Store = (
        await PostgresStore.open(url) if url else await SqliteStore.open(Path(folder) / "counterfoil.db")
    )
    try:
        yield store
    finally:
        await store.close()


async def fill(store: Store, numbers: range, names: Sequence[str] = SHOP) -> None:
    """Rows of two pixels, due at once."""
    events = made(numbers, names)
    while group := list(islice(events, GROUP)):
        await store.admit(group)


def made(numbers: range, names: Sequence[str] = SHOP) -> Iterator[OutboxEvent]:
    first = {name: _enriched(name) for name in set(names)}
    for number in numbers:
        name, pixel = names[number % len(names)], PIXELS[number // len(names) % len(PIXELS)]
        yield _copy(first[name], number, pixel)


def _copy(first: OutboxEvent, number: int, pixel: str) -> OutboxEvent:
    event_id = str(UUID(bytes=blake2b(b"%d" % number, digest_size=16).digest()))
    return replace(
        first,
        key=outbox_key(pixel, first.event_name, event_id),
        site=SITE if pixel == PIXEL else OTHER_SITE,
        pixel=pixel,
        event_id=event_id,
        server_event=first.server_event.replace(ID, event_id.encode()),
        order_key=first.order_key and key_of_order(pixel, event_id),
    )


def _enriched(name: str) -> OutboxEvent:
    """The event as ingest commits it."""
    site = Site(key=SITE, origins=("https://shop.example",), pixels=(Pixel(id=PIXEL),))
    settings = Settings(site=(site,))
    facts = RequestFacts(
        received_ms=wall_clock_ms(),
        peer="2001:db8::7",
        forwarded_for=(),
        forwarded=(),
        user_agent=AGENT,
        cookies={},
        sec_purpose=None,
        sec_gpc=False,
    )
    parsed = parse_event(_posted(name), pixel_ids=(PIXEL,))
    assert not isinstance(parsed, Refused), parsed
    made = enrich(parsed, facts, site, connection=connection_address(facts, settings), settings=settings)
    assert not isinstance(made, Refused), made
    return made[0]


def _posted(name: str) -> dict[str, Any]:
    posted = {**event("sent"), "event_name": name}
    if name == "Purchase":
        posted["custom_data"] = {**posted["custom_data"], "order_id": "1001"}
    else:
        del posted["custom_data"]
    return posted


async def deliver(store: Store) -> int:
    """All that waits, held or not, in calls of 1,000 that Meta takes; how many events."""
    delivered, now_ms = 0, wall_clock_ms() + HOUR_MS
    while lease := await store.claim(now_ms=now_ms, lease_ms=LEASE_MS, limit=1_000, busy=frozenset()):
        keys = [each.key for each in lease.events]
        attempt = await store.begin_attempt(lease, keys, now_ms)
        ends = [Ended(key=key, fate=Fate.DELIVERED, reason=FateReason.RECEIVED) for key in keys]
        delivered += await store.settle(lease, ends, now_ms=now_ms, attempt=(attempt, TAKEN))
    return delivered
