"""What the snippet says of the Pixel's request, situation by situation: the posts themselves, as the relay got them."""

from collections.abc import Callable, Iterator
from hashlib import sha256
from typing import Any

import pytest
from playwright.sync_api import CDPSession, Page

from e2e.lab import PIXEL, POLL_MS, Lab, Posts, wait_for
from relay.tag import STUB

LEAD = "counterfoil('track','Lead',{},{eventID:'lead-1'})"


@pytest.fixture
def posts(lab: Lab) -> Posts:
    return Posts(lab)


@pytest.fixture
def network(page: Page) -> Iterator[Callable[..., None]]:
    """Block addresses inside the browser, as an extension does."""
    session: CDPSession = page.context.new_cdp_session(page)
    session.send("Network.enable")

    def block(*patterns: str) -> None:
        session.send("Network.setBlockedURLs", {"urls": list(patterns)})

    yield block
    session.detach()


def open_shop(lab: Lab, page: Page, *, script: str = "", head: str | None = None, **headers: str) -> None:
    standard = lab.base_code(page_view=False) + lab.snippet()
    url = lab.page(
        "/", f"<script>{script}</script>" if script else "", head=standard if head is None else head
    )
    lab.shop.headers["/"] = {name.replace("_", "-"): value for name, value in headers.items()}
    page.goto(url, wait_until="commit")
    page.wait_for_function("window.counterfoil && window.counterfoil.live", polling=POLL_MS)


def come_late(lab: Lab, page: Page) -> None:
    """Bring the snippet to a page that has gone on without it."""
    page.evaluate(
        "url => { const s = document.createElement('script'); s.src = url; s.dataset.site = 'demo-shop';"
        " document.head.append(s) }",
        f"{lab.relay_url}/c.js",
    )
    page.wait_for_function("window.counterfoil && window.counterfoil.live", polling=POLL_MS)


def loaded(page: Page) -> None:
    page.wait_for_load_state("load")
    page.wait_for_function("!!(window.fbq && fbq.callMethod && fbq.queue.length === 0)", polling=POLL_MS)


def settled(lab: Lab, page: Page) -> None:
    """The page has loaded, and after.js has had its turn."""
    loaded(page)
    page.evaluate(
        "url => import(url).then(() => new Promise(done => setTimeout(done)))", f"{lab.relay_url}/after.js"
    )


def test_an_answered_image_is_sent_by_load(lab: Lab, page: Page, posts: Posts) -> None:
    open_shop(lab, page, script=LEAD)
    wait_for(page, posts.told)
    assert posts.told() == ["sent/load"]
    (event,) = posts.events
    assert event["pixel"]["transport"] == "image"
    assert event["pixel"]["seen"]["eid"] == "lead-1"
    assert 0 <= event["pixel"]["dispatched_ms"] <= event["pixel"]["settled_ms"] <= event["age_ms"]


def test_an_empty_answer_is_sent_by_the_canary(lab: Lab, page: Page, posts: Posts) -> None:
    lab.fault(what="status", status=204, path="/tr/", count=1)
    open_shop(lab, page, script=LEAD)
    wait_for(page, posts.told)
    assert posts.told() in (["sent/error+reach"], ["sent/timing"])


def test_a_long_event_is_followed_through_the_form(lab: Lab, page: Page, posts: Posts) -> None:
    open_shop(lab, page, script="counterfoil('track','Lead',{note:'x'.repeat(3000)},{eventID:'lead-1'})")
    wait_for(page, posts.told)
    assert posts.told() == ["sent/form-load+reach"]
    assert posts.events[0]["pixel"]["transport"] == "form"
    assert posts.events[0]["pixel"]["seen"]["ev"] == "Lead"


def test_a_blocked_pixel_is_blocked_by_the_canary(lab: Lab, page: Page, posts: Posts, network: Any) -> None:
    network("*/tr/*")
    open_shop(lab, page, script=LEAD)
    wait_for(page, posts.told)
    assert posts.told() == ["blocked/error+noreach"]


def test_a_slow_pixel_is_pending_and_then_sent(lab: Lab, page: Page, posts: Posts) -> None:
    lab.fault(what="delay", path="/tr/", seconds=3.5, count=1)
    open_shop(lab, page, script=LEAD)
    wait_for(page, lambda: len(posts.told()) == 2)
    assert posts.told() == ["pending/settle-timeout", "sent/load"]


def test_a_blocked_script_is_known_whether_it_failed_before_or_after_us(
    lab: Lab, page: Page, posts: Posts, network: Any
) -> None:
    network("*/fbevents.js*")
    open_shop(lab, page, script=LEAD)
    wait_for(page, posts.told)
    assert posts.told() == ["blocked/script-error"]
    page.evaluate("counterfoil('track','Lead',{},{eventID:'lead-2'})")
    wait_for(page, lambda: posts.told("lead-2"))
    assert posts.told("lead-2") == ["blocked/script-error"]


def test_a_page_without_a_pixel_is_undispatched(lab: Lab, page: Page, posts: Posts) -> None:
    open_shop(lab, page, script=LEAD, head=lab.snippet())
    wait_for(page, posts.told)
    assert posts.told() == ["undispatched/noscript"]


def test_a_hanging_config_is_locked_and_late_once_it_has_come(lab: Lab, page: Page, posts: Posts) -> None:
    lab.fault(what="delay", path="/signals/config/", seconds=8, count=1)
    open_shop(lab, page, script=LEAD)
    wait_for(page, lambda: len(posts.told()) == 2)
    assert posts.told() == ["undispatched/locked", "late/load"]


def test_a_policy_that_forbids_the_image_is_named(lab: Lab, page: Page, posts: Posts) -> None:
    open_shop(lab, page, script=LEAD, content_security_policy="img-src 'self'")
    wait_for(page, posts.told)
    assert posts.told() == ["blocked/csp"]


def test_a_policy_that_forbids_the_canary_leaves_the_outcome_open(lab: Lab, page: Page, posts: Posts) -> None:
    lab.fault(what="status", status=204, path="/tr/", count=1)
    open_shop(lab, page, script=LEAD, content_security_policy=f"connect-src {lab.relay_url}")
    wait_for(page, posts.told)
    assert posts.told() == ["pending/error+unknown"]


def test_a_page_that_ends_before_the_answer_is_pending_at_unload(lab: Lab, page: Page, posts: Posts) -> None:
    lab.fault(what="delay", path="/tr/", seconds=2, count=5)
    lab.page("/next", "<p>next</p>")
    open_shop(lab, page)
    loaded(page)
    page.evaluate(f"{LEAD}; location.href = '/next'")
    page.wait_for_url("**/next")
    wait_for(page, posts.told)
    assert posts.told() == ["pending/unload"]


def test_an_unacknowledged_event_comes_again_on_the_next_page(lab: Lab, page: Page, posts: Posts) -> None:
    open_shop(lab, page)
    loaded(page)
    lab.gate.refuse_posts_with = 503
    page.evaluate("counterfoil('track','Lead',{},{eventID:'lead-1',userData:{em:'a@b.example',fn:'Ada'}})")
    wait_for(page, lambda: lab.gate.refused)
    kept = page.evaluate("Object.entries(localStorage)")
    assert [key for key, _ in kept] == ["counterfoil:lead-1,Lead,"]
    assert "Ada" not in kept[0][1]
    assert "a@b" not in kept[0][1]
    page.goto("about:blank")
    lab.gate.refuse_posts_with = (
        None  # only now: neither a retry of the first page nor its last words get through
    )
    page.goto(lab.page("/next", head=lab.base_code(page_view=False) + lab.snippet()))
    wait_for(page, posts.told)
    assert posts.told() == ["sent/load"]
    assert posts.events[0]["age_ms"] > posts.events[0]["pixel"]["settled_ms"]
    wait_for(page, lambda: page.evaluate("localStorage.length") == 0)


def test_revoked_consent_holds_everything_and_mints_nothing(lab: Lab, page: Page, posts: Posts) -> None:
    base = lab.base_code(page_view=False).replace("fbq('init'", "fbq('consent','revoke');fbq('init'")
    open_shop(lab, page, script=LEAD, head=base + lab.snippet())
    page.wait_for_timeout(6500)
    page.evaluate("dispatchEvent(new Event('pagehide'))")
    assert page.evaluate("[document.cookie, localStorage.length]") == ["", 0]
    assert posts.told() == []
    page.evaluate("fbq('consent','grant')")
    wait_for(page, posts.told)
    assert posts.told() == ["sent/load"]
    assert posts.events[0]["fbp"] == posts.events[0]["pixel"]["seen"]["fbp"]


@pytest.mark.parametrize("when", ["before", "after", "late"])
def test_a_page_is_adopted_wherever_the_snippet_stands(lab: Lab, page: Page, posts: Posts, when: str) -> None:
    base = lab.base_code(page_view=False)
    heads = {
        "before": lab.snippet().replace(" async", "") + base,
        "after": base + lab.snippet(),
        "late": base,
    }
    if when == "late":
        page.goto(lab.page("/", head=base))
        loaded(page)
        come_late(lab, page)
    else:
        open_shop(lab, page, head=heads[when])
    page.evaluate("window.kept = fbq; fbq('track','Lead',{},{eventID:'lead-1'})")
    page.evaluate(f"kept('trackSingle','{PIXEL}','Search',{{search_string:'a'}}); kept('trackCustom','Own')")
    page.evaluate(f"fbq('trackSingleCustom','{PIXEL}','Other',null,{{event_id:'own-2'}})")
    wait_for(page, lambda: len(posts.events) == 4)
    page.wait_for_timeout(300)
    assert sorted((e["event_name"], e.get("pixel_ids")) for e in posts.events) == [
        ("Lead", None),
        ("Other", [PIXEL]),
        ("Own", None),
        ("Search", [PIXEL]),
    ]
    assert {e["pixel"]["state"] for e in posts.events} == {"sent"}
    assert posts.told("own-2") == ["sent/load"]
    browser = {event["event_name"]: event["event_id"] for event in lab.meta()["browser"]}
    assert browser == {event["event_name"]: event["event_id"] for event in posts.events}


def test_two_copies_of_the_snippet_post_an_event_once(lab: Lab, page: Page, posts: Posts) -> None:
    open_shop(lab, page, script=LEAD, head=lab.base_code(page_view=False) + lab.snippet() + lab.snippet())
    page.wait_for_timeout(1500)
    assert posts.told() == ["sent/load"]


def test_a_full_storage_does_not_stop_the_post(lab: Lab, page: Page, posts: Posts) -> None:
    fill = "try{for(let i=0;;i++)localStorage['x'+i]='x'.repeat(100000)}catch{};"
    open_shop(lab, page, script=fill + LEAD)
    wait_for(page, posts.told)
    assert posts.told() == ["sent/load"]


def test_pixel_ids_send_to_the_named_pixel_on_both_legs(lab: Lab, page: Page, posts: Posts) -> None:
    open_shop(lab, page, script=f"counterfoil('track','Own',{{}},{{eventID:'lead-1',pixelIds:['{PIXEL}']}})")
    wait_for(page, posts.told)
    assert posts.events[0]["pixel_ids"] == [PIXEL]
    assert posts.told() == ["sent/load"]


def test_the_click_id_keeps_its_case_and_its_first_time(lab: Lab, page: Page, posts: Posts) -> None:
    lab.page("/", head=lab.base_code(page_view=False) + lab.snippet())
    page.goto(f"{lab.shop_url}/?fbclid=IwAR_x-Y")
    page.wait_for_function("/_fbc=/.test(document.cookie)", polling=POLL_MS)
    first = page.evaluate("document.cookie")
    page.goto(f"{lab.shop_url}/?a=1&fbclid=IwAR_x-Y")
    page.wait_for_function("window.counterfoil && window.counterfoil.live", polling=POLL_MS)
    loaded(page)
    assert page.evaluate("document.cookie") == first
    assert ".IwAR_x-Y" in first
    page.evaluate(LEAD)
    wait_for(page, posts.told)
    assert posts.events[0]["fbc"] in first


def test_a_page_view_of_a_history_change_gets_an_id_and_a_counterpart(
    lab: Lab, page: Page, posts: Posts
) -> None:
    open_shop(lab, page, head=lab.snippet().replace(" async", "") + lab.base_code())
    wait_for(page, lambda: len(posts.events) == 1)
    settled(lab, page)
    page.evaluate("history.pushState({}, '', '/two')")
    wait_for(page, lambda: len(posts.events) == 2)
    second = posts.events[1]
    assert (second["event_name"], second["pixel_ids"]) == ("PageView", [PIXEL])
    assert second["url"].endswith("/two")
    assert posts.told(second["event_id"]) == ["sent/load"]
    lab.wait_for_server("PageView", 2)
    sent = [event["event_id"] for event in lab.half("browser", "PageView")]
    assert sent == [event["event_id"] for event in posts.events]


def init_with_customer_data(lab: Lab) -> str:
    base = lab.base_code(page_view=False).replace(
        "fbq('init','1234567890')", "fbq('init','1234567890',{em:'a@b.example',ph:'+44 20 7946 0958'})"
    )
    assert "a@b.example" in base
    return base


def assert_both_halves_know_the_customer(lab: Lab) -> None:
    (server,) = lab.wait_for_server("Lead")
    (browser,) = lab.half("browser", "Lead")
    for key in ("em", "ph"):
        assert server["params"]["user_data"][key] == [browser["params"][f"ud[{key}]"]]


@pytest.mark.parametrize("missing", [[], ["*/user_data.js"]])
def test_customer_data_given_to_init_reaches_the_relay_hashed_here_or_there(
    lab: Lab, page: Page, network: Any, missing: list[str]
) -> None:
    network(*missing)
    open_shop(lab, page, script=LEAD, head=lab.snippet().replace(" async", "") + init_with_customer_data(lab))
    assert_both_halves_know_the_customer(lab)


def test_customer_data_that_meta_s_script_took_before_the_snippet_came_is_read_from_its_request(
    lab: Lab, page: Page
) -> None:
    page.goto(lab.page("/", head=init_with_customer_data(lab)))
    loaded(page)
    come_late(lab, page)
    page.evaluate(LEAD)
    assert_both_halves_know_the_customer(lab)


def test_an_event_that_meta_s_script_sent_before_the_snippet_came_gets_its_counterpart_where_it_has_an_id(
    lab: Lab, page: Page, posts: Posts
) -> None:
    """Without an id Meta could not tell the two halves from two events: the PageView stays the browser's alone. And so
    does what a plugin has sent by itself, which may have a server of its own."""
    page.goto(lab.page("/", head=lab.base_code()))
    page.evaluate(f"new Image().src = '{lab.meta_url}/tr/?id={PIXEL}&ev=Contact&eid=plugin-1'")
    wait_for(page, lambda: lab.half("browser", "Contact"))
    page.evaluate(
        "fbq('track','Purchase',{value:49.9,currency:'EUR',content_ids:['sku-1'],contents:[{id:'sku-1',quantity:2}]},"
        "{eventID:'order-1'})"
    )
    wait_for(page, lambda: lab.half("browser", "PageView") and lab.half("browser", "Purchase"))
    loaded(page)
    come_late(lab, page)
    (server,) = lab.wait_for_server("Purchase")
    (browser,) = lab.half("browser", "Purchase")
    assert server["event_id"] == browser["event_id"] == "order-1"
    assert browser["sequence"] < server["sequence"]
    assert server["params"]["custom_data"] == {
        "value": 49.9,
        "currency": "EUR",
        "content_ids": ["sku-1"],
        "contents": [{"id": "sku-1", "quantity": 2}],
    }
    assert server["params"]["user_data"]["fbp"] == browser["fbp"]
    assert lab.counted("Purchase") == dict.fromkeys(lab.counted("Purchase"), 1)
    wait_for(page, lambda: posts.told("order-1"))
    assert posts.told("order-1")[-1] == "sent/timing+reach"
    assert lab.half("server", "PageView") == lab.half("server", "Contact") == []


def test_the_stub_gives_the_base_code_s_events_ids_so_that_a_late_snippet_still_pairs_them(
    lab: Lab, page: Page, posts: Posts
) -> None:
    own = f"fbq('trackSingle','{PIXEL}','Search',{{search_string:'a'}},{{event_id:'own-1'}});fbq('trackCustom','Own')"
    base = lab.base_code().replace("fbq(`track`", f"{own};fbq(`track`")
    page.goto(lab.page("/", head=f"<script>{STUB}</script>{base}"))
    names = ("PageView", "Search", "Own")
    wait_for(page, lambda: all(lab.half("browser", name) for name in names))
    loaded(page)
    come_late(lab, page)
    for name in names:
        (server,) = lab.wait_for_server(name)
        (browser,) = lab.half("browser", name)
        assert server["event_id"] == browser["event_id"]
        assert browser["sequence"] < server["sequence"]
        assert lab.counted(name) == dict.fromkeys(lab.counted(name), 1)
    assert lab.half("browser", "Search")[0]["event_id"] == "own-1"


def test_the_stub_leaves_a_page_without_the_snippet_as_it_was(lab: Lab, page: Page) -> None:
    """A blocked relay: Meta's script does all that it would have done."""
    page.goto(lab.page("/", head=f"<script>{STUB};{STUB}</script>{lab.base_code()}"))
    loaded(page)
    page.evaluate("fbq('track','Lead'); counterfoil('track','Contact')")
    wait_for(page, lambda: lab.half("browser", "PageView") and lab.half("browser", "Lead"))
    assert len(lab.half("browser", "PageView")) == 1
    assert lab.half("browser", "Contact") == []
    assert page.evaluate("Object.getOwnPropertyDescriptor(window,'fbq').get") is None


def test_an_event_that_the_snippet_saw_is_not_taken_a_second_time(lab: Lab, page: Page, posts: Posts) -> None:
    open_shop(lab, page, script=LEAD)
    wait_for(page, posts.told)
    settled(lab, page)
    wait_for(page, lambda: lab.wait_for_server("Lead"))
    assert [event["event_id"] for event in posts.events] == ["lead-1"]


def test_customer_data_of_a_call_goes_before_that_of_init(lab: Lab, page: Page, posts: Posts) -> None:
    page.goto(lab.page("/", head=init_with_customer_data(lab)))
    loaded(page)
    come_late(lab, page)
    page.evaluate("counterfoil('track','Lead',{},{eventID:'lead-1',userData:{em:'c@d.example'}})")
    (server,) = lab.wait_for_server("Lead")
    assert server["params"]["user_data"]["em"] == [sha256(b"c@d.example").hexdigest()]


def test_an_ambiguous_end_that_cannot_be_judged_is_pending(
    lab: Lab, page: Page, posts: Posts, network: Any
) -> None:
    network("*/judge.js", "*/mint.js")
    lab.fault(what="status", status=204, path="/tr/", count=1)
    open_shop(lab, page, script=LEAD)
    wait_for(page, posts.told)
    assert posts.told() == ["pending/settle-timeout"]
    lab.wait_for_server("Lead")


def test_debug_says_what_became_of_an_event_and_where_its_receipt_is(
    lab: Lab, page: Page, posts: Posts
) -> None:
    lines: list[str] = []
    page.on("console", lambda message: lines.append(message.text))
    open_shop(lab, page, script=LEAD, head=lab.base_code(page_view=False) + lab.snippet("data-debug"))
    wait_for(page, posts.told)
    wait_for(page, lambda: any("relay: sent/load" in line for line in lines))
    line = next(line for line in lines if "relay: sent/load" in line)
    assert line.startswith("counterfoil Lead lead-1 sent/load by image, left after ")
    assert line.endswith(f"{lab.relay_url}/receipts/lead-1")


def test_history_changes_are_fired_by_us_where_the_tag_says_so(lab: Lab, page: Page, posts: Posts) -> None:
    """As on a page whose copy of Meta's script has no notices."""
    blind = "<script>Object.defineProperty(fbq,'getFbeventsModules',{get(){},set(){}})</script>"
    open_shop(lab, page, head=lab.snippet("data-history").replace(" async", "") + lab.base_code() + blind)
    wait_for(page, lambda: len(posts.events) == 1)
    page.wait_for_function("fbq.disablePushState", polling=POLL_MS)
    page.evaluate("history.pushState({}, '', '/two'); history.replaceState({}, '', '/two')")
    wait_for(page, lambda: len(posts.events) == 2)
    page.go_back()
    wait_for(page, lambda: len(posts.events) == 3)
    assert [event["event_name"] for event in posts.events] == ["PageView"] * 3
    lab.wait_for_server("PageView", 3)
    sent = [event["event_id"] for event in lab.half("browser", "PageView")]
    assert sent == [event["event_id"] for event in posts.events]


@pytest.mark.parametrize(("page_view", "warmed"), [(False, 1), (True, 0)])
def test_the_connection_is_warmed_once_where_no_event_has_done_so(
    lab: Lab, page: Page, posts: Posts, page_view: bool, warmed: int
) -> None:
    heads: list[str] = []
    page.on("request", lambda request: heads.append(request.url) if request.method == "HEAD" else None)
    url = f"{lab.meta_url}/tr/"
    tag = lab.snippet(f'data-warm="{url}"').replace(" async", "")
    open_shop(lab, page, head=tag + lab.base_code(page_view=page_view))
    loaded(page)
    if page_view:
        wait_for(page, lambda: posts.events)
    page.wait_for_timeout(1200)
    assert heads == [url] * warmed
