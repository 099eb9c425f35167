"""The rarer fates of a Pixel request, one page each: what the relay is told, and what Meta's twin got and counted."""

from collections.abc import Callable
from typing import Any, Final, NamedTuple

import pytest
from playwright.sync_api import Page
from starlette.types import Receive, Scope, Send

from e2e.lab import PIXEL, POLL_MS, SITE, Lab, Posts, wait_for
from e2e.test_snippet_states import LEAD, network, open_shop, posts

__all__ = ["network", "posts"]  # fixtures


class Fate(NamedTuple):
    """What goes wrong, and what is known of it afterwards."""

    told: str
    browsers: int  # halves that reach Meta's twin
    blocked: tuple[str, ...] = ()
    fault: dict[str, Any] | None = None
    allows_timing: bool = False


FATES: Final = {
    "everything of Meta's is blocked": Fate("blocked/script-error", 0, blocked=("*meta.example*",)),
    "the configuration is not found": Fate(
        "undispatched/locked", 0, fault={"what": "status", "status": 404, "path": "/signals/config/"}
    ),
    "the configuration is blocked": Fate("undispatched/locked", 0, blocked=("*/signals/config/*",)),
    "Meta's script comes three seconds late": Fate(
        "sent/load", 1, fault={"what": "late", "path": "/en_US/fbevents.js", "seconds": 3}
    ),
    "an empty answer that allows timing": Fate(
        "sent/timing", 1, fault={"what": "status", "status": 204, "path": "/tr/"}, allows_timing=True
    ),
}


@pytest.mark.parametrize("name", FATES)
def test_a_pixel_request_that_meets(
    lab: Lab, page: Page, posts: Posts, network: Callable[..., None], name: str
) -> None:
    fate = FATES[name]
    network(*fate.blocked)
    lab.two_hosts.allows_timing = fate.allows_timing
    if fate.fault:
        lab.fault(**fate.fault)
    open_shop(lab, page, script=LEAD)
    wait_for(page, posts.told)
    assert posts.told() == [fate.told]
    assert_counted_once(lab, browsers=fate.browsers)


def test_a_blocked_form_post_is_blocked_by_the_canary(lab: Lab, page: Page, posts: Posts) -> None:
    page.context.route("**/tr/**", lambda route: route.abort())  # frames too
    long = "counterfoil('track','Lead',{note:'x'.repeat(3000)},{eventID:'lead-1'})"
    open_shop(lab, page, script=long)
    wait_for(page, posts.told)
    assert posts.told() == ["blocked/form-load+noreach"]
    assert_counted_once(lab, browsers=0)


def test_a_script_that_was_replaced_by_an_empty_one_sends_nothing(lab: Lab, page: Page, posts: Posts) -> None:
    page.route("**/fbevents.js", lambda route: route.fulfill(body="", content_type="text/javascript"))
    open_shop(lab, page, script=LEAD)
    wait_for(page, posts.told)
    assert posts.told() == ["undispatched/noscript"]
    assert_counted_once(lab, browsers=0)


def test_a_pixel_that_sends_by_fetch_is_followed_too(lab: Lab, page: Page, posts: Posts) -> None:
    """As a later version of Meta's script may: today's has this transport and does not choose it."""
    open_shop(lab, page, head=lab.snippet().replace(" async", ""))
    page.wait_for_function("/_fbp=/.test(document.cookie)", polling=POLL_MS)
    request = f"{lab.meta_url}/tr/?id={PIXEL}&ev=Lead&eid=lead-1&fbp="
    page.evaluate(
        f"{LEAD}; fetch('{request}' + document.cookie.match(/_fbp=([^;]+)/)[1], {{mode: 'no-cors'}})"
    )
    wait_for(page, posts.told)
    assert posts.told() == ["sent/fetch"]
    assert posts.events[0]["pixel"]["transport"] == "fetch"
    assert_counted_once(lab, browsers=1)


def test_without_the_canary_an_ambiguous_end_stays_open(lab: Lab, page: Page, posts: Posts) -> None:
    heads: list[str] = []
    page.on("request", lambda request: heads.append(request.url) if request.method == "HEAD" else None)
    lab.fault(what="status", status=204, path="/tr/")
    tag = lab.snippet('data-canary="off"').replace(" async", "")
    open_shop(lab, page, script=LEAD, head=tag + lab.base_code(page_view=False))
    wait_for(page, posts.told)
    assert posts.told() == ["pending/error+unknown"]
    assert heads == []
    assert_counted_once(lab, browsers=1)


class Disguised:
    """In front of the relay, as a shop's own proxy: other names for the script, its parts and the posts."""

    def __init__(self, lab: Lab) -> None:
        self.asked: list[str] = []
        self._relay = lab.gate.app
        lab.gate.app = self

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            self.asked.append(scope["path"])
            path = {"/assets/shop.js": "/c.js", "/assets/in": "/v1/events"}.get(scope["path"])
            path = path or scope["path"].replace("/assets/", "/")
            scope = {**scope, "path": path, "raw_path": path.encode()}
        await self._relay(scope, receive, send)


def test_paths_of_the_site_s_own_serve_the_script_its_parts_and_the_posts(
    lab: Lab, page: Page, posts: Posts
) -> None:
    disguised = Disguised(lab)
    tag = f'<script src="{lab.relay_url}/assets/shop.js" data-site="{SITE}" data-endpoint="/assets/in"></script>'
    lab.fault(what="status", status=204, path="/tr/")
    open_shop(lab, page, script=LEAD, head=tag + lab.base_code(page_view=False))
    wait_for(page, posts.told)
    assert posts.told() == ["sent/error+reach"]
    assert_counted_once(lab, browsers=1)
    wait_for(page, lambda: "/assets/after.js" in disguised.asked)
    assert {path for path in disguised.asked if not path.startswith("/assets/")} <= {"/favicon.ico"}


def assert_counted_once(lab: Lab, *, browsers: int) -> None:
    (server,) = lab.wait_for_server("Lead")
    halves = lab.half("browser", "Lead")
    assert [half["event_id"] for half in halves] == [server["event_id"]] * browsers
    assert all(half["sequence"] < server["sequence"] for half in halves)
    assert lab.counted("Lead") == dict.fromkeys(lab.counted("Lead"), 1)
