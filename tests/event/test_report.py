"""What a page's radar may tell, and what of it is kept."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import json

from relay.event.outcome import BodyReason
from relay.event.report import ROWS_MAX, Sighting, parse_report
from relay.event.wire import WireError
from tests.event.malformed import SITE_KEY


def body(*seen: object) -> bytes:
    return json.encode({"site": SITE_KEY, "seen": list(seen)})


def test_a_report_is_read_as_it_is_documented() -> None:
    report = parse_report(
        body(
            {"sender": "page", "count": 1},
            {"sender": "pixel", "pixel_id": "12", "event_name": "Purchase", "ids": "none", "count": 2},
        )
    )
    assert report.site_key == SITE_KEY
    assert report.seen == (
        Sighting(sender="page"),
        Sighting(sender="pixel", pixel="12", event_name="Purchase", ids="none", count=2),
    )


@pytest.mark.parametrize(
    "row",
    [
        {"sender": "a later relay's"},
        {"sender": "gtm", "event_name": "jane@example.com"},
        {"sender": "gtm", "event_name": "\x07"},
        {"sender": "gtm", "event_name": " "},
        {"sender": "pixel", "pixel_id": "not digits"},
        {"sender": "pixel", "pixel_id": "1" * 21},
    ],
)
def test_a_row_that_cannot_be_used_is_left_out_and_its_neighbours_stay(row: object) -> None:
    assert parse_report(body(row, {"sender": "gtm"})).seen == (Sighting(sender="gtm"),)


@pytest.mark.parametrize(
    "seen",
    [
        [],
        [{}],
        ["gtm"],
        [{"sender": 1}],
        [{"sender": "gtm", "count": 0}],
        [{"sender": "gtm", "count": 1001}],
        [{"sender": "gtm", "count": 1.5}],
        [{"sender": "gtm", "ids": "theirs"}],
        [{"sender": "gtm", "event_name": "n" * 51}],
        [{"sender": "gtm"}] * (ROWS_MAX + 1),
    ],
)
def test_a_report_of_another_shape_is_refused(seen: list[object]) -> None:
    with pytest.raises(WireError) as refused:
        parse_report(body(*seen))
    assert refused.value.reason is BodyReason.INVALID_REPORT


def test_a_report_that_is_no_json_is_refused_as_an_event_is() -> None:
    with pytest.raises(WireError) as refused:
        parse_report(b'{"site": "a", "site": "b", "seen": []}')
    assert refused.value.reason is BodyReason.BODY_NOT_JSON


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.text("ab\x00é"),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(("site", "seen", "sender")), inner),
)


@given(VALUES)
def test_no_body_breaks_the_reader(value: object) -> None:
    with pytest.raises(WireError):
        parse_report(json.encode(value))
