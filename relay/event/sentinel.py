"""The sentinel: what one event, or two posts of it, tell about the pages they come from.

Compares within an event (its two halves) and between the posts of one event_id. A healthy event costs a few
comparisons; nothing is kept in memory, and a visitor is remembered as a keyed hash only.
"""

from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from hashlib import blake2b
from typing import Final

import msgspec

from relay.event.address import ClientAddress, proxy_at
from relay.event.fields import plain_number
from relay.event.identity import Identity
from relay.event.issue import Finding, IssueKind
from relay.event.outcome import FateReason
from relay.event.records import BrowserEvent, OutboxEvent, RequestFacts
from relay.event.tally import made_at_ms

MARK_BYTES: Final = 8
MARKS_MAX: Final = 4  # visitors remembered per event
VISITORS: Final = 3  # from which on an id is shared: a visitor may lose the cookies between two posts
CLOCK_AHEAD_MS: Final = 600_000  # further than clocks that are kept at all ever are
RELOADED_MS: Final = 3_600_000  # a late post of the same moment has the same event time, whenever it comes

_OF_FATE: Final = {
    FateReason.UNSIGNED: IssueKind.UNSIGNED,
    FateReason.ALTERED: IssueKind.ALTERED,
    FateReason.REPEATED_ORDER: IssueKind.REPEATED_ORDER,
}


class Amount(msgspec.Struct, frozen=True):
    """The part of custom_data that two posts of one event must agree on."""

    value: float | str | None = None
    currency: str | None = None


class Kept(msgspec.Struct, frozen=True):
    """The part of a stored server event that is compared."""

    custom_data: Amount = Amount()


def visitor_mark(key: str, *, fbp: str | None, address: str | None, user_agent: str) -> bytes | None:
    """Tells visitors apart without saying who they are; None without a key.

    The browser's own id, or where it has none, address and user agent.
    """
    if not key:
        return None
    visitor = fbp or f"{address}\n{user_agent}"
    return blake2b(visitor.encode(), key=_mark_key(key), digest_size=MARK_BYTES).digest()


@lru_cache(maxsize=8)
def _mark_key(key: str) -> bytes:
    return blake2b(key.encode(), person=b"visitor mark").digest()


def half_findings(event: BrowserEvent) -> Iterator[Finding]:
    """Where the Pixel's own request, as far as the snippet could read it, is not the server's event."""
    seen = event.pixel.seen
    if seen is None:
        return
    if seen.event_id is None:
        yield Finding(kind=IssueKind.MISSING_EVENT_ID)
    elif seen.event_id != event.event_id:
        yield Finding(kind=IssueKind.DIFFERENT_EVENT_ID)
    if seen.event_name is not None and seen.event_name != event.event_name:
        yield Finding(kind=IssueKind.RENAMED_EVENT)
    if seen.value is not None and plain_number(seen.value) != event.custom_data.get("value"):
        yield Finding(kind=IssueKind.DIFFERENT_VALUE)


def personal_findings(removed: Iterable[str]) -> Iterator[Finding]:
    """One for each place that contact data was taken out of."""
    return (Finding(kind=IssueKind.PERSONAL_DATA, place=place) for place in removed)


def unusable_findings(shapes: Mapping[str, str]) -> Iterator[Finding]:
    """One for each match key of which nothing could be used."""
    return (
        Finding(kind=IssueKind.UNUSABLE_KEY, place=f"user_data.{key}", sample=shape)
        for key, shape in shapes.items()
    )


def request_findings(facts: RequestFacts, connection: ClientAddress, identity: Identity) -> Iterator[Finding]:
    """What the request that carried the event shows: a proxy that nobody named, a clock that runs ahead."""
    unheard = (facts.forwarded_for or facts.forwarded) and connection.source in ("peer", "none")
    # Any other address might be a visitor's, whose browser may send such a header itself.
    if unheard and (proxy := proxy_at(facts.peer)) is not None:
        yield Finding(kind=IssueKind.UNTRUSTED_PROXY, place=proxy)
    made_ms = max((made_at_ms(each) or 0 for each in (identity.fbp, identity.fbc)), default=0)
    if made_ms > facts.received_ms + CLOCK_AHEAD_MS:
        yield Finding(kind=IssueKind.CLOCK_AHEAD)


def fate_findings(reason: FateReason | None) -> tuple[Finding, ...]:
    """The issue that a fate given at admission is part of."""
    kind = _OF_FATE.get(reason) if reason is not None else None
    return () if kind is None else (Finding(kind=kind),)


def add_mark(marks: bytes, mark: bytes | None) -> bytes:
    """The visitors of an event and this one; as they were where it is among them, or no more are remembered."""
    known = {marks[at : at + MARK_BYTES] for at in range(0, len(marks), MARK_BYTES)}
    return marks if mark is None or mark in known or len(known) >= MARKS_MAX else marks + mark


def repeat_findings(
    event: OutboxEvent, *, marks: bytes, event_time_ms: int, server_event: bytes
) -> Iterator[Finding]:
    """What a post of a known event shows beside the one that is stored; `marks` are the visitors before it."""
    mark = event.visitor
    known = {marks[at : at + MARK_BYTES] for at in range(0, len(marks), MARK_BYTES)}
    if mark is not None and mark not in known:
        if len(known) + 1 >= VISITORS:
            yield Finding(kind=IssueKind.SHARED_EVENT_ID)
        return  # another visitor's value and time say nothing about this one's
    if abs(event.event_time_ms - event_time_ms) > RELOADED_MS:
        yield Finding(kind=IssueKind.RELOADED_PAGE)
    before, now = _amount(server_event), _amount(event.server_event)
    if before is not None and now is not None and before != now:
        yield Finding(kind=IssueKind.VALUE_CHANGED)


def _amount(server_event: bytes) -> Amount | None:
    try:
        return _KEPT.decode(server_event).custom_data
    except (msgspec.DecodeError, UnicodeDecodeError):  # a damaged row is the checksum's matter
        return None


_KEPT: Final = msgspec.json.Decoder(Kept)
