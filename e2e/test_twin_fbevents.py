"""The twin's fbevents.js in a real Chromium: towards page and network it behaves as Meta's was seen to."""

import hashlib
import json
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest
from playwright.sync_api import ConsoleMessage, Page

from e2e.lab import POLL_MS, Json, Served, Shop, loopback_listener, wait_until
from relay.twin.fixture import MetaTwin, meta_twin

__all__ = ["meta_twin"]

PIXEL, OTHER = "123456", "654321"
STUB = """
!function(f,b,e,v,n,t,s){if(f.fbq)return;n=f.fbq=function(){n.callMethod?n.callMethod.apply(n,arguments):
n.queue.push(arguments)};if(!f._fbq)f._fbq=n;n.push=n;n.loaded=!0;n.version='2.0';n.queue=[];t=b.createElement(e);
t.async=!0;t.src=v;s=b.getElementsByTagName(e)[0];s.parentNode.insertBefore(t,s)}(window,document,'script','%s');
"""


class Visit:
    """A shop page with Meta's base code pointed at the twin, and what the twin got from it."""

    def __init__(self, page: Page, twin: MetaTwin, shop: Shop, url: str) -> None:
        self.page = page
        self.shop = shop
        self.url = url
        self.twin = twin
        self.meta = twin.url.replace("127.0.0.1", "meta.example")
        self.warnings: list[str] = []
        page.on("console", self._remember)

    def _remember(self, message: ConsoleMessage) -> None:
        if message.type == "warning":
            self.warnings.append(message.text)

    def open(
        self, script: str, path: str = "/", *, before: str = "", query: str = "", referrer: str | None = None
    ) -> None:
        """Open a page whose head runs `before`, then the base code, then `script`."""
        base = STUB % f"{self.meta}/en_US/fbevents.js{query}"
        head = f"<!doctype html><meta charset=utf-8><script>{before}</script><script>{base}{script}</script>"
        icon = (
            "<link rel=icon href='data:,'>"  # without one Chromium asks for it, and says 404 in the console
        )
        self.shop.pages["/"] = f"{head}{icon}<body>shop"
        self.page.goto(self.url + path, referer=referrer, wait_until="domcontentloaded")

    def run(self, script: str) -> Any:
        return self.page.evaluate(f"() => {{ {script} }}")

    def received(self) -> list[Json]:
        found: list[Json] = self.twin.state()["browser"]
        return found

    def wait_for(self, number: int) -> list[Json]:
        """The events so far, once there are `number`; one sent behind them shows that no other came."""
        wait_until(lambda: len(self.received()) >= number, f"{number} events at the twin")
        self.page.evaluate("url => fetch(url, {mode: 'no-cors'})", f"{self.meta}/tr/?id=1&ev=Last")
        events = self.received()
        assert events[-1]["event_name"] == "Last"
        return events[:-1]

    def locks(self) -> Json:
        locks: Json = self.run("return {...fbq.instance?.locks._locks}")
        return locks

    def wait_for_config(self, pixel: str = PIXEL) -> None:
        self.page.wait_for_function(
            "id => fbq.instance && !fbq.instance.locks._locks['config:' + id]", arg=pixel, polling=POLL_MS
        )

    def cookie(self, name: str) -> Json | None:
        return next((dict(each) for each in self.page.context.cookies() if each["name"] == name), None)


@pytest.fixture(scope="module")
def shop() -> Iterator[tuple[Shop, str]]:
    listener = loopback_listener()
    shop = Shop()
    served = Served(shop.app, plain=listener)
    yield shop, f"http://www.shop.example:{listener.getsockname()[1]}"
    served.close()


@pytest.fixture
def visit(page: Page, meta_twin: MetaTwin, shop: tuple[Shop, str]) -> Visit:
    return Visit(page, meta_twin, *shop)


INIT = f"fbq('init','{PIXEL}');"


def test_queued_commands_are_sent_as_images_once_the_config_ran(visit: Visit) -> None:
    visit.open(
        INIT + "fbq('track','PageView',{},{eventID:'p-1'});"
        "fbq('track','Purchase',{value:49.9,currency:'EUR',contents:[{id:'a',quantity:1}]},{eventID:'o-1'});",
        referrer="http://news.example/",
    )
    page_view, purchase = visit.wait_for(2)
    assert (page_view["event_id"], purchase["event_id"]) == ("p-1", "o-1")
    params = purchase["params"]
    assert (params["id"], params["ev"], params["rqm"], params["if"]) == (PIXEL, "Purchase", "GET", "false")
    assert (params["dl"], params["cd[value]"], params["cd[currency]"]) == (f"{visit.url}/", "49.9", "EUR")
    assert json.loads(params["cd[contents]"]) == [{"id": "a", "quantity": 1}]
    assert [event["params"]["ec"] for event in (page_view, purchase)] == ["0", "1"]
    assert {"ts", "it", "v", "rl", "fbp"} <= params.keys()
    assert purchase["via"] == "GET"


def test_nothing_is_sent_while_the_config_hangs(visit: Visit) -> None:
    visit.twin.fault("hang", path="/signals/config/")
    visit.open(INIT + "fbq('track','PageView');")
    wait_until(visit.locks, "the config lock")
    visit.run("fbq('track','Lead')")
    assert visit.locks() == {f"config:{PIXEL}": True}
    assert visit.wait_for(0) == []
    assert visit.run("return fbq.queue.map(each => each[1])") == ["PageView", "Lead"]


def test_a_missing_config_locks_for_ever(visit: Visit) -> None:
    visit.twin.fault("status", path="/signals/config/", status=404)
    visit.open(INIT + "fbq('track','PageView');")
    visit.page.wait_for_load_state("load")
    assert visit.locks() == {f"config:{PIXEL}": True}
    assert visit.wait_for(0) == []


def test_a_blocked_script_leaves_the_queue_as_it_is(visit: Visit) -> None:
    visit.twin.fault("reset", path="fbevents.js", count=None)
    visit.open(INIT + "fbq('track','PageView');")
    visit.page.wait_for_load_state("load")
    assert visit.run("return [fbq.callMethod === undefined, fbq.queue.length]") == [True, 2]


def test_without_config_loading_it_sends_at_once_and_sets_no_cookie(visit: Visit) -> None:
    visit.open("fbq.disableConfigLoading=true;" + INIT + "fbq('track','PageView');")
    (event,) = visit.wait_for(1)
    assert "fbp" not in event["params"]
    assert visit.cookie("_fbp") is None


@pytest.mark.parametrize(
    ("options", "event_id"),
    [
        ("{eventID:'a'}", "a"),
        ("{event_id:'a'}", "a"),
        ("{eventID:4711}", "4711"),
        ("{eventID:{eventID:'nested'}}", "nested"),
        ("{eventID:'ü€'}", "ü€"),
        ("{eventID:null}", None),
        ("null", None),
        ("undefined", None),
        ("{other:1}", None),
    ],
)
def test_the_event_id_is_read_from_the_fourth_argument(
    visit: Visit, options: str, event_id: str | None
) -> None:
    visit.open(f"{INIT}fbq('track','Lead',{{}},{options});")
    (event,) = visit.wait_for(1)
    assert event["event_id"] == event_id
    assert ("eid" in event["params"]) == (event_id is not None)


def test_an_empty_event_id_is_sent_empty(visit: Visit) -> None:
    visit.open(INIT + "fbq('track','Lead',{},{eventID:''});")
    (event,) = visit.wait_for(1)
    assert event["params"]["eid"] == ""


def test_an_event_id_in_the_third_argument_only_warns(visit: Visit) -> None:
    visit.open(INIT + "fbq('track','Lead',{eventID:'a'});")
    (event,) = visit.wait_for(1)
    assert event["event_id"] is None
    assert event["params"]["cd[eventID]"] == "a"
    assert any("eventID" in warning for warning in visit.warnings)


def test_track_reaches_every_pixel_and_track_single_one(visit: Visit) -> None:
    visit.open(
        f"{INIT}fbq('init','{OTHER}');fbq('track','Lead',{{}},{{eventID:'both'}});"
        f"fbq('trackSingle','{OTHER}','Contact',{{}},{{eventID:'one'}});"
        f"fbq('trackSingleCustom','{PIXEL}','Mine',{{}},{{event_id:'mine'}});fbq('trackCustom','Ours');"
    )
    events = visit.wait_for(6)
    assert {(event["pixel"], event["event_name"], event["event_id"]) for event in events} == {
        (PIXEL, "Lead", "both"),
        (OTHER, "Lead", "both"),
        (OTHER, "Contact", "one"),
        (PIXEL, "Mine", "mine"),
        (PIXEL, "Ours", None),
        (OTHER, "Ours", None),
    }


def test_a_long_event_goes_as_a_form_into_a_hidden_frame(visit: Visit) -> None:
    visit.open(
        INIT + "fbq('track','Purchase',{value:1,currency:'EUR',note:'ü'.repeat(700)},{eventID:'long'});"
    )
    (event,) = visit.wait_for(1)
    assert (event["via"], event["params"]["rqm"], event["event_id"]) == (
        "POST urlencoded",
        "formPOST",
        "long",
    )
    assert event["params"]["cd[note]"] == "ü" * 700
    visit.page.wait_for_function("() => !document.querySelector('form, iframe')", polling=POLL_MS)


def test_a_long_event_goes_as_a_beacon_in_other_browsers(visit: Visit) -> None:
    visit.open(
        INIT + "fbq('track','Lead',{note:'x'.repeat(3000)},{eventID:'long'});",
        before="Object.defineProperty(navigator,'vendor',{value:''});",
    )
    (event,) = visit.wait_for(1)
    assert (event["via"], event["params"]["rqm"]) == ("POST multipart", "SB")
    assert event["params"]["cd[note]"] == "x" * 3000


def test_the_browser_cookie_is_minted_on_the_widest_domain_and_sent_with_the_first_event(
    visit: Visit,
) -> None:
    visit.open(INIT + "fbq('track','PageView');")
    (event,) = visit.wait_for(1)
    cookie = visit.cookie("_fbp")
    assert cookie
    assert (cookie["domain"], cookie["path"], cookie["sameSite"]) == (".shop.example", "/", "Lax")
    assert re.fullmatch(r"fb\.1\.[0-9]{13}\.[0-9]{1,10}", cookie["value"])
    assert event["fbp"] == cookie["value"]
    assert (event["fbc"], visit.cookie("_fbc"), visit.cookie("_fbw")) == (None, None, None)


def test_existing_cookies_are_adopted(visit: Visit) -> None:
    mine = {"_fbp": "fb.1.1596403881668.42.AQICAQMC", "_fbc": "fb.1.1596403881668.Click"}
    visit.page.context.add_cookies(
        [{"name": name, "value": value, "url": visit.url} for name, value in mine.items()]
    )
    visit.open(INIT + "fbq('track','PageView');")
    (event,) = visit.wait_for(1)
    assert (event["fbp"], event["fbc"]) == (mine["_fbp"], mine["_fbc"])


def test_a_cookie_of_another_form_is_replaced(visit: Visit) -> None:
    visit.page.context.add_cookies(
        [{"name": "_fbp", "value": "something", "domain": ".shop.example", "path": "/"}]
    )
    visit.open(INIT + "fbq('track','PageView');")
    (event,) = visit.wait_for(1)
    assert event["fbp"].startswith("fb.1.")


def test_a_click_id_becomes_fbc_as_it_is_and_keeps_its_time(visit: Visit) -> None:
    visit.open(INIT + "fbq('track','PageView');", path=f"/?fbclid={quote('IwAR2-AbC_d')}&x=1")
    (first,) = visit.wait_for(1)
    assert re.fullmatch(r"fb\.1\.[0-9]{13}\.IwAR2-AbC_d", first["fbc"])
    visit.run("fbq('track','Lead')")
    assert visit.wait_for(3)[2]["fbc"] == first["fbc"]
    visit.open(INIT + "fbq('track','PageView');", path="/?fbclid=Newer")
    assert wait_until(lambda: visit.received()[4:], "the next visit")[0]["fbc"].endswith(".Newer")


def test_revoked_consent_holds_everything_and_a_grant_releases_it(visit: Visit) -> None:
    requests: list[str] = []
    visit.page.on("request", lambda request: requests.append(request.url))
    visit.open("fbq('consent','revoke');" + INIT + "fbq('track','PageView',{},{eventID:'held'});")
    wait_until(visit.locks, "the consent lock")
    assert visit.locks() == {"consent": True}
    assert visit.wait_for(0) == []
    assert not [url for url in requests if "signals/config" in url]
    visit.run("fbq('consent','grant')")
    events = wait_until(lambda: visit.received()[1:], "the held event")
    assert events[0]["event_id"] == "held"


def test_a_second_page_view_is_dropped_unless_the_page_allows_it(visit: Visit) -> None:
    visit.open(INIT + "fbq('track','PageView');fbq('track','PageView');fbq('track','Lead');")
    assert [event["event_name"] for event in visit.wait_for(2)] == ["PageView", "Lead"]
    visit.twin.reset()
    visit.open(
        "fbq.allowDuplicatePageViews=true;" + INIT + "fbq('track','PageView');fbq('track','PageView');"
    )
    assert [event["event_name"] for event in visit.wait_for(2)] == ["PageView", "PageView"]


def test_a_changed_address_fires_a_page_view_without_an_id(visit: Visit) -> None:
    visit.open(INIT + "fbq('track','PageView',{},{eventID:'p-1'});")
    visit.wait_for_config()
    visit.run(
        "history.pushState({},'','/two');history.pushState({},'','/two');history.replaceState({},'','/three')"
    )
    events = wait_until(lambda: visit.received()[2:] and visit.received(), "the PageViews")
    assert [(event["event_id"], event["params"]["dl"]) for event in events] == [
        ("p-1", f"{visit.url}/"),
        (None, f"{visit.url}/two"),
        (None, f"{visit.url}/three"),
    ]
    visit.page.go_back()
    wait_until(lambda: len(visit.received()) == 4, "the PageView of going back")


def test_a_page_can_switch_those_off_but_not_the_one_of_a_restored_page(visit: Visit) -> None:
    visit.open("fbq.disablePushState=true;" + INIT + "fbq('track','PageView',{},{eventID:'p-1'});")
    visit.wait_for_config()
    visit.run("history.pushState({},'','/two')")
    assert len(visit.wait_for(1)) == 1
    visit.run("dispatchEvent(new PageTransitionEvent('pageshow',{persisted:true}))")
    restored = wait_until(lambda: visit.received()[2:], "the restored page's PageView")
    assert (restored[0]["event_name"], restored[0]["event_id"]) == ("PageView", None)


def test_the_internal_events_report_the_dispatch_and_can_give_an_id(visit: Visit) -> None:
    visit.open(INIT)
    visit.wait_for_config()
    visit.run(
        "window.seen=[];const events=fbq.getFbeventsModules('SignalsFBEventsEvents');"
        "events.fired.listen((transport,payload)=>seen.push([transport,payload.get('ev'),payload.get('eid')]));"
        "events.setEventId.listen((pixel,params,name)=>params.append('eid',`${pixel}-${name}`));"
        "fbq('track','Lead',{},{eventID:'mine'});fbq('track','Contact');"
        "fbq('track','Search',{search_string:'x'.repeat(3000)});"
    )
    assert visit.run("return seen") == [
        ["GET", "Lead", "mine"],
        ["GET", "Contact", f"{PIXEL}-Contact"],
        ["POST", "Search", f"{PIXEL}-Search"],
    ]
    assert {event["event_id"] for event in visit.wait_for(3)} == {
        "mine",
        f"{PIXEL}-Contact",
        f"{PIXEL}-Search",
    }


def test_the_internal_events_can_be_absent(visit: Visit) -> None:
    visit.open(INIT, query="?hooks=0")
    visit.wait_for_config()
    assert visit.run("return typeof fbq.getFbeventsModules") == "undefined"


def test_a_second_init_fills_advanced_matching_once_and_is_logged_otherwise(visit: Visit) -> None:
    visit.open(f"{INIT}fbq('init','{PIXEL}',{{em:' John_Smith@gmail.com '}});fbq('track','Lead');")
    (event,) = visit.wait_for(1)
    assert event["params"]["ud[em]"] == hashlib.sha256(b"john_smith@gmail.com").hexdigest()
    assert visit.warnings == []
    visit.run(f"fbq('init','{PIXEL}',{{em:'other@example.com'}})")
    assert any(f"Duplicate Pixel ID: {PIXEL}" in warning for warning in visit.warnings)


@pytest.mark.parametrize(
    ("key", "raw", "text"),
    [
        ("external_id", "User 123", "user123"),
        ("ph", "+44 (0)7911 123456", "4407911123456"),
        ("fn", "Valéry", "valéry"),
        ("ct", "x" * 55, "x" * 55),
        ("ct", "x" * 56, "x" * 56),
        ("ct", "정" * 100, "정" * 100),
    ],
)
def test_advanced_matching_is_hashed_in_the_browser(visit: Visit, key: str, raw: str, text: str) -> None:
    visit.open(f"fbq('init','{PIXEL}',{json.dumps({key: raw})});fbq('track','Lead');")
    (event,) = visit.wait_for(1)
    assert event["params"][f"ud[{key}]"] == hashlib.sha256(text.encode()).hexdigest()


def test_processing_options_are_sent_with_country_and_state(visit: Visit) -> None:
    visit.open("fbq('dataProcessingOptions',['LDU'],1,1000);" + INIT + "fbq('track','Lead');")
    (event,) = visit.wait_for(1)
    assert [event["params"][key] for key in ("dpo", "dpoco", "dpost")] == ["LDU", "1", "1000"]


def test_an_unknown_command_is_logged_and_harmless(visit: Visit) -> None:
    visit.open(INIT + "fbq('explode');fbq('constructor');fbq('track','Lead');")
    assert len(visit.wait_for(1)) == 1
    assert len(visit.warnings) == 2


def test_the_events_manager_refreshes_itself_and_keeps_open_rows_open(visit: Visit) -> None:
    console_errors: list[str] = []
    visit.page.on(
        "console", lambda message: console_errors.append(message.text) if message.type == "error" else None
    )
    visit.open(INIT + "fbq('track','PageView',{},{eventID:'p-1'});")
    visit.wait_for(1)
    visit.page.goto(f"{visit.meta}/test-events")
    row = visit.page.locator("details", has_text="p-1").first
    row.locator("summary").first.focus()
    visit.page.keyboard.press("Enter")
    assert row.get_attribute("open") is not None
    visit.page.evaluate("url => fetch(url, {mode: 'no-cors'})", f"{visit.meta}/tr/?id=2&ev=Lead&eid=fresh-1")
    visit.page.get_by_text("fresh-1").first.wait_for()
    assert row.get_attribute("open") is not None
    assert console_errors == []
