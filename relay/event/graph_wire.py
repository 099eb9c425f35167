"""Graph's own call, as Meta's SDKs make it → the events of `server_wire`. docs/graph-sdk.md is the page.

Lenient where Graph is, since the senders were written for it: texts for numbers, nulls, events as JSON texts. What this
relay has no place for is left out, and told in the answer's `messages`.
"""

from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import Any, Final

import msgspec

from relay.event.fields import USER_ID_KEYS, Refused
from relay.event.normalise import USER_DATA_KEYS
from relay.event.outcome import Refusal
from relay.event.records import Json, ServerSideEvent
from relay.event.server_wire import EVENTS_MAX, META_MEMBERS, STATED_KEYS, parse_server_event
from relay.event.wire import WireError, decode

SENDER: Final = "POST /graph/…/events"
MESSAGES_MAX: Final = 20
# Of the call itself; this relay's own settings stand in their place, or they are Meta's bookkeeping.
CALL_MEMBERS: Final = ("test_event_code",)

_USER_DATA: Final = frozenset({*USER_DATA_KEYS, *USER_ID_KEYS, *STATED_KEYS})


class GraphCallError(Exception):
    """The call cannot be read; the message is one for Graph's error."""


class GraphEvent(msgspec.Struct, frozen=True, kw_only=True):
    event: ServerSideEvent | Refused
    left_out: tuple[str, ...]  # paths of what has no place here


def read_json(text: bytes | str) -> object:
    try:
        return decode(text if isinstance(text, bytes) else text.encode())
    except (WireError, UnicodeEncodeError):
        raise GraphCallError("(#100) Param data must be valid JSON.") from None


def read_data(raw: object) -> list[object]:
    """The call's `data`: an array of objects, an array of JSON texts, or a text: JSON of either, or an event a line."""
    data = _read_text(raw) if isinstance(raw, str) else raw
    if not isinstance(data, list) or not data:
        raise GraphCallError("(#100) The parameter data is required.")
    if len(data) > EVENTS_MAX:
        raise GraphCallError(f"(#100) Param data must hold at most {EVENTS_MAX} events.")
    return [read_json(event) if isinstance(event, str) else event for event in data]


def _read_text(text: str) -> object:
    lines = [line for line in text.splitlines() if line.strip()]
    is_one_a_line = all(line.lstrip().startswith("{") for line in lines)
    return lines if lines and is_one_a_line else read_json(text)


def read_graph_event(raw: object, *, pixel: str, received_ms: int) -> GraphEvent:
    """One event for the pixel of the call. Takes any JSON value; never raises."""
    if not isinstance(raw, dict):
        return GraphEvent(event=Refused(event_id=None, reason=Refusal.INVALID_EVENT), left_out=())
    members = {name: value for name, value in raw.items() if value is not None and name in META_MEMBERS}
    left_out = [name for name, value in raw.items() if value is not None and name not in META_MEMBERS]
    user_data = members.get("user_data")
    if isinstance(user_data, Mapping):
        members["user_data"] = {name: each for name, each in user_data.items() if name in _USER_DATA}
        left_out += [f"user_data.{name}" for name in user_data if name not in _USER_DATA]
    members["event_time"] = _number(members.get("event_time", ""))
    has_id = members.get("event_id") not in (None, "")
    members["event_id"] = _text(members["event_id"]) if has_id else made_id(pixel, raw)
    event = parse_server_event(members, pixel_ids=[pixel], received_ms=received_ms, sender=SENDER)
    if isinstance(event, ServerSideEvent):
        event = msgspec.structs.replace(event, pixel_ids=(pixel,), has_own_id=has_id)
    return GraphEvent(event=event, left_out=tuple(left_out))


def made_id(pixel: str, raw: Json) -> str:
    """The id of an event that came without one: the same event always gets the same, so a retry is a duplicate."""
    text = msgspec.json.encode([pixel, raw], order="sorted")
    return f"made-{blake2b(text, digest_size=16).hexdigest()}"


def messages(events: Sequence[GraphEvent], fields: Mapping[str, Any]) -> list[str]:
    """What a sender should know of a call that was taken."""
    said = [
        f"data[{index}].{path} is not known to this relay and was left out."
        for index, event in enumerate(events)
        for path in event.left_out
    ]
    if fields.get("test_event_code"):
        said.insert(0, "test_event_code was left out: set it for the pixel in relay.toml.")
    return said[:MESSAGES_MAX]


def _number(raw: object) -> object:
    return int(raw) if isinstance(raw, str) and raw.isascii() and raw.isdigit() and len(raw) < 20 else raw


def _text(raw: object) -> object:
    return str(raw) if type(raw) is int and abs(raw) < 10**200 else raw
