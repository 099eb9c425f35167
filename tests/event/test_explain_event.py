"""Any form of an event is explained as the Conversions API event that it becomes."""

from pathlib import Path
from typing import Any, Final

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.event.explain_event import explain_event
from tests.event.messages import NOW_MS, USER_AGENT, message

ROWS: Final[list[dict[str, Any]]] = [
    msgspec.json.decode(line)
    for line in (Path(__file__).parent / "data" / "segment.jsonl").read_bytes().splitlines()
]
PAGE: Final = (Path(__file__).parent.parent.parent / "docs" / "segment.md").read_text("utf-8")
DIFFERENCES: Final = PAGE.partition("## Where the event differs")[2]

# Segment sends, and we do not; or the other way round. docs/segment.md has the reasons.
SENT_ONLY_HERE: Final = {
    "s004": "an order without `revenue`, with `total`",
    "s027": "a product without `product_id`",
    "s060": "no `action_source` where the mapping asks for one",
}
SENT_ONLY_BY_SEGMENT: Final = {
    "s047": ("event_name_too_long", "a name of more than 50 characters"),
    "s059": ("missing_url", "an `action_source` that a mapping has put in"),
}
REFUSED_BY_BOTH: Final = {"s003": "invalid_currency", "s008": "invalid_value", "s057": "missing_url"}
NO_EVENT: Final = {"s040", "s042"}
# Rows whose mapping was changed by hand, and what the site says here to get the same.
SETTINGS: Final[dict[str, dict[str, Any]]] = {
    "s009": {"order_value_field": "properties.total"},
    "s024": {"product_value_field": "properties.value"},
    "s059": {"action_source": "email"},
    "s062": {"limited_data_use": True},
    "s063": {
        "limited_data_use": True,
        "data_processing_options_country": 1,
        "data_processing_options_state": 1000,
    },
}


def explained(row: dict[str, Any], **mapping: Any) -> dict[str, Any]:
    site = {"site": {"mapping": mapping}} if mapping else {}
    return explain_event({"id": row["id"], "as": "segment", "event": row["event"], **site})


def differing(ours: dict[str, Any], segments: dict[str, Any]) -> set[str]:
    """The fields that are not the same, one level down; a list of one counts as that one."""
    fields = set()
    for name in ours.keys() | segments.keys():
        left, right = ours.get(name), segments.get(name)
        if isinstance(left, dict) and isinstance(right, dict):
            fields |= {
                f"{name}.{inner}"
                for inner in left.keys() | right.keys()
                if plain(left.get(inner)) != plain(right.get(inner))
            }
        elif left != right and (left or right):
            fields.add(name)
    return fields


def plain(value: Any) -> Any:
    return value[0] if isinstance(value, list) and len(value) == 1 else value


def documented(field: str) -> bool:
    named = f"`{field}`" in DIFFERENCES
    return named or (field.startswith("custom_data") and "other members of `custom_data`" in DIFFERENCES)


@pytest.mark.parametrize("row", ROWS, ids=[row["id"] for row in ROWS])
def test_our_event_differs_from_segments_in_nothing_but_what_is_documented(row: dict[str, Any]) -> None:
    answer = explained(row)
    event, segments = answer["event"], row["segment_sends"]
    if row["id"] in NO_EVENT:
        assert (event, answer["refused"], segments) == (None, "not_mapped", None)
    elif row["id"] in SENT_ONLY_HERE:
        assert (segments, answer["refused"]) == (None, None)
        assert SENT_ONLY_HERE[row["id"]] in DIFFERENCES
    elif row["id"] in REFUSED_BY_BOTH:
        assert (segments, answer["refused"]) == (None, REFUSED_BY_BOTH[row["id"]])
    elif row["id"] in SENT_ONLY_BY_SEGMENT:
        reason, documented_as = SENT_ONLY_BY_SEGMENT[row["id"]]
        assert answer["refused"] == reason
        assert documented_as in DIFFERENCES
    else:
        assert not [field for field in differing(event, segments) if not documented(field)]


@pytest.mark.parametrize("row", [row for row in ROWS if row["id"] in SETTINGS], ids=str)
def test_the_sites_settings_say_what_a_mapping_of_segments_says(row: dict[str, Any]) -> None:
    event, segments = explained(row, **SETTINGS[row["id"]])["event"], row["segment_sends"]
    chosen = {"custom_data.value", "action_source"} | {name for name in event if name.startswith("data_proc")}
    assert not differing(event, segments) & chosen


@pytest.mark.parametrize("row", ROWS, ids=[row["id"] for row in ROWS])
def test_the_money_the_products_and_the_ids_are_segments(row: dict[str, Any]) -> None:
    """Not only is what differs documented: these may differ nowhere but where a mapping was changed by hand."""
    event, segments = explained(row, **SETTINGS.get(row["id"], {}))["event"], row["segment_sends"]
    if event is None or segments is None:
        return
    same = {
        *("event_name", "event_id", "event_source_url", "action_source", "custom_data.value"),
        *("custom_data.currency", "custom_data.contents", "user_data.em", "user_data.ph", "user_data.fn"),
        *("user_data.external_id", "user_data.client_ip_address", "user_data.client_user_agent"),
    }
    by_hand = {"s055": {"user_data.ph", "user_data.fn", "user_data.external_id"}}
    assert differing(event, segments) & same <= by_hand.get(row["id"], set())


def test_the_time_is_whole_seconds_of_the_messages_own_clock() -> None:
    row = next(row for row in ROWS if row["id"] == "s068")
    assert explained(row)["event"]["event_time"] == 1_709_296_496


def test_every_field_of_a_message_tells_where_it_came_from() -> None:
    answer = explain_event({"id": 1, "as": "segment", "event": message()})
    why = answer["why"]
    assert why["value"] == "properties.revenue"
    assert why["contents"] == "properties.products"
    assert why["em"].startswith("context.traits.email; ")
    assert why["external_id"].startswith("userId; ")
    assert why["event_name"] == "Order Completed, a track call"
    assert why["client_ip_address"] == "context.ip"


def test_what_only_the_relay_could_tell_is_not_made_up() -> None:
    bare = message(messageId=None, timestamp=None)
    event = explain_event({"id": 1, "as": "segment", "event": bare})["event"]
    assert (event["event_id"], event["event_time"]) == ("<ID>", "<TS>")


def test_with_a_clock_a_message_is_as_old_as_it_is() -> None:
    old = {"id": 1, "as": "segment", "event": message(), "now_ms": NOW_MS + 8 * 86_400_000}
    assert explain_event(old)["refused"] == "too_old"


def test_a_ga4_purchase_is_metas_with_the_id_that_both_halves_can_make() -> None:
    ecommerce = {"transaction_id": "T-1", "value": 49.9, "currency": "EUR"}
    answer = explain_event({"id": 1, "as": "ga4", "event": {"event": "purchase", "ecommerce": ecommerce}})
    assert answer["event"] == {
        "event_name": "Purchase",
        "event_time": "<TS>",
        "event_id": "Purchase.T-1",
        "action_source": "website",
        "user_data": {},
        "custom_data": {"value": 49.9, "currency": "EUR", "order_id": "T-1"},
    }
    assert "page_location" in answer["why"]["event_source_url"]


def test_a_ga4_event_names_its_page_and_its_customer() -> None:
    params = {
        "page_location": "https://shop.example/p?fbclid=AbC",
        "user_data": {"email": "ada@shop.example"},
    }
    answer = explain_event({"id": 1, "as": "ga4", "event": {"name": "sign_up", "params": params}})
    assert answer["event"]["event_source_url"] == params["page_location"]
    assert answer["event"]["event_id"] == "<ID>"
    assert answer["event"]["user_data"].keys() == {"em", "fbc"}


@pytest.mark.parametrize(
    ("push", "reason"),
    [
        ({"event": "purchase", "ecommerce": {"currency": "EUR"}}, "missing_value"),
        ({"event": "purchase", "ecommerce": {"value": 1}}, "missing_currency"),
        ({"event": "refund"}, "not_mapped"),
        (["config", "G-1"], "not_mapped"),
    ],
)
def test_a_ga4_push_that_is_no_event_says_why(push: Any, reason: str) -> None:
    answer = explain_event({"id": 1, "as": "ga4", "event": push})
    assert (answer["event"], answer["refused"]) == (None, reason)


def test_the_tags_choices_count_for_ga4() -> None:
    row = {"id": 1, "as": "ga4", "event": ["event", "quiz_done"], "choices": {"custom": True}}
    assert explain_event(row)["event"]["event_name"] == "quiz_done"


def test_an_event_written_for_graph_is_explained_as_it_would_go_on() -> None:
    event = {
        "event_name": "Lead",
        "event_time": NOW_MS // 1000,
        "event_id": "e-1",
        "action_source": "phone_call",
        "user_data": {"em": "Ada@Shop.example", "lead_id": 525},
    }
    answer = explain_event({"id": 1, "as": "graph", "event": event})
    assert answer["refused"] is None
    assert answer["event"]["event_time"] == event["event_time"]
    assert answer["event"]["user_data"]["lead_id"] == 525
    assert len(answer["event"]["user_data"]["em"][0]) == 64
    assert explain_event({"id": 1, "as": "graph", "event": {}})["refused"] == "invalid_event_name"


def test_a_site_of_the_row_needs_no_more_than_what_matters() -> None:
    row = {
        "id": 1,
        "as": "segment",
        "event": message(type="identify"),
        "site": {"mapping": {"identify": "Lead"}},
    }
    assert explain_event(row)["event"]["event_name"] == "Lead"
    assert "no_such" in explain_event(row | {"site": {"no_such": 1}})["error"]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(
    form=st.sampled_from(["segment", "ga4", "graph", "snippet"]),
    event=json_values,
    base=st.sampled_from([{}, message(), {"event": "purchase", "value": 1, "currency": "EUR"}]),
)
def test_every_event_has_an_answer_with_an_event_or_a_refusal(form: str, event: Any, base: Any) -> None:
    for asked in (event, base | event if isinstance(event, dict) else base):
        answer = explain_event({"id": 1, "as": form, "event": asked, "user_agent": USER_AGENT})
        assert set(answer) == {"id", "event", "refused", "why"}
        assert (answer["event"] is None) != (answer["refused"] is None)
        assert msgspec.json.encode(answer)
