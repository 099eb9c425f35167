"""When an alert is raised and resolved: each once, however the numbers waver."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.event.alert import (
    ALERT_WORDS,
    DAY_MS,
    AlertKind,
    AlertState,
    Reading,
    Thresholds,
    error_reading,
    foreign_reading,
    pair_reading,
    silence_reading,
    step,
    token_readings,
)
from relay.event.tally import Outcome

LIMITS = Thresholds(events_min=20, error_percent=10, pair_drop_points=20, silence_minutes=60)
MINUTE_MS = 60_000
NOW_MS = 10 * DAY_MS


def outcomes(**n: int) -> dict[str, int]:
    return {Outcome[name.upper()]: count for name, count in n.items()}


def walk(readings: list[Reading]) -> list[bool]:
    """The transitions that a series of readings makes: True for raised."""
    state: AlertState | None = None
    made = []
    for number, reading in enumerate(readings):
        if (after := step(state, reading, number)) is not None:
            state = after
            made.append(after.raised)
    return made


def errors(percents: list[int]) -> list[Reading]:
    found = [error_reading("shop", outcomes(failed=n, paired=100 - n), LIMITS) for n in percents]
    return [reading for reading in found if reading is not None]


@pytest.mark.parametrize("kind", list(AlertKind))
def test_every_alert_has_its_words(kind: AlertKind) -> None:
    assert ALERT_WORDS[kind].title
    assert ALERT_WORDS[kind].fix.endswith(".")


def test_a_number_that_wavers_around_the_threshold_raises_once() -> None:
    assert walk(errors([0, 9, 10, 9, 11, 8, 10, 6])) == [True]


def test_an_alert_is_resolved_well_below_and_can_be_raised_anew() -> None:
    assert walk(errors([10, 5, 4, 0, 5, 9, 12, 4])) == [True, False, True, False]


@given(st.lists(st.integers(0, 100), max_size=60))
def test_raised_and_resolved_take_turns_whatever_comes(percents: list[int]) -> None:
    made = walk(errors(percents))
    assert made == [number % 2 == 0 for number in range(len(made))]


def test_the_state_says_what_about_whom_and_since_when() -> None:
    (reading,) = errors([50])
    state = step(None, reading, NOW_MS)
    assert state is not None
    assert (state.kind, state.subject, state.raised, state.since_ms) == (
        AlertKind.ERROR_RATE,
        "shop",
        True,
        NOW_MS,
    )
    assert "50.0 % of 100 events" in state.detail


def test_few_events_say_nothing() -> None:
    assert error_reading("shop", outcomes(failed=19), LIMITS) is None
    assert error_reading("shop", outcomes(failed=20), LIMITS) is not None
    assert pair_reading("shop", outcomes(paired=19), outcomes(paired=900), LIMITS) is None
    assert pair_reading("shop", outcomes(paired=900), outcomes(paired=19), LIMITS) is None


def test_what_is_held_back_on_purpose_is_no_error() -> None:
    assert error_reading("shop", outcomes(held_back=500, paired=19), LIMITS) is None
    reading = error_reading("shop", outcomes(held_back=500, paired=20), LIMITS)
    assert reading is not None
    assert (reading.bad, reading.good) == (False, True)


@pytest.mark.parametrize(
    ("now", "bad", "good"), [(90, False, True), (81, False, True), (80, False, False), (70, True, False)]
)
def test_pairs_are_compared_with_the_day_before(now: int, bad: bool, good: bool) -> None:
    reading = pair_reading(
        "shop", outcomes(paired=now, server_only=100 - now), outcomes(paired=90, unsure=10), LIMITS
    )
    assert reading is not None
    assert (reading.bad, reading.good) == (bad, good)


def silence(minutes: int, *, events: int = 50, started_ms: int = 0) -> Reading | None:
    return silence_reading(
        "shop",
        events_of_day=events,
        last_ms=NOW_MS - minutes * MINUTE_MS,
        started_ms=started_ms,
        now_ms=NOW_MS,
        limits=LIMITS,
    )


def test_a_site_that_had_events_and_has_none_is_silent() -> None:
    quiet, loud = silence(60), silence(59)
    assert quiet is not None
    assert loud is not None
    assert (quiet.bad, quiet.good, loud.bad, loud.good) == (True, False, False, True)
    assert "60 minutes ago" in quiet.detail


def test_a_site_of_a_few_events_is_not_silent_nor_one_that_was_never_heard() -> None:
    assert silence(600, events=19) is None
    never = silence_reading("shop", events_of_day=0, last_ms=None, started_ms=0, now_ms=NOW_MS, limits=LIMITS)
    assert never is None


def test_a_relay_that_was_down_has_not_listened() -> None:
    reading = silence(600, started_ms=NOW_MS - 59 * MINUTE_MS)
    assert reading is not None
    assert (reading.bad, reading.good) == (False, False)


def test_a_parked_pixel_is_told_in_metas_words_and_the_others_are_well() -> None:
    bad, good = token_readings({"1": "Session has expired"}, ["1", "2"])
    assert (bad.bad, bad.detail, good.bad, good.good) == (True, "Session has expired", False, True)


def test_another_sender_is_told_by_name_and_gone_only_where_somebody_looked() -> None:
    seen = foreign_reading("shop", ["Conversions API Gateway (openbridge)"], looked=True)
    assert seen is not None
    assert seen.bad
    assert "openbridge" in seen.detail
    assert foreign_reading("shop", [], looked=False) is None
    gone = foreign_reading("shop", [], looked=True)
    assert gone is not None
    assert gone.good
