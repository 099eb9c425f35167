"""Segment's and RudderStack's browser SDKs, unmodified, in Chromium: alone, and beside the Pixel, browser first."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pytest
from playwright.sync_api import Page

from e2e.lab import PIXEL, POLL_MS, SITE, Json, Lab, open_lab, wait_until
from e2e.lossy import LosesAnswers
from relay.settings import Delivery, EventMapping

MODULES: Final = Path(__file__).parent.parent / "node_modules"
SEGMENT: Final = MODULES / "@segment/analytics-next/dist/umd/standalone.js"
RUDDER: Final = MODULES / "@rudderstack/analytics-js/dist/npm/modern/bundled/esm/index.mjs"
SCRIPT: Final = {"content-type": "text/javascript"}
ORDER: Final = {
    "revenue": 25,
    "currency": "EUR",
    "products": [{"product_id": "p-1", "price": 12.5, "quantity": 2}],
}
# As Segment's own snippet: a queue whose entries are calls, and where the SDK is to ask.
STUB: Final = (
    "<script>window.analytics=[];for(const name of ['track','page','identify','group','addSourceMiddleware','on'])"
    "analytics[name]=(...words)=>analytics.push([name,...words]);"
    "analytics._writeKey='{key}';analytics._cdn='{cdn}'</script>"
)

# The two recipes of docs/segment.md.
SEGMENT_JOINED: Final = (
    "<script>analytics.addSourceMiddleware(({payload, next}) => "
    "{ counterfoil('segment', payload.obj); next(payload); })</script>"
)
RUDDER_JOINED: Final = (
    "for (const call of ['track', 'page']) { const original = rudderanalytics[call].bind(rudderanalytics);"
    "rudderanalytics[call] = (...words) => original(...words, (event) => counterfoil('segment', event)); }"
)

Install = Callable[..., str]


def segment_sdk(lab: Lab, *, joined: bool = False) -> str:
    lab.shop.pages["/ajs.js"], lab.shop.headers["/ajs.js"] = SEGMENT.read_text(), SCRIPT
    stub = STUB.replace("{key}", SITE).replace("{cdn}", lab.relay_url) + (SEGMENT_JOINED if joined else "")
    return f"{stub}<script>analytics.page()</script><script async src=/ajs.js></script>"


def rudder_sdk(lab: Lab, *, joined: bool = False) -> str:
    lab.shop.pages["/rudder.mjs"], lab.shop.headers["/rudder.mjs"] = RUDDER.read_text(), SCRIPT
    url = lab.relay_url
    return (
        "<script type=module>import {RudderAnalytics} from '/rudder.mjs';"
        f"window.analytics=window.rudderanalytics=new RudderAnalytics();{RUDDER_JOINED if joined else ''}"
        f"rudderanalytics.load('{SITE}','{url}',{{configUrl:'{url}'}});rudderanalytics.page()</script>"
    )


SDKS: Final = pytest.mark.parametrize("install", [segment_sdk, rudder_sdk])


def track(page: Page, event: str, properties: Json) -> None:
    page.evaluate(f"analytics.track({json.dumps(event)}, {json.dumps(properties)})")


def is_retry(headers: dict[str, str]) -> bool:
    return any(name == "x-retry-count" or name.startswith("rsa-retry-") for name in headers)


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[Lab]:
    """No browser half is waited for."""
    with open_lab(tmp_path, delivery=Delivery(hold_awaited_seconds=0)) as opened:
        yield opened


@pytest.fixture
def paired(tmp_path: Path) -> Iterator[Lab]:
    """The hold is longer than the test: what is sent was paired."""
    mapping = EventMapping(events={"Signed Up": "CompleteRegistration"})
    with open_lab(tmp_path, delivery=Delivery(hold_awaited_seconds=300), mapping=mapping) as opened:
        yield opened


@SDKS
def test_a_page_without_the_pixel_delivers_every_event_once_even_if_an_answer_is_lost(
    alone: Lab, page: Page, install: Install
) -> None:
    door = LosesAnswers(alone.gate.app)
    alone.gate.app = door
    door.to_lose = 1
    page.goto(alone.page("/p", head=install(alone)))
    page.wait_for_function("window.analytics && !Array.isArray(window.analytics)", polling=POLL_MS)
    page.evaluate("analytics.identify('u-1', {email: 'ada@shop.example'})")
    track(page, "Order Completed", ORDER)
    (purchase,) = alone.wait_for_server("Purchase")
    (view,) = alone.wait_for_server("PageView")
    assert door.to_lose == 0
    assert purchase["params"]["custom_data"]["content_ids"] == ["p-1"]
    assert purchase["ip"] == "127.0.0.1"  # the connection's, which the laboratory lets count
    assert len(purchase["external_id"]) == 1
    assert purchase["event_id"] != view["event_id"]
    wait_until(lambda: any(map(is_retry, door.posts)), "the lost one comes again")
    wait_until(lambda: door.answered == len(door.posts), "it is answered")
    assert alone.meta()["browser"] == []
    assert {event["event_name"] for event in alone.meta()["server"]} == {"Purchase", "PageView"}
    assert len(alone.half("server", "Purchase")) == len(alone.half("server", "PageView")) == 1


@SDKS
def test_beside_the_pixel_the_browsers_event_comes_first_under_the_same_id(
    paired: Lab, page: Page, install: Install
) -> None:
    head = f"{paired.base_code(page_view=False)}{paired.snippet()}{install(paired, joined=True)}"
    page.goto(paired.page("/p", head=head))
    page.wait_for_function(
        "window.fbq.callMethod && window.analytics && !Array.isArray(window.analytics)", polling=POLL_MS
    )
    track(page, "Order Completed", ORDER)
    track(page, "Signed Up", {"plan": "pro"})
    track(page, "Plan Chosen", {"plan": "pro"})
    for name in ("Purchase", "CompleteRegistration", "Plan Chosen", "PageView"):
        (server,) = paired.wait_for_server(name)
        (browser,) = paired.half("browser", name)
        assert browser["event_id"] == server["event_id"]
        assert browser["received_ms"] <= server["received_ms"]
        assert set(paired.counted(name).values()) == {1}
    (purchase,) = paired.half("browser", "Purchase")
    assert (purchase["value"], purchase["currency"]) == ("25", "EUR")
    receipt = paired.receipt(purchase["event_id"])["receipts"][0]
    assert receipt["browser"]["state"] == "sent"
    assert {event["event_name"] for half in ("browser", "server") for event in paired.meta()[half]} == {
        "Purchase",
        "CompleteRegistration",
        "Plan Chosen",
        "PageView",
    }


def test_what_the_relay_refuses_goes_on_neither_half(paired: Lab, page: Page) -> None:
    head = f"{paired.base_code(page_view=False)}{paired.snippet()}{segment_sdk(paired, joined=True)}"
    page.goto(paired.page("/p", head=head))
    page.wait_for_function("window.fbq.callMethod && !Array.isArray(window.analytics)", polling=POLL_MS)
    track(page, "Order Completed", {"products": []})
    track(page, "Products Searched", {"query": "hat"})
    paired.wait_for_server("Search")
    assert {event["event_name"] for half in ("browser", "server") for event in paired.meta()[half]} <= {
        "Search",
        "PageView",
    }
    assert paired.refused() == {"missing_value": 1}


def test_segments_own_pixel_destination_is_adopted_by_the_message_s_id(paired: Lab, page: Page) -> None:
    """As that destination calls it (device mode). The destination itself comes from Segment's CDN, with a workspace."""
    device_mode = (
        "<script>analytics.addSourceMiddleware(({payload, next}) => { const {type, messageId} = payload.obj;"
        f"if (type === 'track') fbq('trackSingle', '{PIXEL}', 'Purchase', {{value: 25, currency: 'EUR'}}, "
        "{eventID: messageId}); next(payload); })</script>"
    )
    sdk = segment_sdk(paired).replace("<script>analytics.page()</script>", device_mode)
    page.goto(paired.page("/p", head=f"{paired.base_code(page_view=False)}{paired.snippet()}{sdk}"))
    page.wait_for_function("window.fbq.callMethod && !Array.isArray(window.analytics)", polling=POLL_MS)
    track(page, "Order Completed", ORDER)
    (server,) = paired.wait_for_server("Purchase")
    (browser,) = paired.half("browser", "Purchase")
    assert browser["event_id"] == server["event_id"]
    assert browser["received_ms"] <= server["received_ms"]
    assert server["event_id"].startswith("ajs-next-")
    assert set(paired.counted("Purchase").values()) == {1}
