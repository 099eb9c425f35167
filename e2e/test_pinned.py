"""A tag pinned by hash runs exactly the bytes that it was printed for."""

from playwright.sync_api import Page

from e2e.lab import SITE, Lab
from relay.assets import find_assets
from relay.tag import PINNED, STUB, integrity, script_tag

BODY = (find_assets("static") / "js" / PINNED).read_bytes()
PURCHASE = "counterfoil('track','Purchase',{value:5,currency:'EUR'},{eventID:'order-1'})"


def open_shop(lab: Lab, page: Page, body: bytes) -> None:
    tag = script_tag(lab.relay_url, SITE, integrity=integrity(body))
    page.goto(lab.page("/", head=f"<script>{STUB}</script>{lab.base_code(page_view=False)}{tag}"))
    page.evaluate(PURCHASE)


def test_the_pinned_script_runs_where_its_bytes_are_those_of_the_tag(lab: Lab, page: Page) -> None:
    open_shop(lab, page, BODY)
    (server,) = lab.wait_for_server("Purchase")
    assert server["event_id"] == "order-1"
    assert lab.half("browser", "Purchase")[0]["event_id"] == "order-1"


def test_other_bytes_do_not_run(lab: Lab, page: Page) -> None:
    open_shop(lab, page, BODY + b" ")
    page.wait_for_timeout(1000)
    assert page.evaluate("window.counterfoil.live") is None
    assert (lab.meta()["browser"], lab.meta()["server"]) == ([], [])
