"""The console's pages and their JSON: lists, filters, receipts, and no way in for an event's texts."""

from collections.abc import Sequence
from html.parser import HTMLParser
from typing import Any
from urllib.parse import quote

import msgspec
import pytest

from relay.event.outcome import AttemptOutcome, Fate, FateReason
from relay.event.records import OutboxEvent, PixelSeen
from relay.store.protocol import AttemptResult
from tests.store.samples import NOW_MS, claim, end_all, event, leg
from tests.web.lab import Relay
from tests.web.payloads import PAYLOADS

pytestmark = pytest.mark.anyio


async def page(console: Relay, path: str) -> str:
    response = await console.http.get(path, headers={"accept": "text/html"})
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    assert response.headers["cache-control"] == "no-store"
    return response.text


async def listed(console: Relay, query: str = "") -> list[str]:
    response = await console.http.get(f"/api/receipts?{query}")
    assert response.status_code == 200, response.text
    return [row["event_id"] for row in response.json()["receipts"]]


async def admit(console: Relay, *events: OutboxEvent) -> None:
    await console.store.admit(events)


async def test_an_empty_console_says_what_to_do(console: Relay) -> None:
    assert "counterfoil snippet" in await page(console, "/receipts")


async def test_the_list_shows_state_and_fate_in_words(console: Relay) -> None:
    await admit(console, event("e1"))
    await end_all(console.store)
    await admit(console, event("e2", not_before_ms=NOW_MS + 9_000))
    html = await page(console, "/receipts")
    for word in ("e1", "e2", "sent", "delivered", "held", "<b>1</b> waiting", "<b>1</b> delivered"):
        assert word in html


async def test_the_list_is_newest_first_and_goes_on_with_a_cursor(console: Relay) -> None:
    await admit(console, *(event(f"e{number}") for number in range(7)))
    first = (await console.http.get("/api/receipts?limit=3")).json()
    assert [row["event_id"] for row in first["receipts"]] == ["e6", "e5", "e4"]
    assert await listed(console, f"limit=3&before={first['next_before']}") == ["e3", "e2", "e1"]
    last = (await console.http.get("/api/receipts?limit=7")).json()
    assert (len(last["receipts"]), last["next_before"]) == (7, None)


async def test_the_page_links_to_older_rows_with_its_filters_kept(console: Relay) -> None:
    await admit(console, *(event(f"e{number}", event_name="A&B") for number in range(3)))
    html = await page(console, "/receipts?limit=2&event_name=A%26B")
    assert 'href="/receipts?limit=2&amp;event_name=A%26B&amp;before=' in html
    assert "e0" not in html


async def test_filters_narrow_the_list(console: Relay) -> None:
    await admit(console, event("sent"))
    await end_all(console.store)
    await admit(console, event("waits", event_name="Lead"), event("elsewhere", site="other-shop"))
    assert await listed(console, "site=other-shop") == ["elsewhere"]
    assert await listed(console, "event_name=Lead") == ["waits"]
    assert await listed(console, "fate=delivered") == ["sent"]
    assert await listed(console, "fate=waiting") == ["elsewhere", "waits"]
    assert await listed(console, "fate=&site=&event_name=&before=&limit=") == ["elsewhere", "waits", "sent"]
    assert "No event passes these filters" in await page(console, "/receipts?fate=expired")


@pytest.mark.parametrize(
    "query", ["fate=lost", "before=x", "before=-1", "before=" + "9" * 30, "limit=1.5", "limit=٣"]
)
@pytest.mark.parametrize("path", ["/receipts", "/api/receipts"])
async def test_a_filter_that_makes_no_sense_is_a_400(console: Relay, path: str, query: str) -> None:
    response = await console.http.get(f"{path}?{query}")
    assert (response.status_code, response.json()["error"]["reason"]) == (400, "bad_request")


@pytest.mark.parametrize("text", ["%00", "%ff%fe", "%ed%a0%80", "' OR 1=1 --", "%F0%9F%98%80", "a" * 5_000])
async def test_odd_texts_in_a_filter_find_nothing(console: Relay, text: str) -> None:
    assert await listed(console, f"event_name={text}") == []
    assert await listed(console, f"site={text}") == []
    assert (await console.http.get(f"/api/receipts/{text}")).status_code == 404


async def test_the_search_opens_the_receipt(console: Relay) -> None:
    response = await console.http.get("/receipts", params={"event_id": " a/b?c#d "})
    assert (response.status_code, response.headers["location"]) == (303, "/receipts/a%2Fb%3Fc%23d")


@pytest.mark.parametrize(
    "event_id", ["e1", "a/b", "/", "a//b", "a?b=c", "a#b", "%41", "ä ö", "😀", "'\";<>", "+"]
)
async def test_any_event_id_has_an_address(console: Relay, event_id: str) -> None:
    await admit(console, event(event_id))
    path = f"/receipts/{quote(event_id, safe='')}"
    assert f'href="{path}"' in await page(console, "/receipts")
    await page(console, path)
    assert (await console.http.get(f"/api{path}")).json()["event_id"] == event_id


async def test_an_unknown_event_id_is_a_404_with_a_reason(console: Relay) -> None:
    response = await console.http.get("/api/receipts/nothing")
    assert (response.status_code, response.json()["error"]["reason"]) == (404, "unknown_event_id")
    shown = await console.http.get("/receipts/nothing", headers={"accept": "text/html"})
    assert (shown.status_code, "No receipt has this event_id" in shown.text) == (404, True)


async def test_a_receipt_shows_both_halves_the_verdicts_and_graph_s_answer(console: Relay) -> None:
    await admit(console, event())
    await end_all(console.store)
    html = await page(console, "/receipts/e1")
    for text in (
        "Browser half",
        "Server half",
        "segment-strict",
        "fbp-external-id",
        "AbC",
        "2001:db8::7",
        "49.9",
    ):
        assert text in html
    assert "data-live" not in html, "all has ended: nothing to refresh"


async def test_a_receipt_that_still_waits_is_kept_fresh(console: Relay) -> None:
    await admit(console, event())
    html = await page(console, "/receipts/e1")
    assert "data-live" in html
    assert "not yet" in html


async def test_an_event_id_of_two_pixels_has_two_receipts(console: Relay) -> None:
    await admit(console, event(), event(pixel="222"))
    receipts = (await console.http.get("/api/receipts/e1")).json()["receipts"]
    assert {each["pixel"] for each in receipts} == {"111", "222"}
    html = await page(console, "/receipts/e1")
    assert html.count("<article") == 2


async def test_a_rejected_event_shows_meta_s_own_words(console: Relay) -> None:
    await admit(console, event())
    await end_all(console.store, Fate.REJECTED, FateReason.REJECTED_BY_META)
    assert "Meta refused the event for good" in await page(console, "/receipts/e1")


async def test_a_parked_pixel_is_told_on_the_list_and_on_the_receipt(console: Relay) -> None:
    await admit(console, event())
    lease = await claim(console.store)
    attempt = await console.store.begin_attempt(lease, [lease.events[0].key], NOW_MS)
    result = AttemptResult(outcome=AttemptOutcome.PARK, http_status=401, code=190, message="Token expired.")
    await console.store.park(lease, now_ms=NOW_MS, attempt=(attempt, result))
    for path in ("/receipts", "/receipts/e1"):
        html = await page(console, path)
        assert "is parked" in html
        assert "Token expired." in html


async def test_a_pruned_receipt_says_that_the_address_is_gone(console: Relay) -> None:
    await admit(console, event())
    await end_all(console.store)
    await console.store.prune(now_ms=NOW_MS + 10, retention_ms=10**9, address_ms=1)
    html = await page(console, "/receipts/e1")
    assert "Not kept any more" in html
    assert "2001:db8::7" not in html


async def test_what_a_twin_saw_is_shown(console: Relay, monkeypatch: pytest.MonkeyPatch) -> None:
    await admit(console, event())
    seen = {
        "pixel": "111",
        "event_name": "Purchase",
        "event_id": "e1",
        "received_ms": NOW_MS,
        "ip": "192.0.2.77",
    }
    state = {"browser": [seen], "server": [], "counted": {"event-id": {"Purchase": 1}}}

    async def arrivals(event_id: str) -> dict[str, Any] | None:
        return state if event_id == "e1" else None

    monkeypatch.setattr(console.app.state.graph, "twin_arrivals", arrivals)
    html = await page(console, "/receipts/e1")
    assert "What the twin saw" in html
    assert "192.0.2.77" in html
    assert (await console.http.get("/api/receipts/e1")).json()["twin_counted"] == state["counted"]


class Tags(HTMLParser):
    """Every tag and attribute name of a page, as a browser would find them."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, tuple[str, ...]]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: Sequence[tuple[str, str | None]]) -> None:
        self.found.append((tag, tuple(sorted(name for name, _ in attrs))))


@pytest.mark.parametrize("payload", PAYLOADS)
async def test_an_event_s_texts_never_become_markup(console: Relay, payload: str) -> None:
    plain = await pages_with(console, "plain")
    hostile = await pages_with(console, payload)
    assert [set(Tags(html).found) for html in hostile] == [set(Tags(html).found) for html in plain]
    assert all(payload not in html for html in hostile if "<" in payload)


async def pages_with(console: Relay, text: str) -> list[str]:
    """Both pages with the text in every place that a browser or Meta can fill."""
    seen = PixelSeen(event_name=text, event_id=text, fbp=text, fbc=text, value=text, currency=text)
    server_event = {
        "event_name": text,
        "custom_data": {"value": text, text: text},
        "user_data": {"fbp": text, "fbc": text},
    }
    hostile = event(
        text,
        event_name=text,
        site=text,
        pixel=text,
        leg=msgspec.structs.replace(leg(), seen=seen, evidence=text),
        server_event=msgspec.json.encode(server_event),
        client_ip_address=text,
        client_user_agent=text,
        why={text: text, "nested": {text: text}},
    )
    await admit(console, hostile)
    lease = await claim(console.store)
    attempt = await console.store.begin_attempt(lease, [hostile.key], NOW_MS)
    result = AttemptResult(outcome=AttemptOutcome.PARK, code=190, message=text, fbtrace_id=text)
    await console.store.park(lease, now_ms=NOW_MS, attempt=(attempt, result))
    return [await page(console, f"/receipts/{quote(text, safe='')}"), await page(console, "/receipts")]
