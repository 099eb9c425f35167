"""`/openapi.json` is valid, and the relay answers as it says."""

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

from relay.event.records import BrowserEvent, ServerSideEvent
from relay.event.server_wire import parse_server_event
from relay.event.wire import parse_event
from relay.web.openapi import document
from relay.web.operations import OPERATIONS
from relay.web.posted import EXAMPLE
from relay.web.posted_server import SERVER_EXAMPLE
from tests.event.malformed import MALFORMED, PIXEL_ID, good_event
from tests.event.malformed_server import MALFORMED_CALLS, MALFORMED_SERVER_EVENTS, good_server_event
from tests.web.lab import HEADERS, NOW_MS, ORIGIN, Relay, open_relay
from tests.web.test_server_events import ENVIRON, KEY, with_keys

pytestmark = pytest.mark.anyio

DOCUMENT = msgspec.json.decode(msgspec.json.encode(document(OPERATIONS)))
JSON = "application/json"
EVENT = {"$ref": "#/components/schemas/PostedEvent"}

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-10, 2**53) | st.floats(allow_nan=False) | st.text(max_size=60),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=5), inner, max_size=5),
    max_leaves=8,
)


def troubles(schema: Any, value: object) -> list[str]:
    return [error.message for error in validator(json.dumps(schema)).iter_errors(value)]


@cache
def validator(schema: str) -> Draft202012Validator:
    return Draft202012Validator({**json.loads(schema), "components": DOCUMENT["components"]})


def test_the_document_is_valid_openapi_3_1() -> None:
    assert list(OpenAPIV31SpecValidator(DOCUMENT).iter_errors()) == []


async def test_it_is_served_to_anybody(relay: Relay) -> None:
    assert (await relay.http.get("/openapi.json")).json() == DOCUMENT


def media_types() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Every content of every operation that has an example."""
    for path, methods in DOCUMENT["paths"].items():
        for described in methods.values():
            for part in (described.get("requestBody", {}), *described["responses"].values()):
                for media_type, content in part.get("content", {}).items():
                    if "example" in content:
                        yield path, media_type, content


@pytest.mark.parametrize(("path", "media_type", "content"), [*media_types()])
def test_every_example_is_as_its_schema_says(path: str, media_type: str, content: dict[str, Any]) -> None:
    assert troubles(content["schema"], content["example"]) == []
    if "contentSchema" in content["schema"]:
        assert troubles(content["schema"]["contentSchema"], json.loads(content["example"])) == []


async def test_the_example_of_a_post_is_accepted(relay: Relay) -> None:
    (response,) = [await relay.post_raw(msgspec.json.encode(EXAMPLE))]
    assert response.json()["accepted"] == 1


EVENTS = [
    good_event(),
    good_event(fbc=..., referrer=None, user_data=None, custom_data={"value": " 49.90 ", "currency": "eur"}),
    good_event(event_name="Lead", custom_data=None, age_ms=412.0, pixel_ids=[PIXEL_ID], consent="granted"),
    good_event(user_data={"em": ["a@b.example", None], "ph": 491701234567, "other": {}}, gpc="x", more=[1]),
    good_event(data_processing_options=["LDU"], data_processing_options_country=1, addresses=["t"] * 4),
    good_event(pixel={"state": "pending", "evidence": None, "transport": 7, "seen": {"value": "1"}}),
]


@pytest.mark.parametrize("event", EVENTS, ids=str)
def test_events_that_the_parser_takes_are_as_the_schema_says(event: dict[str, Any]) -> None:
    assert isinstance(parse_event(event, pixel_ids=[PIXEL_ID]), BrowserEvent)
    assert troubles(EVENT, event) == []


@given(st.sampled_from(EVENTS), st.sampled_from(sorted(good_event())), json_values)
def test_a_schema_that_refuses_an_event_agrees_with_the_parser(
    event: dict[str, Any], member: str, value: object
) -> None:
    changed = {**event, member: value}
    if isinstance(parse_event(changed, pixel_ids=[PIXEL_ID]), BrowserEvent):
        assert troubles(EVENT, changed) == []


def test_the_schema_refuses_most_of_what_the_parser_refuses() -> None:
    """Not all: what a currency is, or which pixel is the site's, a schema does not say."""
    refused = [json.loads(row.body)["events"][0] for row in MALFORMED if is_one_event(row.body)]
    assert len(refused) > 80
    assert sum(bool(troubles(EVENT, event)) for event in refused) > len(refused) / 2


def is_one_event(body: bytes) -> bool:
    try:
        return len(json.loads(body)["events"]) == 1
    except (ValueError, TypeError, KeyError, RecursionError):
        return False


async def check(relay: Relay, method: str, path: str, *, of: str | None = None, **request: Any) -> int:
    """Ask, and hold the answer against its description; the status."""
    headers = {"origin": ORIGIN, **request.pop("headers", {})}
    response = await relay.http.request(method, path, headers=headers, **request)
    answers = DOCUMENT["paths"][of or path][method]["responses"]
    assert str(response.status_code) in answers, (response.status_code, response.text)
    answer = answers[str(response.status_code)]
    for name, header in answer.get("headers", {}).items():
        assert name in response.headers or not header.get("required", False)
    hold(answer, response)
    return response.status_code


def hold(answer: dict[str, Any], response: httpx.Response) -> None:
    media_type = response.headers.get("content-type", "").partition(";")[0]
    if "content" not in answer:
        assert response.content == b""
        return
    schema = answer["content"][media_type]["schema"]
    value = response.json() if media_type == JSON else response.text
    assert troubles(schema, value) == []


ASKED = [
    ("get", "/c.js", "/c.js", 200),
    ("get", "/no-such-part.js", "/{part}.js", 404),
    ("get", "/consent/tcf.js", "/consent/{source}.js", 200),
    ("get", "/v1/address?site=demo-shop&nonce=short", "/v1/address", 400),
    ("get", "/v1/address?site=nobody&nonce=0123456789abcdef", "/v1/address", 403),
    ("get", "/healthz", "/healthz", 200),
    ("get", "/api/address-echo", "/api/address-echo", 401),
    ("get", "/", "/", 401),
    ("post", "/issues/0/resolve", "/issues/{id}/resolve", 401),
    ("get", "/sign-in", "/sign-in", 200),
    ("get", "/sign-in?code=x", "/sign-in", 403),
    ("post", "/sign-out", "/sign-out", 403),
    ("get", "/receipts", "/receipts", 401),
    ("get", "/api/receipts", "/api/receipts", 401),
    ("get", "/static/css/nothing.css", "/static/css/{file}", 404),
    ("options", "/v1/events", "/v1/events", 204),
    ("options", "/v1/report", "/v1/report", 204),
    ("post", "/v1/report", "/v1/report", 415),
]


async def test_strangers_are_answered_as_described(relay: Relay) -> None:
    for method, path, of, status in ASKED:
        assert await check(relay, method, path, of=of) == status, path


SIGNED_IN = [
    ("/", "/", 200),
    ("/api/overview?range=7d", "/api/overview", 200),
    ("/receipts", "/receipts", 200),
    ("/receipts?event_id=e-1", "/receipts", 303),
    ("/receipts/e-1", "/receipts/{event_id}", 200),
    ("/receipts/nobody", "/receipts/{event_id}", 404),
    ("/api/receipts?fate=waiting&limit=3", "/api/receipts", 200),
    ("/api/receipts?fate=lost", "/api/receipts", 400),
    ("/api/receipts/e-1", "/api/receipts/{event_id}", 200),
    ("/api/receipts/nobody", "/api/receipts/{event_id}", 404),
    ("/addresses", "/addresses", 200),
    ("/api/addresses?range=30d", "/api/addresses", 200),
    ("/api/addresses?range=31d", "/api/addresses", 400),
    ("/alerts", "/alerts", 200),
    ("/api/alerts", "/api/alerts", 200),
    ("/settings", "/settings", 200),
    ("/api/settings", "/api/settings", 200),
    ("/quality", "/quality", 200),
    ("/api/quality", "/api/quality", 200),
    ("/radar", "/radar", 200),
    ("/api/radar?range=7d", "/api/radar", 200),
    ("/mapping", "/mapping", 200),
    ("/api/mapping?site=x", "/api/mapping", 200),
    ("/issues", "/issues", 200),
    ("/api/issues", "/api/issues", 200),
]


async def test_the_console_is_answered_as_described(console: Relay) -> None:
    assert (await console.post()).status_code == 202
    for path, of, status in SIGNED_IN:
        assert await check(console, "get", path, of=of) == status, path


async def test_posts_are_answered_as_described(relay: Relay) -> None:
    for row in MALFORMED:
        assert await check(relay, "post", "/v1/events", content=row.body, headers=HEADERS) < 500, row.name


async def test_calls_of_servers_are_answered_as_described(tmp_path: Path, anyio_backend: str) -> None:
    async with open_relay(with_keys(tmp_path), environ=ENVIRON) as relay:
        headers = {"authorization": f"Bearer {KEY}", "content-type": JSON}
        bodies = [msgspec.json.encode(SERVER_EXAMPLE), *(row.body for row in MALFORMED_CALLS)]
        for body in bodies:
            assert await check(relay, "post", "/v1/server-events", content=body, headers=headers) < 500
        assert await check(relay, "post", "/v1/server-events", content=bodies[0]) == 401


async def test_calls_of_metas_sdks_are_answered_as_described(tmp_path: Path, anyio_backend: str) -> None:
    async with open_relay(with_keys(tmp_path), environ=ENVIRON) as relay:
        path, of = f"/graph/v26.0/{PIXEL_ID}/events", "/graph/{version}/{pixel}/events"
        headers = {"authorization": f"Bearer {KEY}", "content-type": JSON}
        bodies = [msgspec.json.encode({"data": [event]}) for event, _ in MALFORMED_SERVER_EVENTS]
        for body in [msgspec.json.encode({"data": [good_server_event()]}), b"{", *bodies]:
            assert await check(relay, "post", path, of=of, content=body, headers=headers) < 500
        assert await check(relay, "post", path, of=of) == 400


@given(st.sampled_from(sorted(good_server_event())), json_values)
def test_a_schema_that_refuses_a_servers_event_agrees_with_the_parser(member: str, value: object) -> None:
    changed = good_server_event(**{member: value})
    parsed = parse_server_event(changed, pixel_ids=[PIXEL_ID], received_ms=NOW_MS, sender="test")
    if isinstance(parsed, ServerSideEvent):
        assert troubles({"$ref": "#/components/schemas/PostedServerEvent"}, changed) == []


async def test_a_relay_that_is_not_ready_answers_as_described(relay: Relay) -> None:
    relay.app.state.draining = True
    assert await check(relay, "get", "/readyz") == 503
