"""Events of the shop's own server beside those of its pages: each counts once, and the browser's half comes first."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Page

from e2e.lab import SITE, Lab, open_lab
from e2e.test_main_job import assert_browser_first, assert_counted_once, assert_nothing_else, ready, shop_page
from relay.sandbox.browser import USER_AGENT
from relay.settings import Delivery, EventRules

KEY = "the-write-key-of-the-laboratory-" + "k" * 16
PURCHASE = "counterfoil('track','Purchase',{value:49.9,currency:'EUR'},{eventID:'order-1'})"


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    """One name of each mode. A server's event waits for an hour: only its browser half can end that in a test."""
    (tmp_path / "write.key").write_text(KEY)
    rules = {
        "Lead": EventRules(mode="server"),
        "Contact": EventRules(mode="split"),
        "Subscribe": EventRules(hold_completion_seconds=3600),
    }
    delivery = Delivery(hold_awaited_seconds=3600)
    with open_lab(
        tmp_path, delivery=delivery, write_key_file=str(tmp_path / "write.key"), events=rules
    ) as opened:
        yield opened


def send(lab: Lab, **event: Any) -> dict[str, Any]:
    """As the shop's server does."""
    answer = httpx.post(
        f"{lab.api_url}/v1/server-events",
        json={"events": [event]},
        headers={"authorization": f"Bearer {KEY}"},
    )
    taken: dict[str, Any] = answer.raise_for_status().json()
    assert taken["refused"] == []
    return taken


def website(event_name: str, event_id: str, **members: Any) -> dict[str, Any]:
    whole = {
        "event_name": event_name,
        "event_id": event_id,
        "action_source": "website",
        "event_source_url": "https://shop.example/thanks",
        "user_data": {"em": "ada@example.com", "client_user_agent": USER_AGENT},
    }
    return whole | members


def test_a_server_that_is_first_waits_for_the_browser_and_one_event_counts(lab: Lab, page: Page) -> None:
    send(
        lab, **website("Purchase", "order-1", custom_data={"value": 49.9, "currency": "EUR", "order_id": "1"})
    )
    page.goto(shop_page(lab))
    ready(page)
    assert lab.half("server", "Purchase") == []
    page.evaluate(PURCHASE)
    (server,) = lab.wait_for_server("Purchase")
    (browser,) = lab.half("browser", "Purchase")
    assert_browser_first(lab, "Purchase")
    assert_counted_once(lab, "Purchase")
    user_data = server["params"]["user_data"]
    assert user_data["fbp"] == browser["params"]["fbp"]
    assert (user_data["client_ip_address"], len(user_data["em"][0])) == (browser["ip"], 64)
    assert server["params"]["custom_data"]["order_id"] == "1"
    (receipt,) = lab.receipt("order-1")["receipts"]
    assert [each["state"] for each in receipt["browser"]["reports"]] == ["awaited", "sent"]
    assert_nothing_else(lab, "Purchase")


def test_the_backend_completes_the_pages_event_before_it_leaves(lab: Lab, page: Page) -> None:
    page.goto(shop_page(lab))
    ready(page)
    with page.expect_response(lambda response: "/v1/events" in response.url):
        page.evaluate("counterfoil('track','Subscribe',{},{eventID:'s-1'})")
    part = {"event_name": "Subscribe", "event_id": "s-1", "partial": True}
    user_data = {"ph": "+49 30 1234567"}
    send(lab, **part, user_data=user_data, custom_data={"value": 9, "currency": "EUR"})
    (server,) = lab.wait_for_server("Subscribe")
    assert len(server["params"]["user_data"]["ph"][0]) == 64
    assert server["params"]["custom_data"] == {"value": 9, "currency": "EUR"}
    assert_browser_first(lab, "Subscribe")
    assert_counted_once(lab, "Subscribe")
    late = send(lab, **part, user_data=user_data, custom_data={"value": 99, "currency": "EUR"})
    assert late["duplicates"] == 1
    assert_counted_once(lab, "Subscribe")


def test_an_event_of_the_server_alone_fires_no_pixel(lab: Lab, page: Page) -> None:
    page.goto(shop_page(lab))
    ready(page)
    page.evaluate("counterfoil('server','Lead',{value:5},{eventID:'l-1',userData:{em:'ada@example.com'}})")
    (server,) = lab.wait_for_server("Lead")
    assert server["event_id"] == "l-1"
    page.evaluate(PURCHASE)  # goes out after what the Lead might have sent
    lab.wait_for_server("Purchase")
    assert lab.half("browser", "Lead") == []
    (receipt,) = lab.receipt("l-1")["receipts"]
    assert receipt["browser"]["state"] == "off"
    assert_counted_once(lab, "Lead")


def test_in_split_mode_the_page_goes_by_pixel_and_the_backend_by_the_relay(lab: Lab, page: Page) -> None:
    page.goto(shop_page(lab))
    ready(page)
    page.evaluate("counterfoil('track','Contact',{},{eventID:'page-1'})")
    send(lab, **website("Contact", "crm-1"))
    (server,) = lab.wait_for_server("Contact")
    page.evaluate(PURCHASE)  # goes out after what the page's Contact might have sent
    lab.wait_for_server("Purchase")
    assert [event["event_id"] for event in lab.half("server", "Contact")] == [server["event_id"]] == ["crm-1"]
    assert [event["event_id"] for event in lab.half("browser", "Contact")] == ["page-1"]
    (receipt,) = lab.receipt("page-1")["receipts"]
    assert receipt["fate"]["reason"] == "browser_only"
    assert receipt["site"] == SITE
