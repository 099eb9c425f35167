"""The Tag Manager template in Chromium: its sandboxed code loads the snippet and sends events that count once."""

import re
from pathlib import Path

from playwright.sync_api import Page

from e2e.lab import SITE, Json, Lab

ROOT = Path(__file__).parent.parent
TEMPLATE = (ROOT / "integrations" / "gtm" / "template.tpl").read_text()
SANDBOX = re.sub(r"^export ", "", (ROOT / "tests" / "js" / "gtm.js").read_text(), flags=re.MULTILINE)
FIRE = """async ([template, data]) => {
  const inject = (src, onload, onerror) =>
    document.head.append(Object.assign(document.createElement('script'), { src, async: true, onload, onerror }));
  return await runTemplate(template, data, window, inject);
}"""


def fire(page: Page, **data: object) -> Json:
    told: Json = page.evaluate(FIRE, [TEMPLATE, data])
    return told


def open_page(lab: Lab, page: Page) -> None:
    page.goto(lab.page("/", head=lab.base_code(page_view=False)))
    page.add_script_tag(content=SANDBOX)


def test_events_of_two_tags_before_and_after_the_snippet_count_once(lab: Lab, page: Page) -> None:
    open_page(lab, page)
    assert fire(page, action="track", eventName="Lead", userData={"em": "ada@example.com"})["ok"]
    assert fire(page, action="load", relay=lab.relay_url, site=SITE, consent="none")["ok"]
    assert fire(page, action="track", eventName="Purchase", value="49.90", currency="EUR")["ok"]
    for name in ("Lead", "Purchase"):
        (server,) = lab.wait_for_server(name)
        (browser,) = lab.half("browser", name)
        assert browser["event_id"] == server["event_id"]
        assert set(lab.counted(name).values()) == {1}


def test_nothing_is_sent_before_another_tag_has_told_the_visitors_consent(lab: Lab, page: Page) -> None:
    open_page(lab, page)
    fire(page, action="load", relay=lab.relay_url, site=SITE, consent="tag")
    fire(page, action="track", eventName="Lead")
    page.wait_for_timeout(1000)
    assert (lab.meta()["browser"], lab.meta()["server"]) == ([], [])
    fire(page, action="consent", decision="grant")
    (server,) = lab.wait_for_server("Lead")
    assert [event["event_id"] for event in lab.half("browser", "Lead")] == [server["event_id"]]
