"""Small complete records for the store's tests; each says only what it needs different."""

import hashlib
from typing import Any

import msgspec

from relay.event.address import AddressSource
from relay.event.outcome import AttemptOutcome, BrowserState, Fate, FateReason, Transport
from relay.event.records import BrowserLeg, OutboxEvent, PixelSeen, SeenAddress
from relay.store.protocol import AttemptResult, Ended, Lease, Store

NOW_MS = 1_763_859_600_000
LEASE_MS = 60_000
EVER = range(2**62)

RECEIPT = AttemptResult(outcome=AttemptOutcome.RECEIPT, http_status=200, fbtrace_id="AbC")
CUT_OFF = AttemptResult(outcome=AttemptOutcome.UNKNOWN)
REFUSED = AttemptResult(outcome=AttemptOutcome.REJECT, http_status=400, code=100)
REVOKED = AttemptResult(outcome=AttemptOutcome.PARK, http_status=400, code=190, message="Token expired.")


def leg(
    state: BrowserState = BrowserState.SENT, *, reported_ms: int = NOW_MS, settled_ms: int = NOW_MS - 100
) -> BrowserLeg:
    return BrowserLeg(
        state=state,
        evidence="load",
        transport=Transport.IMAGE,
        dispatched_ms=NOW_MS - 400,
        settled_ms=settled_ms,
        reported_ms=reported_ms,
        seen=PixelSeen(event_name="Purchase", value="49.9"),
    )


def event(
    event_id: str = "e1", *, pixel: str = "111", event_name: str = "Purchase", **changes: Any
) -> OutboxEvent:
    user_data = {"user_data": changes.pop("user_data")} if "user_data" in changes else {}
    key = hashlib.blake2b(f"{pixel}\0{event_name}\0{event_id}".encode(), digest_size=16).digest()
    plain = OutboxEvent(
        key=key,
        site="shop",
        pixel=pixel,
        event_name=event_name,
        event_id=event_id,
        event_time_ms=NOW_MS - 500,
        received_ms=NOW_MS,
        not_before_ms=NOW_MS,
        leg=leg(),
        server_event=msgspec.json.encode({"event_name": event_name, "event_id": event_id, **user_data}),
        client_ip_address="2001:db8::7",
        client_user_agent="Browser/1",
        why={"fbp": "cookie"},
    )
    return msgspec.structs.replace(plain, **changes)


def by_page(**changes: Any) -> OutboxEvent:
    """A page's post of an event that a server posts as well; its browser half is sent."""
    post = {
        "event_name": "Purchase",
        "event_id": "e1",
        "event_source_url": "https://shop.example/",
        "action_source": "website",
        "user_data": {"fbp": "fb.1.1.1"},
        "custom_data": {"value": 1},
    }
    return event(**({"server_event": msgspec.json.encode(post)} | changes))


def by_server(**changes: Any) -> OutboxEvent:
    """A server's post of it, which waits a minute for the page's."""
    post = {
        "event_name": "Purchase",
        "event_id": "e1",
        "event_source_url": "https://shop.example/order",
        "action_source": "website",
        "user_data": {"em": ["ada"]},
        "custom_data": {"value": 2},
    }
    told: dict[str, Any] = {
        "server_event": msgspec.json.encode(post),
        "leg": leg(BrowserState.AWAITED),
        "client_ip_address": "192.0.2.1",
        "client_user_agent": "Stated/1",
        "why": {"sender": "the backend"},
        "not_before_ms": NOW_MS + 60_000,
        "paired_ms": NOW_MS,
    }
    return event(**(told | changes))


def seen(address: str | None, source: AddressSource = "peer", *, sent: bool = False) -> SeenAddress:
    return SeenAddress(
        source=source,
        address=address,
        family=None if address is None else "ipv6" if ":" in address else "ipv4",
        seen_ms=NOW_MS,
        sent=sent,
        why=f"by {source}",
    )


def over_ipv4(address: str = "192.0.2.7", **changes: Any) -> OutboxEvent:
    """An event whose post came over IPv4 and carried no token."""
    return event(client_ip_address=address, addresses=(seen(address, sent=True),), **changes)


def with_token(
    token: str = "2001:db8::9", *, connection: str | None = "192.0.2.7", **changes: Any
) -> OutboxEvent:
    """The same event from a post that carried a token which counts."""
    addresses = (seen(connection), seen(token, "token", sent=True))
    return event(client_ip_address=token, addresses=addresses, **changes)


async def claim(
    store: Store, *, now_ms: int = NOW_MS, limit: int = 1000, busy: frozenset[str] = frozenset()
) -> Lease:
    """A claim that must find something."""
    lease = await store.claim(now_ms=now_ms, lease_ms=LEASE_MS, limit=limit, busy=busy)
    assert lease is not None
    return lease


def ended(key: bytes, fate: Fate = Fate.DELIVERED, reason: FateReason = FateReason.RECEIVED) -> Ended:
    return Ended(key=key, fate=fate, reason=reason)


async def end_all(
    store: Store,
    fate: Fate = Fate.DELIVERED,
    reason: FateReason = FateReason.RECEIVED,
    *,
    now_ms: int = NOW_MS,
) -> None:
    """Send everything that is due of the first pixel, with one call, and end it so."""
    lease = await claim(store, now_ms=now_ms)
    keys = [event.key for event in lease.events]
    attempt = await store.begin_attempt(lease, keys, now_ms)
    decisions = [ended(key, fate, reason) for key in keys]
    assert await store.settle(lease, decisions, now_ms=now_ms, attempt=(attempt, RECEIPT)) == len(keys)
