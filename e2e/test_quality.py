"""The Quality page with a real visit behind it: Meta is asked by the button, and its words stand beside ours."""

from playwright.sync_api import BrowserContext, Page, expect

from e2e.lab import PIXEL, Lab


def test_after_a_purchase_the_button_brings_what_meta_says_of_it(
    lab: Lab, context: BrowserContext, page: Page
) -> None:
    page.goto(lab.page("/", head=lab.snippet().replace(" async", "") + lab.base_code()))
    lab.wait_for_server("PageView")
    page.evaluate(
        "counterfoil('track', 'Purchase', {value: 9, currency: 'EUR'}, {userData: {em: 'ada@example.com'}})"
    )
    lab.wait_for_server("Purchase")
    page.goto(lab.sign_in_link())
    page.wait_for_url(f"{lab.relay_url}/")
    page.goto(f"{lab.relay_url}/quality")
    expect(page.get_by_text("Not asked yet")).to_be_visible()
    page.get_by_role("button", name="Ask Meta now").click()
    purchase = page.get_by_role("article", name="Purchase")
    expect(purchase.get_by_text("1 delivered by this relay")).to_be_visible()
    email = purchase.get_by_role("row", name="email em")
    assert [cell.split()[-2] for cell in email.get_by_role("cell").all_inner_texts()[:2]] == [
        "100.0",
        "100.0",
    ]
    expect(purchase.get_by_text("All senders together do no more than this relay alone.")).to_be_visible()
    report = lab.console("/api/quality")
    (pixel,) = report["pixels"]
    assert (pixel["pixel"], pixel["problem"]) == (PIXEL, None)
    events = {event["event_name"]: event for event in pixel["events"]}
    assert set(events) == {"PageView", "Purchase"}
    assert events["Purchase"]["coverage"] == 100
    assert {row["key"]: row["overall"] for row in events["Purchase"]["dedup"]}["event_id"] == 100


def test_a_second_sender_at_meta_shows_on_the_radar(lab: Lab, page: Page) -> None:
    """The procedure of an owner whose counts are too high: who else sends this event?"""
    page.goto(lab.page("/", head=lab.snippet().replace(" async", "") + lab.base_code()))
    lab.wait_for_server("PageView")
    (ours,) = lab.half("server", "PageView")
    stranger = {**ours["params"], "event_id": "another-plugin-1", "event_name": "Lead"}
    answer = lab.http.post(
        f"/v26.0/{PIXEL}/events?access_token=EAAlab", json={"data": [stranger], "partner_agent": "other-1.0"}
    )
    assert answer.status_code == 200, answer.text
    page.goto(lab.sign_in_link())
    page.wait_for_url(f"{lab.relay_url}/")
    page.goto(f"{lab.relay_url}/quality")
    page.get_by_role("button", name="Ask Meta now").click()
    page.get_by_role("article", name="Lead").get_by_role("link", name="Radar").click()
    row = page.get_by_role("row", name="Lead")
    expect(row).to_contain_text("none of them from this relay")
    expect(page.get_by_role("row", name="PageView")).to_contain_text("no more than this relay alone")
