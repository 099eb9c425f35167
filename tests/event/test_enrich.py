"""One checked event and its request become one outbox event per pixel, and nothing raw comes along."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.event.build import assemble
from relay.event.enrich import USER_AGENT_MAX, connection_address, enrich, outbox_key
from relay.event.fields import Refused
from relay.event.outcome import BrowserState, Fate, FateReason, Refusal
from relay.event.records import BrowserEvent, OutboxEvent, RequestFacts
from relay.event.wire import parse_event
from relay.settings import Pixel, Server, Settings, Site
from tests.event.malformed import PIXEL_ID, SITE_KEY, good_event

NOW_MS = 1_763_859_600_000
CHROME = (
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36"
)
FBP = "fb.1.1763859600000.1234567890"
SITE = Site(
    key=SITE_KEY,
    origins=("https://shop.example",),
    pixels=(Pixel(id=PIXEL_ID), Pixel(id="222")),
    default_country="DE",
)
SETTINGS = Settings(server=Server(trusted_proxies=("10.0.0.0/8",)), site=(SITE,))


def facts(**changes: Any) -> RequestFacts:
    seen = RequestFacts(
        received_ms=NOW_MS,
        peer="10.0.0.1",
        forwarded_for=("8.8.8.8",),
        forwarded=(),
        user_agent=CHROME,
        cookies={},
        sec_purpose=None,
        sec_gpc=False,
    )
    return msgspec.structs.replace(seen, **changes)


def result(
    raw: dict[str, Any], settings: Settings = SETTINGS, **changes: Any
) -> tuple[OutboxEvent, ...] | Refused:
    event = parse_event(raw, pixel_ids=SITE.pixel_ids())
    assert isinstance(event, BrowserEvent), event
    seen = facts(**changes)
    return enrich(event, seen, SITE, connection=connection_address(seen, settings), settings=settings)


def enriched(raw: dict[str, Any] | None = None, **changes: Any) -> tuple[OutboxEvent, ...]:
    events = result(raw or good_event(), **changes)
    assert not isinstance(events, Refused), events
    return events


def sent(event: OutboxEvent) -> dict[str, Any]:
    return assemble(event.server_event, event.client_ip_address, event.client_user_agent)


def test_an_event_fans_out_to_every_pixel_of_the_site() -> None:
    first, second = enriched()
    assert (first.pixel, second.pixel) == (PIXEL_ID, "222")
    assert first.key != second.key
    assert sent(first) == sent(second)


def test_an_event_may_name_its_pixels() -> None:
    assert [event.pixel for event in enriched(good_event(pixel_ids=["222"]))] == ["222"]


def test_times_are_on_the_relays_clock() -> None:
    event = enriched()[0]
    assert (event.event_time_ms, event.received_ms) == (NOW_MS - 412, NOW_MS)
    assert sent(event)["event_time"] == (NOW_MS - 412) // 1_000
    assert (event.leg.dispatched_ms, event.leg.settled_ms) == (NOW_MS - 409, NOW_MS - 294)
    assert event.leg.reported_ms == NOW_MS


def test_the_hold_follows_the_browser_leg() -> None:
    assert enriched()[0].not_before_ms == NOW_MS
    pending = enriched(good_event(pixel={"state": "pending", "dispatched_ms": 12}))[0]
    assert pending.leg.state is BrowserState.PENDING
    assert pending.not_before_ms == NOW_MS - 400 + 20_000
    assert pending.why["hold"] == "the browser leg is pending: held for 19.6 s after receipt"


def test_the_address_is_the_one_behind_the_trusted_proxy() -> None:
    event = enriched(forwarded_for=("6.6.6.6, 8.8.8.8",))[0]
    assert event.client_ip_address == "8.8.8.8"
    assert sent(event)["user_data"]["client_ip_address"] == "8.8.8.8"


def test_a_posted_fbp_wins_over_the_cookie_and_the_cookie_over_none() -> None:
    cookie = "fb.1.1700000000000.987654321"
    assert sent(enriched(cookies={"_fbp": cookie})[0])["user_data"]["fbp"] == FBP
    assert sent(enriched(good_event(fbp=None), cookies={"_fbp": cookie})[0])["user_data"]["fbp"] == cookie


def test_the_click_time_of_a_late_post_is_the_time_of_the_event() -> None:
    raw = good_event(age_ms=3_600_000, url="https://shop.example/?fbclid=IwAR2abc")
    fbc = sent(enriched(raw)[0])["user_data"]["fbc"]
    assert fbc.split(".")[2:] == [str(NOW_MS - 3_600_000), "IwAR2abc"]


def test_customer_keys_are_hashed_and_nothing_raw_is_left() -> None:
    raw = good_event(
        user_data={
            "em": "Canary.Person@mail.example",
            "ph": "030 901820",
            "fn": "Canaryfirst",
            "external_id": "canary-42",
        }
    )
    event = enriched(raw)[0]
    user_data = sent(event)["user_data"]
    assert all(len(user_data[key][0]) == 64 for key in ("em", "ph", "fn", "external_id"))
    assert {"em", "ph", "fn", "external_id"} <= set(event.why)
    text = msgspec.json.encode([event.why, event.leg]).decode() + event.server_event.decode()
    for canary in ("canary", "mail.example", "901820", "8.8.8.8", CHROME):
        assert canary.lower() not in text.lower()


def test_why_tells_where_each_value_came_from() -> None:
    why = enriched()[0].why
    assert {"fbp", "client_ip_address", "client_user_agent", "em", "hold"} <= set(why)
    assert why["agent"] == "PC / Linux / Chrome 142.0.0"
    assert "bot" not in why


def test_a_crawler_is_recorded_and_never_due() -> None:
    event = enriched(user_agent="Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)")[0]
    assert (event.fate, event.fate_reason) == (Fate.FILTERED, FateReason.BOT)
    assert "Googlebot" in event.why["bot"]


def test_headless_chromium_is_a_crawler_unless_a_laboratory_says_otherwise() -> None:
    headless = CHROME.replace("Chrome/", "HeadlessChrome/")
    laboratory = Settings(server=Server(accept_headless=True), site=(SITE,))
    assert enriched(user_agent=headless)[0].fate_reason == FateReason.BOT
    assert enriched(settings=laboratory, user_agent=headless)[0].fate is None
    assert enriched(settings=laboratory, user_agent="Googlebot/2.1")[0].fate_reason == FateReason.BOT


def test_a_visitors_event_has_no_fate_yet() -> None:
    assert (enriched()[0].fate, enriched()[0].fate_reason) == (None, None)


@pytest.mark.parametrize("user_agent", [None, "", "  "])
def test_an_event_without_a_user_agent_is_refused(user_agent: str | None) -> None:
    refused = Refused(event_id="e-1", reason=Refusal.MISSING_USER_AGENT)
    assert result(good_event(), user_agent=user_agent) == refused


def test_an_event_tells_under_which_consent_and_which_limits_it_goes() -> None:
    (event, _) = enriched(good_event(consent="granted"), sec_gpc=True)
    assert event.why["consent"] == "granted in the browser before either half was sent"
    assert event.why["data_processing_options"] == (
        "limited, because the browser sends Global Privacy Control"
    )
    assert sent(event)["data_processing_options"] == ["LDU"]


def test_a_prefetched_page_is_refused() -> None:
    refused = Refused(event_id="e-1", reason=Refusal.PREFETCH)
    assert result(good_event(), sec_purpose="prefetch;prerender") == refused


def test_an_event_that_could_be_anyones_is_refused() -> None:
    raw = good_event(fbp=None, user_data={"country": "de", "ct": "Berlin"})
    refused = Refused(event_id="e-1", reason=Refusal.TOO_BROAD)
    assert result(raw, forwarded_for=("10.1.1.1",)) == refused
    assert not isinstance(result(raw), Refused)


def test_an_endless_user_agent_is_cut() -> None:
    assert (
        enriched(user_agent=CHROME + "x" * 60_000)[0].client_user_agent
        == (CHROME + "x" * 60_000)[:USER_AGENT_MAX]
    )


def test_a_crawler_does_not_stand_in_the_way_of_the_event_that_it_imitates() -> None:
    crawler = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"
    genuine, imitated = enriched()[0], enriched(user_agent=crawler)[0]
    assert (imitated.fate, genuine.fate) == (Fate.FILTERED, None)
    assert imitated.key != genuine.key


def test_a_key_is_sixteen_bytes_and_tells_all_three_parts_apart() -> None:
    keys = [
        outbox_key(*parts)
        for parts in [
            ("1", "ab", "c"),
            ("1", "a", "bc"),
            ("1a", "b", "c"),
            ("1", "ab", "C"),
            ("1", "ab\0c", ""),
        ]
    ]
    assert len(set(keys)) == 5
    assert {len(key) for key in keys} == {16}


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
TEXTS = st.none() | st.text(max_size=40)
CUSTOMER_KEYS = ["em", "ph", "fn", "ln", "ct", "st", "zp", "country", "db", "ge", "external_id"]
EVENTS = st.builds(
    good_event,
    event_name=st.sampled_from(["Lead", "Purchase"]),
    fbp=TEXTS,
    fbc=TEXTS,
    url=st.text(max_size=40).map(lambda text: "https://shop.example/" + text),
    referrer=TEXTS,
    user_data=st.dictionaries(st.sampled_from(CUSTOMER_KEYS), st.text() | st.lists(st.text(), max_size=3)),
    custom_data=st.dictionaries(st.text(max_size=8), JSON_VALUES, max_size=4),
)


@given(
    EVENTS,
    st.none() | st.text(),
    st.lists(st.text(max_size=30), max_size=3),
    st.dictionaries(st.text(), st.text()),
)
def test_any_accepted_event_is_enriched_and_serialises_or_is_refused(
    raw: dict[str, Any], user_agent: str | None, forwarded_for: list[str], cookies: dict[str, str]
) -> None:
    event = parse_event(raw, pixel_ids=SITE.pixel_ids())
    if isinstance(event, Refused):
        return
    seen = facts(user_agent=user_agent, forwarded_for=tuple(forwarded_for), cookies=cookies)
    for row in _rows(
        enrich(event, seen, SITE, connection=connection_address(seen, SETTINGS), settings=SETTINGS)
    ):
        assert msgspec.json.decode(msgspec.json.encode(row))
        assert sent(row)["event_name"] == event.event_name


def _rows(rows: tuple[OutboxEvent, ...] | Refused) -> tuple[OutboxEvent, ...]:
    return () if isinstance(rows, Refused) else rows
