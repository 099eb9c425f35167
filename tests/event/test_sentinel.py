"""What one event or two posts of it tell about the pages they come from."""

from typing import Any

import msgspec
import pytest

from relay.event.issue import ISSUE_WORDS, Finding, IssueKind
from relay.event.outcome import FateReason
from relay.event.records import BrowserEvent
from relay.event.sentinel import (
    MARK_BYTES,
    MARKS_MAX,
    RELOADED_MS,
    add_mark,
    fate_findings,
    half_findings,
    personal_findings,
    repeat_findings,
    visitor_mark,
)
from relay.event.wire import parse_event
from tests.event.malformed import PIXEL_ID, good_event
from tests.store.samples import event as outbox_event

TIME_MS = outbox_event().event_time_ms
A, B, C, D = (bytes([n]) * MARK_BYTES for n in range(4))


def kinds(seen: dict[str, Any] | None = None) -> list[IssueKind]:
    pixel = good_event()["pixel"] | {
        "seen": {"ev": "Purchase", "eid": "e-1", "cd[value]": "49.90"} | (seen or {})
    }
    event = parse_event(good_event(pixel=pixel), pixel_ids=[PIXEL_ID])
    assert isinstance(event, BrowserEvent), event
    return [finding.kind for finding in half_findings(event)]


def repeats(*, marks: bytes = A, at_ms: int = TIME_MS, body: Any = None, **changes: Any) -> list[IssueKind]:
    stored = msgspec.json.encode(
        {"custom_data": {"value": 49.9, "currency": "EUR"}} if body is None else body
    )
    again = outbox_event(**({"visitor": A, "server_event": stored} | changes))
    found = repeat_findings(again, marks=marks, event_time_ms=at_ms, server_event=stored)
    return [finding.kind for finding in found]


def server_event(**custom_data: Any) -> bytes:
    return msgspec.json.encode({"custom_data": custom_data})


def test_equal_halves_show_nothing() -> None:
    assert kinds() == []


def test_an_event_whose_pixel_was_not_read_shows_nothing() -> None:
    event = parse_event(good_event(), pixel_ids=[PIXEL_ID])
    assert isinstance(event, BrowserEvent)
    assert list(half_findings(event)) == []


@pytest.mark.parametrize(
    ("seen", "kind"),
    [
        ({"eid": None}, IssueKind.MISSING_EVENT_ID),
        ({"eid": "e-2"}, IssueKind.DIFFERENT_EVENT_ID),
        ({"ev": "Order"}, IssueKind.RENAMED_EVENT),
        ({"cd[value]": "50"}, IssueKind.DIFFERENT_VALUE),
        ({"cd[value]": "49,90"}, IssueKind.DIFFERENT_VALUE),
    ],
)
def test_a_half_that_differs_is_named(seen: dict[str, Any], kind: IssueKind) -> None:
    assert kinds(seen) == [kind]


def test_what_could_not_be_read_is_no_difference() -> None:
    assert kinds({"ev": None, "cd[value]": None}) == []


def test_the_same_visitors_same_post_shows_nothing() -> None:
    assert repeats() == []


def test_a_second_visitor_may_be_the_first_with_new_cookies() -> None:
    assert repeats(visitor=B) == []


def test_a_third_visitor_of_one_id_is_a_frozen_id() -> None:
    assert repeats(marks=A + B, visitor=C) == [IssueKind.SHARED_EVENT_ID]


def test_a_known_visitor_of_a_shared_id_is_not_counted_again() -> None:
    assert repeats(marks=A + B + C, visitor=B) == []


def test_another_visitors_value_and_time_are_not_compared() -> None:
    assert repeats(visitor=B, server_event=server_event(value=1), at_ms=TIME_MS - 2 * RELOADED_MS) == []


@pytest.mark.parametrize("late_ms", [RELOADED_MS, -RELOADED_MS])
def test_a_retry_is_no_reload(late_ms: int) -> None:
    assert repeats(at_ms=TIME_MS - late_ms) == []


def test_the_same_event_an_hour_later_is_a_reload() -> None:
    assert repeats(at_ms=TIME_MS - RELOADED_MS - 1) == [IssueKind.RELOADED_PAGE]


@pytest.mark.parametrize(
    "custom_data", [{"value": 50, "currency": "EUR"}, {"value": 49.9, "currency": "USD"}, {}]
)
def test_another_value_under_the_same_id_is_noticed(custom_data: dict[str, Any]) -> None:
    assert repeats(server_event=server_event(**custom_data)) == [IssueKind.VALUE_CHANGED]


def test_an_event_without_money_compares_with_itself() -> None:
    assert repeats(body={"event_name": "Lead"}) == []


def test_a_damaged_row_is_not_compared() -> None:
    again = outbox_event(visitor=A)
    assert list(repeat_findings(again, marks=A, event_time_ms=TIME_MS, server_event=b'{"custom_\xff')) == []


def test_visitors_are_remembered_once_each_and_not_without_bound() -> None:
    marks = b""
    for mark in (A, A, B, C, D, b"5" * MARK_BYTES, None):
        marks = add_mark(marks, mark)
    assert marks == A + B + C + D
    assert len(marks) == MARKS_MAX * MARK_BYTES


def test_a_visitor_is_told_by_the_browsers_id_before_the_address() -> None:
    def mark(fbp: str | None, address: str, key: str = "k") -> bytes | None:
        return visitor_mark(key, fbp=fbp, address=address, user_agent="UA")

    assert mark("fb.1", "192.0.2.1") == mark("fb.1", "192.0.2.2") != mark("fb.2", "192.0.2.1")
    assert mark(None, "192.0.2.1") != mark(None, "192.0.2.2")
    assert mark("fb.1", "192.0.2.1", "k") != mark("fb.1", "192.0.2.1", "l")
    assert mark("fb.1", "192.0.2.1", "") is None


def test_fates_and_removed_data_become_findings() -> None:
    assert list(personal_findings(["url.query.em"])) == [
        Finding(kind=IssueKind.PERSONAL_DATA, place="url.query.em")
    ]
    assert fate_findings(FateReason.ALTERED) == (Finding(kind=IssueKind.ALTERED),)
    assert fate_findings(FateReason.BOT) == fate_findings(None) == ()


@pytest.mark.parametrize("kind", list(IssueKind))
def test_every_kind_has_its_words(kind: IssueKind) -> None:
    words = ISSUE_WORDS[kind]
    assert all((words.title, words.sentence.endswith("."), words.fix))
