"""Every profile, each order of two sources, every boundary of its window."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.event.verdict import Arrival, Profile, SameSource, Source, judge

HOUR_MS = 3_600_000
MINUTE_MS = 60_000
WINDOW_MS = 48 * HOUR_MS
T0 = 1_763_859_600_000
BY_ID = [Profile.SEGMENT_STRICT, Profile.EVENT_ID, Profile.META_5MIN]


def arrival(
    source: str,
    after_ms: int = 0,
    *,
    pixel: str = "1",
    event_name: str = "Purchase",
    event_id: str | None = "e1",
    fbp: str | None = "fb.1.1.1",
    external_id: tuple[str, ...] = (),
) -> Arrival:
    return Arrival(
        source=Source(source),
        pixel=pixel,
        event_name=event_name,
        event_id=event_id,
        fbp=fbp,
        external_id=external_id,
        received_ms=T0 + after_ms,
    )


def counted(profile: Profile, *arrivals: Arrival, same_source: SameSource = "keep") -> list[bool]:
    return [judgement.counted for judgement in judge(arrivals, profile, same_source=same_source)]


# One row per order: the sources with their minute, and what each profile counts of them.
ORDERS = [
    ("browser", [("browser", 0)], "1", "1", "1", "1"),
    ("server", [("server", 0)], "1", "1", "1", "1"),
    ("browser, server", [("browser", 0), ("server", 1)], "10", "10", "10", "10"),
    ("server, browser in a minute", [("server", 0), ("browser", 1)], "11", "10", "01", "11"),
    ("server, browser after ten", [("server", 0), ("browser", 10)], "11", "10", "10", "11"),
    ("two browsers", [("browser", 0), ("browser", 1)], "11", "11", "11", "11"),
    ("two servers", [("server", 0), ("server", 1)], "11", "11", "11", "11"),
    ("browser, server, server", [("browser", 0), ("server", 1), ("server", 2)], "100", "100", "100", "100"),
    ("server, browser, server", [("server", 0), ("browser", 1), ("server", 2)], "110", "101", "010", "110"),
    ("browser, server, browser", [("browser", 0), ("server", 1), ("browser", 2)], "101", "101", "101", "101"),
    (
        "two servers, browser in time",
        [("server", 0), ("server", 1), ("browser", 2)],
        "111",
        "110",
        "001",
        "111",
    ),
    (
        "two servers, browser late",
        [("server", 0), ("server", 9), ("browser", 10)],
        "111",
        "110",
        "110",
        "111",
    ),
]


@pytest.mark.parametrize(
    ("steps", "strict", "by_id", "five", "person"),
    [row[1:] for row in ORDERS],
    ids=[row[0] for row in ORDERS],
)
def test_each_order_under_each_profile(
    steps: list[tuple[str, int]], strict: str, by_id: str, five: str, person: str
) -> None:
    arrivals = [arrival(source, minute * MINUTE_MS) for source, minute in steps]
    expected = dict(zip(Profile, (strict, by_id, five, person), strict=True))
    for profile, marks in expected.items():
        assert counted(profile, *arrivals) == [mark == "1" for mark in marks], profile


@pytest.mark.parametrize("profile", list(Profile))
def test_a_window_is_48_hours_and_half_open(profile: Profile) -> None:
    assert counted(profile, arrival("browser"), arrival("server", WINDOW_MS - 1)) == [True, False]
    assert counted(profile, arrival("browser"), arrival("server", WINDOW_MS)) == [True, True]


@pytest.mark.parametrize("profile", [Profile.EVENT_ID, Profile.SEGMENT_STRICT, Profile.META_5MIN])
def test_a_duplicate_does_not_prolong_the_window(profile: Profile) -> None:
    first, again, late = arrival("browser"), arrival("server", WINDOW_MS - 1), arrival("server", WINDOW_MS)
    assert counted(profile, first, again, late) == [True, False, True]


@pytest.mark.parametrize("profile", [Profile.EVENT_ID, Profile.META_5MIN])
def test_the_next_window_counts_from_the_event_that_opened_it(profile: Profile) -> None:
    steps = [arrival("browser"), arrival("server", WINDOW_MS), arrival("browser", 2 * WINDOW_MS - 1)]
    assert counted(profile, *steps) == [True, True, False]


def test_the_browser_is_favoured_for_five_minutes_half_open() -> None:
    server = arrival("server")
    assert counted(Profile.META_5MIN, server, arrival("browser", 5 * MINUTE_MS - 1)) == [False, True]
    assert counted(Profile.META_5MIN, server, arrival("browser", 5 * MINUTE_MS)) == [True, False]


@pytest.mark.parametrize("profile", [Profile.EVENT_ID, Profile.META_5MIN])
@pytest.mark.parametrize("source", ["browser", "server"])
def test_the_switch_drops_a_second_event_of_one_source(profile: Profile, source: str) -> None:
    assert counted(profile, arrival(source), arrival(source, 1), same_source="drop") == [True, False]


@pytest.mark.parametrize("profile", [Profile.SEGMENT_STRICT, Profile.FBP_EXTERNAL_ID])
def test_the_switch_leaves_the_rules_alone_that_keep_repeats_by_their_own_words(profile: Profile) -> None:
    assert counted(profile, arrival("server"), arrival("server", 1), same_source="drop") == [True, True]


@pytest.mark.parametrize("profile", BY_ID)
@pytest.mark.parametrize(
    "other", [{"pixel": "2"}, {"event_name": "Lead"}, {"event_id": "e2"}, {"event_id": "E1"}]
)
def test_another_pixel_name_or_id_is_another_event(profile: Profile, other: dict[str, Any]) -> None:
    assert counted(profile, arrival("browser"), arrival("server", 1, **other)) == [True, True]


@pytest.mark.parametrize("profile", BY_ID)
@pytest.mark.parametrize("event_id", [None, ""])
def test_events_without_an_id_always_count(profile: Profile, event_id: str | None) -> None:
    pair = arrival("browser", event_id=event_id), arrival("server", 1, event_id=event_id)
    assert counted(profile, *pair) == [True, True]


PERSONS = [
    ("same fbp", {"fbp": "p"}, {"fbp": "p"}, False),
    ("another fbp", {"fbp": "p"}, {"fbp": "q"}, True),
    ("no fbp at all", {"fbp": None}, {"fbp": None}, True),
    (
        "same external_id",
        {"fbp": None, "external_id": ("a", "b")},
        {"fbp": None, "external_id": ("b",)},
        False,
    ),
    (
        "external_id outranks fbp",
        {"fbp": "p", "external_id": ("a",)},
        {"fbp": "p", "external_id": ("b",)},
        True,
    ),
    ("fbp where the server has no external_id", {"fbp": "p", "external_id": ("a",)}, {"fbp": "p"}, False),
    ("fbp where the browser has no external_id", {"fbp": "p"}, {"fbp": "p", "external_id": ("a",)}, False),
    ("another event_id", {"event_id": "e1"}, {"event_id": "e2"}, False),
    ("another name", {}, {"event_name": "Lead"}, True),
    ("another pixel", {}, {"pixel": "2"}, True),
]


@pytest.mark.parametrize(
    ("browser", "server", "server_counts"), [row[1:] for row in PERSONS], ids=[row[0] for row in PERSONS]
)
def test_persons_are_matched_by_external_id_then_fbp(
    browser: dict[str, Any], server: dict[str, Any], server_counts: bool
) -> None:
    pair = arrival("browser", **browser), arrival("server", 1, **server)
    assert counted(Profile.FBP_EXTERNAL_ID, *pair) == [True, server_counts]


def test_judgements_come_back_in_the_order_given() -> None:
    late_first = [arrival("server", 10), arrival("browser", 0)]
    assert counted(Profile.SEGMENT_STRICT, *late_first) == [False, True]


def test_of_two_received_in_the_same_millisecond_the_first_given_came_first() -> None:
    assert counted(Profile.EVENT_ID, arrival("server"), arrival("browser")) == [True, False]


def test_a_reason_names_the_gap() -> None:
    server = judge([arrival("browser"), arrival("server", 1_234)], Profile.EVENT_ID)[1]
    assert server.reason == "Dropped: the browser's event was received first, 1.2 s before."


ARRIVALS = st.lists(
    st.builds(
        arrival,
        st.sampled_from(["browser", "server"]),
        st.integers(0, 3 * WINDOW_MS) | st.integers(0, 10),
        event_id=st.sampled_from(["e1", "e2", None]),
        fbp=st.sampled_from(["p", "q", None]),
        external_id=st.sampled_from([(), ("a",), ("a", "b")]),
    ),
    max_size=12,
)


@given(ARRIVALS, st.sampled_from(Profile), st.sampled_from(["keep", "drop"]))
def test_whoever_comes_first_counts_and_nothing_vanishes_whole(
    arrivals: list[Arrival], profile: Profile, same_source: SameSource
) -> None:
    judged = judge(arrivals, profile, same_source=same_source)
    assert len(judged) == len(arrivals)
    for event_id in {one.event_id for one in arrivals}:
        group = [mark.counted for one, mark in zip(arrivals, judged, strict=True) if one.event_id == event_id]
        assert any(group) or profile is Profile.FBP_EXTERNAL_ID
    if arrivals and profile is Profile.FBP_EXTERNAL_ID:
        first = min(range(len(arrivals)), key=lambda index: arrivals[index].received_ms)
        assert judged[first].counted


@given(ARRIVALS, st.sampled_from(BY_ID))
def test_dropping_repeats_of_one_source_never_counts_more(arrivals: list[Arrival], profile: Profile) -> None:
    kept = judge(arrivals, profile, same_source="keep")
    dropped = judge(arrivals, profile, same_source="drop")
    assert sum(mark.counted for mark in dropped) <= sum(mark.counted for mark in kept)
