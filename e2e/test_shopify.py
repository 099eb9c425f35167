"""Shopify's custom pixel in a real sandboxed frame: `Origin: null`, the Pixel first, counted once."""

from collections.abc import Iterator
from html import escape
from pathlib import Path

import msgspec
import pytest
from playwright.sync_api import Page

from e2e.conftest import QUICK
from e2e.lab import POLL_MS, Lab, open_lab, wait_until
from relay.assets import find_assets
from relay.tag import shopify_pixel

EVENTS = {
    event["name"]: event
    for event in msgspec.json.decode(
        (Path(__file__).parent.parent / "tests" / "js" / "data" / "shopify" / "events.json").read_bytes()
    )
}
# What Shopify's own code offers a custom pixel, as documented; events come from the page around the frame.
SANDBOX = """
const subscribed = {}, jar = {};
const analytics = { subscribe: (name, then) => { subscribed[name] = then; } };
const api = { customerPrivacy: { subscribe() {} } };
const init = { customerPrivacy: { marketingAllowed: true, saleOfDataAllowed: true }, data: {} };
const browser = { cookie: { get: async (name) => jar[name] || '', set: async (text) => {
  const [, name, value] = /^([^=]+)=([^;]*)/.exec(text); jar[name] = value;
} } };
addEventListener('message', ({ data }) => subscribed[data.name]?.(data));
"""


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Lab]:
    with open_lab(tmp_path, delivery=QUICK, opaque_origins=True) as lab:
        yield lab


def publish(lab: Lab, page: Page, *, url: str | None = None) -> None:
    """A Purchase in a frame that has no origin, with the code that `counterfoil snippet --shopify` prints."""
    (site,) = lab.settings.site
    source = (find_assets("templates") / "shopify" / "custom-pixel.js").read_text()
    code = shopify_pixel(lab.relay_url, site, source).replace("https://www.facebook.com", lab.meta_url)
    frame = f"<script>{SANDBOX}</script><script>{code}</script>"
    page.goto(
        lab.page(
            "/checkout", f'<iframe sandbox="allow-scripts allow-forms" srcdoc="{escape(frame)}"></iframe>'
        )
    )
    event = msgspec.json.decode(msgspec.json.encode(EVENTS["checkout_completed"]))
    event["context"]["document"]["location"]["href"] = url or f"{lab.shop_url}/checkouts/done"
    page.frames[1].wait_for_function("!!subscribed.checkout_completed", polling=POLL_MS)
    page.evaluate("event => frames[0].postMessage(event, '*')", event)


def test_a_purchase_in_the_sandbox_counts_once(shop: Lab, page: Page) -> None:
    with page.expect_response("**/v1/events") as posted:
        publish(shop, page)
    assert posted.value.request.all_headers()["origin"] == "null"
    assert posted.value.status == 202
    assert "access-control-allow-credentials" not in posted.value.headers
    (server,) = shop.wait_for_server("Purchase")
    (browser,) = shop.half("browser", "Purchase")
    assert browser["event_id"] == server["event_id"] == EVENTS["checkout_completed"]["id"]
    assert browser["params"]["fbp"] == server["params"]["user_data"]["fbp"]
    assert set(shop.counted("Purchase").values()) == {1}


def test_a_site_that_has_not_asked_for_it_takes_nothing_from_such_a_frame(lab: Lab, page: Page) -> None:
    publish(lab, page)
    wait_until(lambda: lab.refused().get("origin_not_allowed"), "the relay's refusal")
    assert lab.meta()["server"] == []


def test_a_frame_of_another_sites_page_is_refused(shop: Lab, page: Page) -> None:
    publish(shop, page, url="https://evil.example/checkouts/done")
    wait_until(lambda: shop.refused().get("foreign_url"), "the relay's refusal")
    assert shop.meta()["server"] == []
