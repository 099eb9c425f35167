"""A post is read strictly, and what is accepted always serialises again."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.event.fields import Refused
from relay.event.outcome import BodyReason, BrowserState, Refusal, Transport
from relay.event.records import BrowserEvent, PixelSeen
from relay.event.wire import BODY_MAX_BYTES, WireError, parse_body, parse_event
from tests.event.malformed import MALFORMED, PIXEL_ID, SITE_KEY, Malformed, good_event, nested, post, spliced


def parse(raw: object, pixel_ids: tuple[str, ...] = (PIXEL_ID,)) -> BrowserEvent:
    event = parse_event(raw, pixel_ids=pixel_ids)
    assert isinstance(event, BrowserEvent), event
    return event


def answer(body: bytes) -> BodyReason | Refusal | BrowserEvent:
    """What becomes of a body whose first event is looked at."""
    try:
        raw = parse_body(body).events[0]
    except WireError as error:
        return error.reason
    event = parse_event(raw, pixel_ids=[PIXEL_ID])
    return event.reason if isinstance(event, Refused) else event


def accepted(**changes: Any) -> BrowserEvent:
    return parse(good_event(**changes))


@pytest.mark.parametrize("case", MALFORMED, ids=[case.name for case in MALFORMED])
def test_every_malformed_body_is_answered_with_its_own_reason(case: Malformed) -> None:
    assert answer(case.body) is case.expected


def test_the_table_of_malformed_bodies_is_long_and_names_each_once() -> None:
    assert len({case.name for case in MALFORMED}) == len(MALFORMED) >= 60


def test_a_good_post_is_read_member_by_member() -> None:
    event = parse(parse_body(post(good_event())).events[0])
    assert (event.event_name, event.event_id, event.age_ms) == ("Purchase", "e-1", 412)
    assert (event.url, event.referrer) == ("https://shop.example/thanks", "https://shop.example/checkout")
    assert (event.fbp, event.fbc) == ("fb.1.1763859600000.1234567890", None)
    assert event.custom_data == {"value": 49.9, "currency": "EUR"}
    assert event.user_data == {"em": ("a" * 64,)}
    assert (event.pixel_ids, event.consent, event.addresses) == ((), False, ())
    assert (event.pixel.state, event.pixel.transport) == (BrowserState.SENT, Transport.IMAGE)
    assert (event.pixel.dispatched_after_ms, event.pixel.settled_after_ms) == (3, 118)


def test_a_body_of_exactly_the_limit_is_read() -> None:
    body = post(good_event())
    assert parse_body(body.ljust(BODY_MAX_BYTES)).site_key == SITE_KEY


def test_twenty_events_are_read() -> None:
    assert len(parse_body(post(*[good_event()] * 20)).events) == 20


def test_a_wire_error_says_what_to_do() -> None:
    with pytest.raises(WireError, match="Send fewer events per post") as caught:
        parse_body(b" " * (BODY_MAX_BYTES + 1))
    assert caught.value.reason is BodyReason.BODY_TOO_LARGE


def test_a_refusal_names_the_event_where_its_id_is_usable() -> None:
    refused = parse_event(good_event(url="nowhere"), pixel_ids=[PIXEL_ID])
    assert refused == Refused(event_id="e-1", reason=Refusal.INVALID_URL)


def test_a_refusal_never_repeats_an_unusable_id() -> None:
    refused = parse_event(good_event(event_id="a\nb"), pixel_ids=[PIXEL_ID])
    assert refused == Refused(event_id=None, reason=Refusal.INVALID_EVENT_ID)


def test_members_of_a_newer_snippet_are_ignored() -> None:
    changed = good_event(mood="sunny", user_data={"em": "a" * 64, "shoe_size": 42})
    assert parse(changed) == parse(good_event())


def test_an_address_or_agent_in_user_data_is_not_believed() -> None:
    event = accepted(user_data={"client_ip_address": "8.8.8.8", "client_user_agent": "x", "fbp": "fb.1.1.1"})
    assert event.user_data == {}


@pytest.mark.parametrize(
    ("value", "number"),
    [(0, 0), (-5, -5), (49, 49), (49.9, 49.9), ("49.90", 49.9), (" 49 ", 49), ("-0.5", -0.5), ("007", 7)],
)
def test_a_value_is_a_number_or_a_plain_decimal_text(value: object, number: float) -> None:
    event = accepted(custom_data={"value": value, "currency": "EUR"})
    assert event.custom_data["value"] == number
    assert not isinstance(event.custom_data["value"], str)


@pytest.mark.parametrize("currency", ["EUR", "eur", " Eur "])
def test_a_currency_is_written_in_capitals(currency: str) -> None:
    assert accepted(custom_data={"value": 1, "currency": currency}).custom_data["currency"] == "EUR"


def test_only_a_purchase_needs_value_and_currency() -> None:
    event = accepted(event_name="Lead", custom_data={"value": None, "currency": "", "plan": "gold"})
    assert event.custom_data == {"plan": "gold"}


@pytest.mark.parametrize("name", ["n" * 50, "Añadir", "購入", "Buy 🛒"])
def test_a_name_of_fifty_characters_of_any_script_is_taken(name: str) -> None:
    assert accepted(event_name=name).event_name == name


def test_a_fresh_event_a_millisecond_short_of_seven_days_is_taken() -> None:
    assert accepted(age_ms=7 * 86_400_000 - 1).age_ms == 7 * 86_400_000 - 1


def test_a_whole_number_may_be_written_as_412_point_0() -> None:
    assert parse(parse_body(spliced("age_ms", b"412.0")).events[0]).age_ms == 412


@pytest.mark.parametrize("referrer", ["android-app://com.example/", "", None, "about:client", "x" * 5_000])
def test_a_referrer_that_is_no_web_address_is_left_out(referrer: str | None) -> None:
    assert accepted(referrer=referrer).referrer is None


def test_custom_data_may_be_sixteen_levels_deep() -> None:
    event = parse(parse_body(spliced("custom_data", nested(15))).events[0])
    assert msgspec.json.encode(event.custom_data).count(b"[") == 15


def test_pixel_ids_pick_from_the_sites_own() -> None:
    assert parse(good_event(pixel_ids=["2", "1", "2"]), ("1", "2", "3")).pixel_ids == ("2", "1")
    assert accepted(pixel_ids=[]).pixel_ids == ()


@pytest.mark.parametrize(("consent", "granted"), [("granted", True), (None, False)])
def test_consent_was_granted_or_nothing_was_said(consent: str | None, granted: bool) -> None:
    assert accepted(consent=consent).consent is granted


@pytest.mark.parametrize("rest", [{}, good_event(), {"event_id": 7, "event_name": None}])
def test_of_a_denied_event_nothing_else_is_read(rest: dict[str, Any]) -> None:
    refused = parse_event({**rest, "consent": "denied"}, pixel_ids=[PIXEL_ID])
    assert refused == Refused(event_id=None, reason=Refusal.CONSENT_DENIED)


def test_data_processing_options_tell_off_from_not_given() -> None:
    assert accepted().data_processing_options is None
    assert accepted(data_processing_options=[]).data_processing_options == ()
    event = accepted(
        data_processing_options=["LDU"], data_processing_options_country=1, data_processing_options_state=1000
    )
    assert event.data_processing_options == ("LDU",)
    assert (event.data_processing_options_country, event.data_processing_options_state) == (1, 1000)


def test_whole_numbers_of_user_data_are_texts() -> None:
    event = accepted(user_data={"external_id": 42, "ph": [49301, None]})
    assert event.user_data == {"external_id": ("42",), "ph": ("49301",)}


def test_texts_of_user_data_are_listed_once_and_blanks_dropped() -> None:
    event = accepted(user_data={"external_id": ["a", "b", "a", "", None], "em": " ", "ph": "+49 30 1"})
    assert event.user_data == {"external_id": ("a", "b"), "ph": ("+49 30 1",)}


def test_times_of_the_pixel_are_clamped_to_the_age_and_to_each_other() -> None:
    late = accepted(age_ms=100, pixel={"state": "sent", "dispatched_ms": 90, "settled_ms": 5_000}).pixel
    assert (late.dispatched_after_ms, late.settled_after_ms) == (90, 100)
    swapped = accepted(pixel={"state": "sent", "dispatched_ms": 90, "settled_ms": 10}).pixel
    assert (swapped.dispatched_after_ms, swapped.settled_after_ms) == (90, 90)


def test_a_transport_that_this_relay_does_not_know_is_unknown() -> None:
    assert accepted(pixel={"state": "sent", "transport": "pigeon"}).pixel.transport is Transport.UNKNOWN


def test_a_request_that_never_left_had_no_transport() -> None:
    assert accepted(pixel={"state": "undispatched"}).pixel.transport is Transport.NONE
    assert accepted(pixel={"state": "pending", "dispatched_ms": 5}).pixel.transport is Transport.UNKNOWN


def test_what_the_snippet_saw_of_the_pixel_is_kept() -> None:
    pixel = accepted(pixel={"state": "sent", "seen": {"eid": "e-1", "cd[value]": "49.9", "new": 1}}).pixel
    assert pixel.seen == PixelSeen(event_id="e-1", value="49.9")


def test_customer_data_that_the_pixel_carried_fills_what_the_page_did_not_say() -> None:
    pixel = {"state": "sent", "seen": {"ud[em]": "a" * 64, "ud[ph]": "b" * 64, "ud[none]": "c" * 64}}
    event = accepted(pixel=pixel, user_data={"em": "ada@shop.example"})
    assert event.user_data == {"em": ("ada@shop.example",), "ph": ("b" * 64,)}


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
EVENTS = JSON_VALUES | st.builds(
    lambda changes: good_event(**changes),
    st.dictionaries(
        st.sampled_from([*good_event(), "pixel_ids", "consent", "addresses"]), JSON_VALUES, max_size=2
    ),
)


@given(EVENTS)
def test_any_json_value_is_an_event_that_serialises_or_a_refusal(raw: object) -> None:
    event = parse_event(raw, pixel_ids=[PIXEL_ID])
    assert isinstance(event, BrowserEvent | Refused)
    assert msgspec.json.decode(msgspec.json.encode(event))


@given(
    st.binary(max_size=200) | st.text(max_size=200).map(lambda text: text.encode("utf-8", "surrogatepass"))
)
def test_any_bytes_are_refused_with_a_reason(body: bytes) -> None:
    assert isinstance(answer(body), BodyReason | Refusal)
