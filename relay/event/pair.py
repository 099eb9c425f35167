"""What the relay knows of both halves of one event → what Meta counts under each dedup profile.

What is left open by all of it is settled for the worst case, so that a doubt shows as a duplicate.
"""

from collections.abc import Sequence
from typing import assert_never

import msgspec

from relay.event.outcome import BrowserState
from relay.event.records import BrowserLeg
from relay.event.verdict import Arrival, Judgement, Profile, SameSource, Source, judge


class ServerSend(msgspec.Struct, frozen=True, kw_only=True):
    """One call to Graph that took the event, or may have. Calls that Meta refused are not sends."""

    sent_ms: int
    answered_ms: int | None  # None: no answer came, so nobody knows whether Meta took it


class PairVerdict(msgspec.Struct, frozen=True, kw_only=True):
    """What Meta counts for one pair under a profile. The two numbers differ where a doubt is left."""

    counted: int  # in the worst of the possible cases
    counted_at_least: int  # in the best of them
    sentence: str


def pair_verdicts(
    leg: BrowserLeg | None,
    sends: Sequence[ServerSend],
    *,
    same_event_id: bool = True,
    same_person: bool = True,
    same_source: SameSource = "keep",
) -> dict[Profile, PairVerdict]:
    """The verdict of a receipt: what Meta counts for one event, from what the relay knows of both halves.

    `same_event_id` and `same_person` say whether the halves carry the same event_id, and the same fbp or
    external_id. A `pending` request either left within moments or was cancelled with its page, so the hold
    leaves two cases: it came first, or never. An `undispatched` one may still leave the queue after the
    server's event, and one that is `awaited` may come from a page that has not reported yet. Each case is
    judged, and the sentence names them all.
    """
    half = _half(Source.BROWSER, same_event_id=same_event_id, same_person=same_person)
    cases = [
        (" and ".join(filter(None, (browser_case, server_case))), browser + servers)
        for browser_case, browser in _browser_cases(leg, sends, half)
        for server_case, servers in _server_cases(sends)
    ]
    return {profile: _verdict(cases, profile, same_source) for profile in Profile}


Case = tuple[str, list[Arrival]]


def _browser_cases(leg: BrowserLeg | None, sends: Sequence[ServerSend], half: Arrival) -> list[Case]:
    """What may have become of the Pixel's request; `half` is its event, to be dated."""
    never: Case = ("the Pixel's request never arrived", [])
    if leg is None:
        return [never]
    match leg.state:
        case BrowserState.SENT | BrowserState.LATE:
            return _settled_cases(leg, sends, half)
        case BrowserState.PENDING:
            return [_dispatched_case(leg, sends, half), never]
        case BrowserState.UNDISPATCHED | BrowserState.AWAITED:
            return [never, _after(sends, half)] if sends else [never]
        case BrowserState.BLOCKED | BrowserState.OFF | BrowserState.ABSENT:
            return [never]
        case _:
            assert_never(leg.state)


def _settled_cases(leg: BrowserLeg, sends: Sequence[ServerSend], half: Arrival) -> list[Case]:
    """It arrived between dispatch and answer; where that overlaps a call to Graph, either came first."""
    settled_ms = leg.settled_ms if leg.settled_ms is not None else leg.reported_ms
    if not sends or settled_ms <= _first_ms(sends):
        return [_arrived("arrived first", half, settled_ms)]
    if leg.dispatched_ms is not None and leg.dispatched_ms > _last_ms(sends):
        return [_arrived("arrived after the server's event", half, leg.dispatched_ms)]
    return [_arrived("arrived first", half, _first_ms(sends)), _after(sends, half)]


def _dispatched_case(leg: BrowserLeg, sends: Sequence[ServerSend], half: Arrival) -> Case:
    dispatched_ms = leg.dispatched_ms if leg.dispatched_ms is not None else leg.reported_ms
    if sends and dispatched_ms > _first_ms(sends):
        return _after(sends, half)
    return _arrived("arrived first" if sends else "arrived", half, dispatched_ms)


def _after(sends: Sequence[ServerSend], half: Arrival) -> Case:
    return _arrived("arrived after the server's event", half, _last_ms(sends) + 1)


def _arrived(how: str, half: Arrival, received_ms: int) -> Case:
    return f"the Pixel's request {how}", [msgspec.structs.replace(half, received_ms=received_ms)]


def _first_ms(sends: Sequence[ServerSend]) -> int:
    return min(send.sent_ms for send in sends)


def _last_ms(sends: Sequence[ServerSend]) -> int:
    return max(send.sent_ms if send.answered_ms is None else send.answered_ms for send in sends)


def _server_cases(sends: Sequence[ServerSend]) -> list[Case]:
    answered = [_server_arrival(send) for send in sends if send.answered_ms is not None]
    unanswered = [_server_arrival(send) for send in sends if send.answered_ms is None]
    if not unanswered:
        return [("", answered)]
    calls = "the call" if len(unanswered) == 1 else f"the {len(unanswered)} calls"
    return [
        (f"{calls} without an answer did reach Meta", answered + unanswered),
        (f"{calls} without an answer did not reach Meta", answered),
    ]


def _server_arrival(send: ServerSend) -> Arrival:
    return _half(Source.SERVER, received_ms=send.sent_ms)


def _half(
    source: Source, *, same_event_id: bool = True, same_person: bool = True, received_ms: int = 0
) -> Arrival:
    """One half of a pair; only what the halves share, or do not, matters to a verdict."""
    return Arrival(
        source=source,
        pixel="pixel",
        event_name="name",
        event_id="shared" if same_event_id else "other",
        fbp="shared" if same_person else "other",
        external_id=(),
        received_ms=received_ms,
    )


def _verdict(cases: Sequence[Case], profile: Profile, same_source: SameSource) -> PairVerdict:
    judged = [judge(arrivals, profile, same_source=same_source) for _, arrivals in cases]
    counts = [sum(judgement.counted for judgement in judgements) for judgements in judged]
    if len(cases) == 1:
        sentence = f"{_events(counts[0])}. {_main_reason(cases[0][1], judged[0])}"
    else:
        parts = (f"If {label}: {_events(n).lower()}." for (label, _), n in zip(cases, counts, strict=True))
        sentence = " ".join(parts)
    return PairVerdict(counted=max(counts), counted_at_least=min(counts), sentence=sentence)


def _main_reason(arrivals: Sequence[Arrival], judgements: Sequence[Judgement]) -> str:
    if not judgements:
        return "Neither half is known to have reached Meta."
    judged = list(zip(arrivals, judgements, strict=True))
    arrival, judgement = ([pair for pair in judged if not pair[1].counted] or judged)[-1]
    if judgement.counted:
        return judgement.reason
    return f"The {arrival.source}'s is dropped{judgement.reason.removeprefix('Dropped')}"


def _events(count: int) -> str:
    return {0: "No event counts", 1: "One event counts", 2: "Two events count"}.get(
        count, f"{count} events count"
    )
