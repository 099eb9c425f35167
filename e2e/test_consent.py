"""Consent in a real browser: what was not granted leaves but a count, and both halves go under the same terms."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page

from e2e.conftest import QUICK
from e2e.lab import PIXEL, POLL_MS, Json, Lab, open_lab, wait_until

LEAD = "fbq('track','Lead',{},{eventID:'lead-1'})"
PURCHASE = "counterfoil('track','Purchase',{value:5,currency:'EUR'},{eventID:'order-1'})"
NAMES = ("Lead", "Purchase")
GPC = "Object.defineProperty(Navigator.prototype, 'globalPrivacyControl', {get: () => true})"

# A stand-in of each consent platform: what its script leaves on the page before the visitor has answered, and what it
# does once the visitor grants or denies.
TCF = """window.__tcfapi=(command,version,listener)=>{window.tell=listener;listener({eventStatus:'cmpuishown',
gdprApplies:true,purpose:{consents:{}}},true)}"""
TCF_SAID = "tell({{eventStatus:'useractioncomplete',gdprApplies:true,purpose:{{consents:{{1:{0},3:{0},4:{0}}}}}}},true)"
GPP = (
    "window.__gpp=(command,listener)=>{window.tell=listener;listener({pingData:{signalStatus:'not ready'}})}"
)
GPP_SAID = """tell({{pingData:{{signalStatus:'ready',applicableSections:[7],
parsedSections:{{usnat:[{{SaleOptOut:{}}}]}}}}}})"""
ONETRUST = "window.OnetrustActiveGroups=',C0001,';window.OneTrust={IsAlertBoxClosed:()=>window.closed_}"
ONETRUST_SAID = (
    "closed_=true;OnetrustActiveGroups='{}';dispatchEvent(new CustomEvent('OneTrustGroupsUpdated'))"
)
COOKIEBOT = "window.Cookiebot={hasResponse:false,consent:{marketing:false}}"
COOKIEBOT_SAID = "Cookiebot.consent.marketing={};dispatchEvent(new Event('CookiebotOn{}'))"
USERCENTRICS_2 = """window.UC_UI={isInitialized:()=>true,isConsentRequired:()=>!window.answered,
getServicesBaseInfo:()=>[{categorySlug:'marketing',consent:{status:window.status_}}]}"""
USERCENTRICS_2_SAID = "answered=true;status_={};dispatchEvent(new CustomEvent('UC_UI_CMP_EVENT'))"
USERCENTRICS_3 = """window.__ucCmp={isConsentRequired:async()=>!window.answered,
getConsentDetails:async()=>({categories:{marketing:{state:window.state_}}})}"""
USERCENTRICS_3_SAID = "answered=true;state_='{}';dispatchEvent(new CustomEvent('UC_UI_CMP_EVENT'))"
COMPLIANZ = "window.cmplz_has_consent=()=>window.has_"
COMPLIANZ_SAID = """has_={0};document.dispatchEvent(new CustomEvent('cmplz_status_change',
{{detail:{{category:'marketing',value:'{1}'}}}}))"""
WP = "window.wp_has_consent=()=>false"
WP_SAID = (
    "document.dispatchEvent(new CustomEvent('wp_listen_for_consent_change',{{detail:{{marketing:'{}'}}}}))"
)
GOOGLE = """window.dataLayer=[];window.gtag=function(){dataLayer.push(arguments)};
gtag('consent','default',{ad_storage:'denied',ad_user_data:'denied'})"""
GOOGLE_SAID = "gtag('consent','update',{{ad_storage:'{0}',ad_user_data:'{0}'}})"

# adapter → the stand-in, the visitor's yes, the visitor's no
PLATFORMS: dict[str, tuple[str, str, str]] = {
    "": ("", "counterfoil('consent','grant')", "counterfoil('consent','revoke')"),
    "google": (GOOGLE, GOOGLE_SAID.format("granted"), GOOGLE_SAID.format("denied")),
    "tcf": (TCF, TCF_SAID.format("true"), TCF_SAID.format("false")),
    "cookiebot": (
        COOKIEBOT,
        COOKIEBOT_SAID.format("true", "Accept"),
        COOKIEBOT_SAID.format("false", "Decline"),
    ),
    "onetrust": (ONETRUST, ONETRUST_SAID.format(",C0001,C0004,"), ONETRUST_SAID.format(",C0001,")),
    "usercentrics": (USERCENTRICS_2, USERCENTRICS_2_SAID.format("true"), USERCENTRICS_2_SAID.format("false")),
    "usercentrics 3": (
        USERCENTRICS_3,
        USERCENTRICS_3_SAID.format("ALL_ACCEPTED"),
        USERCENTRICS_3_SAID.format("ALL_DENIED"),
    ),
    "complianz": (COMPLIANZ, COMPLIANZ_SAID.format("true", "allow"), COMPLIANZ_SAID.format("false", "deny")),
    "wp": (WP, WP_SAID.format("allow"), WP_SAID.format("deny")),
}


@pytest.fixture(scope="module")
def shared_lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """One laboratory for all platforms: consent is required, and each test takes ids of its own."""
    with open_lab(tmp_path_factory.mktemp("consent"), delivery=QUICK, consent="required") as opened:
        yield opened


@pytest.fixture
def required_lab(shared_lab: Lab) -> Lab:
    shared_lab.http.delete("/twin/state").raise_for_status()
    return shared_lab


@pytest.fixture
def dropping_lab(tmp_path: Path) -> Iterator[Lab]:
    with open_lab(tmp_path, delivery=QUICK, gpc="drop") as opened:
        yield opened


def open_shop(lab: Lab, page: Page, *, attributes: str, platform: str = "", path: str = "/") -> None:
    head = f"<script>{platform}</script>{lab.base_code(page_view=False)}{lab.snippet(attributes)}"
    page.goto(lab.page(path, head=head))
    page.wait_for_function(
        "window.counterfoil && !window.counterfoil.q && !!window.fbq.callMethod", polling=POLL_MS
    )
    # A visitor answers after the source's adapter has been loaded; what was answered before only the platform knows.
    if asked := re.search(r'data-consent="(\w*)"', attributes):
        for part in ("consent", *(f"consent/{source}" for source in asked.groups() if source)):
            page.evaluate("url => import(url).then(() => {}, () => {})", f"{lab.relay_url}/{part}.js")


def fire(page: Page, tag: str) -> None:
    page.evaluate(LEAD.replace("lead-1", f"lead-{tag}"))
    page.evaluate(PURCHASE.replace("order-1", f"order-{tag}"))


def refusals(lab: Lab, reason: str) -> int:
    return lab.refused().get(reason, 0)


def assert_nothing_at_meta(lab: Lab) -> None:
    state = lab.meta()
    assert (state["browser"], state["server"], state["rejected"]) == ([], [], [])


def assert_pairs(lab: Lab) -> dict[str, tuple[Json, Json]]:
    """Each event once on both sides, the Pixel first, under every profile counted once."""
    pairs = {}
    for name in NAMES:
        (server,) = lab.wait_for_server(name)
        (browser,) = lab.half("browser", name)
        assert browser["event_id"] == server["event_id"]
        assert browser["received_ms"] <= server["received_ms"]
        assert set(lab.counted(name).values()) == {1}
        pairs[name] = (browser, server)
    return pairs


@pytest.mark.parametrize("name", PLATFORMS)
def test_events_wait_for_a_grant_and_keep_their_id_and_time(required_lab: Lab, page: Page, name: str) -> None:
    platform, yes, _ = PLATFORMS[name]
    open_shop(required_lab, page, attributes=f'data-consent="{name.split(" ")[0]}"', platform=platform)
    before_s = page.evaluate("Date.now()") / 1000
    fire(page, f"yes-{name}")
    after_s = page.evaluate("Date.now()") / 1000
    page.wait_for_timeout(2500)
    page.evaluate("window.dispatchEvent(new Event('pagehide'))")
    assert_nothing_at_meta(required_lab)
    page.evaluate(yes)
    for browser, server in assert_pairs(required_lab).values():
        assert browser["event_id"].endswith(f"yes-{name}")
        # Whole seconds; a slow post makes the event look younger by its way.
        assert int(before_s) <= server["params"]["event_time"] <= after_s + 1
        row = next(r for r in compared(required_lab, browser["event_id"]) if r["field"] == "consent")
        assert (row["browser"], row["server"], row["mark"]) == ("granted", "granted", "same")


@pytest.mark.parametrize("name", PLATFORMS)
def test_a_denial_leaves_nothing_but_a_count(required_lab: Lab, page: Page, name: str) -> None:
    platform, yes, no = PLATFORMS[name]
    counted = refusals(required_lab, "consent_denied")
    posts: list[str] = []
    page.on(
        "request", lambda request: posts.append(request.post_data or "") if request.method == "POST" else None
    )
    open_shop(required_lab, page, attributes=f'data-consent="{name.split(" ")[0]}"', platform=platform)
    fire(page, f"no-{name}")
    page.evaluate(no)
    wait_until(lambda: refusals(required_lab, "consent_denied") == counted + 2, "two events are counted")
    assert page.evaluate("localStorage.length") == 0
    fire(page, f"after-{name}")
    page.evaluate(yes)  # a later change of mind does not bring back what was denied
    wait_until(lambda: refusals(required_lab, "consent_denied") == counted + 4, "four events are counted")
    assert_nothing_at_meta(required_lab)
    page.evaluate("0")  # hear of the requests that have been made
    assert posts == ['{"site":"demo-shop","events":[{"consent":"denied"},{"consent":"denied"}]}'] * 2
    fire(page, f"again-{name}")
    assert {browser["event_id"] for browser, _ in assert_pairs(required_lab).values()} == {
        f"lead-again-{name}",
        f"order-again-{name}",
    }


def compared(lab: Lab, event_id: str) -> list[Json]:
    rows: list[Json] = lab.receipt(event_id)["receipts"][0]["compared"]
    return rows


def test_a_visitor_who_never_answers_has_not_granted(required_lab: Lab, page: Page) -> None:
    open_shop(required_lab, page, attributes='data-consent="tcf"', platform=TCF)
    fire(page, "never")
    page.goto(required_lab.page("/next", "<p>next</p>"))
    page.wait_for_timeout(500)
    assert_nothing_at_meta(required_lab)


def test_an_adapter_that_does_not_load_fails_closed(required_lab: Lab, page: Page) -> None:
    page.route("**/consent/tcf.js", lambda route: route.abort("failed"))
    open_shop(required_lab, page, attributes='data-consent="tcf"', platform=TCF)
    fire(page, "closed")
    page.wait_for_timeout(1000)
    assert_nothing_at_meta(required_lab)


def test_a_relay_that_requires_consent_takes_nothing_from_a_tag_that_does_not_ask(
    required_lab: Lab, page: Page
) -> None:
    before = refusals(required_lab, "consent_missing")
    open_shop(required_lab, page, attributes="")
    page.evaluate(PURCHASE)
    wait_until(lambda: refusals(required_lab, "consent_missing") > before, "the event is refused")
    assert required_lab.half("server", "Purchase") == []


def test_an_opt_out_of_gpp_limits_both_halves(required_lab: Lab, page: Page) -> None:
    open_shop(required_lab, page, attributes='data-consent="gpp"', platform=GPP)
    fire(page, "gpp")
    assert_nothing_at_meta(required_lab)
    page.evaluate(GPP_SAID.format(1))
    for browser, server in assert_pairs(required_lab).values():
        assert_limited(required_lab, browser, server)


def test_a_visitor_of_gpp_who_has_not_opted_out_is_not_limited(required_lab: Lab, page: Page) -> None:
    open_shop(required_lab, page, attributes='data-consent="gpp"', platform=GPP)
    fire(page, "gpp-in")
    page.evaluate(GPP_SAID.format(2))
    for browser, server in assert_pairs(required_lab).values():
        assert "dpo" not in browser["params"]
        assert "data_processing_options" not in server["params"]


def assert_limited(lab: Lab, browser: Json, server: Json) -> None:
    assert [browser["params"][name] for name in ("dpo", "dpoco", "dpost")] == ["LDU", "0", "0"]
    assert server["params"]["data_processing_options"] == ["LDU"]
    assert server["params"]["data_processing_options_country"] == 0
    assert server["params"]["data_processing_options_state"] == 0
    row = next(r for r in compared(lab, server["event_id"]) if r["field"] == "limited data use")
    assert (row["browser"], row["server"], row["mark"]) == ("LDU", "LDU", "same")


@pytest.mark.parametrize("where", ["before", "after"])
def test_global_privacy_control_limits_both_halves(lab: Lab, page: Page, where: str) -> None:
    """Wherever the snippet stands: before Meta's script, or after it has loaded."""
    page.add_init_script(GPC)
    if where == "before":
        open_shop(lab, page, attributes="")
        fire(page, "gpc")
    else:
        page.goto(lab.page("/", head=lab.base_code(page_view=False)))
        page.wait_for_function("!!window.fbq.callMethod", polling=POLL_MS)
        page.evaluate(
            """src => { const tag = document.createElement('script'); tag.src = src;
            tag.dataset.site = 'demo-shop'; document.head.append(tag) }""",
            f"{lab.relay_url}/c.js",
        )
        page.wait_for_function("!!window.counterfoil && !!window.counterfoil.live", polling=POLL_MS)
        fire(page, "gpc")
    for browser, server in assert_pairs(lab).values():
        assert_limited(lab, browser, server)


def test_events_queued_before_the_snippet_came_are_limited_too(lab: Lab, page: Page) -> None:
    lab.fault(what="delay", path="/signals/config/", seconds=1, count=1)  # Meta's script is not the first
    page.add_init_script(GPC)
    page.goto(lab.page("/", head=f"{lab.base_code(page_view=False)}<script>{LEAD}</script>{lab.snippet()}"))
    (server,) = lab.wait_for_server("Lead")
    (browser,) = lab.half("browser", "Lead")
    assert_limited(lab, browser, server)


def test_a_site_may_drop_what_global_privacy_control_covers(dropping_lab: Lab, page: Page) -> None:
    page.add_init_script(GPC)
    open_shop(dropping_lab, page, attributes='data-gpc="drop"')
    fire(page, "drop")
    page.evaluate("window.dispatchEvent(new Event('pagehide'))")
    wait_until(lambda: refusals(dropping_lab, "consent_denied") == 2, "two events are counted")
    assert_nothing_at_meta(dropping_lab)


def test_the_relay_drops_by_the_header_what_an_old_tag_lets_through(dropping_lab: Lab, page: Page) -> None:
    page.set_extra_http_headers({"Sec-GPC": "1"})
    open_shop(dropping_lab, page, attributes="")
    page.evaluate(PURCHASE)
    wait_until(lambda: refusals(dropping_lab, "privacy_control") == 1, "the event is counted")
    assert dropping_lab.half("server", "Purchase") == []


def test_a_page_may_limit_one_event_and_switch_it_off_for_the_next(lab: Lab, page: Page) -> None:
    open_shop(lab, page, attributes="")
    page.evaluate(
        f"fbq('dataProcessingOptions',['LDU'],1,1000);{LEAD};fbq('dataProcessingOptions',[]);{PURCHASE}"
    )
    pairs = assert_pairs(lab)
    limited, free = pairs["Lead"], pairs["Purchase"]
    assert [limited[0]["params"][name] for name in ("dpo", "dpoco", "dpost")] == ["LDU", "1", "1000"]
    assert limited[1]["params"]["data_processing_options"] == ["LDU"]
    assert limited[1]["params"]["data_processing_options_state"] == 1000
    assert free[0]["params"]["dpo"] == ""
    assert free[1]["params"]["data_processing_options"] == []


def test_pixels_own_consent_is_enough_where_nothing_else_is_asked(lab: Lab, page: Page) -> None:
    revoked = lab.base_code(page_view=False).replace("fbq('init'", "fbq('consent','revoke');fbq('init'")
    page.goto(lab.page("/", head=revoked + lab.snippet()))
    page.wait_for_function(
        "window.counterfoil && !window.counterfoil.q && !!window.fbq.callMethod", polling=POLL_MS
    )
    fire(page, "own")
    page.wait_for_timeout(300)
    assert_nothing_at_meta(lab)
    page.evaluate("fbq('consent','grant')")
    assert {server["pixel"] for _, server in assert_pairs(lab).values()} == {PIXEL}
