"""What becomes of an event whose page cannot tell it: a crashed tab, a beacon nobody reads the answer of, a policy."""

import pytest
from playwright.sync_api import ConsoleMessage, Page
from playwright.sync_api import Error as PlaywrightError

from e2e.lab import Lab, Posts, wait_for, wait_until
from e2e.test_snippet_states import LEAD, open_shop, settled

REVOKE = "fbq('consent','revoke')"


@pytest.fixture
def posts(lab: Lab) -> Posts:
    return Posts(lab)


def crash(page: Page) -> None:
    """End the page's process as it stands; no event of the page's life is fired."""
    with page.expect_event("crash"), pytest.raises(PlaywrightError):
        page.goto("chrome://crash")


def assert_counted_once(lab: Lab, event_name: str) -> None:
    (server,) = lab.wait_for_server(event_name)
    assert [half["event_id"] for half in lab.half("browser", event_name)] in ([], [server["event_id"]])
    assert lab.counted(event_name) == dict.fromkeys(lab.counted(event_name), 1)


def test_a_crashed_tab_s_event_is_told_by_the_browser_and_counts_once(
    lab: Lab, page: Page, posts: Posts
) -> None:
    open_shop(lab, page)
    settled(lab, page)
    assert page.evaluate("typeof fetchLater") == "function"
    lab.fault(what="delay", path="/tr/", seconds=2, count=1)
    page.evaluate(f"{LEAD}; new Promise(done => setTimeout(done, 1))")
    crash(page)
    wait_until(posts.told, "the browser has sent its copy")
    assert posts.told() == ["pending/unload"]
    assert_counted_once(lab, "Lead")


def test_what_the_relay_has_acknowledged_is_not_told_again_by_a_crash(
    lab: Lab, page: Page, posts: Posts
) -> None:
    open_shop(lab, page)
    settled(lab, page)
    page.evaluate(LEAD)
    wait_for(page, lambda: page.evaluate("localStorage.length") == 0 and posts.told())
    lab.fault(what="delay", path="/tr/", seconds=2, count=1)
    page.evaluate(
        "counterfoil('track','Search',{},{eventID:'search-1'}); new Promise(done => setTimeout(done, 1))"
    )
    crash(page)
    wait_until(lambda: posts.told("search-1"), "the browser has sent the other event's copy")
    assert posts.told() == ["sent/load"]


def test_consent_that_is_revoked_takes_the_copy_back(lab: Lab, page: Page, posts: Posts) -> None:
    open_shop(lab, page)
    settled(lab, page)
    lab.fault(what="delay", path="/tr/", seconds=2, count=1)
    page.evaluate(f"{LEAD}; new Promise(done => setTimeout(done, 1))")
    page.evaluate(REVOKE)
    other = "counterfoil('track','Search',{},{eventID:'search-1'})"
    page.evaluate(f"fbq('consent','grant'); {other}; new Promise(done => setTimeout(done, 1))")
    crash(page)
    wait_until(lambda: posts.told("search-1"), "the copy of what came after the grant")
    assert posts.told() == []


def test_a_beacon_s_receipt_by_cookie_keeps_the_next_page_from_repeating_it(
    lab: Lab, page: Page, posts: Posts
) -> None:
    lab.page("/next", head=lab.base_code(page_view=False) + lab.snippet())
    open_shop(lab, page)
    settled(lab, page)
    lab.fault(what="delay", path="/tr/", seconds=2, count=1)
    page.evaluate(f"{LEAD}; location.href = '/next'")
    page.wait_for_url("**/next")
    assert page.evaluate("Object.keys(localStorage)") == ["counterfoil:lead-1,Lead,"]
    wait_for(page, lambda: page.evaluate("localStorage.length") == 0)
    assert "counterfoil_" in page.evaluate("document.cookie")
    assert posts.told() == ["pending/unload"]
    assert_counted_once(lab, "Lead")


def test_a_policy_that_keeps_posts_in_is_said_once_and_the_next_page_posts(
    lab: Lab, page: Page, posts: Posts
) -> None:
    said: list[ConsoleMessage] = []
    page.on("console", lambda message: said.append(message) if "counterfoil:" in message.text else None)
    lab.page("/next", head=lab.base_code(page_view=False) + lab.snippet())
    open_shop(lab, page, script=LEAD, content_security_policy=f"connect-src {lab.meta_url}")
    wait_for(page, lambda: said and lab.refused().get("page_policy"))
    page.evaluate("counterfoil('track','Search',{},{eventID:'search-1'})")
    wait_for(page, lambda: page.evaluate("localStorage.length") == 2)
    assert [message.text for message in said] == [
        "counterfoil: this page's Content-Security-Policy lacks"
        f' "connect-src {lab.relay_url}"; no event can reach the relay.'
    ]
    assert lab.refused() == {"page_policy": 1}
    assert posts.events == []
    page.goto(f"{lab.shop_url}/next")
    wait_for(page, lambda: posts.told() and posts.told("search-1"))
    assert (posts.told(), posts.told("search-1")) == (["sent/load"], ["sent/load"])
