"""Whatever an event says, a real browser shows it as text: no dialog, no stranger asked, nothing for the policy."""

import time
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from playwright.sync_api import BrowserContext, Dialog, Page, Request

from e2e.lab import ENVIRON, SITE, USER_AGENT, Lab, open_lab
from relay.settings import Delivery
from relay.web.signin import make_sign_in_link
from tests.event.malformed import good_event
from tests.web.payloads import PAYLOADS


def hostile(number: int, text: str) -> dict[str, Any]:
    """An event with the text in every place that the relay takes one."""
    return good_event(
        event_name=text[:50],
        event_id=f"{number} {text}",
        url=f"https://shop.example/?q={quote(text)}",
        referrer=f"https://shop.example/?q={text}",
        fbp=None,
        custom_data={"value": 1, "currency": "EUR", "content_name": text, text: text, "content_ids": [text]},
        user_data={"external_id": text, "em": text},
        pixel=good_event()["pixel"]
        | {"evidence": text[:40], "seen": {"ev": text, "eid": text, "fbp": text, "cd[value]": text}},
    )


def post_all(lab: Lab) -> None:
    headers = {"origin": lab.shop_url, "content-type": "text/plain"}
    port = lab.relay_url.rsplit(":", 1)[1]
    with httpx.Client(base_url=f"https://127.0.0.1:{port}", verify=False, headers=headers) as client:
        for number, text in enumerate(PAYLOADS):
            agent = (USER_AGENT + " " + text).encode("ascii", "replace").decode()
            body = {"site": SITE, "events": [hostile(number, text)]}
            answer = client.post("/v1/events", json=body, headers={"user-agent": agent})
            assert answer.json()["accepted"] == 1, (text, answer.text)


class Watched:
    """What must not happen on a page."""

    def __init__(self, page: Page, own: tuple[str, ...]) -> None:
        self.troubles: list[str] = []
        self._own = own
        page.on("dialog", self._dialog)
        page.on("console", lambda said: self._console(said.text, said.type))
        page.on("pageerror", lambda error: self.troubles.append(f"script error: {error}"))
        page.on("request", self._request)

    def _dialog(self, dialog: Dialog) -> None:
        self.troubles.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    def _console(self, text: str, kind: str) -> None:
        if kind == "error" or "Content Security Policy" in text:
            self.troubles.append(text)

    def _request(self, request: Request) -> None:
        if not request.url.startswith(self._own):
            self.troubles.append(f"asked {request.url}")


@pytest.mark.timeout(300)
def test_no_event_s_text_becomes_script_or_markup(tmp_path: Path, context: BrowserContext) -> None:
    with open_lab(tmp_path, delivery=Delivery(hold_pending_seconds=0)) as lab:
        post_all(lab)
        page = context.new_page()
        watched = Watched(page, (lab.relay_url, lab.graph_url))
        page.goto(make_sign_in_link(lab.settings, ENVIRON, time.time()))
        page.wait_for_url(f"{lab.relay_url}/")
        for path in (
            "/",
            "/receipts?limit=500",
            "/issues",
            "/addresses",
            "/receipts?site=%3Cscript%3Ealert(1)%3C/script%3E",
        ):
            page.goto(lab.relay_url + path)
        for number, text in enumerate(PAYLOADS):
            page.goto(f"{lab.relay_url}/receipts/{quote(f'{number} {text}', safe='')}")
            assert page.locator("article").count() == 1, text
        for path in ("/", "/test-events", "/diagnostics"):
            page.goto(lab.graph_url + path)
        context.close()  # and with it the connections that Chromium keeps
    assert watched.troubles == []


def test_the_watch_itself_sees_a_dialog_a_stranger_and_a_blocked_script(lab: Lab, page: Page) -> None:
    watched = Watched(page, (lab.shop_url,))
    page.goto(lab.page("/", "<script>alert(1)</script><img src=https://meta.example/x>"))
    lab.shop.headers["/strict"] = {"content-security-policy": "script-src 'self'"}
    page.goto(lab.page("/strict", "<script>1</script>"))
    told = "\n".join(watched.troubles)
    assert "dialog" in told
    assert "asked https://meta.example/x" in told
    assert "Content Security Policy" in told
