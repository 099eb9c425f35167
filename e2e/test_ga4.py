"""GA4 pushes of a page become Meta events in a real browser: both halves from one mapper."""

import json

from playwright.sync_api import Page

from e2e.lab import POLL_MS, Json, Lab

GTAG = "<script>window.dataLayer=[];function gtag(){dataLayer.push(arguments)}</script>"
ITEMS = "[{item_id:'SKU-1',item_name:'Shirt',price:10,quantity:2}]"
PURCHASE = f"{{transaction_id:'T-1',value:24.9,currency:'EUR',items:{ITEMS}}}"


def open_shop(
    lab: Lab, page: Page, *, early: str = "", path: str = "/", attributes: str = "data-ga4"
) -> None:
    head = f"{GTAG}{lab.base_code(page_view=False)}<script>{early}</script>{lab.snippet(attributes)}"
    page.goto(lab.page(path, head=head))
    page.wait_for_function(
        "window.counterfoil && !window.counterfoil.q && !!window.fbq.callMethod", polling=POLL_MS
    )


def pair(lab: Lab, name: str) -> tuple[Json, Json]:
    (server,) = lab.wait_for_server(name)
    (browser,) = lab.half("browser", name)
    assert browser["event_id"] == server["event_id"]
    assert browser["received_ms"] <= server["received_ms"]
    assert set(lab.counted(name).values()) == {1}
    return browser, server


def assert_same_data(browser: Json, server: Json) -> None:
    """Every member of custom_data, as the Pixel writes it into its address."""
    params = {name[3:-1]: text for name, text in browser["params"].items() if name.startswith("cd[")}
    assert {name: json.loads(text) if text[:1] in "[{" else text for name, text in params.items()} == {
        name: value if isinstance(value, list) else str(value)
        for name, value in server["params"]["custom_data"].items()
    }


def test_a_purchase_of_tag_manager_goes_as_one_pair_with_the_order_s_id(lab: Lab, page: Page) -> None:
    open_shop(lab, page)
    page.evaluate(
        f"dataLayer.push({{event:'purchase',ecommerce:{PURCHASE},user_data:{{email_address:'ada@x.example'}}}})"
    )
    browser, server = pair(lab, "Purchase")
    assert server["event_id"] == "Purchase.T-1"
    assert server["params"]["custom_data"] == {
        "content_ids": ["SKU-1"],
        "content_type": "product",
        "contents": [{"id": "SKU-1", "quantity": 2, "item_price": 10}],
        "content_name": "Shirt",
        "value": 24.9,
        "currency": "EUR",
        "order_id": "T-1",
    }
    assert_same_data(browser, server)
    assert len(server["params"]["user_data"]["em"][0]) == 64


def test_pushes_from_before_the_snippet_are_not_lost(lab: Lab, page: Page) -> None:
    open_shop(lab, page, early=f"gtag('event','add_to_cart',{{currency:'EUR',items:{ITEMS}}})")
    browser, server = pair(lab, "AddToCart")
    assert server["params"]["custom_data"]["value"] == 20
    assert_same_data(browser, server)


def test_a_reloaded_thank_you_page_counts_once(lab: Lab, page: Page) -> None:
    open_shop(lab, page, early=f"gtag('event','purchase',{PURCHASE})")
    pair(lab, "Purchase")
    page.reload()
    page.wait_for_function(
        "window.counterfoil && !window.counterfoil.q && !!window.fbq.callMethod", polling=POLL_MS
    )
    page.wait_for_timeout(1500)
    assert {event["event_id"] for event in lab.half("browser", "Purchase")} == {"Purchase.T-1"}
    assert len(lab.half("server", "Purchase")) == 1


def test_what_has_no_meaning_at_meta_goes_nowhere(lab: Lab, page: Page) -> None:
    open_shop(lab, page)
    page.evaluate(f"gtag('event','purchase',{{transaction_id:'T-2',items:{ITEMS}}})")
    page.evaluate(
        "gtag('event','remove_from_cart',{});dataLayer.push({event:'gtm.click'},{event:'quiz_done'})"
    )
    page.evaluate("gtag('event','search',{search_term:'hat'})")
    _, server = pair(lab, "Search")
    assert server["params"]["custom_data"] == {"search_string": "hat"}
    names = {event["event_name"] for half in ("browser", "server") for event in lab.meta()[half]}
    assert names == {"Search"}


def test_pushes_wait_for_consent_like_every_event(lab: Lab, page: Page) -> None:
    open_shop(lab, page, attributes="data-ga4 data-consent")
    page.evaluate("gtag('event','generate_lead',{})")
    page.wait_for_timeout(500)
    assert (lab.meta()["browser"], lab.meta()["server"]) == ([], [])
    page.evaluate("counterfoil('consent','grant')")
    pair(lab, "Lead")
