"""Pure: leased events → a request body; an answer → decisions; a refused batch → its guilty events."""

from collections.abc import Generator, Sequence
from typing import Final, assert_never

from relay import __version__
from relay.delivery.answer import Answer
from relay.event.build import action_source_of, assemble, encode
from relay.event.outcome import AttemptOutcome, Fate, FateReason
from relay.event.records import Json
from relay.event.schedule import age_max_ms, gives_up, retry_due_ms
from relay.store.protocol import Again, Decision, Ended, LeasedEvent

PARTNER_AGENT: Final = f"counterfoil-{__version__}"[:22]  # Meta takes fewer than 23 characters

EXPIRY_MARGIN_MS: Final = 60_000  # the call's own time, and the difference between our clock and Meta's

Events = Sequence[LeasedEvent]


def request_body(events: Events, test_event_code: str | None) -> bytes:
    """The body of one call: the same events give the same bytes."""
    body: Json = {
        "data": [
            assemble(event.server_event, event.client_ip_address, event.client_user_agent) for event in events
        ],
        "partner_agent": PARTNER_AGENT,
    }
    if test_event_code:
        body["test_event_code"] = test_event_code
    return encode(body)


def expired(events: Events, now_ms: int) -> Events:
    """Events that would be too old when the call arrives; Meta refuses the whole batch for one of them."""
    by_ms = now_ms + EXPIRY_MARGIN_MS
    old = (event for event in events if gives_up(event.event_time_ms, by_ms))
    return [
        event
        for event in old
        if gives_up(event.event_time_ms, by_ms, age_max_ms(action_source_of(event.server_event)))
    ]


def exhausted(events: Events, resends: int) -> Events:
    """Events that may have been taken more often already than the policy allows to send them again."""
    return [event for event in events if event.ambiguous > resends]


def bisecting(events: Events) -> Generator[Events, bool, None]:
    """What to send, one batch after the other, so that one bad event takes no good one with it.

    Yields a batch; `send(True)` tells that Meta refused it for its contents, `send(False)` that Meta took
    it. A refused batch of one is a guilty event. To find k guilty of n takes at most 2k·log2(n) + 1 batches:
    where the left half of a refused batch was taken, the right is known to be bad and is not asked whole.
    """
    suspects = [events] if (yield events) else []
    while suspects:
        suspect = suspects.pop()
        if len(suspect) == 1:
            continue
        middle = len(suspect) // 2
        left, right = suspect[:middle], suspect[middle:]
        left_refused = yield left
        right_refused = (yield right) if left_refused or len(right) == 1 else True
        suspects += [half for half, refused in ((right, right_refused), (left, left_refused)) if refused]


def decide(answer: Answer, events: Events, *, now_ms: int, jitter: float, resends: int) -> list[Decision]:
    """What becomes of a batch's events. None for those that bisecting or parking still has to deal with.

    `resends`: how often an event may be sent again of which nobody knows whether it was taken.
    """
    result = answer.result
    match result.outcome:
        case AttemptOutcome.RECEIPT:
            return _end(events, Fate.DELIVERED, FateReason.RECEIVED, result.message)
        case AttemptOutcome.REJECT if len(events) == 1:
            return _end(events, Fate.REJECTED, FateReason.REJECTED_BY_META, result.message)
        case AttemptOutcome.RETRY:
            return [_again(event, answer, now_ms, jitter) for event in events]
        case AttemptOutcome.UNKNOWN:
            return [
                _again(event, answer, now_ms, jitter)
                if event.ambiguous < resends
                else _ended(event, Fate.UNKNOWN, FateReason.AMBIGUOUS_SEND, result.message)
                for event in events
            ]
        case AttemptOutcome.REJECT | AttemptOutcome.PARK:
            return []
        case _:
            assert_never(result.outcome)


def _end(events: Events, fate: Fate, reason: FateReason, detail: str | None) -> list[Decision]:
    return [_ended(event, fate, reason, detail) for event in events]


def _ended(event: LeasedEvent, fate: Fate, reason: FateReason, detail: str | None) -> Ended:
    return Ended(key=event.key, fate=fate, reason=reason, detail=detail)


def _again(event: LeasedEvent, answer: Answer, now_ms: int, jitter: float) -> Again:
    due_ms = retry_due_ms(
        event.event_time_ms,
        now_ms,
        event.attempts + 1,
        jitter,
        answer.retry_after_ms,
        throttled=answer.throttled,
    )
    return Again(key=event.key, due_ms=due_ms)
