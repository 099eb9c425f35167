"""Pages that are prerendered, restored, hidden, framed, or that change their address: one event stays one event."""

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Page, Playwright

from e2e.lab import CHROMIUM_ARGUMENTS, LOOPBACK_NAMES, POLL_MS, Lab, Posts, wait_for, wait_until
from e2e.test_snippet_states import LEAD, loaded, open_shop, settled
from relay.sandbox.browser import find_chromium

DAY_SECONDS = 86400
CLOCK_OFF_BY = "(off => { const now = Date.now; Date.now = () => now() + off })({})"
HIDE = (
    "Object.defineProperty(document, 'hidden', {get: () => true, configurable: true});"
    "document.dispatchEvent(new Event('visibilitychange', {bubbles: true}))"
)


@pytest.fixture
def posts(lab: Lab) -> Posts:
    return Posts(lab)


@pytest.fixture
def restoring_page(playwright: Playwright) -> Iterator[Page]:
    """In a Chromium whose back/forward cache Playwright has not switched off."""
    chromium = playwright.chromium.launch(
        executable_path=find_chromium(),
        args=[*CHROMIUM_ARGUMENTS, LOOPBACK_NAMES],
        ignore_default_args=["--disable-back-forward-cache"],
    )
    yield chromium.new_page()
    chromium.close()


@contextmanager
def chromium_by_itself(folder: Path, url: str) -> Iterator[None]:
    """Nobody drives it: with DevTools attached Chromium prerenders nothing, so the pages act by themselves."""
    command = [str(find_chromium()), "--headless=new", f"--user-data-dir={folder}", *CHROMIUM_ARGUMENTS]
    running = subprocess.Popen(
        [*command, LOOPBACK_NAMES, "--remote-debugging-port=0", url],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield
    finally:
        running.terminate()
        running.wait(timeout=30)


def assert_pairs(lab: Lab, event_name: str, number: int = 1) -> None:
    """So many events, each with both halves under one id, the browser's first, each counted once."""
    servers = lab.wait_for_server(event_name, number)
    browsers = lab.half("browser", event_name)
    assert sorted(event["event_id"] for event in servers) == sorted(event["event_id"] for event in browsers)
    first = {event["event_id"]: event["sequence"] for event in browsers}
    assert all(first[event["event_id"]] < event["sequence"] for event in servers)
    assert lab.counted(event_name) == dict.fromkeys(lab.counted(event_name), number)
    assert len(servers) == number


def test_a_prerendered_page_posts_nothing_before_somebody_sees_it(
    lab: Lab, posts: Posts, tmp_path: Path
) -> None:
    lab.page(
        "/next",
        head=lab.snippet().replace(" async", "")
        + lab.base_code()
        + "<script>document.prerendering && setTimeout(() => fetch('/still-unseen'), 3000);"
        "document.addEventListener('prerenderingchange', () => fetch('/seen'))</script>",
    )
    url = lab.page(
        "/",
        '<script type=speculationrules>{"prerender":[{"urls":["/next"],"eagerness":"immediate"}]}</script>'
        "<script>setInterval(async () => (await fetch('/go')).ok && (location.href = '/next'), 100)</script>",
    )
    with chromium_by_itself(tmp_path / "profile", url):
        wait_until(lambda: "/still-unseen" in lab.shop.asked, "the prerendered page has had its time")
        (browser,) = lab.half("browser", "PageView")
        assert posts.events == []
        lab.page("/go")
        wait_until(lambda: "/seen" in lab.shop.asked, "the prerendered page is activated")
        assert_pairs(lab, "PageView")
    assert {event["event_id"] for event in posts.events} == {browser["event_id"]}


def test_a_page_restored_from_the_cache_goes_on_and_repeats_nothing(
    lab: Lab, posts: Posts, restoring_page: Page
) -> None:
    page = restoring_page
    open_shop(lab, page, script=f"{LEAD};addEventListener('pageshow', e => window.restored = e.persisted)")
    loaded(page)
    wait_for(page, posts.told)
    page.evaluate("window.kept = counterfoil")
    page.goto(lab.page("/next"))
    page.go_back(wait_until="commit")
    page.wait_for_function("window.restored", polling=POLL_MS)
    assert page.evaluate("kept === counterfoil")
    page.evaluate("counterfoil('track','Search',{},{eventID:'search-1'})")
    wait_for(page, lambda: posts.told("search-1"))
    assert_pairs(lab, "Lead")
    assert_pairs(lab, "Search")
    assert posts.told("lead-1")[-1] == posts.told("search-1")[-1] == "sent/load"


def test_a_page_view_of_a_changed_address_has_both_halves(lab: Lab, page: Page) -> None:
    open_shop(lab, page, head=lab.snippet().replace(" async", "") + lab.base_code())
    settled(lab, page)
    assert_pairs(lab, "PageView")
    page.evaluate("history.pushState({}, '', '/two')")
    assert_pairs(lab, "PageView", 2)
    assert lab.half("server", "PageView")[1]["params"]["event_source_url"] == f"{lab.shop_url}/two"


def test_without_the_hook_a_page_view_of_a_changed_address_is_the_browser_s_alone(
    lab: Lab, page: Page, posts: Posts
) -> None:
    base = lab.base_code().replace("fbevents.js", "fbevents.js?hooks=0")
    open_shop(lab, page, head=lab.snippet().replace(" async", "") + base)
    settled(lab, page)
    lab.wait_for_server("PageView")
    page.evaluate(f"history.pushState({{}}, '', '/two'); {LEAD}")
    wait_for(page, posts.told)
    assert_pairs(lab, "Lead")
    first, second = lab.half("browser", "PageView")
    assert second["event_id"] is None
    assert [server["event_id"] for server in lab.half("server", "PageView")] == [first["event_id"]]


def test_a_hidden_page_tells_at_once_what_it_knows_and_later_how_it_ended(
    lab: Lab, page: Page, posts: Posts
) -> None:
    lab.fault(what="delay", path="/tr/", seconds=1, count=1)
    open_shop(lab, page)
    loaded(page)
    page.evaluate(f"{LEAD}; {HIDE}")
    wait_for(page, lambda: "sent/load" in posts.told())
    assert posts.told()[0] == "pending/unload"
    assert_pairs(lab, "Lead")


def test_a_framed_page_tells_its_own_events_and_its_parent_its_own(
    lab: Lab, page: Page, posts: Posts
) -> None:
    head = lab.base_code(page_view=False) + lab.snippet()
    lab.page(
        "/framed",
        f"<script>{LEAD.replace('Lead', 'Search').replace('lead-1', 'search-1')}</script>",
        head=head,
    )
    page.goto(lab.page("/", f"<script>{LEAD}</script><iframe src=/framed></iframe>", head=head))
    assert_pairs(lab, "Lead")
    assert_pairs(lab, "Search")
    assert sorted(event["event_id"] for event in posts.events) == ["lead-1", "search-1"]
    assert {event["event_id"]: event["url"] for event in posts.events} == {
        "lead-1": f"{lab.shop_url}/",
        "search-1": f"{lab.shop_url}/framed",
    }


@pytest.mark.parametrize("days", [-1, 1])
def test_a_visitor_s_wrong_clock_does_not_change_the_event_s_time(lab: Lab, page: Page, days: int) -> None:
    page.add_init_script(CLOCK_OFF_BY.replace("{}", str(days * DAY_SECONDS * 1000)))
    before = int(time.time())
    open_shop(lab, page, script=LEAD)
    assert_pairs(lab, "Lead")
    (browser,), (server,) = lab.half("browser", "Lead"), lab.half("server", "Lead")
    assert abs(int(browser["params"]["ts"]) / 1000 - before) > DAY_SECONDS / 2
    assert before <= server["params"]["event_time"] <= time.time()


def test_what_does_not_fit_a_beacon_is_sent_by_the_next_page(lab: Lab, page: Page, posts: Posts) -> None:
    names = [f"Long{number}" for number in range(24)]
    head = lab.snippet()
    lab.page("/next", head=head)
    open_shop(lab, page, head=head)
    page.evaluate(
        "names => { for (const name of names) counterfoil('track', name, {note: 'x'.repeat(6000)}, {eventID: name});"
        " location.href = '/next' }",
        names,
    )
    page.wait_for_url("**/next")
    wait_for(page, lambda: {event["event_id"] for event in posts.events} == set(names), seconds=40)
    for name in names:
        lab.wait_for_server(name)
        assert len(lab.half("server", name)) == 1
        assert lab.counted(name) == dict.fromkeys(lab.counted(name), 1)
    assert {event["pixel"]["state"] for event in posts.events} == {"undispatched"}


def test_two_tabs_that_share_what_was_left_count_it_once(
    lab: Lab, page: Page, posts: Posts, context: BrowserContext
) -> None:
    open_shop(lab, page)
    loaded(page)
    lab.gate.refuse_posts_with = 503
    page.evaluate(LEAD)
    wait_for(page, lambda: lab.gate.refused)
    next_page = lab.page("/next", head=lab.base_code(page_view=False) + lab.snippet())
    page.goto("about:blank")
    other = context.new_page()
    lab.gate.refuse_posts_with = None
    for tab in (page, other):
        tab.goto(next_page)
    wait_for(page, lambda: page.evaluate("localStorage.length") == 0)
    assert_pairs(lab, "Lead")
    assert set(posts.told()) == {"sent/load"}
    assert other.evaluate("localStorage.length") == 0
