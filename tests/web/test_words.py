"""Numbers as people read them."""

import pytest

from relay.web.words import clock, day, gap, iso


@pytest.mark.parametrize(
    ("ms", "text"),
    [
        (0, "0 ms"),
        (999, "999 ms"),
        (1_000, "1.0 s"),
        (59_999, "60.0 s"),
        (60_000, "1.0 min"),
        (3_600_000, "1.0 h"),
        (86_400_000, "1.0 d"),
        (-412, "-412 ms"),
        (-1_200, "-1.2 s"),
    ],
)
def test_a_length_of_time_is_told_in_the_largest_unit_that_fits(ms: int, text: str) -> None:
    assert gap(ms) == text


def test_a_moment_is_told_in_utc_to_the_millisecond() -> None:
    at_ms = 1_763_859_600_007
    assert (day(at_ms), clock(at_ms), iso(at_ms)) == (
        "2025-11-23",
        "01:00:00.007",
        "2025-11-23T01:00:00.007Z",
    )
