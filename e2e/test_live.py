"""The Live page in a real browser: rows come by themselves, change, wait for the reader, and can be chosen among."""

from playwright.sync_api import Page

from e2e.lab import Lab, wait_for
from e2e.test_console_faults import post

SENT = {"state": "sent", "evidence": "load", "transport": "image"}


def test_rows_come_by_themselves_wait_while_paused_and_can_be_chosen_among(lab: Lab, page: Page) -> None:
    page.goto(lab.sign_in_link())
    page.wait_for_url(f"{lab.relay_url}/")
    page.goto(f"{lab.relay_url}/live")
    rows = page.locator("[data-rows] tr")
    assert rows.count() == 0
    post(lab, "order-1", pixel=SENT)
    wait_for(page, lambda: rows.count() == 1, "the first row comes")
    wait_for(page, lambda: "delivered" in rows.first.inner_text(), "the row tells its fate")
    page.get_by_role("button", name="Pause").click()
    post(lab, "order-2", pixel=SENT)
    wait_for(page, lambda: "changes wait" in page.locator("[data-state]").inner_text(), "the pause is told")
    wait_for(page, lambda: "Paused; 0" not in page.locator("[data-state]").inner_text(), "a row waits")
    assert rows.count() == 1
    page.get_by_role("button", name="Go on").click()
    assert rows.count() == 2
    page.locator("select[name=fate]").select_option("rejected")
    assert rows.filter(visible=True).count() == 0
    page.locator("select[name=fate]").select_option("")
    assert rows.filter(visible=True).count() == 2
