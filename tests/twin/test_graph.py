"""Graph's /events: what real clients send is taken, and what Meta refuses is refused with its code."""

import gzip
import hashlib
import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.clock import Clock
from tests.twin.samples import (
    AGENT,
    EMAIL,
    EVENTS_URL,
    NOW_SECONDS,
    PIXEL,
    Json,
    open_twin,
    purchase,
    send_server,
    state,
    user_data,
)

CAPTURED = sorted((Path(__file__).parent / "data").glob("*.json"))
DAY = 86_400


def error_of(answer: httpx.Response) -> tuple[int, int | None]:
    error = answer.json()["error"]
    return error["code"], error.get("error_subcode")


@pytest.mark.parametrize("path", CAPTURED, ids=lambda path: path.stem)
def test_a_captured_request_of_a_real_client_is_taken(twin: httpx.Client, path: Path) -> None:
    capture = json.loads(path.read_text())
    answer = twin.request(
        capture["method"],
        capture["path"],
        params=dict(capture["query"]),
        headers=dict(capture["headers"]),
        content=capture["body_text"].encode(),
    )
    assert answer.status_code == 200, answer.text
    received = state(twin)["server"]
    assert answer.json()["events_received"] == len(received) > 0
    assert {event["event_name"] for event in received} == {"Purchase"}
    assert received[0]["pixel"] == "123321"
    assert received[0]["ip"] == "2001:db8::1"
    assert received[0]["params"]["custom_data"]["order_id"] == "O-1"


def test_the_answer_has_what_both_official_clients_read(twin: httpx.Client) -> None:
    answer = send_server(twin, purchase())
    assert answer.json().keys() == {"events_received", "messages", "fbtrace_id"}
    assert answer.json()["messages"] == []
    assert answer.headers["facebook-api-version"] == "v26.0"


@pytest.mark.parametrize(
    "request_parts",
    [
        {"headers": {"authorization": "Bearer EAAtest"}, "json": {"data": [purchase()]}},
        {"params": {"access_token": "EAAtest"}, "json": {"data": [json.dumps(purchase())]}},
        {"json": {"access_token": "EAAtest", "data": json.dumps([purchase()])}},
        {"data": {"access_token": "EAAtest", "data": json.dumps([json.dumps(purchase())])}},
        {"files": {"access_token": (None, "EAAtest"), "data": (None, json.dumps([purchase()]))}},
        {"params": {"access_token": "EAAtest", "data": json.dumps([purchase()])}},
    ],
    ids=["bearer-json", "query-strings", "body-text", "form", "multipart", "query-only"],
)
def test_the_token_and_the_data_may_come_in_every_documented_place(
    twin: httpx.Client, request_parts: dict[str, Any]
) -> None:
    answer = twin.post(EVENTS_URL, **request_parts)
    assert answer.json()["events_received"] == 1


def test_null_members_count_as_not_given(twin: httpx.Client) -> None:
    event = purchase() | {"opt_out": None, "referrer_url": None, "unknown_but_null": None}
    assert send_server(twin, event).status_code == 200


def test_a_server_event_keeps_its_raw_parameters_and_its_test_code(twin: httpx.Client) -> None:
    body = {"data": [purchase()], "test_event_code": "TEST1", "access_token": "EAAtest"}
    assert twin.post(EVENTS_URL, json=body).status_code == 200
    (event,) = state(twin)["server"]
    assert event["params"] == purchase()
    assert event["test_event_code"] == "TEST1"
    assert "EAAtest" not in json.dumps(state(twin))


@pytest.mark.parametrize(
    "changes",
    [
        {"event_time": NOW_SECONDS - 7 * DAY},
        {"event_time": NOW_SECONDS + 60},
        {"event_time": str(NOW_SECONDS)},
        {"action_source": "physical_store", "event_time": NOW_SECONDS - 62 * DAY},
        {"action_source": "email", "event_source_url": None, "user_data": {"em": EMAIL}},
        {"event_name": "Lead", "custom_data": None},
        {"event_name": "A name of more than fifty characters is not refused by Meta", "event_id": 4711},
        {"custom_data": {"value": "49.90", "currency": "usd"}},
        {"user_data": user_data(em=hashlib.md5(b"a@b.example").hexdigest())},
        {"user_data": user_data(em=f"{EMAIL}.AQICAQMC", fbp="fb.1.1596403881668.1116446470.AQICAQMC")},
        {
            "user_data": user_data(
                fbc="fb.1.1554763741205.IwAR2F4-dbP0l7Mn1IawQQGCINEz7PYXQvwjNwB_qa2ofrHyiLjcbCRxTDMgk"
            )
        },
        {"user_data": {"client_user_agent": AGENT, "client_ip_address": "192.0.2.1"}},
        {"user_data": {"client_user_agent": AGENT, "fn": EMAIL, "ge": EMAIL, "ct": EMAIL}},
        {"data_processing_options": ["LDU"], "data_processing_options_country": 0},
        {"opt_out": True, "referrer_url": "https://news.example/", "event_id": None},
    ],
    ids=repr,
)
def test_what_the_contract_allows_is_taken(twin: httpx.Client, changes: Json) -> None:
    answer = send_server(twin, purchase(**changes))
    assert answer.status_code == 200, answer.text


REFUSED: dict[str, tuple[Json, int | None]] = {
    "no event_name": ({"event_name": None}, 2804019),
    "empty event_name": ({"event_name": ""}, 2804019),
    "event_name is a number": ({"event_name": 5}, 2804019),
    "event_id is a list": ({"event_id": ["a"]}, 2804019),
    "no event_time": ({"event_time": None}, 2804019),
    "event_time is a date": ({"event_time": "2024-03-01"}, 2804007),
    "event_time is a fraction": ({"event_time": NOW_SECONDS - 0.5}, 2804007),
    "event_time is a boolean": ({"event_time": True}, 2804007),
    "event_time in milliseconds": ({"event_time": NOW_SECONDS * 1000}, 2804007),
    "event_time in the future": ({"event_time": NOW_SECONDS + 61}, 2804007),
    "older than seven days": ({"event_time": NOW_SECONDS - 7 * DAY - 1}, 2804003),
    "store event older than 62 days": (
        {"action_source": "physical_store", "event_time": NOW_SECONDS - 62 * DAY - 1},
        2804003,
    ),
    "no user_data": ({"user_data": None}, 2804019),
    "user_data is a list": ({"user_data": [1]}, 2804019),
    "no action_source": ({"action_source": None}, 2804019),
    "action_source is a list": ({"action_source": ["website"]}, 2804019),
    "unknown action_source": ({"action_source": "web"}, 2804019),
    "website without event_source_url": ({"event_source_url": None}, 2804048),
    "website with a relative event_source_url": ({"event_source_url": "/thanks"}, 2804048),
    "website without client_user_agent": ({"user_data": user_data(client_user_agent=None)}, 2804048),
    "website with an empty client_user_agent": ({"user_data": user_data(client_user_agent=" ")}, 2804048),
    "Purchase without value": ({"custom_data": {"currency": "EUR"}}, 2804009),
    "Purchase without custom_data": ({"custom_data": None}, 2804009),
    "Purchase without currency": ({"custom_data": {"value": 1}}, 2804017),
    "invalid currency": ({"custom_data": {"value": 1, "currency": "EURO"}}, 2804017),
    "currency is a number": ({"custom_data": {"value": 1, "currency": 978}}, 2804017),
    "value is no number": ({"custom_data": {"value": "€49", "currency": "EUR"}}, 2804017),
    "value is a boolean": ({"custom_data": {"value": True, "currency": "EUR"}}, 2804017),
    "value is infinite": ({"custom_data": {"value": "1e400", "currency": "EUR"}}, 2804017),
    "custom_data is a text": ({"custom_data": "EUR"}, 2804019),
    "plain email": ({"user_data": user_data(em="john@example.com")}, 2804016),
    "short hash": ({"user_data": user_data(em="abc123")}, 2804016),
    "plain among hashed phones": ({"user_data": user_data(ph=[EMAIL, "16505551212"])}, 2804016),
    "hash is a number": ({"user_data": user_data(zp=94035)}, 2804016),
    "plain country": ({"user_data": user_data(country="de")}, 2804016),
    "malformed fbp": ({"user_data": user_data(fbp="1116446470")}, 2804001),
    "fbp with an unknown appendix": ({"user_data": user_data(fbp="fb.1.1596403881668.1.abc")}, 2804001),
    "malformed fbc": ({"user_data": user_data(fbc="IwAR2abc")}, 2804001),
    "fbc without a click id": ({"user_data": user_data(fbc="fb.1.1554763741205.")}, 2804001),
    "two fbp": ({"user_data": user_data(fbp=["fb.1.1596403881668.1", "fb.1.1596403881668.2"])}, 2804001),
    "malformed address": ({"user_data": user_data(client_ip_address="unknown")}, 2804001),
    "hashed address": ({"user_data": user_data(client_ip_address=EMAIL)}, 2804001),
    "empty user_data": ({"action_source": "email", "user_data": {}}, 2804050),
    "only unknown keys": ({"action_source": "email", "user_data": {"email": EMAIL}}, 2804050),
    "only a user agent": ({"user_data": {"client_user_agent": AGENT}}, 2804050),
    "only place and gender": (
        {
            "user_data": {
                "client_user_agent": AGENT,
                "ct": EMAIL,
                "country": EMAIL,
                "st": EMAIL,
                "zp": EMAIL,
                "ge": EMAIL,
            }
        },
        2804050,
    ),
    "only birth date": ({"user_data": {"client_user_agent": AGENT, "db": EMAIL}}, 2804050),
    "only first name and gender": (
        {"action_source": "chat", "user_data": {"fn": EMAIL, "ge": EMAIL}},
        2804050,
    ),
    "only last name and gender": (
        {"action_source": "chat", "user_data": {"ln": EMAIL, "ge": EMAIL}},
        2804050,
    ),
    "an identifier that is empty": (
        {"user_data": {"client_user_agent": AGENT, "em": [], "fbp": ""}},
        2804050,
    ),
    "unknown key": ({"advertiser_tracking_enabled": 1}, None),
    "options are a text": ({"data_processing_options": "LDU"}, 2804019),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_meta_refuses_is_refused_with_its_code(twin: httpx.Client, name: str) -> None:
    changes, subcode = REFUSED[name]
    answer = send_server(twin, purchase(**changes))
    assert answer.status_code == 400
    assert error_of(answer) == (100, subcode)
    error = answer.json()["error"]
    assert error["type"] == "OAuthException"
    assert error["is_transient"] is False
    assert error["fbtrace_id"]
    assert subcode is None or error["error_user_title"]
    assert state(twin)["server"] == []


@pytest.mark.parametrize("entry", [None, 5, "[]", "not json", []], ids=repr)
def test_an_entry_that_is_no_event_is_refused(twin: httpx.Client, entry: object) -> None:
    answer = send_server(twin, entry)
    assert (answer.status_code, error_of(answer)) == (400, (100, None))


def test_an_unknown_key_is_named_with_its_place(twin: httpx.Client) -> None:
    answer = send_server(twin, purchase(), purchase(surprise=1))
    assert "surprise" in answer.json()["error"]["message"]
    assert "['data'][1]" in answer.json()["error"]["message"]


def test_one_bad_event_refuses_the_whole_batch_and_the_answer_does_not_say_which(twin: httpx.Client) -> None:
    good = [purchase(event_id=f"order-{number}") for number in range(3)]
    answer = send_server(twin, *good, purchase(event_id="bad", custom_data={"currency": "EUR"}))
    assert answer.status_code == 400
    assert "3" not in answer.json()["error"]["error_user_msg"]
    seen = state(twin)
    assert seen["server"] == []
    assert [event["event_id"] for event in seen["rejected"]] == ["order-0", "order-1", "order-2", "bad"]
    assert [event["event_id"] for event in seen["rejected"] if event["guilty"]] == ["bad"]
    assert seen["rejected"][0]["error"]["fbtrace_id"] == answer.json()["error"]["fbtrace_id"]


def test_a_thousand_events_are_taken_and_one_more_is_refused(twin: httpx.Client) -> None:
    events = [purchase(event_id=f"order-{number}") for number in range(1001)]
    assert error_of(send_server(twin, *events)) == (100, None)
    assert send_server(twin, *events[:1000]).json()["events_received"] == 1000


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"{}",
        b'{"data": []}',
        b'{"data": {}}',
        b'{"data": "{"}',
        b"\xff",
        b'{"data": 1e999}',
        b'{"data": [NaN]}',
        b'{"data": "\\ud800"}',
        b"[" * 100_000,
    ],
    ids=lambda body: body[:12].decode("latin-1"),
)
def test_a_body_without_data_is_refused(twin: httpx.Client, body: bytes) -> None:
    headers = {"authorization": "Bearer EAAtest", "content-type": "application/json"}
    answer = twin.post(EVENTS_URL, content=body, headers=headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, 100)


def test_a_compressed_body_and_a_broken_multipart_body_are_refused(twin: httpx.Client) -> None:
    packed = gzip.compress(json.dumps({"data": [purchase()]}).encode())
    for content_type in (
        "application/json",
        "multipart/form-data",
        "multipart/form-data; boundary=x",
        "text/plain",
    ):
        headers = {"authorization": "Bearer EAAtest", "content-type": content_type}
        answer = twin.post(EVENTS_URL, content=packed, headers=headers)
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, 100), content_type


def test_a_call_without_a_token_is_refused_with_104(twin: httpx.Client) -> None:
    assert error_of(twin.post(EVENTS_URL, json={"data": [purchase()]})) == (104, None)
    assert error_of(twin.post(EVENTS_URL, json={"data": [purchase()], "access_token": ""})) == (104, None)


def test_with_tokens_configured_a_wrong_one_is_190_and_another_pixel_is_100_33(clock: Clock) -> None:
    with open_twin(clock_ms=clock, tokens={PIXEL: "right", "2": "other"}) as twin:
        assert send_server(twin, purchase(), token="right").status_code == 200
        assert error_of(send_server(twin, purchase(), token="wrong")) == (190, None)
        assert error_of(send_server(twin, purchase(), token="other")) == (100, 33)
        assert error_of(send_server(twin, purchase(), token="right", url="/v26.0/999/events")) == (100, 33)


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("/v26.0/abc/events", (100, 33)),
        ("/v15.0/123321/events", (2500, None)),
        ("/v27.0/123321/events", (2500, None)),
        ("/v26.1/123321/events", (2500, None)),
        ("/latest/123321/events", (2500, None)),
        ("/v26.0/123321/event", (2500, None)),
        ("/v26.0/123321/events/", (2500, None)),
        ("/v26.0/events", (2500, None)),
    ],
)
def test_an_unknown_version_path_or_object_is_refused(
    twin: httpx.Client, url: str, code: tuple[int, int | None]
) -> None:
    answer = send_server(twin, purchase(), url=url)
    assert (answer.status_code, error_of(answer)) == (400, code)


def test_an_unversioned_call_fails(twin: httpx.Client) -> None:
    assert send_server(twin, purchase(), url=f"/{PIXEL}/events").status_code >= 400


def test_the_edge_answers_only_post(twin: httpx.Client) -> None:
    assert error_of(twin.get(EVENTS_URL)) == (100, 33)
    assert error_of(twin.delete(EVENTS_URL)) == (100, 33)


def test_a_refused_call_without_events_is_remembered_too(twin: httpx.Client) -> None:
    send_server(twin)
    (rejected,) = state(twin)["rejected"]
    assert rejected["event_name"] is None
    assert rejected["error"]["code"] == 100
