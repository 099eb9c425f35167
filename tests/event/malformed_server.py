"""Calls that no good backend makes, with the reason each must be answered with; run here and again over HTTP.

A `CallReason` refuses the call, a `Refusal` its only event. They suit a site with the pixel of `malformed`.
"""

import gzip
import json
from collections.abc import Iterator
from typing import Any, NamedTuple

from relay.event.outcome import CallReason, Refusal
from relay.event.server_wire import EVENT_MAX_BYTES, EVENTS_MAX
from tests.event.malformed import PIXEL_ID
from tests.event.server_side import NOW_MS, USER_AGENT

Json = dict[str, Any]


class MalformedCall(NamedTuple):
    name: str
    body: bytes
    expected: CallReason | Refusal


def good_server_event(**changes: Any) -> Json:
    """A Purchase that is accepted; a change to `...` leaves the member out."""
    event = {
        "event_name": "Purchase",
        "event_id": "e-1",
        "event_time": NOW_MS // 1_000 - 2,
        "action_source": "website",
        "event_source_url": "https://shop.example/thanks",
        "user_data": good_user_data(),
        "custom_data": {"value": 49.9, "currency": "EUR", "order_id": "o-1"},
    } | changes
    return {name: value for name, value in event.items() if value is not ...}


def good_user_data(**changes: Any) -> Json:
    return {"em": "ada@example.com", "client_user_agent": USER_AGENT} | changes


def call(*events: Any) -> bytes:
    return json.dumps({"events": list(events)}).encode()


def _calls() -> Iterator[MalformedCall]:
    good = call(good_server_event())
    unreadable = CallReason.CALL_NOT_READABLE
    for name, body in {
        "empty": b"",
        "not JSON": b"{",
        "a list": b"[]",
        "a form": b"data=%5B%5D",
        "a BOM": b"\xef\xbb\xbf" + good,
        "UTF-16": good.decode().encode("utf-16"),
        "gzip": gzip.compress(good),
        "NaN": good.replace(b"49.9", b"NaN"),
        "infinity": good.replace(b"49.9", b"1e999"),
        "a lone surrogate": good.replace(b"o-1", rb"\ud800"),
        "a member twice": good.replace(b'"event_id"', b'"event_id":"x","event_id"'),
        "endless nesting": b'{"events":' + b"[" * 100_000,
    }.items():
        yield MalformedCall(name, body, unreadable)
    for name, document in {"no events": {}, "null": {"events": None}, "none": {"events": []}}.items():
        yield MalformedCall(name, json.dumps(document).encode(), CallReason.CALL_WITHOUT_EVENTS)
    yield MalformedCall("too many", call(*[1] * (EVENTS_MAX + 1)), CallReason.CALL_TOO_MANY_EVENTS)


def _events() -> Iterator[tuple[Json | Any, Refusal]]:
    wrong: Any
    for wrong in (None, 7, "text", [], True):
        yield wrong, Refusal.INVALID_EVENT
    yield good_server_event(customdata={}), Refusal.INVALID_EVENT
    yield (
        good_server_event(custom_data={"value": 1, "currency": "EUR", "long": "x" * EVENT_MAX_BYTES}),
        (Refusal.EVENT_TOO_LARGE),
    )
    for event_id in (..., "", " ", 7, "x" * 201, "a\nb"):
        yield good_server_event(event_id=event_id), Refusal.INVALID_EVENT_ID
    for event_name in (..., "", 7, ["Purchase"], "a\x00b"):
        yield good_server_event(event_name=event_name), Refusal.INVALID_EVENT_NAME
    yield good_server_event(event_name="x" * 51), Refusal.EVENT_NAME_TOO_LONG
    for event_time in ("1763859598", -1, 1.5, True, NOW_MS, NOW_MS // 1_000 + 120, 10**30):
        yield good_server_event(event_time=event_time), Refusal.INVALID_EVENT_TIME
    yield good_server_event(event_time=NOW_MS // 1_000 - 8 * 86_400), Refusal.TOO_OLD
    for action_source in (..., "web", 7, ["website"], ""):
        yield good_server_event(action_source=action_source), Refusal.INVALID_ACTION_SOURCE
    for url in ("", "shop.example", "ftp://shop.example/", 7, "https://", "https://x/" + "y" * 5_000):
        yield good_server_event(event_source_url=url), Refusal.INVALID_URL
    yield good_server_event(event_source_url=...), Refusal.MISSING_URL
    for wrong in (
        7,
        [],
        "em",
        {"email": "ada@example.com"},
        good_user_data(em={"a": 1}),
        good_user_data(em=["x"] * 21),
        good_user_data(client_user_agent=7),
        good_user_data(client_user_agent=["a", "b"]),
        good_user_data(fbp={}),
        good_user_data(lead_id=1.5),
        good_user_data(lead_id=[1]),
        good_user_data(lead_id=True),
    ):
        yield good_server_event(user_data=wrong), Refusal.INVALID_USER_DATA
    yield good_server_event(user_data={"em": "ada@example.com"}), Refusal.MISSING_USER_AGENT
    yield good_server_event(user_data={"client_user_agent": USER_AGENT, "ct": "berlin"}), Refusal.TOO_BROAD
    for wrong in (7, [], {str(number): 1 for number in range(201)}):
        yield good_server_event(custom_data=wrong), Refusal.INVALID_CUSTOM_DATA
    yield good_server_event(custom_data=...), Refusal.MISSING_VALUE
    yield good_server_event(custom_data={"value": "€5"}), Refusal.INVALID_VALUE
    yield good_server_event(custom_data={"value": 5}), Refusal.MISSING_CURRENCY
    yield good_server_event(custom_data={"value": 5, "currency": "euro"}), Refusal.INVALID_CURRENCY
    for member in ("opt_out", "partial"):
        yield good_server_event(**{member: "true"}), Refusal.INVALID_EVENT
    for wrong in (7, [], {"order_id": []}):
        yield good_server_event(original_event_data=wrong), Refusal.INVALID_EVENT
    for options in ("LDU", ["XYZ"], 7):
        yield good_server_event(data_processing_options=options), Refusal.INVALID_DATA_PROCESSING_OPTIONS
    yield good_server_event(pixel_ids=["1"]), Refusal.UNKNOWN_PIXEL
    yield good_server_event(pixel_ids=PIXEL_ID), Refusal.INVALID_EVENT
    yield good_server_event(consent="denied"), Refusal.CONSENT_DENIED
    yield good_server_event(consent=True), Refusal.INVALID_CONSENT
    yield good_server_event(action_source="app"), Refusal.MISSING_APP_DATA
    yield good_server_event(action_source="app", app_data=7), Refusal.MISSING_APP_DATA
    yield good_server_event(event_id="ada@example.com"), Refusal.PERSONAL_DATA


MALFORMED_SERVER_EVENTS = [*_events()]
MALFORMED_CALLS = [
    *_calls(),
    *(
        MalformedCall(f"{reason} {number}", call(event), reason)
        for number, (event, reason) in enumerate(MALFORMED_SERVER_EVENTS)
    ),
]
