"""An event of the page or of a server → Conversions API event, byte-stable: the same event always gives the same bytes.

Members come in one fixed order; custom_data keeps the page's own. The event is kept without the visitor's
address and agent, which have their own columns and their own time to be forgotten; `assemble` puts them in
on the way to Meta.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Final

import msgspec

from relay.event.fields import EXTRA_KEYS, plain_number
from relay.event.normalise import USER_DATA_KEYS
from relay.event.outcome import ActionSource
from relay.event.records import BrowserEvent, Json, ServerSideEvent

# Meta rejects user_data that holds nothing outside one of these sets (since Graph v13). Taken from its
# published best practices, not tried against the live endpoint.
TOO_BROAD: Final = (
    {"ct", "country", "st", "zp", "ge", "client_user_agent"},
    {"db", "client_user_agent"},
    {"fn", "ge"},
    {"ln", "ge"},
)


class _Kept(msgspec.Struct):
    action_source: str = ActionSource.WEBSITE


_KEPT: Final = msgspec.json.Decoder(_Kept)


def build(
    event: BrowserEvent,
    *,
    event_time_ms: int,
    hashed: Mapping[str, Sequence[str]],
    fbp: str | None,
    fbc: str | None,
    processing: Json,
) -> Json:
    """The event as it is kept: without address and agent, and with no raw customer data."""
    server_event: Json = {
        "event_name": event.event_name,
        "event_time": event_time_ms // 1_000,
        "event_id": event.event_id,
        "event_source_url": event.url,
    }
    if event.referrer is not None:
        server_event["referrer_url"] = event.referrer
    server_event["action_source"] = ActionSource.WEBSITE
    server_event["user_data"] = _user_data(hashed, fbp, fbc)
    custom_data = _custom_data(event.custom_data)
    if custom_data:
        server_event["custom_data"] = custom_data
    return server_event | processing


def build_server_side(
    event: ServerSideEvent,
    *,
    hashed: Mapping[str, Sequence[str]],
    fbp: str | None,
    fbc: str | None,
    processing: Json,
) -> Json:
    """The same of an event that a server sent."""
    members: Json = {
        "event_name": event.event_name,
        "event_time": event.event_time_ms // 1_000,
        "event_id": event.event_id,
        "event_source_url": event.url,
        "referrer_url": event.referrer,
        "action_source": event.action_source,
        "user_data": _user_data(hashed, fbp, fbc) | event.user_ids,
        "custom_data": _custom_data(event.custom_data) or None,
        **processing,
        "opt_out": event.opt_out,
        "original_event_data": event.original_event_data,
        **{name: event.extra[name] for name in EXTRA_KEYS if name in event.extra},
    }
    return {name: value for name, value in members.items() if value is not None}


def assemble(server_event: bytes, client_ip_address: str | None, client_user_agent: str | None) -> Json:
    """A kept event as it goes to Meta."""
    event: Json = msgspec.json.decode(server_event)
    visitor = {"client_ip_address": client_ip_address, "client_user_agent": client_user_agent}
    event["user_data"] |= {name: value for name, value in visitor.items() if value is not None}
    return event


def action_source_of(server_event: bytes) -> str:
    """A kept event's action_source, without reading the rest of it."""
    return _KEPT.decode(server_event).action_source


def encode(event: Json) -> bytes:
    return msgspec.json.encode(event)


def is_too_broad(keys: Collection[str]) -> bool:
    """Whether Meta would reject a user_data of just these keys, because it could be nearly anyone's."""
    return any(set(keys) <= broad for broad in TOO_BROAD)


def _user_data(hashed: Mapping[str, Sequence[str]], fbp: str | None, fbc: str | None) -> Json:
    user_data: Json = {key: list(hashed[key]) for key in USER_DATA_KEYS if hashed.get(key)}
    if fbp is not None:
        user_data["fbp"] = fbp
    if fbc is not None:
        user_data["fbc"] = fbc
    return user_data


def _custom_data(custom_data: Json) -> Json:
    """The page's own data with the types that Meta documents; what cannot be given its type is left out."""
    cleaned = {name: _CLEAN.get(name, _as_it_is)(value) for name, value in custom_data.items()}
    return {name: value for name, value in cleaned.items() if value is not None}


def _as_it_is(value: Any) -> Any:
    return value


def text_of(value: Any) -> str | None:
    """A text; a list of one, as some plugins write content_type, counts as that one."""
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    return str(value) or None


def _texts(value: Any) -> list[str] | None:
    values = value if isinstance(value, list) else [value]
    return [text for text in map(text_of, values) if text is not None] or None


def _contents(value: Any) -> list[Json] | None:
    """Items without an id match nothing in a catalogue, and Meta refuses them."""
    items = value if isinstance(value, list) else [value]
    return [_item(item) for item in items if isinstance(item, dict) and text_of(item.get("id"))] or None


def _item(item: Json) -> Json:
    cleaned = {name: _CLEAN_ITEM.get(name, _as_it_is)(value) for name, value in item.items()}
    return {name: value for name, value in cleaned.items() if value is not None}


_CLEAN: Final[dict[str, Callable[[Any], Any]]] = {
    "content_ids": _texts,
    "content_type": text_of,
    "contents": _contents,
    "num_items": plain_number,
    "order_id": text_of,
}
_CLEAN_ITEM: Final[dict[str, Callable[[Any], Any]]] = {
    "id": text_of,
    "quantity": plain_number,
    "item_price": plain_number,
}
