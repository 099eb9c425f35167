"""An alert end to end: a page names a second sender, somebody is told in a signed message, the console shows it."""

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect
from standardwebhooks import Webhook
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from e2e.conftest import QUICK
from e2e.lab import ENVIRON, Lab, Served, loopback_listener, open_lab, wait_until
from relay.settings import Alerts

SECRET = "whsec_" + base64.b64encode(b"a secret of this laboratory's own").decode()


class Inbox:
    """Somebody's receiver of webhooks; what does not verify is an error there."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        listener = loopback_listener()
        self.url = f"http://127.0.0.1:{listener.getsockname()[1]}/hook"
        self.server = Served(Starlette(routes=[Route("/hook", self._take, methods=["POST"])]), plain=listener)

    async def _take(self, request: Request) -> Response:
        event: Any = Webhook(SECRET).verify(await request.body(), dict(request.headers))
        self.events.append(event)
        return Response(status_code=204)


@pytest.fixture
def inbox() -> Iterator[Inbox]:
    opened = Inbox()
    yield opened
    opened.server.close()


@pytest.fixture
def telling_lab(tmp_path: Path, inbox: Inbox, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    monkeypatch.setitem(ENVIRON, "ALERT_SECRET", SECRET)
    alerts = Alerts(urls=(inbox.url,), secret_env="ALERT_SECRET", allow_private=True, check_seconds=0.2)
    with open_lab(tmp_path, delivery=QUICK, alerts=alerts) as opened:
        yield opened


def test_a_second_sender_in_a_page_is_told_and_the_console_leads_to_it(
    telling_lab: Lab, inbox: Inbox, page: Page
) -> None:
    lab = telling_lab
    gateway = "<script>fbq('set', 'openbridge', '42', location.origin + '/gw')</script>"
    page.goto(
        lab.page("/", gateway, head=lab.snippet('data-radar="1"').replace(" async", "") + lab.base_code())
    )
    lab.wait_for_server("PageView")
    page.evaluate("dispatchEvent(new Event('pagehide'))")
    wait_until(lambda: inbox.events, "an alert in the inbox")
    (event,) = inbox.events
    assert (event["type"], event["data"]["kind"]) == ("alert.raised", "foreign_sender")
    assert "openbridge" in event["data"]["detail"]

    page.goto(lab.sign_in_link())
    page.wait_for_url(f"{lab.relay_url}/")
    page.goto(f"{lab.relay_url}/alerts")
    alert = page.get_by_role("article", name="Somebody else sends events of this pixel")
    expect(alert.get_by_text("raised", exact=True)).to_be_visible()
    expect(page.get_by_text("told", exact=True)).to_be_visible()
    alert.get_by_role("link", name="Radar").click()
    expect(page.get_by_role("article", name="Conversions API Gateway (openbridge)")).to_be_visible()
    assert [each["type"] for each in inbox.events] == ["alert.raised"], "it is told once"


def test_the_button_sends_a_test(telling_lab: Lab, inbox: Inbox, page: Page) -> None:
    page.goto(telling_lab.sign_in_link())
    page.wait_for_url(f"{telling_lab.relay_url}/")
    page.goto(f"{telling_lab.relay_url}/alerts")
    expect(page.get_by_text("Nothing has been raised")).to_be_visible()
    page.get_by_role("button", name="Send a test").click()
    wait_until(lambda: inbox.events, "the test in the inbox")
    assert [each["type"] for each in inbox.events] == ["alert.test"]
