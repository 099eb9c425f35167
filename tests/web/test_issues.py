"""The console's issues: what looks wrong, in words, for people and for programs."""

from html import unescape

import pytest

from relay.event.issue import ISSUE_WORDS, IssueKind
from tests.event.malformed import SITE_KEY, good_event
from tests.web.lab import NOW_MS, Relay

pytestmark = pytest.mark.anyio

LEAK = good_event(event_id="leak", url="https://shop.example/thanks?email=jane@example.com")
SEEN = good_event()["pixel"] | {"seen": {"event_name": "<b>Order</b>", "event_id": "e-1"}}


async def test_issues_need_a_session(relay: Relay) -> None:
    assert (await relay.http.get("/api/issues")).status_code == 401
    assert (await relay.http.get("/issues", headers={"accept": "text/html"})).status_code in (303, 401)


async def test_nothing_wrong_is_said_in_words(relay: Relay) -> None:
    await relay.post()
    await relay.sign_in()
    assert (await relay.http.get("/api/issues")).json() == {"issues": []}
    assert "Nothing looks wrong" in (await relay.http.get("/issues")).text


async def test_an_issue_names_what_where_how_often_and_what_to_do(relay: Relay) -> None:
    await relay.post(LEAK)
    relay.clock.now_ms += 1_000
    await relay.post(LEAK | {"event_id": "leak-2"})
    await relay.sign_in()
    [issue] = (await relay.http.get("/api/issues")).json()["issues"]
    words = ISSUE_WORDS[IssueKind.PERSONAL_DATA]
    assert issue == {
        "kind": "personal_data",
        "severity": "medium",
        "title": words.title,
        "sentence": words.sentence,
        "fix": words.fix,
        "site": SITE_KEY,
        "event_name": "Purchase",
        "place": "url.query.email",
        "event_id": "leak-2",
        "first_ms": NOW_MS,
        "last_ms": NOW_MS + 1_000,
        "count": 2,
        "sample": "",
        "resolved_ms": None,
    }
    page = unescape((await relay.http.get("/issues")).text)
    assert all(text in page for text in (words.title, words.sentence, "url.query.email", "/receipts/leak-2"))


async def test_the_costly_ones_come_first(relay: Relay) -> None:
    await relay.post(good_event(pixel=SEEN))
    relay.clock.now_ms += 1_000
    await relay.post(LEAK)
    await relay.sign_in()
    listed = (await relay.http.get("/api/issues")).json()["issues"]
    assert [issue["kind"] for issue in listed] == ["renamed_event", "personal_data"]


async def test_names_of_pages_are_shown_as_text(relay: Relay) -> None:
    name = '<img src=x onerror="1">'
    await relay.post(
        good_event(event_name=name, event_id="<script>", url=LEAK["url"] + "&<i>=jane@example.com")
    )
    await relay.sign_in()
    page = (await relay.http.get("/issues")).text
    assert "&lt;img src=x onerror=" in page
    assert "&lt;i&gt;" in page
    assert not any(raw in page for raw in ("<img src=x", "<i>", "<script>"))


async def test_a_frozen_id_shows_after_three_visitors(relay: Relay) -> None:
    for number in range(3):
        await relay.post(good_event(fbp=f"fb.1.1763859600000.{number}"))
    await relay.sign_in()
    [issue] = (await relay.http.get("/api/issues")).json()["issues"]
    assert (issue["kind"], issue["severity"], issue["count"]) == ("shared_event_id", "high", 1)


async def test_a_thank_you_page_opened_the_next_day_is_one_order(relay: Relay) -> None:
    order = {"value": 49.9, "currency": "EUR", "order_id": "1001"}
    await relay.post(good_event(event_id="today", custom_data=order))
    relay.clock.now_ms += 3 * 86_400_000
    await relay.post(good_event(event_id="later", custom_data=order))
    await relay.sign_in()
    [issue] = (await relay.http.get("/api/issues")).json()["issues"]
    [receipt] = (await relay.http.get("/api/receipts/later")).json()["receipts"]
    assert issue["kind"] == "repeated_order"
    assert (receipt["fate"]["fate"], receipt["fate"]["reason"]) == ("filtered", "repeated_order")
    assert "event_id today" in receipt["fate"]["detail"]
