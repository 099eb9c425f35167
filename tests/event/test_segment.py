"""A message in Segment's format is the event that it is for Meta, or has a reason not to be."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.event.fields import Refused
from relay.event.outcome import ActionSource, Ignored, Refusal
from relay.event.records import ServerSideEvent
from relay.event.segment import BrowserSource, NoEvent, read_message
from relay.settings import EventMapping
from tests.event.messages import NOW_MS, USER_AGENT, mapped, message

PAGE = BrowserSource(address="198.51.100.7", user_agent="Firefox/144", fbp="fb.1.1.7", fbc=None, gpc=False)

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
members = (
    "type",
    "event",
    "messageId",
    "timestamp",
    "sentAt",
    "userId",
    "context",
    "properties",
    "integrations",
)


def outcome(raw: Any, mapping: EventMapping | None = None) -> Any:
    return read_message(raw, mapping or EventMapping(), now_ms=NOW_MS)


def test_the_envelope_is_metas() -> None:
    event = mapped(message(context={"page": {"url": "https://shop.example/p", "referrer": "$direct"}}))
    assert (event.event_id, event.event_time_ms) == ("m-1", NOW_MS)
    assert (event.action_source, event.url, event.referrer) == (
        ActionSource.WEBSITE,
        "https://shop.example/p",
        None,
    )
    assert (event.client_ip_address, event.client_user_agent) == ("203.0.113.9", USER_AGENT)
    assert event.why["client_user_agent"] == "context.userAgent"


@pytest.mark.parametrize(
    ("ids", "external_id"),
    [
        ({"userId": "u-1", "anonymousId": "a-1"}, ("u-1",)),
        ({"userId": "", "anonymousId": "a-1"}, ("a-1",)),
        ({"userId": None, "anonymousId": "a-1"}, ("a-1",)),
        ({"userId": 17}, ("17",)),
    ],
)
def test_the_user_or_else_the_anonymous_visitor_is_the_external_id(
    ids: dict[str, Any], external_id: tuple[str, ...]
) -> None:
    assert mapped(message(**ids)).user_data["external_id"] == external_id


def test_another_field_can_be_the_external_id_and_where_it_is_missing_the_user_is() -> None:
    mapping = EventMapping(external_id_field="properties.externalId")
    assert mapped(message(properties={"externalId": "x-1"}), mapping).user_data["external_id"] == ("x-1",)
    assert mapped(message(), mapping).user_data["external_id"] == ("u-1",)


def test_traits_are_metas_customer_keys() -> None:
    address = {"city": "New York", "state": "California", "postalCode": "94025-1234", "country": "US"}
    traits = {
        "email": "ada@shop.example",
        "phone": "+1 650 555 1212",
        "firstName": "Ada",
        "last_name": "L",
        "birthday": "1997-02-16T00:00:00.000Z",
        "gender": "f",
        "address": address,
    }
    data = dict(mapped(message(context={"traits": traits}, userId=None, anonymousId=None)).user_data)
    assert data == {
        "em": ("ada@shop.example",),
        "ph": ("+1 650 555 1212",),
        "fn": ("Ada",),
        "ln": ("L",),
        "db": ("1997-02-16",),
        "ge": ("f",),
        "ct": ("New York",),
        "st": ("California",),
        "zp": ("94025-1234",),
        "country": ("US",),
    }


def test_customer_data_may_stand_in_the_event_itself_and_in_metas_own_object() -> None:
    properties = {"email": "ada@shop.example", "user_data": {"ph": "123456789", "leadID": 525}}
    event = mapped(message("Seen", properties=properties, context={"traits": {}}))
    assert event.user_data["em"] == ("ada@shop.example",)
    assert event.user_data["ph"] == ("123456789",)
    assert event.user_ids == {"lead_id": "525"}
    assert event.custom_data == {}


def test_metas_own_object_may_be_spelt_as_segments_actions_have_it() -> None:
    given = {
        "externalId": "x-1",
        "dateOfBirth": "19970216",
        "zip": "94025",
        "fbp": "fb.1.1.7",
        "client_ip_address": "203.0.113.9",
        "client_user_agent": USER_AGENT,
        "subscriptionID": "s-1",
        "anonId": "an-1",
        "madId": "mad-1",
        "fbLoginID": 17,
    }
    event = mapped(
        message(properties={"user_data": given}, context={"ip": None, "userAgent": None, "traits": {}})
    )
    assert event.user_data == {"external_id": ("x-1",), "db": ("19970216",), "zp": ("94025",)}
    assert (event.fbp, event.client_ip_address, event.client_user_agent) == (
        "fb.1.1.7",
        "203.0.113.9",
        USER_AGENT,
    )
    assert event.user_ids == {
        "subscription_id": "s-1",
        "anon_id": "an-1",
        "madid": "mad-1",
        "fb_login_id": "17",
    }


def test_a_name_of_two_words_is_a_first_and_a_last_name() -> None:
    named = mapped(message(context={"traits": {"name": "Ada Lovelace"}}))
    assert (named.user_data["fn"], named.user_data["ln"]) == (("Ada",), ("Lovelace",))


def test_a_trait_that_is_no_text_is_left_out() -> None:
    assert "em" not in mapped(message(context={"traits": {"email": {"a": 1}, "phone": True}})).user_data


@pytest.mark.parametrize("spelt", ["action_source", "actionSource"])
def test_the_action_source_is_a_property_or_the_setting(spelt: str) -> None:
    assert mapped(message(properties={spelt: "phone_call"})).action_source is ActionSource.PHONE_CALL
    assert mapped(message(), EventMapping(action_source="app")).action_source is ActionSource.APP
    assert outcome(message(properties={spelt: "shop"})).reason is Refusal.INVALID_ACTION_SOURCE


def test_fbp_and_fbc_are_properties_or_context() -> None:
    assert mapped(message(properties={"fbp": "fb.1.1.7"})).fbp == "fb.1.1.7"
    assert mapped(message(context={"fbc": "fb.1.1.AbC"})).fbc == "fb.1.1.AbC"


@pytest.mark.parametrize(
    ("stated", "time_ms"),
    [
        ({"timestamp": "2025-11-23T02:00:00.123+01:00"}, NOW_MS + 123),
        ({"timestamp": "2025-11-23T01:00:00"}, NOW_MS),
        ({"timestamp": None, "originalTimestamp": "2025-11-23T00:59:00Z"}, NOW_MS - 60_000),
        ({"timestamp": NOW_MS - 5}, NOW_MS - 5),
        ({"timestamp": NOW_MS // 1000}, NOW_MS),
        ({"timestamp": None}, NOW_MS),
        # a clock that is an hour fast, and one that is a day slow
        ({"timestamp": "2025-11-23T01:59:50Z", "sentAt": "2025-11-23T02:00:00Z"}, NOW_MS - 10_000),
        ({"timestamp": "2025-11-22T00:59:50Z", "sentAt": "2025-11-22T01:00:00Z"}, NOW_MS - 10_000),
        ({"timestamp": "2025-11-23T00:00:00Z", "sentAt": "2025-11-23T00:59:30Z"}, NOW_MS - 3_600_000),
        # Segment has set it right already
        (
            {"timestamp": "2025-11-22T01:00:00Z", "sentAt": "2025-11-22T01:00:00Z", "receivedAt": "x"},
            NOW_MS - 86_400_000,
        ),
    ],
)
def test_the_time_is_the_events_own_on_our_clock(stated: dict[str, Any], time_ms: int) -> None:
    assert mapped(message(**stated)).event_time_ms == time_ms


def test_a_batch_states_when_it_was_sent_for_all_of_its_messages() -> None:
    late = message(timestamp="2025-11-23T01:59:50Z")
    assert mapped(late, sent_at="2025-11-23T02:00:00Z").event_time_ms == NOW_MS - 10_000


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"timestamp": "yesterday"}, Refusal.INVALID_EVENT_TIME),
        ({"timestamp": True}, Refusal.INVALID_EVENT_TIME),
        ({"messageId": None}, Refusal.INVALID_EVENT_ID),
        ({"event": None}, Refusal.INVALID_EVENT_NAME),
        ({"event": "x" * 51}, Refusal.EVENT_NAME_TOO_LONG),
        ({"type": "delete"}, Refusal.INVALID_EVENT),
        ({"context": {"page": {"url": "nowhere"}}}, Refusal.INVALID_URL),
        (
            {"integrations": {"Facebook Pixel": {"dataProcessingOptions": ["X"]}}},
            Refusal.INVALID_DATA_PROCESSING_OPTIONS,
        ),
        ({"context": {"consent": {"categoryPreferences": {"Advertising": False}}}}, Refusal.CONSENT_DENIED),
        ({"context": {"consentManagement": {"deniedConsentIds": ["C0004"]}}}, Refusal.CONSENT_DENIED),
    ],
)
def test_a_message_that_cannot_be_an_event_is_refused_with_the_reason(
    changes: dict[str, Any], reason: Refusal
) -> None:
    assert outcome(message(**changes)).reason is reason


@pytest.mark.parametrize("call", ["identify", "group", "alias", "screen"])
def test_a_call_that_is_no_event_is_none_unless_the_site_says_so(call: str) -> None:
    assert outcome(message(type=call)) == NoEvent(reason=Ignored.NOT_MAPPED)


def test_a_name_mapped_to_nothing_is_no_event() -> None:
    mapping = EventMapping(events={"Order Completed": ""}, page="")
    assert (
        outcome(message(), mapping)
        == outcome(message(type="page"), mapping)
        == NoEvent(reason=Ignored.NOT_MAPPED)
    )


@pytest.mark.parametrize(
    ("integrations", "sent"),
    [
        ({}, True),
        ({"All": True}, True),
        ({"All": False}, False),
        ({"All": False, "Facebook Conversions API": True}, True),
        ({"All": False, "Facebook Conversions API (Actions)": {}}, True),
        ({"Facebook Conversions API (Actions)": False}, False),
        ({"All": False, "Facebook Pixel": True}, True),
        ({"Facebook Pixel": False}, True),
        ({"All": False, "Counterfoil": True}, True),
    ],
)
def test_a_call_can_keep_its_event_from_metas_server_side(integrations: dict[str, Any], sent: bool) -> None:
    assert isinstance(outcome(message(integrations=integrations)), ServerSideEvent) is sent


OFF = ((), None, None)


@pytest.mark.parametrize(
    ("changes", "options"),
    [
        ({}, (("LDU",), 1, 1000)),
        (
            {"integrations": {"Facebook Conversions API": {"dataProcessingOptions": [[], 1, 1000]}}},
            ((), 1, 1000),
        ),
        ({"integrations": {"Facebook Pixel": {"dataProcessingOptions": [["LDU"], 0, 0]}}}, (("LDU",), 0, 0)),
        ({"context": {"dataProcessingOptions": [["LDU"], 1, 1000]}}, (("LDU",), 1, 1000)),
        ({"properties": {"data_processing_options": []}}, OFF),
        (
            {"properties": {"dataProcessingOptions": True, "dataProcessingOptionsCountry": 1}},
            (("LDU",), 1, None),
        ),
    ],
)
def test_limited_data_use_is_the_calls_own_word_else_the_settings(
    changes: dict[str, Any], options: tuple[Any, ...]
) -> None:
    mapping = EventMapping(
        limited_data_use=True, data_processing_options_country=1, data_processing_options_state=1000
    )
    event = mapped(message("Seen", **changes), mapping)
    found = (
        event.data_processing_options,
        event.data_processing_options_country,
        event.data_processing_options_state,
    )
    assert found == options


def test_without_the_setting_nothing_is_said_of_limited_data_use() -> None:
    assert mapped(message()).data_processing_options is None


def test_a_page_is_not_believed_about_its_visitors_address() -> None:
    event = mapped(message(context={"ip": "8.8.8.8", "userAgent": "forged"}), browser=PAGE)
    assert (event.client_ip_address, event.client_user_agent) == ("198.51.100.7", "Firefox/144")
    assert event.fbp == "fb.1.1.7"
    gpc = mapped(message(), browser=msgspec.structs.replace(PAGE, gpc=True))
    assert gpc.data_processing_options == ("LDU",)


def test_consent_that_a_tool_has_stamped_counts_as_granted() -> None:
    preferences = {"categoryPreferences": {"Advertising": True, "Functional": False}}
    assert mapped(message(context={"consent": preferences})).consent
    assert mapped(message(context={"consentManagement": {"allowedConsentIds": ["marketing"]}})).consent
    assert not mapped(message()).consent


def test_no_reason_holds_a_value() -> None:
    event = mapped(message(context={"traits": {"email": "ada@shop.example", "name": "Ada Lovelace"}}))
    told = msgspec.json.encode(event.why).decode()
    assert not [secret for secret in ("ada@", "Lovelace", "u-1", "203.0.113.9") if secret in told]


@given(raw=json_values | st.fixed_dictionaries({}, optional=dict.fromkeys(members, json_values)))
def test_no_message_is_too_odd(raw: Any) -> None:
    assert isinstance(outcome(raw), ServerSideEvent | Refused | NoEvent)


@given(properties=json_values, context=json_values, integrations=json_values)
def test_no_track_call_is_too_odd(properties: Any, context: Any, integrations: Any) -> None:
    raw = message() | {"properties": properties, "context": context, "integrations": integrations}
    found = outcome(raw)
    assert isinstance(found, ServerSideEvent | Refused | NoEvent)
    assert msgspec.json.encode(found)
