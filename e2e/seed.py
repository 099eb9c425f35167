"""A day in a shop, written through the store's own door, so that every page has something true to show.

Events, reports, calls and answers carry the times at which they would have happened; nothing is written around
the `Store` protocol.
"""

import asyncio
import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import msgspec

from relay.event.enrich import outbox_key
from relay.event.issue import Finding, IssueKind
from relay.event.outcome import AttemptOutcome, BrowserState, Fate, FateReason, Transport
from relay.event.records import BrowserLeg, Json, OutboxEvent, PixelSeen, SeenAddress
from relay.store.protocol import Again, AttemptResult, Decision, Ended, MarkKind, Store
from relay.store.sqlite import SqliteStore

MINUTE_MS: Final = 60_000
DAY_MS: Final = 1_440 * MINUTE_MS
NAMES: Final = (
    ("PageView",) * 12 + ("ViewContent",) * 6 + ("AddToCart",) * 3 + ("InitiateCheckout", "Purchase")
)
STATES: Final = (
    (BrowserState.SENT,) * 88 + (BrowserState.BLOCKED,) * 6 + (BrowserState.PENDING,) * 4
    + (BrowserState.UNDISPATCHED,) + (BrowserState.LATE,)
)  # fmt: skip
KEY_SHARES: Final = {
    "Purchase": {"em": 0.97, "ph": 0.52, "fn": 0.9, "ln": 0.9, "ct": 0.9, "zp": 0.9, "country": 0.9},
    "InitiateCheckout": {"em": 0.61, "ph": 0.18},
}
HASH: Final = "a3f1" * 16
GROUP: Final = 100
AGAIN_MS: Final = 4_000
TAKEN: Final = AttemptResult(outcome=AttemptOutcome.RECEIPT, http_status=200, fbtrace_id="AbCdEfGhIjK")
REFUSED: Final = AttemptResult(
    outcome=AttemptOutcome.REJECT,
    http_status=400,
    code=100,
    subcode=2804019,
    message="Invalid parameter: The currency of a purchase is not valid",
)


def shop_day(site: str, pixel: str, until_ms: int, *, minutes: int, seed: int = 7) -> Iterator[OutboxEvent]:
    """Events of the last `minutes`, oldest first; fewer at night, as in a shop."""
    rng = random.Random(seed)
    for minute in range(minutes, 0, -1):
        start_ms = until_ms - minute * MINUTE_MS
        hour = start_ms // 3_600_000 % 24
        busy = 0.5 + 3.0 * max(0.0, 1 - abs(hour - 15) / 10)
        for _ in range(int(busy + rng.random())):
            yield shop_event(rng, site, pixel, start_ms + rng.randrange(MINUTE_MS))


def shop_event(rng: random.Random, site: str, pixel: str, event_ms: int) -> OutboxEvent:
    name, state = rng.choice(NAMES), rng.choice(STATES)
    event_id = f"{rng.getrandbits(32):08x}-{rng.getrandbits(16):04x}-4{rng.getrandbits(12):03x}"
    answered_ms = event_ms + int(rng.lognormvariate(4.6, 0.5))
    received_ms = max(answered_ms, event_ms + 40) + rng.randrange(20, 400)
    value = round(rng.uniform(9, 180), 2)
    bought = (
        {"value": value, "currency": "EUR", "order_id": f"{rng.getrandbits(24)}"}
        if name == "Purchase"
        else {}
    )
    user_data: Json = {key: [HASH] for key, share in KEY_SHARES.get(name, {}).items() if rng.random() < share}
    user_data["fbp"] = f"fb.1.{event_ms - DAY_MS}.1098115397"
    if rng.random() < 0.34:
        user_data["fbc"] = f"fb.1.{event_ms - int(rng.expovariate(1 / 9) * DAY_MS)}.IwAR2example"
    ipv6 = rng.random() < 0.46
    address = "2001:db8:7::15" if ipv6 else "192.0.2.44"
    page: Json = {"event_name": name, "event_time": event_ms // 1_000, "event_id": event_id}
    page |= {"action_source": "website", "event_source_url": "https://shop.example/", "user_data": user_data}
    findings = (
        (Finding(kind=IssueKind.DIFFERENT_VALUE),) if name == "Purchase" and rng.random() < 0.04 else ()
    )
    dispatched = state is not BrowserState.UNDISPATCHED
    return OutboxEvent(
        key=outbox_key(pixel, name, event_id),
        site=site,
        pixel=pixel,
        event_name=name,
        event_id=event_id,
        event_time_ms=event_ms,
        received_ms=received_ms,
        not_before_ms=received_ms + (20_000 if state is BrowserState.PENDING else 0),
        leg=BrowserLeg(
            state=state,
            evidence="load" if state is BrowserState.SENT else "",
            transport=Transport.IMAGE,
            dispatched_ms=event_ms + 3 if dispatched else None,
            settled_ms=answered_ms if state in (BrowserState.SENT, BrowserState.LATE) else None,
            reported_ms=received_ms,
            seen=PixelSeen(event_name=name, event_id=event_id, fbp=str(user_data["fbp"])),
        ),
        server_event=msgspec.json.encode(page | ({"custom_data": bought} if bought else {})),
        client_ip_address=address,
        client_user_agent="Mozilla/5.0 (X11; Linux x86_64; rv:144.0) Gecko/20100101 Firefox/144.0",
        why={"fbp": "as posted by the snippet", "consent": "granted by the page"},
        addresses=(
            SeenAddress(
                source="peer",
                address=address,
                family="ipv6" if ipv6 else "ipv4",
                seen_ms=received_ms,
                sent=True,
                why="the other end of the connection",
            ),
        ),
        findings=findings,
    )


async def seed(path: Path, site: str, pixel: str, *, until_ms: int, minutes: int = 1_440) -> None:
    """Fill a new store with the day; the relay must not have opened it yet."""
    async with await SqliteStore.open(path, clock_ms=lambda: until_ms) as store:
        for at_ms, version in (
            (until_ms - 1_300 * MINUTE_MS, "0.1.0"),
            (until_ms - 500 * MINUTE_MS, "0.1.1"),
        ):
            await store.mark(MarkKind.STARTED, "", version, now_ms=at_ms)
        rng = random.Random(11)
        events = list(shop_day(site, pixel, until_ms - MINUTE_MS, minutes=minutes))
        for start in range(0, len(events), GROUP):
            await deliver(
                store, sorted(events[start : start + GROUP], key=lambda event: event.not_before_ms), rng
            )


async def deliver(store: Store, events: Sequence[OutboxEvent], rng: random.Random) -> None:
    """One call for each event, each at its own time; one in fifty meets trouble first.

    Together, so that they share their transactions: what is asked first is done first.
    """
    await asyncio.gather(*(store.admit([event]) for event in events))
    times = [event.not_before_ms + rng.randrange(5, 60) for event in events]
    waiting = [(now_ms, trouble(rng)) for now_ms in times]
    while waiting:
        leases = await asyncio.gather(
            *(store.claim(now_ms=now_ms, lease_ms=DAY_MS, limit=1, busy=frozenset()) for now_ms, _ in waiting)
        )
        calls = [(lease, *each) for lease, each in zip(leases, waiting, strict=True) if lease is not None]
        numbers = await asyncio.gather(
            *(store.begin_attempt(lease, [lease.events[0].key], now_ms) for lease, now_ms, _ in calls)
        )
        await asyncio.gather(
            *(
                store.settle(
                    lease,
                    [decision(lease.events[0].key, result, now_ms)],
                    now_ms=now_ms + int(rng.lognormvariate(5.0, 0.4)),
                    attempt=(number, result),
                )
                for (lease, now_ms, result), number in zip(calls, numbers, strict=True)
            )
        )
        waiting = [
            (now_ms + AGAIN_MS, TAKEN)
            for _, now_ms, result in calls
            if result.outcome is AttemptOutcome.RETRY
        ]


def trouble(rng: random.Random) -> AttemptResult:
    """How the first call for an event ends."""
    if rng.random() < 0.02:
        return AttemptResult(outcome=AttemptOutcome.RETRY, http_status=503, code=rng.choice((2, 4, None)))
    return REFUSED if rng.random() < 0.004 else TAKEN


def decision(key: bytes, result: AttemptResult, now_ms: int) -> Decision:
    if result.outcome is AttemptOutcome.RETRY:
        return Again(key=key, due_ms=now_ms + AGAIN_MS)
    if result.outcome is AttemptOutcome.REJECT:
        return Ended(key=key, fate=Fate.REJECTED, reason=FateReason.REJECTED_BY_META, detail=result.message)
    return Ended(key=key, fate=Fate.DELIVERED, reason=FateReason.RECEIVED)
