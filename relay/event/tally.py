"""What is counted of an event when it ends: its outcome, how long it took, and the match keys it carried.

One place decides it for every store, so that the console's numbers mean the same whatever keeps them. Values
in, values out; the counts themselves are rolled up by the store, in the transaction of what they count.
"""

from bisect import bisect_left
from collections.abc import Iterator
from enum import StrEnum
from typing import Final, NamedTuple, assert_never

import msgspec

from relay.event.outcome import AttemptOutcome, BrowserState, Fate

DAY_MS: Final = 86_400_000

# The upper ends, in milliseconds, between which delays are counted; a percentile is as exact as its bucket.
DELAY_BOUNDS_MS: Final = (
    50, 100, 150, 200, 300, 400, 500, 750, 1_000, 1_500, 2_000, 3_000, 5_000, 7_500, 10_000, 15_000, 20_000,
    25_000, 30_000, 45_000, 60_000, 300_000, 3_600_000, 21_600_000, DAY_MS, 7 * DAY_MS,
)  # fmt: skip

# Of a click id, in days; Meta takes it for 90.
FBC_AGE_BOUNDS_DAYS: Final = (1, 2, 3, 7, 14, 28, 60, 90)
OLDER: Final = "older"
FUTURE: Final = "future"  # made by a clock that runs ahead


class Topic(StrEnum):
    """What a count is about; its `name` says which of them."""

    ACCEPTED = "accepted"
    UPDATED = "updated"
    DUPLICATE = "duplicate"
    REFUSED = "refused"  # name: the reason
    FATE = "fate"  # name: the fate; one that a replay took back stays counted
    REPLAYED = "replayed"
    OUTCOME = "outcome"  # name: an Outcome; exactly one for each event that has ended
    LEG = "leg"  # of delivered events; name: the BrowserState
    DELAY = "delay"  # of delivered events, from the post to Meta's answer; name: the bucket's upper end in ms
    KEY = "key"  # of delivered events; name: a match key that it carried
    FBC_AGE = "fbc_age"  # of delivered events with an fbc; name: the upper end in days
    CALL = "call"  # calls to Graph; name: the AttemptOutcome
    ERROR = "error"  # calls to Graph that were not taken; name: Meta's code, or what came instead of one
    AMBIGUOUS = "ambiguous"  # calls without an answer


class Outcome(StrEnum):
    """What became of both halves of an event, once it has ended."""

    PAIRED = "paired"  # both arrived, the browser's first
    REVERSED = "reversed"  # both arrived, the server's first or nobody knows
    UNSURE = "unsure"  # the server's arrived; the page ended before the Pixel's answer
    SERVER_ONLY = (
        "server_only"  # the Pixel's request was blocked, never left its queue, is off or not expected
    )
    FAILED = "failed"  # Meta refused it, it became too old, or its answer was lost
    HELD_BACK = "held_back"  # recorded and never sent: crawlers, repeated orders, unsigned or shadowed events


class Leg(NamedTuple):
    """The part of a browser leg that decides the outcome."""

    state: BrowserState
    arrived_ms: int  # when the Pixel's request settled; where that is not known, when it was reported


class Delivered(NamedTuple):
    """A delivered event, as far as it is counted."""

    leg: Leg | None
    received_ms: int
    sent_ms: int  # the call that Meta confirmed
    answered_ms: int
    event_time_ms: int
    server_event: bytes
    has_address: bool
    has_agent: bool


Count = tuple[Topic, str]


def outcome_of(fate: Fate, leg: Leg | None, sent_ms: int) -> Outcome:
    match fate:
        case Fate.DELIVERED:
            return _pair(leg, sent_ms)
        case Fate.REJECTED | Fate.EXPIRED | Fate.UNKNOWN:
            return Outcome.FAILED
        case Fate.FILTERED | Fate.QUARANTINED | Fate.SHADOWED:
            return Outcome.HELD_BACK
        case _:
            assert_never(fate)


def _pair(leg: Leg | None, sent_ms: int) -> Outcome:
    if leg is None:
        return Outcome.SERVER_ONLY
    match leg.state:
        case BrowserState.SENT | BrowserState.LATE:
            return Outcome.PAIRED if leg.arrived_ms <= sent_ms else Outcome.REVERSED
        case BrowserState.PENDING:
            return Outcome.UNSURE
        case BrowserState.BLOCKED | BrowserState.OFF | BrowserState.UNDISPATCHED:
            return Outcome.SERVER_ONLY
        case BrowserState.AWAITED | BrowserState.ABSENT:
            return Outcome.SERVER_ONLY
        case _:
            assert_never(leg.state)


def counts_of_leg(leg: Leg | None, sent_ms: int) -> Iterator[Count]:
    """The counts of a delivered event that a later report of its browser half may change."""
    yield Topic.OUTCOME, outcome_of(Fate.DELIVERED, leg, sent_ms)
    if leg is not None:
        yield Topic.LEG, leg.state


def counts_of_delivered(event: Delivered) -> Iterator[Count]:
    """Everything that is counted of an event that Meta has confirmed."""
    yield from counts_of_leg(event.leg, event.sent_ms)
    yield Topic.DELAY, delay_bucket(event.answered_ms - event.received_ms)
    user_data = _user_data(event.server_event)
    for key in user_data:
        yield Topic.KEY, key
    if event.has_address:
        yield Topic.KEY, "client_ip_address"
    if event.has_agent:
        yield Topic.KEY, "client_user_agent"
    if (made_ms := made_at_ms(user_data.get("fbc"))) is not None:
        yield Topic.FBC_AGE, fbc_age_bucket(event.event_time_ms - made_ms)


def delay_bucket(delay_ms: int) -> str:
    place = bisect_left(DELAY_BOUNDS_MS, delay_ms)
    return str(DELAY_BOUNDS_MS[min(place, len(DELAY_BOUNDS_MS) - 1)])


def fbc_age_bucket(age_ms: int) -> str:
    if age_ms < -DAY_MS:
        return FUTURE
    place = bisect_left([days * DAY_MS for days in FBC_AGE_BOUNDS_DAYS], age_ms)
    return OLDER if place == len(FBC_AGE_BOUNDS_DAYS) else str(FBC_AGE_BOUNDS_DAYS[place])


def made_at_ms(cookie: object) -> int | None:
    """The moment that an fbp or fbc says it was made; `fb.1.1763859600000.…`."""
    parts = cookie.split(".") if isinstance(cookie, str) else []
    if len(parts) < 4 or not (parts[2].isascii() and parts[2].isdecimal() and len(parts[2]) <= 16):
        return None
    return int(parts[2])


def error_name(outcome: AttemptOutcome, code: int | None, http_status: int | None) -> str | None:
    """What a call that Meta did not take is counted under; None for one that it took."""
    match outcome:
        case AttemptOutcome.RECEIPT:
            return None
        case AttemptOutcome.UNKNOWN:
            return "no answer"
        case AttemptOutcome.RETRY | AttemptOutcome.REJECT | AttemptOutcome.PARK:
            if code is not None:
                return str(code)
            return f"HTTP {http_status}" if http_status is not None else "no connection"
        case _:
            assert_never(outcome)


class _Kept(msgspec.Struct, frozen=True):
    user_data: dict[str, object] = {}


def _user_data(server_event: bytes) -> dict[str, object]:
    try:
        return _KEPT.decode(server_event).user_data
    except (msgspec.DecodeError, UnicodeDecodeError):  # a damaged row is the checksum's matter
        return {}


_KEPT: Final = msgspec.json.Decoder(_Kept)
