"""The moments of an event and their places in the drawing."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from relay.event.outcome import BrowserState
from relay.web.timeline import LEFT, STEP, WIDTH, Lane, Moment, dots, timeline
from tests.web.stored import EVENT_MS, attempt, leg, stored_receipt


def test_every_known_moment_stands_in_order() -> None:
    moments = timeline(stored_receipt(not_before_ms=EVENT_MS + 450), leg(), attempt())
    assert [(moment.step, moment.after_ms) for moment in moments] == [
        ("event", 0),
        ("dispatched", 3),
        ("settled", 118),
        ("received", 412),
        ("reported", 412),
        ("held", 450),
        ("sent", 500),
        ("answered", 700),
    ]


def test_what_has_not_happened_is_left_out() -> None:
    moments = timeline(stored_receipt(), leg(settled_ms=None), attempt(finished_ms=None))
    assert {"settled", "answered"}.isdisjoint(moment.step for moment in moments)


def test_an_event_without_reports_or_calls_still_has_its_own_moments() -> None:
    assert [moment.step for moment in timeline(stored_receipt(), None, None)] == ["event", "received", "held"]


def test_of_an_event_that_only_a_server_sent_nothing_happened_in_a_browser() -> None:
    moments = timeline(
        stored_receipt(), leg(BrowserState.AWAITED, dispatched_ms=None, settled_ms=None), attempt()
    )
    assert {moment.lane for moment in moments} == {Lane.RELAY, Lane.META}
    assert "reported" not in {moment.step for moment in moments}


@given(st.lists(st.integers(min_value=0, max_value=10**13), min_size=1, max_size=8))
def test_dots_stay_inside_the_drawing_and_never_overlap(times: list[int]) -> None:
    moments = [
        Moment(step="x", label="x", lane=Lane.RELAY, at_ms=at_ms, after_ms=0) for at_ms in sorted(times)
    ]
    places = [dot.x for dot in dots(moments)]
    assert all(LEFT < place < WIDTH for place in places)
    assert all(right - left >= STEP - 0.2 for left, right in pairwise(places))


def test_moments_of_the_same_millisecond_keep_their_order() -> None:
    at_once = leg(settled_ms=EVENT_MS + 412)
    assert [moment.step for moment in timeline(stored_receipt(), at_once, None)] == [
        "event",
        "dispatched",
        "settled",
        "received",
        "reported",
        "held",
    ]
