"""The Delivery page, and sending again what has ended without Meta."""

from html import unescape
from typing import Any

import pytest

from relay.event.outcome import Fate, FateReason
from tests.event.malformed import PIXEL_ID, SITE_KEY, good_event
from tests.store.samples import REVOKED, claim, end_all, event
from tests.web.lab import NOW_MS, Relay

pytestmark = pytest.mark.anyio

OWN = {"sec-fetch-site": "same-origin"}


async def read(console: Relay, query: str = "") -> Any:
    response = await console.http.get(f"/api/delivery{query}")
    assert (response.status_code, response.headers["cache-control"]) == (200, "no-store")
    return response.json()


async def page(console: Relay, path: str) -> str:
    response = await console.http.get(path, headers={"accept": "text/html"})
    assert response.status_code == 200
    return unescape(response.text)


def ours(event_id: str, **changes: Any) -> Any:
    return event(event_id, pixel=PIXEL_ID, site=SITE_KEY, **changes)


async def test_each_pixel_has_its_queue(console: Relay) -> None:
    await console.store.admit(
        [ours("due", not_before_ms=NOW_MS - 90_000), ours("held", not_before_ms=NOW_MS + 1)]
    )
    first, other = (await read(console))["queues"]
    assert (first["pixel"], first["waiting"], first["late_ms"], first["parked"]) == (
        PIXEL_ID,
        2,
        90_000,
        None,
    )
    assert (other["site"], other["waiting"], other["late_ms"]) == ("other-shop", 0, None)
    assert [queue["site"] for queue in (await read(console, "?site=other-shop"))["queues"]] == ["other-shop"]
    assert "1.5 min" in await page(console, "/delivery")


async def test_a_pixel_that_is_configured_no_more_is_still_shown_while_events_wait(console: Relay) -> None:
    await console.store.admit([event(pixel="777")])
    assert (await read(console))["queues"][-1] == {
        "site": None,
        "pixel": "777",
        "waiting": 1,
        "tried": 0,
        "late_ms": 0,
        "parked": None,
    }


async def test_a_parked_pixel_and_the_call_that_parked_it_are_told_in_meta_s_words(console: Relay) -> None:
    await console.store.admit([ours("e1")])
    lease = await claim(console.store)
    attempt = await console.store.begin_attempt(lease, [lease.events[0].key], NOW_MS)
    await console.store.park(lease, now_ms=NOW_MS, attempt=(attempt, REVOKED))
    view = await read(console)
    assert view["queues"][0]["parked"]["code"] == 190
    assert (view["calls"], view["latest"][0]["attempt"]["message"]) == ({"park": 1}, "Token expired.")
    html = await page(console, "/delivery")
    assert f"Pixel {PIXEL_ID} is parked" in html
    assert "1</b> token or permission refused" in html


async def test_what_ended_without_meta_is_counted_and_sent_again_by_a_button(console: Relay) -> None:
    await console.store.admit([ours("e1"), ours("e2")])
    await end_all(console.store, Fate.REJECTED, FateReason.REJECTED_BY_META)
    assert [(each["fate"], each["events"]) for each in (await read(console))["dead"]] == [("rejected", 2)]
    assert 'action="/replay?range=24h&fate=rejected"' in await page(console, "/delivery")
    answer = await console.http.post("/replay?range=24h&fate=rejected", headers=OWN)
    assert (answer.status_code, answer.headers["location"]) == (303, "/delivery")
    assert (await console.store.totals()).waiting == 2


async def test_a_replay_takes_what_ended_in_the_period_only(console: Relay) -> None:
    await console.store.admit([ours("old")])
    await end_all(console.store, Fate.EXPIRED, FateReason.TOO_OLD)
    console.clock.now_ms = NOW_MS + 3 * 3_600_000
    await console.http.post("/replay?range=1h&fate=expired", headers=OWN)
    assert (await console.store.totals()).waiting == 0
    await console.http.post("/replay?range=24h&fate=expired", headers=OWN)
    assert (await console.store.totals()).waiting == 1


async def test_a_receipt_has_a_button_that_sends_it_again(console: Relay) -> None:
    await console.store.admit([ours("a/b&c")])
    await end_all(console.store, Fate.REJECTED, FateReason.REJECTED_BY_META)
    html = await page(console, "/receipts/a%2Fb%26c")
    assert 'action="/replay?event_id=a/b%26c"' in html
    answer = await console.http.post("/replay", params={"event_id": "a/b&c"}, headers=OWN)
    assert (answer.status_code, answer.headers["location"]) == (303, "/receipts/a%2Fb%26c")
    (receipt,) = await console.store.find("a/b&c")
    assert receipt.fate is None
    assert "Send it again" not in await page(console, "/receipts/a%2Fb%26c")


async def test_what_meta_has_cannot_be_sent_again(console: Relay) -> None:
    await console.store.admit([ours("e1")])
    await end_all(console.store)
    assert "Send it again" not in await page(console, "/receipts/e1")
    await console.http.post("/replay?event_id=e1", headers=OWN)
    assert (await console.store.totals()).waiting == 0


@pytest.mark.parametrize(
    ("query", "headers", "status"),
    [
        ("event_id=e1", {}, 403),
        ("event_id=e1", {"sec-fetch-site": "cross-site"}, 403),
        ("", OWN, 400),
        ("fate=delivered", OWN, 400),
        ("fate=rejected&range=9y", OWN, 400),
    ],
)
async def test_a_replay_that_is_not_meant_is_refused(
    console: Relay, query: str, headers: dict[str, str], status: int
) -> None:
    assert (await console.http.post(f"/replay?{query}", headers=headers)).status_code == status


async def test_a_receipt_has_what_meta_s_support_asks_for_and_no_personal_data(console: Relay) -> None:
    await console.store.admit([ours("e1", user_data={"em": ["a" * 64], "fbp": "fb.1.2.3"})])
    await end_all(console.store)
    (receipt,) = (await console.http.get("/api/receipts/e1")).json()["receipts"]
    assert receipt["support"].splitlines() == [
        f"pixel: {PIXEL_ID}",
        "event_name: Purchase",
        "event_id: e1",
        "event_time: 2025-11-23T00:59:59.500Z",
        "browser event: sent",
        "browser event settled: 2025-11-23T00:59:59.900Z",
        "server event sent: 2025-11-23T01:00:00.000Z",
        "server event answered: 2025-11-23T01:00:00.000Z",
        "fbtrace_id: AbC",
    ]
    assert receipt["keys"] == ["em", "fbp", "client_ip_address", "client_user_agent"]


async def test_a_purchase_is_found_by_its_order_id(relay: Relay) -> None:
    order = {"value": 49.9, "currency": "EUR", "order_id": "ORDER 7/8"}
    await relay.post(good_event(event_id="bought", custom_data=order))
    await relay.sign_in()
    found = await relay.http.get("/receipts", params={"event_id": " ORDER 7/8 "})
    assert (found.status_code, found.headers["location"]) == (303, "/receipts/bought")
    direct = await relay.http.get("/receipts", params={"event_id": "bought"})
    assert direct.headers["location"] == "/receipts/bought"


@pytest.mark.parametrize("path", ["/delivery", "/api/delivery"])
async def test_nobody_reads_it_without_a_session(relay: Relay, path: str) -> None:
    assert (await relay.http.get(path)).status_code == 401
