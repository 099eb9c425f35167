"""Numbers → places in a drawing."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.event.tally import DELAY_BOUNDS_MS, delay_bucket
from relay.web.plots import HEIGHT, WIDTH, Axis, Scale, band, hours, line, nice, percentile, stack

AXIS = Axis(1_763_856_000_000, 60_000, 60)


def test_a_column_is_as_high_as_its_parts_and_stands_on_the_axis() -> None:
    drawn = stack(AXIS, {0: {"a": 3, "b": 1}, 59: {"b": 2}}, ["a", "b"], {"a": "good", "b": "bad"})
    first, last = drawn.columns
    assert drawn.top == 4
    assert [(part.name, part.y, part.height) for part in first.parts] == [
        ("a", HEIGHT / 4, HEIGHT * 3 / 4),
        ("b", 0, HEIGHT / 4),
    ]
    assert first.words == "00:00: 3 good, 1 bad"
    assert first.x >= 0
    assert last.x + last.width <= WIDTH


def test_a_line_is_interrupted_where_a_number_is_missing() -> None:
    drawn = line(AXIS, {0: (1.0, "x"), 1: (0.5, "x"), 5: (0.0, "x")})
    assert [piece.count(",") for piece in drawn.points] == [2, 1]
    assert [y for _, y, _ in drawn.dots] == [0, HEIGHT / 2, HEIGHT]


def test_a_band_of_one_step_has_a_width() -> None:
    (polygon,) = band(AXIS, {3: (0.2, 0.6)})
    xs = [float(point.partition(",")[0]) for point in polygon.split()]
    assert max(xs) - min(xs) == pytest.approx(AXIS.width, abs=0.02)


@pytest.mark.parametrize(
    ("ms", "share"), [(100, 0.0), (10, 0.0), (0, 0.0), (1_000, 0.5), (10_000, 1.0), (99_999, 1.0)]
)
def test_a_length_of_time_ten_times_longer_is_one_step_higher(ms: int, share: float) -> None:
    assert Scale(100, 10_000).share(ms) == pytest.approx(share)


@given(st.integers(min_value=0, max_value=10**12))
def test_the_upper_edge_is_round_and_not_below_the_number(number: int) -> None:
    top = nice(number)
    assert top >= max(number, 1)
    assert top <= max(2 * number, 1)
    assert int(str(top).rstrip("0")) in (1, 2, 3, 4, 6, 8)


@given(st.lists(st.integers(min_value=1, max_value=DELAY_BOUNDS_MS[-1]), min_size=1))
def test_a_percentile_is_in_the_bucket_of_the_true_one(delays: list[int]) -> None:
    buckets = Counter(map(delay_bucket, delays))
    true = sorted(delays)[(len(delays) - 1) // 2]
    told = percentile(buckets, 0.5, DELAY_BOUNDS_MS)
    assert told is not None
    below = max((bound for bound in DELAY_BOUNDS_MS if bound < int(delay_bucket(true))), default=0)
    assert below <= told <= int(delay_bucket(true))


def test_of_nothing_there_is_no_percentile() -> None:
    assert percentile({}, 0.5, DELAY_BOUNDS_MS) is None


def test_times_along_the_edge_are_hours_or_days() -> None:
    assert [label.words for label in hours(AXIS)] == ["00:00", "00:15", "00:30", "00:45", "01:00"]
    assert hours(Axis(AXIS.since_ms, 7_200_000, 84))[0].words == "23 Nov"
