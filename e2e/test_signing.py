"""Signed conversions and the sentinel with a real page, a real Pixel call and the relay behind TLS."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import httpx
import pytest
from itsdangerous import URLSafeSerializer
from playwright.sync_api import Browser, Page

from e2e.conftest import QUICK
from e2e.lab import POLL_MS, Json, Lab, open_lab, wait_until

KEY = "0123456789abcdef0123456789abcdef"
ORDER = {"order_id": "1001", "value": 49.9, "currency": "EUR"}
SIGNATURE = URLSafeSerializer(KEY, salt="counterfoil.conversion").dumps({"event_name": "Purchase", **ORDER})


@pytest.fixture
def signed_lab(tmp_path: Path) -> Iterator[Lab]:
    (tmp_path / "keys").write_text(KEY)
    with open_lab(
        tmp_path,
        delivery=QUICK,
        require_signature=("Purchase",),
        conversion_key_file=str(tmp_path / "keys"),
    ) as opened:
        yield opened


def buy(lab: Lab, page: Page, event_id: str, *, value: float = 49.9, signature: str | None = None) -> Json:
    """Open the thank-you page; the server half's end, or an empty object where it waits to be sent."""
    page.goto(lab.page("/thanks", head=lab.base_code(page_view=False) + lab.snippet()))
    page.wait_for_function("window.counterfoil && !window.counterfoil.q", polling=POLL_MS)
    options = {"eventID": event_id} | ({"signature": signature} if signature else {})
    page.evaluate("given => counterfoil('track', 'Purchase', ...given)", [ORDER | {"value": value}, options])
    wait_until(lambda: any(e["event_id"] == event_id for e in lab.half("browser", "Purchase")), "the Pixel")

    def settled() -> Json | None:
        try:
            [receipt] = lab.receipt(event_id)["receipts"]
        except httpx.HTTPStatusError:  # not stored yet
            return None
        fate: Json | None = receipt["fate"]
        return fate

    return wait_until(settled, f"the fate of {event_id}") or {}


def has_duplicates(lab: Lab, number: int) -> bool:
    """Whether the first post of the Lead has come, and so many after it that changed nothing."""
    if not lab.half("server", "Lead"):
        return False
    [receipt] = lab.receipt("frozen")["receipts"]
    return bool(receipt["duplicates"] >= number)


def test_only_what_the_shop_has_signed_is_sent_and_only_once(signed_lab: Lab, page: Page) -> None:
    assert buy(signed_lab, page, "forged")["reason"] == "unsigned"
    assert buy(signed_lab, page, "altered", value=4.99, signature=SIGNATURE)["reason"] == "altered"
    assert buy(signed_lab, page, "genuine", signature=SIGNATURE)["fate"] == "delivered"
    again = buy(signed_lab, page, "reloaded", signature=SIGNATURE)
    assert (again["reason"], "event_id genuine" in again["detail"]) == ("repeated_order", True)
    assert [event["event_id"] for event in signed_lab.half("server", "Purchase")] == ["genuine"]


def test_an_id_that_a_page_cache_has_frozen_raises_an_issue(lab: Lab, browser: Browser) -> None:
    html = (
        lab.base_code() + lab.snippet() + "<script>counterfoil('track','Lead',{},{eventID:'frozen'})</script>"
    )
    address = lab.page("/", head=html)
    for before in range(3):
        visitor = browser.new_context()
        visitor.new_page().goto(address)
        wait_until(partial(has_duplicates, lab, before), "the visitor's post")
        visitor.close()
    issues = wait_until(lambda: lab.console("/api/issues")["issues"], "an issue")
    assert [(issue["kind"], issue["event_id"]) for issue in issues] == [("shared_event_id", "frozen")]
