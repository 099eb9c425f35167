"""A length of time as people read it."""

import pytest

from relay.event.gap import gap


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
