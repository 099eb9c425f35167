"""The main job in Firefox, which sends long events by beacon and tells less of its requests than Chromium."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from e2e.firefox import Firefox, find_firefox, open_firefox
from e2e.lab import Lab, Posts, wait_until
from e2e.test_snippet_states import LEAD

FOUND = find_firefox()
pytestmark = pytest.mark.skipif(
    FOUND is None, reason="no Firefox; as root, `make browser` installs one where apt is"
)


@pytest.fixture
def firefox(lab: Lab, tmp_path: Path) -> Iterator[Firefox]:
    """Closed before the laboratory is: Firefox keeps its connections open."""
    with open_firefox(str(FOUND), tmp_path / "profile") as opened:
        yield opened


@pytest.fixture
def posts(lab: Lab) -> Posts:
    return Posts(lab)


def open_shop(
    lab: Lab, firefox: Firefox, *, page_view: bool = False, meta_url: str = "", policy: str = ""
) -> None:
    base = lab.base_code(page_view=page_view).replace(lab.meta_url, meta_url or lab.meta_url)
    url = lab.page("/", head=lab.snippet().replace(" async", "") + base)
    lab.shop.headers["/"] = {"content-security-policy": policy} if policy else {}
    firefox.goto(url)
    if not meta_url:
        wait_until(lambda: firefox.evaluate("!!(window.fbq && fbq.callMethod)"), "Meta's script runs")


def settled(lab: Lab, firefox: Firefox) -> None:
    """The page has loaded (`goto` waits for that), and after.js has had its turn."""
    after = f"import('{lab.relay_url}/after.js')"
    firefox.evaluate(f"void {after}.then(() => setTimeout(() => {{ window.settled = true }}))")
    wait_until(lambda: firefox.evaluate("window.settled === true"), "after.js has had its turn")


def assert_counted_once(lab: Lab, event_name: str, *, browser: int = 1) -> None:
    (server,) = lab.wait_for_server(event_name)
    browsers = lab.half("browser", event_name)
    assert [half["event_id"] for half in browsers] == [server["event_id"]] * browser
    assert all(half["sequence"] < server["sequence"] for half in browsers)
    assert lab.counted(event_name) == dict.fromkeys(lab.counted(event_name), 1)


def test_firefox_an_image_that_was_answered_goes_first_and_counts_once(
    lab: Lab, posts: Posts, firefox: Firefox
) -> None:
    open_shop(lab, firefox, page_view=True)
    firefox.evaluate(LEAD)
    assert_counted_once(lab, "Lead")
    assert_counted_once(lab, "PageView")
    assert posts.told() == ["sent/load"]


def test_firefox_a_long_event_is_followed_through_the_beacon(
    lab: Lab, posts: Posts, firefox: Firefox
) -> None:
    open_shop(lab, firefox)
    firefox.evaluate("counterfoil('track','Lead',{note:'x'.repeat(3000)},{eventID:'lead-1'})")
    assert_counted_once(lab, "Lead")
    assert posts.told() == ["sent/beacon+reach"]


def test_firefox_an_empty_answer_is_sent_by_the_canary(lab: Lab, posts: Posts, firefox: Firefox) -> None:
    lab.fault(what="status", status=204, path="/tr/", count=1)
    open_shop(lab, firefox)
    firefox.evaluate(LEAD)
    assert_counted_once(lab, "Lead")
    assert posts.told() == ["sent/error+reach"]


def test_firefox_a_policy_that_forbids_the_image_is_named(lab: Lab, posts: Posts, firefox: Firefox) -> None:
    open_shop(lab, firefox, policy="img-src 'self'")
    firefox.evaluate(LEAD)
    assert_counted_once(lab, "Lead", browser=0)
    assert posts.told() == ["blocked/csp"]


def test_firefox_a_script_that_cannot_be_loaded_is_known_at_once(
    lab: Lab, posts: Posts, firefox: Firefox
) -> None:
    open_shop(lab, firefox, meta_url="https://meta.example:9")
    firefox.evaluate(LEAD)
    assert_counted_once(lab, "Lead", browser=0)
    assert posts.told() == ["blocked/script-error"]


def test_firefox_a_page_that_ends_with_its_event_loses_nothing(lab: Lab, firefox: Firefox) -> None:
    lab.page("/next")
    open_shop(lab, firefox)
    firefox.evaluate(f"{LEAD}; location.href = '/next'")
    (server,) = lab.wait_for_server("Lead")
    assert_counted_once(lab, "Lead", browser=len(lab.half("browser", "Lead")))
    assert "Firefox" in server["params"]["user_data"]["client_user_agent"]


def test_firefox_a_history_page_view_has_both_halves(lab: Lab, firefox: Firefox) -> None:
    open_shop(lab, firefox, page_view=True)
    lab.wait_for_server("PageView")
    settled(lab, firefox)
    firefox.evaluate("history.pushState({}, '', '/two')")
    servers = lab.wait_for_server("PageView", 2)
    assert {half["event_id"] for half in lab.half("browser", "PageView")} == {
        half["event_id"] for half in servers
    }
