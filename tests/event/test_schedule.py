"""Holds, retries and the end, by arithmetic alone."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.event.outcome import BrowserState
from relay.event.schedule import (
    EVENT_AGE_MAX_MS,
    LAST_TRY_MS,
    gives_up,
    not_before_ms,
    rest_ms,
    retry_delay_ms,
    retry_due_ms,
)
from relay.settings import Delivery

T0 = 1_763_859_600_000
CEILINGS_S = [5, 30, 120, 600, 1_800, 3_600]


def hold(
    state: BrowserState, received: int, dispatched: int | None = None, delivery: Delivery | None = None
) -> int:
    """Milliseconds after the event at which it may go."""
    not_before = not_before_ms(
        state,
        event_time_ms=T0,
        dispatched_ms=None if dispatched is None else T0 + dispatched,
        received_ms=T0 + received,
        delivery=delivery or Delivery(),
    )
    return not_before - T0


@pytest.mark.parametrize(
    "state", [BrowserState.SENT, BrowserState.LATE, BrowserState.BLOCKED, BrowserState.OFF]
)
def test_a_settled_leg_goes_at_once(state: BrowserState) -> None:
    assert hold(state, received=412, dispatched=3) == 412


def test_a_pending_leg_waits_20_seconds_after_its_dispatch() -> None:
    assert hold(BrowserState.PENDING, received=2_600, dispatched=100) == 20_100


def test_a_pending_leg_without_a_dispatch_time_counts_from_the_event() -> None:
    assert hold(BrowserState.PENDING, received=50) == 20_000


def test_an_undispatched_leg_waits_30_seconds_after_the_event() -> None:
    assert hold(BrowserState.UNDISPATCHED, received=6_100) == 30_000


@pytest.mark.parametrize("state", [BrowserState.PENDING, BrowserState.UNDISPATCHED])
def test_a_post_after_the_hold_goes_at_once(state: BrowserState) -> None:
    assert hold(state, received=86_400_000, dispatched=5) == 86_400_000


def test_the_holds_are_settings() -> None:
    delivery = Delivery(hold_pending_seconds=0.5, hold_undispatched_seconds=1.25)
    assert hold(BrowserState.PENDING, 10, 100, delivery) == 600
    assert hold(BrowserState.UNDISPATCHED, 10, None, delivery) == 1_250


@given(
    st.sampled_from(BrowserState),
    st.integers(-1_000, 10**9),
    st.none() | st.integers(0, 10**9),
)
def test_nothing_goes_before_it_was_received(
    state: BrowserState, received: int, dispatched: int | None
) -> None:
    assert hold(state, received, dispatched) >= received


@pytest.mark.parametrize(("attempts", "ceiling_s"), [*enumerate(CEILINGS_S, 1), (7, 3_600), (500, 3_600)])
def test_retries_spread_between_a_second_and_their_ceiling(attempts: int, ceiling_s: int) -> None:
    assert retry_delay_ms(attempts, 0.0) == 1_000
    assert retry_delay_ms(attempts, 1.0) == 1_000 + ceiling_s * 1_000


@given(st.floats(0, 1))
def test_the_first_retry_comes_within_a_minute(jitter: float) -> None:
    assert retry_delay_ms(1, jitter) <= 60_000


def test_retry_after_is_the_least_wait() -> None:
    assert retry_delay_ms(1, 0.0, 90_000) == 90_000


@pytest.mark.parametrize(("asked_ms", "least_ms"), [(10**12, 3_600_000), (-5, 1_000), (0, 1_000)])
def test_retry_after_is_clamped_to_an_hour(asked_ms: int, least_ms: int) -> None:
    assert retry_delay_ms(1, 0.0, asked_ms) == least_ms


def test_a_throttle_waits_a_minute_at_least() -> None:
    assert retry_delay_ms(1, 0.0, throttled=True) == 60_000
    assert retry_delay_ms(1, 0.0, 5_000, throttled=True) == 60_000
    assert retry_delay_ms(1, 0.0, 120_000, throttled=True) == 120_000


@given(st.integers(1, 10**6), st.floats(0, 1), st.none() | st.integers())
def test_every_delay_is_at_least_a_second_and_at_most_two_hours(
    attempts: int, jitter: float, retry_after_ms: int | None
) -> None:
    assert 1_000 <= retry_delay_ms(attempts, jitter, retry_after_ms) <= 7_200_000


@given(st.integers(1, 100), st.floats(0, 1), st.integers(0, EVENT_AGE_MAX_MS))
def test_the_last_retry_comes_before_metas_limit(attempts: int, jitter: float, age_ms: int) -> None:
    now_ms = T0 + age_ms
    due_ms = retry_due_ms(T0, now_ms, attempts, jitter)
    last_ms = T0 + EVENT_AGE_MAX_MS - LAST_TRY_MS
    planned_ms = now_ms + retry_delay_ms(attempts, jitter)
    assert due_ms == planned_ms if planned_ms <= last_ms or now_ms >= last_ms else due_ms >= last_ms
    if now_ms < last_ms - 1_000:
        assert due_ms <= last_ms


def test_a_retry_is_not_drawn_forward_into_the_time_that_meta_asked_for() -> None:
    now_ms = T0 + EVENT_AGE_MAX_MS - 1_800_000
    assert retry_due_ms(T0, now_ms, 9, 1.0, 1_790_000) == now_ms + 1_790_000
    assert retry_due_ms(T0, now_ms, 9, 1.0, 60_000, throttled=True) == now_ms + 1_800_000 - LAST_TRY_MS


@given(st.integers(1, 10**6), st.floats(0, 1))
def test_a_pixel_in_trouble_is_probed_twice_a_minute_at_least(failures: int, jitter: float) -> None:
    assert 1_000 <= rest_ms(failures, jitter) <= 31_000


def test_a_retry_without_an_attempt_is_a_mistake_of_the_caller() -> None:
    with pytest.raises(ValueError, match="at least one attempt"):
        retry_delay_ms(0, 0.5)


def test_events_are_given_up_at_exactly_seven_days() -> None:
    assert not gives_up(T0, T0 + EVENT_AGE_MAX_MS - 1)
    assert gives_up(T0, T0 + EVENT_AGE_MAX_MS)
