"""Numbers as people read them."""

from relay.web.words import clock, day, iso


def test_a_moment_is_told_in_utc_to_the_millisecond() -> None:
    at_ms = 1_763_859_600_007
    assert (day(at_ms), clock(at_ms), iso(at_ms)) == (
        "2025-11-23",
        "01:00:00.007",
        "2025-11-23T01:00:00.007Z",
    )
