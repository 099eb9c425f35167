"""A server's call → `ServerSideEvent`s, or refusals with their reasons. `docs/server-events.md` is the format.

An event has Meta's own shape, so that what was written for Graph needs no other; three members are ours:
`pixel_ids`, `consent` and `partial`.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from relay.errors import RelayError
from relay.event.fields import (
    DEPTH_MAX,
    EXTRA_KEYS,
    USER_ID_KEYS,
    Refused,
    RefusedError,
    depth_of,
    is_short_text,
    member_of,
    read_custom_data,
    read_event_id,
    read_event_name,
    read_object,
    read_pixel_ids,
    read_processing_options,
    read_referrer,
    read_text,
    read_url,
    read_user_data,
    read_whole,
)
from relay.event.normalise import USER_DATA_KEYS
from relay.event.outcome import CALL_SENTENCES, ActionSource, CallReason, Refusal
from relay.event.records import Json, ServerSideEvent
from relay.event.wire import WireError, decode

BODY_MAX_BYTES: Final = 4_194_304
EVENT_MAX_BYTES: Final = 65_536
EVENTS_MAX: Final = 1_000  # as many as Graph takes in one call
STATED_KEYS: Final = ("client_ip_address", "client_user_agent", "fbp", "fbc")
ORIGINAL_KEYS: Final = ("event_name", "event_time", "order_id", "event_id")
OURS: Final = ("pixel_ids", "consent", "partial")
META_MEMBERS: Final = (
    *("event_name", "event_time", "event_id", "event_source_url", "referrer_url", "action_source"),
    *("user_data", "custom_data", "opt_out", "data_processing_options", "data_processing_options_country"),
    *("data_processing_options_state", "original_event_data", *EXTRA_KEYS),
)
_SECOND_MAX: Final = 10_000_000_000  # later than any event; what is above was meant as milliseconds


class CallError(RelayError):
    """A call is refused as a whole."""

    def __init__(self, reason: CallReason) -> None:
        super().__init__(CALL_SENTENCES[reason])
        self.reason = reason


def parse_call(body: bytes) -> list[object]:
    """The events of a call's body, unchecked. Raises CallError."""
    try:
        members = decode(body)
    except WireError:
        raise CallError(CallReason.CALL_NOT_READABLE) from None
    if not isinstance(members, dict):
        raise CallError(CallReason.CALL_NOT_READABLE)
    events = members.get("events")
    if not isinstance(events, list) or not events:
        raise CallError(CallReason.CALL_WITHOUT_EVENTS)
    if len(events) > EVENTS_MAX:
        raise CallError(CallReason.CALL_TOO_MANY_EVENTS)
    return events


def parse_server_event(
    raw: object, *, pixel_ids: Sequence[str], received_ms: int, sender: str
) -> ServerSideEvent | Refused:
    """Check the shape of one event for a site with these pixels. Takes any JSON value; never raises."""
    event_id = None
    try:
        members = _members(raw)
        event_id = read_event_id(members.get("event_id"))
        return _event(members, event_id, pixel_ids, received_ms, sender)
    except RefusedError as refused:
        return Refused(event_id=event_id, reason=refused.reason)


def _members(raw: object) -> Json:
    """A null member counts as left out. A misspelt one is refused: what it was to say would be lost unseen."""
    members = {
        name: value for name, value in read_object(raw, Refusal.INVALID_EVENT).items() if value is not None
    }
    if not members.keys() <= {*META_MEMBERS, *OURS}:
        raise RefusedError(Refusal.INVALID_EVENT)
    if len(msgspec.json.encode(members)) > EVENT_MAX_BYTES:
        raise RefusedError(Refusal.EVENT_TOO_LARGE)
    return members


def _event(
    members: Json, event_id: str, pixel_ids: Sequence[str], received_ms: int, sender: str
) -> ServerSideEvent:
    consent = members.get("consent")
    if consent == "denied":
        raise RefusedError(Refusal.CONSENT_DENIED)
    if consent not in ("granted", None):
        raise RefusedError(Refusal.INVALID_CONSENT)
    user_data = _user_data(members.get("user_data"))
    options, country, state = read_processing_options(members)
    partial = _flag(members.get("partial"))
    url = members.get("event_source_url")
    return ServerSideEvent(
        event_name=(event_name := read_event_name(members.get("event_name"))),
        event_id=event_id,
        event_time_ms=_event_time_ms(members.get("event_time"), received_ms),
        action_source=_action_source(members.get("action_source"), partial=partial is True),
        url=None if url is None else read_url(url),
        referrer=read_referrer(members.get("referrer_url")),
        fbp=_stated(user_data.get("fbp")),
        fbc=_stated(user_data.get("fbc")),
        client_ip_address=_stated(user_data.get("client_ip_address")),
        client_user_agent=_stated(user_data.get("client_user_agent")),
        custom_data=read_custom_data(members.get("custom_data"), "" if partial else event_name),
        user_data=read_user_data(user_data),
        user_ids=_user_ids(user_data),
        pixel_ids=read_pixel_ids(members.get("pixel_ids"), pixel_ids),
        opt_out=_flag(members.get("opt_out")),
        data_processing_options=options,
        data_processing_options_country=country,
        data_processing_options_state=state,
        original_event_data=_original(members.get("original_event_data")),
        extra=_extra(members),
        consent=consent == "granted",
        partial=partial is True,
        sender=sender,
    )


def _event_time_ms(raw: object, received_ms: int) -> int:
    """Whole seconds; left out: now."""
    if raw is None:
        return received_ms
    seconds = read_whole(raw, Refusal.INVALID_EVENT_TIME)
    if seconds > _SECOND_MAX:
        raise RefusedError(Refusal.INVALID_EVENT_TIME)
    return seconds * 1_000


def _action_source(raw: object, *, partial: bool) -> ActionSource:
    """Of a partial event it can only be the page's."""
    if raw is None and partial:
        return ActionSource.WEBSITE
    action_source = member_of(ActionSource, raw)
    if action_source is None:
        raise RefusedError(Refusal.INVALID_ACTION_SOURCE)
    return action_source


def _user_data(raw: object) -> Json:
    members = read_object({} if raw is None else raw, Refusal.INVALID_USER_DATA)
    given = {name: value for name, value in members.items() if value is not None}
    if not given.keys() <= {*USER_DATA_KEYS, *USER_ID_KEYS, *STATED_KEYS}:
        raise RefusedError(Refusal.INVALID_USER_DATA)
    return given


def _stated(raw: object) -> str | None:
    """One text; a list of one, as some clients send it, counts as that one."""
    if isinstance(raw, list) and len(raw) <= 1:
        raw = raw[0] if raw else None
    try:
        return read_text(raw)
    except RefusedError:
        raise RefusedError(Refusal.INVALID_USER_DATA) from None


def _user_ids(user_data: Mapping[str, Any]) -> Json:
    """Meta's own ids: texts or whole numbers, as they are."""
    ids: Json = {name: user_data[name] for name in USER_ID_KEYS if user_data.get(name) not in (None, "")}
    if not all(type(value) is int or is_short_text(value) for value in ids.values()):
        raise RefusedError(Refusal.INVALID_USER_DATA)
    return ids


def _flag(raw: object) -> bool | None:
    if raw is not None and not isinstance(raw, bool):
        raise RefusedError(Refusal.INVALID_EVENT)
    return raw


def _original(raw: object) -> Json | None:
    """Which earlier event this one follows up, in the four members that Meta documents."""
    if raw is None:
        return None
    members = read_object(raw, Refusal.INVALID_EVENT)
    known: Json = {name: members[name] for name in ORIGINAL_KEYS if members.get(name) is not None}
    if not all(type(value) is int or is_short_text(value) for value in known.values()):
        raise RefusedError(Refusal.INVALID_EVENT)
    return known or None


def _extra(members: Json) -> Json:
    extra: Json = {name: members[name] for name in EXTRA_KEYS if name in members}
    if depth_of(extra) > DEPTH_MAX:
        raise RefusedError(Refusal.INVALID_EVENT)
    return extra
