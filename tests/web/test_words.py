"""Numbers as people read them."""

import pytest

from relay.web.words import clock, code, day, iso


def test_a_moment_is_told_in_utc_to_the_millisecond() -> None:
    at_ms = 1_763_859_600_007
    assert (day(at_ms), clock(at_ms), iso(at_ms)) == (
        "2025-11-23",
        "01:00:00.007",
        "2025-11-23T01:00:00.007Z",
    )


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("plain", "plain"),
        ("run `counterfoil doctor` now", "run <code>counterfoil doctor</code> now"),
        ("`<b>` & `a`", "<code>&lt;b&gt;</code> &amp; <code>a</code>"),
        ("one ` too many <b>", "one ` too many &lt;b&gt;"),
        ("", ""),
    ],
)
def test_what_stands_between_backticks_is_code_and_all_of_it_is_escaped(text: str, html: str) -> None:
    assert str(code(text)) == html
