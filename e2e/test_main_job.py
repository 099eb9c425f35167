"""The one line, in a real browser: what Meta's twin got, what it counted, and what must not have been sent."""

from playwright.sync_api import Page

from e2e.lab import PIXEL, POLL_MS, SECOND_PIXEL, Lab, wait_until

PURCHASE = "counterfoil('track','Purchase',{value:49.9,currency:'EUR'},{eventID:'order-1'})"


def shop_page(lab: Lab, path: str = "/", *, body: str = "", page_view: bool = False) -> str:
    return lab.page(path, body, head=lab.base_code(page_view=page_view) + lab.snippet())


def assert_counted_once(lab: Lab, event_name: str, number: int = 1) -> None:
    assert lab.counted(event_name) == dict.fromkeys(lab.counted(event_name), number)
    assert len(lab.counted(event_name)) == 4


def assert_browser_first(lab: Lab, event_name: str) -> None:
    for server in lab.half("server", event_name):
        twins = [b for b in lab.half("browser", event_name) if b["event_id"] == server["event_id"]]
        assert twins, f"no browser half of {server['event_id']}"
        assert twins[0]["received_ms"] <= server["received_ms"]


def assert_nothing_else(lab: Lab, *event_names: str) -> None:
    """No event, on either side, beyond those named; nothing that Meta rejected; no id on one side alone by accident."""
    state = lab.meta()
    assert {event["event_name"] for half in ("browser", "server") for event in state[half]} <= set(
        event_names
    )
    assert state["rejected"] == []


def block(page: Page, *urls: str) -> None:
    """As an extension does: the browser refuses these requests by itself (a route would need the test's thread)."""
    devtools = page.context.new_cdp_session(page)
    devtools.send("Network.enable")
    devtools.send("Network.setBlockedURLs", {"urls": list(urls)})


def ready(page: Page) -> None:
    page.wait_for_function(
        "window.counterfoil && !window.counterfoil.q && window.fbq && !!window.fbq.callMethod",
        polling=POLL_MS,
    )


def test_a_purchase_goes_browser_first_and_counts_once(lab: Lab, page: Page) -> None:
    page.goto(shop_page(lab))
    ready(page)
    assert page.evaluate(PURCHASE) == "order-1"
    (server,) = lab.wait_for_server("Purchase")
    (browser,) = lab.half("browser", "Purchase")
    assert browser["event_id"] == server["event_id"] == "order-1"
    assert_browser_first(lab, "Purchase")
    assert_counted_once(lab, "Purchase")
    assert_nothing_else(lab, "Purchase")


def test_both_halves_carry_the_same_identifiers_address_and_value(lab: Lab, page: Page) -> None:
    page.goto(shop_page(lab) + "?fbclid=IwAR2-CaseKept_1")
    ready(page)
    page.evaluate(PURCHASE)
    (server,) = lab.wait_for_server("Purchase")
    (browser,) = lab.half("browser", "Purchase")
    user_data = server["params"]["user_data"]
    assert user_data["fbp"] == browser["params"]["fbp"]
    assert user_data["fbc"] == browser["params"]["fbc"]
    assert user_data["fbc"].endswith(".IwAR2-CaseKept_1")
    assert user_data["client_ip_address"] == browser["ip"]
    assert float(browser["params"]["cd[value]"]) == server["params"]["custom_data"]["value"] == 49.9


def test_calls_queued_before_the_snippet_has_loaded_are_not_lost(lab: Lab, page: Page) -> None:
    page.goto(shop_page(lab, body="<script>counterfoil('track','Lead',{}, {eventID:'early'})</script>"))
    (server,) = lab.wait_for_server("Lead")
    assert server["event_id"] == "early"
    assert_browser_first(lab, "Lead")
    assert_counted_once(lab, "Lead")


def test_an_existing_fbq_page_is_adopted(lab: Lab, page: Page) -> None:
    # What Meta's script has sent before ours arrived went out without an id; here ours is the faster one.
    lab.fault(what="late", path="/fbevents.js", seconds=0.5, count=1)
    page.goto(shop_page(lab, page_view=True))
    ready(page)
    page.evaluate("fbq('track','AddToCart',{value:5,currency:'EUR'})")
    page.evaluate("fbq('track','Purchase',{value:5,currency:'EUR'},{eventID:'own-id'})")
    page.evaluate(f"fbq('trackSingleCustom','{PIXEL}','Wishes',{{colour:'blue'}})")
    for name in ("PageView", "AddToCart", "Purchase", "Wishes"):
        lab.wait_for_server(name)
        assert_browser_first(lab, name)
        assert_counted_once(lab, name)
    assert lab.half("browser", "Purchase")[0]["event_id"] == "own-id"
    assert_nothing_else(lab, "PageView", "AddToCart", "Purchase", "Wishes")


def test_a_custom_event_keeps_its_properties_on_both_sides(lab: Lab, page: Page) -> None:
    page.goto(shop_page(lab))
    ready(page)
    page.evaluate("counterfoil('track','SizeGuideOpened',{size:'XL'})")
    (server,) = lab.wait_for_server("SizeGuideOpened")
    assert server["params"]["custom_data"]["size"] == "XL"
    assert lab.half("browser", "SizeGuideOpened")[0]["params"]["cd[size]"] == "XL"
    assert_counted_once(lab, "SizeGuideOpened")


def test_a_slow_pixel_is_waited_for(lab: Lab, page: Page) -> None:
    lab.fault(what="delay", path="/tr/", seconds=2, count=1)
    page.goto(shop_page(lab))
    ready(page)
    page.evaluate(PURCHASE)
    lab.wait_for_server("Purchase")
    assert_browser_first(lab, "Purchase")
    assert_counted_once(lab, "Purchase")


def test_a_blocked_pixel_leaves_the_server_event_as_the_only_copy(lab: Lab, page: Page) -> None:
    block(page, "*/tr/*")
    page.goto(shop_page(lab))
    ready(page)
    page.evaluate(PURCHASE)
    lab.wait_for_server("Purchase")
    assert lab.half("browser", "Purchase") == []
    assert lab.receipt("order-1")["receipts"][0]["browser"]["state"] == "blocked"
    assert_counted_once(lab, "Purchase")


def test_a_blocked_fbevents_script_is_known_at_once(lab: Lab, page: Page) -> None:
    block(page, "*/fbevents.js")
    page.goto(shop_page(lab, body=f"<script>{PURCHASE}</script>"))
    lab.wait_for_server("Purchase")
    receipt = lab.receipt("order-1")["receipts"][0]
    assert receipt["browser"]["state"] == "blocked"
    assert receipt["browser"]["evidence"] == "script-error"
    assert_counted_once(lab, "Purchase")
    assert_nothing_else(lab, "Purchase")


def test_a_hanging_config_sends_the_server_event_alone_after_the_hold(lab: Lab, page: Page) -> None:
    lab.fault(what="hang", path="/signals/config/", count=1)
    page.goto(shop_page(lab), wait_until="domcontentloaded")
    page.wait_for_function("window.counterfoil && !window.counterfoil.q", polling=POLL_MS)
    page.evaluate(PURCHASE)
    lab.wait_for_server("Purchase", seconds=40)
    assert lab.half("browser", "Purchase") == []
    assert lab.receipt("order-1")["receipts"][0]["browser"]["state"] == "undispatched"
    assert_counted_once(lab, "Purchase")


def test_a_link_clicked_right_after_the_event_loses_nothing(lab: Lab, page: Page) -> None:
    lab.page("/thanks", "<p>Thanks</p>")
    shop = shop_page(lab, body="<a id=go href=/thanks>go</a>", page_view=True)
    page.goto(shop)
    ready(page)
    # The connection to Meta is warm, as on a real second click.
    wait_until(lambda: lab.half("browser", "PageView"), "the first PageView is at Meta")
    page.evaluate(f"{PURCHASE}; document.getElementById('go').click()")
    page.wait_for_url("**/thanks")
    lab.wait_for_server("Purchase")
    if lab.half("browser", "Purchase"):
        assert_browser_first(lab, "Purchase")
    assert_counted_once(lab, "Purchase")


def test_a_tab_closed_right_after_the_event_loses_nothing(lab: Lab, page: Page) -> None:
    page.goto(shop_page(lab))
    ready(page)
    page.evaluate(PURCHASE)
    page.close(run_before_unload=True)
    lab.wait_for_server("Purchase")
    if lab.half("browser", "Purchase"):
        assert_browser_first(lab, "Purchase")
    assert_counted_once(lab, "Purchase")


def test_a_relay_in_trouble_gets_the_event_once_it_has_recovered(lab: Lab, page: Page) -> None:
    lab.gate.refuse_posts_with = 503
    page.goto(shop_page(lab))
    ready(page)
    page.evaluate(PURCHASE)
    wait_until(lambda: lab.gate.refused, "the first post is refused")
    assert lab.half("server", "Purchase") == []
    lab.gate.refuse_posts_with = None
    page.goto(shop_page(lab, "/next"))
    (server,) = lab.wait_for_server("Purchase")
    assert server["event_id"] == "order-1"
    assert_browser_first(lab, "Purchase")
    assert_counted_once(lab, "Purchase")


def test_two_pixels_of_one_page_get_one_pair_each(two_pixel_lab: Lab, page: Page) -> None:
    lab = two_pixel_lab
    page.goto(lab.page("/", head=lab.base_code(PIXEL, SECOND_PIXEL, page_view=False) + lab.snippet()))
    ready(page)
    page.evaluate(PURCHASE)
    servers = lab.wait_for_server("Purchase", 2)
    browsers = lab.half("browser", "Purchase")
    assert (
        {event["pixel"] for event in servers}
        == {event["pixel"] for event in browsers}
        == {PIXEL, SECOND_PIXEL}
    )
    assert {event["event_id"] for event in servers + browsers} == {"order-1"}
    assert_browser_first(lab, "Purchase")
    assert_counted_once(lab, "Purchase", 2)


def test_a_revoked_consent_lets_nothing_leave_and_a_grant_releases_both_halves(lab: Lab, page: Page) -> None:
    revoked = lab.base_code(page_view=False).replace("fbq('init'", "fbq('consent','revoke');fbq('init'")
    page.goto(lab.page("/", head=revoked + lab.snippet()))
    page.wait_for_function("window.counterfoil && !window.counterfoil.q", polling=POLL_MS)
    page.evaluate("fbq('track','Lead',{},{eventID:'later'})")
    page.evaluate("window.dispatchEvent(new Event('pagehide'))")
    assert_nothing_else(lab)
    page.evaluate("fbq('consent','grant')")
    lab.wait_for_server("Lead")
    assert_browser_first(lab, "Lead")
    assert_counted_once(lab, "Lead")


def test_the_snippet_adds_nothing_to_the_page_but_its_own_name(lab: Lab, page: Page) -> None:
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)

    def globals_of(head: str, path: str) -> set[str]:
        page.goto(lab.page(path, head=head))
        page.wait_for_function("document.readyState === 'complete'", polling=POLL_MS)
        page.wait_for_timeout(200)
        return set(page.evaluate("Object.getOwnPropertyNames(window)"))

    before = globals_of(lab.base_code(page_view=False), "/without")
    after = globals_of(lab.base_code(page_view=False) + lab.snippet(), "/with")
    assert after - before == {"counterfoil"}
    assert errors == []
