"""What is counted of an event that has ended."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.event.outcome import AttemptOutcome, BrowserState, Fate
from relay.event.tally import (
    DELAY_BOUNDS_MS,
    Delivered,
    Leg,
    Outcome,
    Topic,
    counts_of_delivered,
    delay_bucket,
    error_name,
    fbc_age_bucket,
    made_at_ms,
    outcome_of,
)

SENT_MS = 1_763_859_600_000
DAY_MS = 86_400_000


def leg(state: BrowserState, arrived_ms: int = SENT_MS - 100) -> Leg:
    return Leg(state, arrived_ms)


@pytest.mark.parametrize(
    ("fate", "half", "outcome"),
    [
        (Fate.DELIVERED, leg(BrowserState.SENT), Outcome.PAIRED),
        (Fate.DELIVERED, leg(BrowserState.LATE, SENT_MS), Outcome.PAIRED),
        (Fate.DELIVERED, leg(BrowserState.LATE, SENT_MS + 1), Outcome.REVERSED),
        (Fate.DELIVERED, leg(BrowserState.PENDING), Outcome.UNSURE),
        (Fate.DELIVERED, leg(BrowserState.BLOCKED), Outcome.SERVER_ONLY),
        (Fate.DELIVERED, leg(BrowserState.OFF), Outcome.SERVER_ONLY),
        (Fate.DELIVERED, leg(BrowserState.UNDISPATCHED), Outcome.SERVER_ONLY),
        (Fate.DELIVERED, None, Outcome.SERVER_ONLY),
        (Fate.REJECTED, leg(BrowserState.SENT), Outcome.FAILED),
        (Fate.EXPIRED, None, Outcome.FAILED),
        (Fate.UNKNOWN, None, Outcome.FAILED),
        (Fate.FILTERED, None, Outcome.HELD_BACK),
        (Fate.QUARANTINED, None, Outcome.HELD_BACK),
    ],
)
def test_each_end_has_one_outcome(fate: Fate, half: Leg | None, outcome: Outcome) -> None:
    assert outcome_of(fate, half, SENT_MS) is outcome


@given(st.integers(min_value=-(2**40), max_value=2**50))
def test_a_delay_is_in_the_first_bucket_that_holds_it(delay_ms: int) -> None:
    bound = int(delay_bucket(delay_ms))
    lower = [each for each in DELAY_BOUNDS_MS if each < bound]
    assert delay_ms <= bound or bound == DELAY_BOUNDS_MS[-1]
    assert not lower or delay_ms > lower[-1]


@pytest.mark.parametrize(
    ("age_ms", "bucket"),
    [
        (0, "1"),
        (DAY_MS, "1"),
        (DAY_MS + 1, "2"),
        (90 * DAY_MS, "90"),
        (90 * DAY_MS + 1, "older"),
        (-DAY_MS, "1"),
        (-DAY_MS - 1, "future"),
    ],
)
def test_the_age_of_a_click_id_in_days(age_ms: int, bucket: str) -> None:
    assert fbc_age_bucket(age_ms) == bucket


@pytest.mark.parametrize(
    ("cookie", "made_ms"),
    [
        ("fb.1.1763859600000.abc", 1_763_859_600_000),
        ("fb.1.1763859600000.abc.AQ", 1_763_859_600_000),
        ("fb.1.x.abc", None),
        ("fb.1.99999999999999999.abc", None),
        ("fb.1.\u0661.abc", None),
        ("fb.1.5", None),
        (None, None),
        (["fb.1.5.a"], None),
    ],
)
def test_when_a_cookie_was_made(cookie: object, made_ms: int | None) -> None:
    assert made_at_ms(cookie) == made_ms


def delivered(server_event: bytes) -> Delivered:
    return Delivered(
        leg=leg(BrowserState.SENT),
        received_ms=SENT_MS - 300,
        sent_ms=SENT_MS,
        answered_ms=SENT_MS + 90,
        event_time_ms=SENT_MS - 400,
        server_event=server_event,
        has_address=True,
        has_agent=False,
    )


def test_a_delivered_event_is_counted_by_outcome_leg_delay_and_keys() -> None:
    user_data = {"em": ["a" * 64], "fbc": f"fb.1.{SENT_MS - 30 * DAY_MS}.x"}
    counted = list(counts_of_delivered(delivered(msgspec.json.encode({"user_data": user_data}))))
    assert counted == [
        (Topic.OUTCOME, "paired"),
        (Topic.LEG, "sent"),
        (Topic.DELAY, "400"),
        (Topic.KEY, "em"),
        (Topic.KEY, "fbc"),
        (Topic.KEY, "client_ip_address"),
        (Topic.FBC_AGE, "60"),
    ]


@pytest.mark.parametrize("damaged", [b"", b"\xff", b"[]", b'{"user_data": 5}'])
def test_of_a_damaged_row_no_key_is_counted(damaged: bytes) -> None:
    topics = [topic for topic, _ in counts_of_delivered(delivered(damaged))]
    assert topics == [Topic.OUTCOME, Topic.LEG, Topic.DELAY, Topic.KEY]


@pytest.mark.parametrize(
    ("outcome", "code", "http_status", "name"),
    [
        (AttemptOutcome.RECEIPT, None, 200, None),
        (AttemptOutcome.UNKNOWN, None, None, "no answer"),
        (AttemptOutcome.PARK, 190, 400, "190"),
        (AttemptOutcome.RETRY, None, 503, "HTTP 503"),
        (AttemptOutcome.RETRY, None, None, "no connection"),
    ],
)
def test_a_call_that_was_not_taken_has_a_name(
    outcome: AttemptOutcome, code: int | None, http_status: int | None, name: str | None
) -> None:
    assert error_name(outcome, code, http_status) == name
