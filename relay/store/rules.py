"""What every store decides alike, and no SQL: so that two stores cannot come to differ in it."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple, assert_never

import msgspec
from msgspec.structs import replace

from relay.event.issue import IssueKind
from relay.event.observation import ADDRESS_WHY, addresses_why
from relay.event.outcome import STATE_RANK, Admission, AttemptOutcome, BrowserState, Fate, FateReason
from relay.event.pairing import Completed, Known, complete
from relay.event.records import BrowserLeg, OutboxEvent, SeenAddress
from relay.event.sentinel import fate_findings
from relay.event.tally import Count, Delivered, Leg, Topic, counts_of_delivered, outcome_of
from relay.store.checksum import Column, checksum, is_intact
from relay.store.protocol import Again, Decision, Ended, Issue, IssueSeen, Lease, LeasedEvent

# Admission

STATE_OF_STORED: Final = {state.value: state for state in BrowserState}
RANK_OF_STORED: Final = {state.value: rank for state, rank in STATE_RANK.items()}
UNREADABLE: Final = -1  # a state that a damaged row no longer tells is below all


def facts_of(event: OutboxEvent) -> tuple[Any, ...]:
    """The columns of an event's row that its checksum is over, in their order."""
    return (
        event.key,
        event.site,
        event.pixel,
        event.event_name,
        event.event_id,
        event.event_time_ms,
        event.received_ms,
        event.server_event,
        msgspec.json.encode(event.why),
    )


def visitor_row(
    row_id: int | None, address: str | None, agent: str | None, addresses: Sequence[SeenAddress]
) -> tuple[Column, ...]:
    """Of an event: who sent it, and every word on where from, each with its checksum."""
    visitor, seen = (row_id, address, agent), (row_id, msgspec.json.encode(addresses))
    return (*visitor, checksum(visitor), seen[1], checksum(seen))


def leg_row(row_id: int | None, seq: int, leg: BrowserLeg, not_before_ms: int | None) -> tuple[Column, ...]:
    """Of a report on the browser half, with the hold that it decided, and the checksum."""
    row = (
        row_id,
        seq,
        leg.state.value,
        leg.evidence,
        leg.transport.value,
        leg.dispatched_ms,
        leg.settled_ms,
        leg.reported_ms,
        None if leg.seen is None else msgspec.json.encode(leg.seen),
        not_before_ms,
    )
    return (*row, checksum(row))


def stored_leg(state: str | None, settled_ms: int | None, reported_ms: int | None) -> Leg | None:
    """The last report, which is the best one; None where there is none, or a damaged one."""
    known = None if state is None else STATE_OF_STORED.get(state)
    if known is None or reported_ms is None:
        return None
    return Leg(known, reported_ms if settled_ms is None else settled_ms)


def why_with(why: bytes, addresses: Sequence[SeenAddress]) -> bytes:
    """What is told of an event whose address has been replaced."""
    kept = {name: told for name, told in msgspec.json.decode(why).items() if name not in ADDRESS_WHY}
    return msgspec.json.encode(kept | addresses_why(addresses))


def repeated_order(event: OutboxEvent) -> OutboxEvent:
    """The same event as it is recorded where its pixel has had the order before."""
    findings = (*event.findings, *fate_findings(FateReason.REPEATED_ORDER))
    return replace(
        event, fate=Fate.FILTERED, fate_reason=FateReason.REPEATED_ORDER, order_key=None, findings=findings
    )


def first_of_order(event_id: str | None) -> str:
    """The receipt's sentence for it."""
    return f"The order came first under event_id {event_id or 'of a receipt that is no longer kept'}."


# Issues and senders

# Event names and places come from pages, which anybody can imitate: a site has this many rows and no more.
ISSUES_MAX: Final = 500

# No kind takes the room of the others: places of refused posts are whatever a stranger writes.
OF_A_KIND_MAX: Final = 100

# Reports come from pages, which anybody can imitate: a site has this many rows a day and no more.
SENDERS_MAX: Final = 300


def sightings(event: OutboxEvent) -> Iterable[IssueSeen]:
    return (
        IssueSeen(event.site, finding.kind, event.event_name, finding.place, event.event_id, finding.sample)
        for finding in event.findings
    )


def issue_of(row: Any) -> Issue:
    """A row of either store, by the names of its columns."""
    return Issue(
        kind=IssueKind(row["kind"]),
        site=row["site"],
        event_name=row["event_name"],
        place=row["place"],
        event_id=row["event_id"],
        first_ms=row["first_ms"],
        last_ms=row["last_ms"],
        count=row["n"],
        sample=row["sample"],
        resolved_ms=row["resolved_ms"],
    )


# The courier's

# A refused batch says nothing about each of its events, and a bad token nothing about any.
BLAMELESS: Final = (AttemptOutcome.REJECT, AttemptOutcome.PARK)


class Held(NamedTuple):
    """A waiting event, with what its counters are kept by."""

    row_id: int
    site: str
    event_name: str


class Ending(NamedTuple):
    event: Held
    fate: Fate
    reason: FateReason
    detail: str | None = None
    sent: LeasedEvent | None = None  # as a courier had it in hand


class Settled(NamedTuple):
    """What becomes of the events of a lease: an end, or another try with its time."""

    endings: list[Ending]
    again: list[tuple[Held, int]]  # the second is due_ms


def settled(held: dict[bytes, Held], lease: Lease, decisions: Iterable[Decision]) -> Settled:
    """The decisions on events that the lease still holds, by their keys; of two on one event the first counts."""
    sent = {event.key: event for event in lease.events}
    endings: list[Ending] = []
    again: list[tuple[Held, int]] = []
    for decision in decisions:
        event = held.pop(decision.key, None)
        if event is None:
            continue
        match decision:
            case Ended():
                ending = Ending(
                    event, decision.fate, decision.reason, decision.detail, sent.get(decision.key)
                )
                endings.append(ending)
            case Again():
                again.append((event, decision.due_ms))
            case _:
                assert_never(decision)
    return Settled(endings, again)


class EndedEvent(NamedTuple):
    """An event that has its fate."""

    row_id: int
    site: str
    event_name: str
    pixel: str
    fate: str
    at_ms: int


def leased_event(row: Sequence[Any], *, pixel: str, attempts: int, ambiguous: int) -> LeasedEvent | None:
    """The event of a row, or None where a byte of it has changed since it was written.

    The row: id, both checksums, the nine columns of `facts_of`, three of the visitor, three of the best leg.
    """
    row_id, crc, visitor_crc, *columns = row
    facts, visitor, leg = columns[:9], columns[9:12], columns[12:]
    is_forgotten = visitor[0] is None
    if not is_intact(facts, crc) or not (is_forgotten or is_intact(visitor, visitor_crc)):
        return None
    key, _, event_pixel, event_name, event_id, event_time_ms, received_ms, server_event, _ = facts
    if event_pixel != pixel or visitor[0] not in (None, row_id):
        return None
    return LeasedEvent(
        key=key,
        event_name=event_name,
        event_id=event_id,
        event_time_ms=event_time_ms,
        received_ms=received_ms,
        attempts=attempts,
        ambiguous=ambiguous,
        server_event=server_event,
        client_ip_address=visitor[1],
        client_user_agent=visitor[2],
        leg=stored_leg(*leg),
    )


# Two sides: a page and a server post the same event


class KnownHalf(msgspec.Struct, frozen=True, kw_only=True):
    """An event of the store, as far as another post of it may change it. Rows come without their checksums."""

    row_id: int
    seq: int  # of the last report on the browser half
    state: BrowserState
    leg: tuple[Any, ...]  # that report's row
    facts: tuple[Any, ...]  # the event's row
    visitor: tuple[str | None, str | None]
    due_ms: int | None  # None: not held
    end: EndedEvent | None
    asleep: FateReason | None  # why it has ended, where the other side may take that back

    def completed_by(self, event: OutboxEvent) -> Completed | None:
        """None where it has been sent or has ended for good, and where the post says nothing new."""
        if self.due_ms is None and self.asleep is None:
            return None
        *_, event_time_ms, received_ms, server_event, why = self.facts
        known = Known(
            server_event=server_event,
            why=msgspec.json.decode(why),
            event_time_ms=event_time_ms,
            client_ip_address=self.visitor[0],
            client_user_agent=self.visitor[1],
            state=self.state,
            leg_hold_ms=self.leg[-1] or received_ms,
            due_ms=self.due_ms,
            asleep=self.asleep,
        )
        return complete(known, event)


# Replay

# Not delivered (Meta has it) and not filtered (it was never meant to be sent).
REPLAYABLE: Final = (Fate.REJECTED, Fate.EXPIRED, Fate.UNKNOWN)

# Nobody vouches for these; whoever wants to send them all the same has to say so.
REPLAYABLE_BY_NAME: Final = (*REPLAYABLE, Fate.QUARANTINED)


def replayable(fate: Fate | None) -> tuple[Fate, ...]:
    """The fates that a replay of this one takes back; None: of whatever there is."""
    return REPLAYABLE if fate is None else tuple(each for each in REPLAYABLE_BY_NAME if each is fate)


# Counting

HOUR_MS: Final = 3_600_000
DAY_MS: Final = 86_400_000

TOTALLED: Final = (
    Topic.ACCEPTED, Topic.UPDATED, Topic.DUPLICATE, Topic.REFUSED, Topic.FATE, Topic.REPLAYED, Topic.AMBIGUOUS,
)  # fmt: skip

REFUSED: Final = f"{Topic.REFUSED}:"
FATE: Final = f"{Topic.FATE}:"
NO_FAMILY: Final = "none"


class Counted(NamedTuple):
    """What is counted. Posts that were refused as a whole have no event name, and perhaps no site."""

    site: str
    event_name: str
    what: Topic
    name: str = ""


def of_fate(fate: Fate) -> str:
    return f"{FATE}{fate}"


def counted(site: str, event_name: str, counts: Iterable[Count]) -> Iterable[Counted]:
    return (Counted(site, event_name, topic, name) for topic, name in counts)


def admission_counts(answer: Admission, event: OutboxEvent) -> Iterator[Counted]:
    """What is counted of a post's event, which may end at once."""
    yield Counted(event.site, event.event_name, Topic(answer))
    if event.fate is not None and answer is Admission.ACCEPTED:
        yield Counted(event.site, event.event_name, Topic.FATE, event.fate)
        outcome = outcome_of(event.fate, None, event.received_ms)
        yield Counted(event.site, event.event_name, Topic.OUTCOME, outcome)


def ending_counts(
    endings: Iterable[Ending], legs: Mapping[int, Leg | None], sent_ms: int, answered_ms: int
) -> Counter[Counted]:
    """What is counted of events that end together; of those that were delivered with their best browser legs."""
    kinds: defaultdict[tuple[str, str], Counter[Count]] = defaultdict(Counter)
    for ending in endings:
        event = ending.event
        counts = _ending_counts(ending, legs.get(event.row_id), sent_ms, answered_ms)
        kinds[event.site, event.event_name].update(counts)
    return Counter({Counted(*kind, *what): n for kind, counts in kinds.items() for what, n in counts.items()})


def _ending_counts(ending: Ending, leg: Leg | None, sent_ms: int, answered_ms: int) -> Iterator[Count]:
    fate, sent = ending.fate, ending.sent
    yield Topic.FATE, fate
    if fate is not Fate.DELIVERED or sent is None:
        yield Topic.OUTCOME, outcome_of(fate, None, sent_ms)
        return
    delivered = Delivered(
        leg=leg,
        received_ms=sent.received_ms,
        sent_ms=sent_ms,
        answered_ms=answered_ms,
        event_time_ms=sent.event_time_ms,
        server_event=sent.server_event,
        has_address=sent.client_ip_address is not None,
        has_agent=sent.client_user_agent is not None,
    )
    yield from counts_of_delivered(delivered)


def totals_of(counts: Mapping[Counted, int]) -> Counter[str]:
    """The part of the counts that the status line tells, by its names there."""
    totals: Counter[str] = Counter()
    for each, n in counts.items():
        if each.what in TOTALLED:
            totals[f"{each.what}:{each.name}" if each.name else each.what.value] += n
    return totals


# Forgetting

# Meta refuses older events; until then a key must be known, even where its receipt is already gone.
DEDUP_MS: Final = 7 * 24 * 60 * 60 * 1000
