"""Bodies that no snippet sends, with the reason each must be answered with; run here and again over HTTP.

A `BodyReason` refuses the post, a `Refusal` its only event. They suit a site with the key and pixel below.
"""

import gzip
import json
import zlib
from collections.abc import Iterator
from typing import Any, NamedTuple

from relay.event.outcome import BodyReason, Refusal

SITE_KEY = "demo-shop"
PIXEL_ID = "1234567890"
DAY_MS = 86_400_000

Json = dict[str, Any]


class Malformed(NamedTuple):
    name: str
    body: bytes
    expected: BodyReason | Refusal


def good_event(**changes: Any) -> Json:
    """A Purchase that is accepted; a change to `...` leaves the member out."""
    event = {
        "event_name": "Purchase",
        "event_id": "e-1",
        "age_ms": 412,
        "url": "https://shop.example/thanks",
        "referrer": "https://shop.example/checkout",
        "fbp": "fb.1.1763859600000.1234567890",
        "fbc": None,
        "custom_data": {"value": 49.9, "currency": "EUR"},
        "user_data": {"em": "a" * 64},
        "pixel": {
            "state": "sent",
            "evidence": "load",
            "transport": "image",
            "dispatched_ms": 3,
            "settled_ms": 118,
        },
    } | changes
    return {name: value for name, value in event.items() if value is not ...}


def post(*events: Any) -> bytes:
    return json.dumps({"site": SITE_KEY, "events": list(events)}).encode()


def spliced(member: str, raw: bytes) -> bytes:
    """A good post whose member has this raw JSON text, which `json` itself would never write."""
    return post(good_event(**{member: "SPLICE"})).replace(b'"SPLICE"', raw)


def nested(depth: int) -> bytes:
    return b'{"value":1,"currency":"EUR","deep":' + b"[" * depth + b"]" * depth + b"}"


def _bodies() -> Iterator[tuple[str, bytes, BodyReason]]:
    not_json = BodyReason.BODY_NOT_JSON
    good = post(good_event())
    yield "empty", b"", not_json
    yield "white space only", b" \n\t ", not_json
    yield "plain text", b"hello", not_json
    yield "form encoded", b"site=demo-shop&event_name=Purchase", not_json
    yield "cut short", good[:-2], not_json
    yield "trailing bytes", good + b"x", not_json
    yield "two documents", good + good, not_json
    yield "trailing comma", good[:-1] + b",}", not_json
    yield "single quotes", good.replace(b'"', b"'"), not_json
    yield "comment", b"/* hi */" + good, not_json
    yield "byte order mark", b"\xef\xbb\xbf" + good, not_json
    yield "utf-16", good.decode().encode("utf-16"), not_json
    yield "utf-32 without a mark", good.decode().encode("utf-32-le"), not_json
    yield "latin-1", spliced("event_id", '"café"'.encode("latin-1")), not_json
    yield "overlong utf-8", spliced("event_id", b'"\xc0\xaf"'), not_json
    yield "surrogate as raw bytes", spliced("event_id", b'"\xed\xa0\x80"'), not_json
    yield "beyond Unicode", spliced("event_id", b'"\xf4\x90\x80\x80"'), not_json
    yield "lone high surrogate escape", spliced("event_id", b'"\\ud800"'), not_json
    yield "lone low surrogate escape", spliced("event_id", b'"\\udc00"'), not_json
    yield "surrogates the wrong way round", spliced("event_id", b'"\\udc00\\ud800"'), not_json
    yield "surrogate in a name", spliced("custom_data", b'{"\\ud800":1}'), not_json
    yield "raw control character", spliced("event_id", b'"a\x01b"'), not_json
    yield "raw line feed in a text", spliced("event_id", b'"a\nb"'), not_json
    yield "NUL after the document", good + b"\x00", not_json
    yield "gzip", gzip.compress(good), not_json
    yield "deflate", zlib.compress(good), not_json
    for text in ("NaN", "Infinity", "-Infinity", "1e400", "-1e400", "0x10", "01", "+1", ".5", "1.", "1_000"):
        yield f"number {text}", spliced("age_ms", text.encode()), not_json
    yield "number of 60,000 digits", spliced("age_ms", b"9" * 60_000), not_json
    yield "NaN in custom_data", spliced("custom_data", b'{"value":NaN,"currency":"EUR"}'), not_json
    yield "1e400 in custom_data", spliced("custom_data", b'{"value":1e400,"currency":"EUR"}'), not_json
    yield "site named twice", good[:-1] + b',"site":"other"}', not_json
    yield "a member of an event named twice", good.replace(b'"age_ms"', b'"age_ms": 1, "age_ms"'), not_json
    yield "value named twice", spliced("custom_data", b'{"value":1,"value":2,"currency":"EUR"}'), not_json
    for depth in (1_000, 10_000, 30_000):
        yield f"lists {depth} deep", spliced("custom_data", nested(depth)), not_json
    yield "objects 5,000 deep", spliced("custom_data", b'{"a":' * 5_000 + b"1" + b"}" * 5_000), not_json
    yield "60,000 lists left open", b"[" * 60_000, not_json

    too_large = BodyReason.BODY_TOO_LARGE
    yield "one byte too many", good + b" " * (65_537 - len(good)), too_large
    yield "lists 100,000 deep", spliced("custom_data", nested(100_000)), too_large
    yield "number of 100,000 digits", spliced("age_ms", b"9" * 100_000), too_large
    yield "100,000 members", spliced("custom_data", _members(100_000)), too_large

    not_object = BodyReason.BODY_NOT_OBJECT
    for name, body in {
        "null": b"null",
        "true": b"true",
        "number": b"1",
        "text": b'"x"',
        "list": b"[]",
    }.items():
        yield f"{name} for a body", body, not_object
    yield "list of events for a body", json.dumps([good_event()]).encode(), not_object
    yield "event for a body", json.dumps(good_event()).encode(), not_object
    yield "no site", json.dumps({"events": [good_event()]}).encode(), not_object
    yield "site a number", json.dumps({"site": 1, "events": [good_event()]}).encode(), not_object

    no_events = BodyReason.NO_EVENTS
    others: dict[str, Any] = {"none": None, "empty": [], "an object": {}, "a text": "e", "a number": 1}
    for name, events in others.items():
        yield f"events {name}", json.dumps({"site": SITE_KEY, "events": events}).encode(), no_events
    yield "events left out", json.dumps({"site": SITE_KEY}).encode(), no_events
    yield "21 events", post(*({} for _ in range(21))), BodyReason.TOO_MANY_EVENTS


def _members(count: int) -> bytes:
    return b'{"value":1,"currency":"EUR",' + b",".join(b'"k%d":1' % index for index in range(count)) + b"}"


PURCHASE = {"value": 1, "currency": "EUR"}

# Refusal → the changes to a good event that must each be answered with it.
CHANGES: dict[Refusal, list[tuple[str, Json]]] = {
    Refusal.INVALID_EVENT: [
        ("referrer a number", {"referrer": 1}),
        ("fbp a list", {"fbp": ["fb.1.1.1"]}),
        ("fbc an object", {"fbc": {}}),
        ("pixel_ids a text", {"pixel_ids": PIXEL_ID}),
        ("pixel_ids numbers", {"pixel_ids": [1234567890]}),
    ],
    Refusal.INVALID_EVENT_NAME: [
        ("event_name left out", {"event_name": ...}),
        ("event_name empty", {"event_name": ""}),
        ("event_name blank", {"event_name": "  "}),
        ("event_name a number", {"event_name": 7}),
        ("event_name with a line feed", {"event_name": "Pur\nchase"}),
        ("event_name with NUL", {"event_name": "Purchase\x00"}),
    ],
    Refusal.EVENT_NAME_TOO_LONG: [("event_name of 51 characters", {"event_name": "n" * 51})],
    Refusal.INVALID_EVENT_ID: [
        ("event_id left out", {"event_id": ...}),
        ("event_id null", {"event_id": None}),
        ("event_id empty", {"event_id": ""}),
        ("event_id a number", {"event_id": 5}),
        ("event_id of 201 characters", {"event_id": "i" * 201}),
        ("event_id with a delete character", {"event_id": "a\x7f"}),
        ("event_id with a line separator", {"event_id": "a\u2028b"}),
    ],
    Refusal.INVALID_AGE: [
        ("age_ms left out", {"age_ms": ...}),
        ("age_ms negative, an event from the future", {"age_ms": -1}),
        ("age_ms a text", {"age_ms": "412"}),
        ("age_ms a fraction", {"age_ms": 0.5}),
        ("age_ms a boolean", {"age_ms": True}),
    ],
    Refusal.TOO_OLD: [
        ("age_ms of seven days", {"age_ms": 7 * DAY_MS}),
        ("age_ms of 1e300", {"age_ms": 1e300}),
    ],
    Refusal.INVALID_URL: [
        ("url left out", {"url": ...}),
        ("url relative", {"url": "/thanks"}),
        ("url without a host", {"url": "https:///thanks"}),
        ("url of a script", {"url": "javascript:alert(1)"}),
        ("url of a file", {"url": "file:///etc/passwd"}),
        ("url with a broken IPv6 host", {"url": "http://[::1"}),
        ("url with an impossible port", {"url": "http://shop.example:99999/"}),
        ("url with CR LF", {"url": "https://shop.example/\r\nX: y"}),
        ("url of 4,097 characters", {"url": "https://shop.example/".ljust(4_097, "a")}),
        ("url a list", {"url": ["https://shop.example/"]}),
    ],
    Refusal.INVALID_PIXEL_REPORT: [
        ("pixel left out", {"pixel": ...}),
        ("pixel a text", {"pixel": "sent"}),
        ("pixel without a state", {"pixel": {}}),
        ("pixel state unknown", {"pixel": {"state": "delivered"}}),
        ("pixel state a list", {"pixel": {"state": ["sent"]}}),
        ("dispatched_ms negative", {"pixel": {"state": "sent", "dispatched_ms": -1}}),
        ("settled_ms a text", {"pixel": {"state": "sent", "settled_ms": "118"}}),
        ("evidence a list", {"pixel": {"state": "sent", "evidence": ["load"]}}),
        ("seen a list", {"pixel": {"state": "sent", "seen": []}}),
        ("seen value a number", {"pixel": {"state": "sent", "seen": {"cd[value]": 49.9}}}),
    ],
    Refusal.UNKNOWN_PIXEL: [
        ("pixel of another site", {"pixel_ids": ["999"]}),
        ("one pixel of two unknown", {"pixel_ids": [PIXEL_ID, "999"]}),
    ],
    Refusal.INVALID_CUSTOM_DATA: [
        ("custom_data a list", {"custom_data": []}),
        ("custom_data a text", {"custom_data": "{}"}),
        ("custom_data of 201 members", {"custom_data": PURCHASE | {f"k{index}": 1 for index in range(199)}}),
    ],
    Refusal.INVALID_USER_DATA: [
        ("user_data a list", {"user_data": []}),
        ("em a fraction", {"user_data": {"em": 1.5}}),
        ("em an object", {"user_data": {"em": {"a": 1}}}),
        ("ph a list of flags", {"user_data": {"ph": [True]}}),
        ("external_id of 1,025 characters", {"user_data": {"external_id": "x" * 1_025}}),
        ("21 values of one key", {"user_data": {"external_id": [str(index) for index in range(21)]}}),
    ],
    Refusal.INVALID_DATA_PROCESSING_OPTIONS: [
        ("options a text", {"data_processing_options": "LDU"}),
        ("options unknown", {"data_processing_options": ["GDPR"]}),
        ("options of numbers", {"data_processing_options": [1]}),
        (
            "options country a text",
            {"data_processing_options": ["LDU"], "data_processing_options_country": "US"},
        ),
        ("options state negative", {"data_processing_options": ["LDU"], "data_processing_options_state": -1}),
    ],
    Refusal.INVALID_ADDRESSES: [
        ("addresses a text", {"addresses": "203.0.113.7"}),
        ("addresses of numbers", {"addresses": [1]}),
        ("five addresses", {"addresses": ["t"] * 5}),
    ],
    Refusal.INVALID_SIGNATURE: [
        ("signature a number", {"signature": 5}),
        ("signature too long", {"signature": "s" * 1_025}),
    ],
    Refusal.INVALID_CONSENT: [
        ("consent a boolean", {"consent": True}),
        ("consent an unknown word", {"consent": "maybe"}),
        ("consent an object", {"consent": {"ads": "granted"}}),
    ],
    Refusal.MISSING_VALUE: [
        ("custom_data left out", {"custom_data": ...}),
        ("value left out", {"custom_data": {"currency": "EUR"}}),
        ("value null", {"custom_data": {"value": None, "currency": "EUR"}}),
        ("value blank", {"custom_data": {"value": " ", "currency": "EUR"}}),
    ],
    Refusal.INVALID_VALUE: [
        ("value with a comma", {"custom_data": {"value": "49,90", "currency": "EUR"}}),
        ("value with a sign of its currency", {"custom_data": {"value": "€49.90", "currency": "EUR"}}),
        ("value NaN as a text", {"custom_data": {"value": "NaN", "currency": "EUR"}}),
        ("value with an exponent as a text", {"custom_data": {"value": "1e3", "currency": "EUR"}}),
        ("value in other digits", {"custom_data": {"value": "٤٩", "currency": "EUR"}}),
        ("value a boolean", {"custom_data": {"value": True, "currency": "EUR"}}),
        ("value a list", {"custom_data": {"value": [1], "currency": "EUR"}}),
        ("value of 40 digits", {"custom_data": {"value": 10**40, "currency": "EUR"}}),
        ("value of a Lead a word", {"event_name": "Lead", "custom_data": {"value": "free"}}),
    ],
    Refusal.MISSING_CURRENCY: [
        ("currency left out", {"custom_data": {"value": 1}}),
        ("currency null", {"custom_data": {"value": 1, "currency": None}}),
    ],
    Refusal.INVALID_CURRENCY: [
        ("currency unknown", {"custom_data": {"value": 1, "currency": "EURO"}}),
        ("currency a sign", {"custom_data": {"value": 1, "currency": "€"}}),
        ("currency a number", {"custom_data": {"value": 1, "currency": 978}}),
        ("currency of a Lead unknown", {"event_name": "Lead", "custom_data": {"currency": "ZZZ"}}),
    ],
}


def _events() -> Iterator[tuple[str, bytes, Refusal]]:
    others: dict[str, Any] = {"null": None, "a number": 1, "a text": "e", "a list": [], "a boolean": False}
    for name, raw in others.items():
        yield f"event {name}", post(raw), Refusal.INVALID_EVENT
    for reason, changes in CHANGES.items():
        for name, change in changes:
            yield name, post(good_event(**change)), reason
    for depth in (17, 100, 500):
        yield f"custom_data {depth} deep", spliced("custom_data", nested(depth)), Refusal.INVALID_CUSTOM_DATA
    yield "4,000 members", spliced("custom_data", _members(4_000)), Refusal.INVALID_CUSTOM_DATA
    yield (
        "value of 4,000 digits",
        spliced("custom_data", b'{"value":' + b"9" * 4_000 + b',"currency":"EUR"}'),
        Refusal.INVALID_VALUE,
    )
    yield "escaped NUL in event_id", spliced("event_id", b'"a\\u0000b"'), Refusal.INVALID_EVENT_ID


MALFORMED = [*(Malformed(*row) for row in _bodies()), *(Malformed(*row) for row in _events())]
