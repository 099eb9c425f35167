"""Two events of one id, side by side."""

from typing import Any

import pytest
from hypothesis import given

from relay.event.shadow import SHOWN_MAX, Difference, Lack, differences
from tests.event.test_server_wire import json_values

EVENT: dict[str, Any] = {
    "event_time": 1_763_859_600,
    "action_source": "website",
    "user_data": {"em": ["a", "b"], "fbp": "fb.1.1.1"},
    "custom_data": {"value": 49.9, "currency": "EUR"},
}


def changed(**members: Any) -> dict[str, Any]:
    return EVENT | members


def test_an_event_and_its_copy_do_not_differ() -> None:
    assert differences(EVENT, EVENT) == ()


@pytest.mark.parametrize(
    "theirs",
    [
        changed(event_time=1_763_859_660),
        changed(user_data={"em": ["b", "a"], "fbp": "fb.1.1.1"}),
        changed(custom_data={"value": "49.90", "currency": "eur"}),
        changed(custom_data={"value": 49.9, "currency": "EUR", "content_ids": []}),
        changed(referrer_url=None, opt_out=None),
    ],
)
def test_what_meta_reads_alike_does_not_differ(theirs: dict[str, Any]) -> None:
    assert differences(EVENT, theirs) == ()


@pytest.mark.parametrize(
    ("theirs", "path", "lack", "values"),
    [
        (changed(event_time=1_763_859_661), "event_time", Lack.DIFFERS, ("1763859600", "1763859661")),
        (
            changed(user_data={"em": ["a"], "fbp": "fb.1.1.1"}),
            "user_data.em",
            Lack.DIFFERS,
            ('["a","b"]', '["a"]'),
        ),
        (changed(custom_data={"currency": "EUR"}), "custom_data.value", Lack.OURS_ONLY, ("49.9", None)),
        (changed(opt_out=True), "opt_out", Lack.THEIRS_ONLY, (None, "true")),
        (changed(opt_out=False), "opt_out", Lack.THEIRS_ONLY, (None, "false")),
        (changed(custom_data=7), "custom_data", Lack.THEIRS_ONLY, (None, "7")),
    ],
)
def test_each_member_that_differs_is_named_with_both_values(
    theirs: dict[str, Any], path: str, lack: Lack, values: tuple[str | None, str | None]
) -> None:
    expected = Difference(path=path, lack=lack, ours=values[0], theirs=values[1])
    assert expected in differences(EVENT, theirs)


def test_long_values_are_cut() -> None:
    (difference,) = differences(EVENT, changed(event_source_url="x" * 500))
    assert difference.theirs == "x" * SHOWN_MAX + "…"


@given(json_values, json_values)
def test_no_two_events_make_it_raise(ours: object, theirs: object) -> None:
    found = differences({"custom_data": ours}, {"custom_data": theirs})
    assert bool(found) or not differences({"custom_data": theirs}, {"custom_data": ours})
