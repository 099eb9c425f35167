"""Twelve faults, each made for real: from the Overview a person is at its cause and its fix within two clicks."""

import re
import time
from pathlib import Path
from typing import Final

import httpx
from playwright.sync_api import Locator, Page, Route

from e2e.conftest import QUICK
from e2e.lab import PIXEL, SITE, USER_AGENT, Lab, open_lab, wait_for
from e2e.test_consent import fire, open_shop

CLICKS_MAX: Final = 2
DAY_MS: Final = 86_400_000
CLOCK_AHEAD: Final = f"(() => {{ const now = Date.now; Date.now = () => now() + {DAY_MS} }})()"
BOUGHT: Final = "{value: 49.9, currency: 'EUR'}"


def visit(lab: Lab, page: Page, script: str = "", *, url: str = "", **headers: str) -> None:
    """Open a page of the shop with Meta's base code and the snippet; the script runs at once."""
    snippet = lab.snippet('data-radar="1"')
    head = f"{lab.base_code(page_view=False)}{snippet}<script>{script}</script>"
    lab.shop.headers["/"] = headers
    own = lab.page("/", head=head)
    page.goto(url or own)


def buy(event_id: str, data: str = BOUGHT) -> str:
    return f"counterfoil('track', 'Purchase', {data}, {{eventID: '{event_id}'}});"


class Owner:
    """A person who knows nothing but the Overview, and counts the clicks."""

    def __init__(self, lab: Lab, page: Page) -> None:
        self.lab, self.page, self.clicks = lab, page, 0
        page.goto(lab.sign_in_link())
        page.wait_for_url(f"{lab.relay_url}/")

    def finds(self, title: str, *, fix: str, line: str | None = None) -> None:
        """Leads from the Overview to the cause called `title`, which says `fix` and, to be copied, `line`."""
        cause = self.page.locator("a.cause", has_text=title)
        wait_for(self.page, lambda: self._is_told(cause), f"the Overview says: {title}")
        self._click(cause.first)
        shown = self.page.locator("article.issue:target")
        assert title in shown.inner_text()
        assert fix in shown.inner_text()
        if line is not None:
            assert line in shown.locator(".copyable code").inner_text()
        assert shown.evaluate("(shown) => shown.getBoundingClientRect().top < innerHeight")
        assert self.clicks <= CLICKS_MAX

    def _is_told(self, cause: Locator) -> bool:
        self.page.goto(f"{self.lab.relay_url}/")
        return cause.count() > 0

    def _click(self, what: Locator) -> None:
        self.clicks += 1
        what.click()


def test_a_bad_token(lab: Lab, page: Page) -> None:
    lab.fault(what="token", count=None)
    visit(lab, page, buy("order-1"))
    Owner(lab, page).finds("Meta refuses the access token", fix="generate a new access token")


def test_a_wrong_pixel(lab: Lab, page: Page) -> None:
    lab.fault(what="graph_error", status=400, code=100, subcode=33, count=None)
    visit(lab, page, buy("order-1"))
    Owner(lab, page).finds("Meta does not know this pixel", fix="Compare the id in relay.toml")


def test_an_origin_that_is_not_allowed(lab: Lab, page: Page) -> None:
    elsewhere = lab.shop_url.replace("shop.example", "www.shop.example")
    visit(lab, page, buy("order-1"), url=f"{elsewhere}/")
    Owner(lab, page).finds(
        "A page's address is not on the list",
        fix="add it to the site's origins",
        line=f'origins = ["{lab.shop_url}", "{elsewhere}"]',
    )


def test_a_policy_that_blocks_the_relay(lab: Lab, page: Page) -> None:
    with page.expect_response("**/policy.js*"):  # it says so once the page has loaded
        visit(lab, page, buy("order-1"), **{"content-security-policy": f"connect-src {lab.meta_url}"})
    Owner(lab, page).finds(
        "A page's security policy keeps its posts in",
        fix="Add the relay to connect-src",
        line=f"connect-src {lab.relay_url}",
    )


def test_a_policy_that_blocks_the_relay_under_a_snippet_that_cannot_say_so(lab: Lab, page: Page) -> None:
    """As where script-src names the hash of the snippet only: it loads, and nothing else of it does."""
    policy = f"connect-src {lab.meta_url}; script-src 'unsafe-inline' {lab.meta_url} {lab.relay_url}/c.js"
    page.route("**/c.js", lambda route: route.continue_())  # three visitors, none of whom has it yet
    for number in range(3):
        visit(lab, page, buy(f"order-{number}"), **{"content-security-policy": policy})
    Owner(lab, page).finds(
        "Pages load the snippet, and nothing is posted",
        fix="Add the relay to connect-src",
        line=f"connect-src {lab.relay_url}",
    )


def test_a_pixel_that_is_blocked(lab: Lab, page: Page) -> None:
    session = page.context.new_cdp_session(page)  # inside the browser, as an extension does
    session.send("Network.enable")
    session.send("Network.setBlockedURLs", {"urls": ["*/fbevents.js*"]})
    visit(lab, page, "".join(buy(f"order-{number}") for number in range(3)))
    lab.wait_for_server("Purchase", 3)
    Owner(lab, page).finds("Browsers block the Pixel", fix="www.facebook.com")


def test_a_visitor_who_does_not_consent(tmp_path: Path, page: Page) -> None:
    with open_lab(tmp_path, delivery=QUICK, consent="required") as lab:
        open_shop(lab, page, attributes='data-consent=""')
        fire(page, "no")
        page.evaluate("counterfoil('consent', 'revoke')")
        wait_for(page, lambda: lab.refused().get("consent_denied"))
        Owner(lab, page).finds("Visitors who did not consent", fix="Nothing is broken")
        assert lab.meta()["server"] == []


def test_a_page_s_own_fbq_call_with_another_id(lab: Lab, page: Page) -> None:
    """As the snippet posts it where it could read the Pixel's own request."""
    seen = {"ev": "Purchase", "eid": "set-by-a-plugin"}
    pixel = {"state": "sent", "evidence": "load", "transport": "image", "seen": seen}
    post(lab, "order-1", pixel=pixel)
    Owner(lab, page).finds("The Pixel's half has another id", fix="Let one of the two make the id")


def test_a_second_integration_that_sends_the_same_purchase(lab: Lab, page: Page) -> None:
    second = f"new Image().src = '{lab.meta_url}/tr/?id={PIXEL}&ev=Purchase&eid=ob3_plugin-set_{'0' * 64}';"
    visit(lab, page, f"{buy('order-1')}{second}")
    lab.wait_for_server("Purchase")
    page.evaluate("dispatchEvent(new Event('pagehide'))")
    owner = Owner(lab, page)
    owner.finds("Somebody else sends events of these pages", fix="Keep one sender")
    owner._click(page.locator("article.issue:target").get_by_role("link", name="the radar"))
    assert owner.clicks <= CLICKS_MAX
    assert "Verify:" in page.locator("main").inner_text()


def test_halves_over_two_families(lab: Lab, page: Page) -> None:
    """Both halves as they reach Meta: the Pixel's over IPv4, the server's with an IPv6 address."""
    lab.http.get("/tr/", params={"id": PIXEL, "ev": "Purchase", "eid": "order-1"}).raise_for_status()
    event = {
        "event_name": "Purchase",
        "event_time": int(time.time()),
        "event_id": "order-1",
        "action_source": "website",
        "event_source_url": f"{lab.shop_url}/",
        "user_data": {"client_ip_address": "2001:db8::7", "client_user_agent": USER_AGENT},
        "custom_data": {"value": 5, "currency": "EUR"},
    }
    lab.http.post(
        f"/v26.0/{PIXEL}/events", json={"data": [event]}, headers={"authorization": "Bearer EAAlab"}
    ).raise_for_status()
    Owner(lab, page).finds("The halves name addresses of two families", fix="AAAA record")


def test_a_purchase_without_a_currency(lab: Lab, page: Page) -> None:
    visit(lab, page, buy("order-1", "{value: 49.9}"))
    Owner(lab, page).finds("Events are refused: missing_currency", fix="Mend the call on the page")


def test_a_visitor_s_wrong_clock(lab: Lab, page: Page) -> None:
    page.add_init_script(CLOCK_AHEAD)
    visit(lab, page, buy("order-1"))
    (server,) = lab.wait_for_server("Purchase")
    Owner(lab, page).finds("Visitors' clocks run ahead", fix="nothing to do")
    assert server["params"]["event_time"] <= time.time(), "and it does no harm"


def test_a_proxy_that_is_not_trusted(lab: Lab, page: Page) -> None:
    def through_a_proxy(route: Route) -> None:
        route.continue_(headers=route.request.headers | {"x-forwarded-for": "203.0.113.9"})

    page.route(re.compile(r"/v1/events$"), through_a_proxy)
    visit(lab, page, buy("order-1"))
    Owner(lab, page).finds(
        "Every visitor looks like your proxy",
        fix="Name the proxy in [server] trusted_proxies",
        line='trusted_proxies = ["127.0.0.1"]',
    )


def post(lab: Lab, event_id: str, **changes: object) -> None:
    event = {
        "event_name": "Purchase",
        "event_id": event_id,
        "age_ms": 0,
        "url": f"{lab.shop_url}/",
        "fbp": "fb.1.1763859600000.1234567890",
        "custom_data": {"value": 49.9, "currency": "EUR"},
    }
    answer = httpx.post(
        f"{lab.api_url}/v1/events",
        json={"site": SITE, "events": [event | changes]},
        headers={"origin": lab.shop_url, "user-agent": USER_AGENT},
    )
    assert answer.raise_for_status().json()["accepted"] == 1
