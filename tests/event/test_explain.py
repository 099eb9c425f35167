"""What the command explains is what would be sent, and no row is too odd for an answer."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.event.explain import explain_hash, explain_request, text_of
from relay.event.explain_event import explain_event
from relay.settings import Pixel, Settings, Site

FBP = "fb.1.1596403881668.1116446470"
EVENT: dict[str, Any] = {
    "event_name": "Purchase",
    "event_id": "order-1",
    "age_ms": 1_000,
    "url": "https://shop.example/thanks?fbclid=AbC",
    "fbp": FBP,
    "custom_data": {"value": 49.9, "currency": "EUR"},
    "user_data": {"ph": "030 901820"},
    "pixel_ids": ["77"],
    "pixel": {"state": "sent"},
}

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
members = [
    *("id", "field", "value", "country"),
    *("host", "query", "cookies", "referer", "xff", "remote", "forwarded", "trusted_proxies", "now_ms"),
    *("as", "event", "site", "user_agent"),
]
rows = st.fixed_dictionaries(
    {}, optional={name: json_values for name in members} | {"field": st.sampled_from(["em", "ph", "db"])}
)


def row(**changes: Any) -> dict[str, Any]:
    return {"id": "r", "as": "snippet", "event": EVENT} | changes


@given(row=rows | json_values)
def test_every_row_has_an_answer_with_its_id(row: Any) -> None:
    for explain in (explain_hash, explain_request, explain_event):
        answer = explain(row)
        assert answer["id"] == (row.get("id") if isinstance(row, dict) else None)
        assert msgspec.json.encode(answer)


@given(event=json_values)
def test_every_event_has_an_answer_with_an_event_or_a_refusal(event: Any) -> None:
    answer = explain_event(row(event=event))
    assert set(answer) == {"id", "event", "refused", "why"}
    assert (answer["event"] is None) != (answer["refused"] is None)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("a", "a"),
        (16505551212.0, "16505551212"),
        (1.5, "1.5"),
        (7, "7"),
        (["a", "b"], "a"),
        ([["a"]], None),
        ([], None),
        ({}, None),
        (None, None),
        (True, None),
    ],
)
def test_a_json_value_stands_for_a_text_or_for_none(value: object, text: str | None) -> None:
    assert text_of(value) == text


def test_a_number_too_long_for_python_to_write_stands_for_no_text() -> None:
    assert text_of(10**5_000) is None


@pytest.mark.parametrize(
    ("asked", "named"),
    [
        ({"value": "x"}, "field"),
        ({"field": "em"}, "value"),
        ({"field": "shoe_size", "value": "44"}, "external_id"),
        ({"field": "em", "value": "x", "country": 1}, "country"),
    ],
)
def test_a_malformed_hash_row_is_answered_with_what_is_wrong(asked: dict[str, Any], named: str) -> None:
    assert named in explain_hash({"id": 1, **asked})["error"]


@pytest.mark.parametrize(
    ("asked", "named"),
    [({"host": 1}, "host"), ({"trusted_proxies": ["10.0.0.1/8"]}, "10.0.0.1/8"), ({"query": []}, "query")],
)
def test_a_malformed_request_row_is_answered_with_what_is_wrong(asked: dict[str, Any], named: str) -> None:
    assert named in explain_request({"id": 1, **asked})["error"]


def test_a_request_without_a_time_shows_where_the_time_would_stand() -> None:
    answer = explain_request({"id": 1, "host": "shop.example.com", "query": {"fbclid": "AbC"}})
    assert answer["fbc"] == "fb.1.<TS>.AbC"


def test_a_request_that_trusts_no_proxy_is_its_connection() -> None:
    asked = {"id": 1, "remote": "198.51.100.7", "xff": ["1.2.3.4"], "trusted_proxies": []}
    assert explain_request(asked)["client_ip_address"] == "198.51.100.7"


def test_an_event_is_shown_as_it_goes_to_meta() -> None:
    answer = explain_event(row(now_ms=1_763_859_600_000, remote="198.51.100.7", user_agent="Firefox/140"))
    user_data = answer["event"]["user_data"]
    assert answer["refused"] is None
    assert answer["event"]["event_time"] == 1_763_859_599
    assert user_data["fbp"] == FBP
    assert user_data["fbc"] == "fb.1.1763859599000.AbC"
    assert user_data["client_ip_address"] == "198.51.100.7"
    assert user_data["client_user_agent"] == "Firefox/140"
    assert {"fbp", "fbc", "client_ip_address", "ph"} <= set(answer["why"])


def test_what_only_a_clock_or_the_request_could_tell_is_not_made_up() -> None:
    answer = explain_event(row())
    assert answer["event"]["event_time"] == "<TS>"
    assert answer["event"]["user_data"]["fbc"] == "fb.1.<TS>.AbC"
    assert not {"client_ip_address", "client_user_agent"} & set(answer["event"]["user_data"])
    assert "remote" in answer["why"]["client_ip_address"]
    assert "user_agent" in answer["why"]["client_user_agent"]


def test_the_rows_own_site_is_used_before_that_of_the_settings() -> None:
    site = {"key": "demo", "origins": ["https://shop.example"], "pixels": [{"id": "77"}]}
    in_germany = explain_event(row(site=site | {"default_country": "DE"}))
    other = Settings(site=(Site(key="other", origins=("https://o.example",), pixels=(Pixel(id="8"),)),))
    assert in_germany["event"]["user_data"]["ph"] != explain_event(row())["event"]["user_data"]["ph"]
    assert explain_event(row(site=site), other)["refused"] is None
    assert explain_event(row(), other)["refused"] == "unknown_pixel"


def test_a_refused_event_is_answered_with_the_reason_and_its_sentence() -> None:
    answer = explain_event(row(event=EVENT | {"custom_data": {}}))
    assert (answer["event"], answer["refused"]) == (None, "missing_value")
    assert "value" in answer["why"]["refused"]


def test_a_crawlers_event_is_recorded_and_so_not_shown_as_sent() -> None:
    answer = explain_event(row(user_agent="Googlebot/2.1"))
    assert (answer["event"], answer["refused"]) == (None, "bot")


@pytest.mark.parametrize("form", ["shopify", None, 1, ["snippet"]])
def test_an_unknown_form_is_refused_with_the_known_ones_named(form: object) -> None:
    answer = explain_event(row(**{"as": form}))
    assert answer["refused"] == "unknown_as"
    assert "snippet" in answer["why"]["as"]
