"""The console's issues: what looks wrong, in words, for people and for programs."""

from html import unescape
from pathlib import Path
from typing import Any

import pytest

from relay.event.issue import ISSUE_WORDS, IssueKind
from tests.event.malformed import SITE_KEY, good_event
from tests.web.lab import NOW_MS, Relay, lab_settings, open_relay

pytestmark = pytest.mark.anyio

LEAK = good_event(event_id="leak", url="https://shop.example/thanks?email=jane@example.com")
SEEN = good_event()["pixel"] | {"seen": {"ev": "<b>Order</b>", "eid": "e-1"}}


async def noted(relay: Relay) -> Any:
    """The issues that events have shown; the laboratory's pixels have no token, which is another one."""
    issues = (await relay.http.get("/api/issues")).json()["issues"]
    return [issue for issue in issues if issue["can_resolve"]]


async def test_issues_need_a_session(relay: Relay) -> None:
    assert (await relay.http.get("/api/issues")).status_code == 401
    assert (await relay.http.get("/issues", headers={"accept": "text/html"})).status_code in (303, 401)


async def test_nothing_wrong_is_said_in_words(relay: Relay) -> None:
    await relay.sign_in()
    assert await noted(relay) == []
    assert "Nothing looks wrong" in (await relay.http.get("/issues")).text
    await relay.post()
    assert await noted(relay) == []


async def test_an_issue_names_what_where_how_often_and_what_to_do(relay: Relay) -> None:
    await relay.post(LEAK)
    relay.clock.now_ms += 1_000
    await relay.post(LEAK | {"event_id": "leak-2"})
    await relay.sign_in()
    [issue] = await noted(relay)
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
        "id": issue["id"],
        "line": None,
        "is_open": True,
        "can_resolve": True,
    }
    page = unescape((await relay.http.get("/issues")).text)
    assert all(text in page for text in (words.title, words.sentence, "url.query.email", "/receipts/leak-2"))


async def test_the_costly_ones_come_first(relay: Relay) -> None:
    await relay.post(good_event(pixel=SEEN))
    relay.clock.now_ms += 1_000
    await relay.post(LEAK)
    await relay.sign_in()
    listed = await noted(relay)
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
    [issue] = await noted(relay)
    assert (issue["kind"], issue["severity"], issue["count"]) == ("shared_event_id", "high", 1)


async def test_a_thank_you_page_opened_the_next_day_is_one_order(relay: Relay) -> None:
    order = {"value": 49.9, "currency": "EUR", "order_id": "1001"}
    await relay.post(good_event(event_id="today", custom_data=order))
    relay.clock.now_ms += 3 * 86_400_000
    await relay.post(good_event(event_id="later", custom_data=order))
    await relay.sign_in()
    [issue] = await noted(relay)
    [receipt] = (await relay.http.get("/api/receipts/later")).json()["receipts"]
    assert issue["kind"] == "repeated_order"
    assert (receipt["fate"]["fate"], receipt["fate"]["reason"]) == ("filtered", "repeated_order")
    assert "event_id today" in receipt["fate"]["detail"]


async def test_a_resolved_issue_opens_again_when_it_is_seen_again(relay: Relay) -> None:
    await relay.post(LEAK)
    await relay.sign_in()
    [issue] = await noted(relay)
    relay.clock.now_ms += 1_000
    own = {"sec-fetch-site": "same-origin"}
    answer = await relay.http.post(f"/issues/{issue['id']}/resolve", headers=own)
    assert (answer.status_code, answer.headers["location"]) == (303, "/issues")
    [resolved] = await noted(relay)
    assert (resolved["is_open"], resolved["resolved_ms"]) == (False, NOW_MS + 1_000)
    assert "1 resolved" in (await relay.http.get("/issues")).text
    relay.clock.now_ms += 1_000
    await relay.post(LEAK | {"event_id": "leak-2"})
    [again] = await noted(relay)
    assert (again["id"], again["is_open"]) == (issue["id"], True)
    assert "and seen again" in (await relay.http.get("/issues")).text


@pytest.mark.parametrize(
    ("headers", "status"),
    [({}, 403), ({"sec-fetch-site": "cross-site"}, 403), ({"sec-fetch-site": "same-origin"}, 404)],
)
async def test_only_a_page_of_the_relay_resolves_and_only_what_there_is(
    relay: Relay, headers: dict[str, str], status: int
) -> None:
    await relay.sign_in()
    assert (await relay.http.post("/issues/0/resolve", headers=headers)).status_code == status


async def test_an_origin_that_is_not_listed_is_named_with_the_line_that_adds_it(relay: Relay) -> None:
    assert (await relay.post(origin="https://www.shop.example")).status_code == 403
    assert (await relay.post(origin='https://"]\nx = "')).status_code == 403
    await relay.sign_in()
    lines = {issue["place"]: issue["line"] for issue in await noted(relay)}
    assert (
        lines["https://www.shop.example"] == 'origins = ["https://shop.example", "https://www.shop.example"]'
    )
    assert [line for place, line in lines.items() if '"' in place] == [None]


async def test_refused_events_are_told_by_reason_and_a_visitor_s_choice_is_no_mistake(relay: Relay) -> None:
    await relay.post(good_event(custom_data={"value": 5}))
    await relay.post(good_event(consent="denied"), good_event(event_name="x" * 51))
    await relay.sign_in()
    told = {(issue["place"], issue["event_name"]) for issue in await noted(relay)}
    assert told == {("missing_currency", "Purchase"), ("event_name_too_long", "")}
    assert "custom_data.currency" in (await relay.http.get("/issues")).text
    kinds = {issue["kind"] for issue in (await relay.http.get("/api/issues")).json()["issues"]}
    assert "consent_denied" in kinds


async def test_customer_data_that_cannot_be_used_shows_its_shape_and_nothing_of_it(relay: Relay) -> None:
    await relay.post(good_event(user_data={"em": "Ada at shop.example", "db": "31.12.99"}))
    await relay.sign_in()
    samples = {issue["place"]: issue["sample"] for issue in await noted(relay)}
    assert samples == {
        "user_data.em": "xxx xx xxxx.xxxxxxx: not one email address",
        "user_data.db": "99.99.99: not a date with a four-digit year",
    }


async def test_pages_that_load_the_snippet_and_are_not_heard_of_are_silent(relay: Relay) -> None:
    await relay.sign_in()
    page = {"referer": "https://shop.example/"}

    async def is_silent() -> bool:
        kinds = {issue["kind"] for issue in (await relay.http.get("/api/issues")).json()["issues"]}
        return "snippet_silent" in kinds

    for _ in range(3):
        await relay.http.get("/c.js", headers=page)
        await relay.http.get("/c.js", headers={"referer": "https://stranger.example/"})
    assert not await is_silent(), "the page may still post"
    relay.clock.now_ms += 10_000
    assert await is_silent()
    assert "connect-src https://relay.shop.example" in (await relay.http.get("/issues")).text
    await relay.post()
    assert not await is_silent()


async def test_a_proxy_that_nobody_named_is_named_with_the_line_that_trusts_it(tmp_path: Path) -> None:
    async with open_relay(lab_settings(tmp_path), peer="10.1.2.3") as relay:
        await relay.post(good_event(), x_forwarded_for="203.0.113.9")
        await relay.sign_in()
        [issue] = await noted(relay)
        assert (issue["kind"], issue["line"]) == ("untrusted_proxy", 'trusted_proxies = ["10.1.2.3"]')


async def test_a_visitor_who_sends_such_a_header_is_no_proxy(relay: Relay) -> None:
    await relay.post(good_event(), x_forwarded_for="203.0.113.9")
    await relay.sign_in()
    assert await noted(relay) == []


async def test_a_visitor_s_clock_that_runs_ahead_is_told(relay: Relay) -> None:
    await relay.post(good_event(fbp=f"fb.1.{NOW_MS + 86_400_000}.1"))
    await relay.sign_in()
    [issue] = await noted(relay)
    assert (issue["kind"], issue["severity"]) == ("clock_ahead", "low")
