"""A message of Segment's spec, as Segment's and RudderStack's clients send it → the event that it is for Meta.

Only track and page calls are events by themselves; what identify and screen become is a setting. What a site's own
pages send is believed less than what its servers send: see `BrowserSource`.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from relay.event.build import text_of
from relay.event.fields import (
    Refused,
    RefusedError,
    member_of,
    read_event_id,
    read_event_name,
    read_object,
    read_processing_options,
    read_referrer,
    read_url,
)
from relay.event.mapping import Found, at, custom_data, first, is_blank, meta_name, user_data
from relay.event.mapping_tables import (
    ADVERTISING,
    BROWSER_INTEGRATIONS,
    PAGE_URL,
    SERVER_INTEGRATIONS,
    TRAIT_SOURCES,
    USER_DATA,
    USER_IDS,
    VISITOR,
)
from relay.event.outcome import ActionSource, Ignored, Refusal
from relay.event.pairing import UNAUTHENTICATED
from relay.event.personal import personal_kind
from relay.event.records import Json, ServerSideEvent
from relay.event.server_wire import EVENT_MAX_BYTES
from relay.settings import EventMapping

CLOCK_TOLERANCE_MS: Final = 60_000  # a sender's clock within a minute of ours is taken at its word
LIBRARY_MAX: Final = 60
SECONDS_MAX: Final = 100_000_000_000  # a number beyond that is of milliseconds

_OPTIONS: Final = (
    "data_processing_options",
    "data_processing_options_country",
    "data_processing_options_state",
)


class BrowserSource(msgspec.Struct, frozen=True, kw_only=True):
    """What the relay saw of a page's own request; it stands in place of what the message claims of the visitor."""

    address: str | None
    user_agent: str | None
    fbp: str | None  # of the request's cookies, where there are any
    fbc: str | None
    gpc: bool


class NoEvent(msgspec.Struct, frozen=True, kw_only=True):
    """A message that is in order, and of which nothing is sent."""

    reason: Ignored


def read_message(
    raw: object,
    mapping: EventMapping,
    *,
    now_ms: int,
    sent_at: object = None,
    browser: BrowserSource | None = None,
) -> ServerSideEvent | Refused | NoEvent:
    """One message of a batch. Takes any JSON value; never raises. `sent_at` is the batch's own."""
    event_id = None
    try:
        message = read_object(raw, Refusal.INVALID_EVENT)
        if len(msgspec.json.encode(message)) > EVENT_MAX_BYTES:
            raise RefusedError(Refusal.EVENT_TOO_LARGE)
        name = _name(message)
        if isinstance(event_name := _event_name(message, name, mapping), NoEvent):
            return event_name
        if _consent(message) is False:
            raise RefusedError(Refusal.CONSENT_DENIED)
        event_id = read_event_id(message.get("messageId"))
        event = _event(message, name, read_event_name(event_name), event_id, mapping, now_ms, sent_at)
    except RefusedError as refused:
        return Refused(event_id=event_id, reason=refused.reason)
    return event if browser is None else _of_browser(event, browser)


def stated_now_ms(raw: object) -> int | None:
    """The latest time that a message states of itself; None where it states none that can be read."""
    for path in ("received_at", "sent_at", "timestamp", "original_timestamp"):
        if (found := at(raw, path)).path:
            try:
                return _time_ms(found.value)
            except RefusedError:
                return None
    return None


def _name(message: Json) -> str:
    """What the sender calls it: a track call's event, else the call itself."""
    kind = message.get("type", "track" if "event" in message else None)
    if kind not in ("track", "page", "identify", "screen", "group", "alias"):
        raise RefusedError(Refusal.INVALID_EVENT)
    if kind != "track":
        return str(kind)
    return read_name(message.get("event"))


def read_name(raw: object) -> str:
    if not isinstance(raw, str) or not raw.strip():
        raise RefusedError(Refusal.INVALID_EVENT_NAME)
    return raw


def _event_name(message: Json, name: str, mapping: EventMapping) -> str | NoEvent:
    if _is_switched_off(message.get("integrations")):
        return NoEvent(reason=Ignored.SWITCHED_OFF)
    calls = {"page": mapping.page, "identify": mapping.identify, "screen": mapping.screen}
    is_track = message.get("type", "track") == "track"
    event_name = meta_name(name, mapping) if is_track else calls.get(name, "")
    return event_name or NoEvent(reason=Ignored.NOT_MAPPED)


def _event(
    message: Json,
    name: str,
    event_name: str,
    event_id: str,
    mapping: EventMapping,
    now_ms: int,
    sent_at: object,
) -> ServerSideEvent:
    is_track = message.get("type", "track") == "track"
    custom = custom_data(message, name, event_name, mapping) if is_track else None
    user = user_data(message, TRAIT_SOURCES)
    external_id = _external_id(message, mapping)
    action_source = _action_source(message, mapping)
    time_ms, time_why = _event_time(message, now_ms, sent_at)
    options, options_why = _processing_options(message, mapping)
    ids = {key: ours for key, names in USER_IDS.items() if (ours := _user_id(message, names)).path}
    url = first(message, PAGE_URL if name == "page" else PAGE_URL[:1])
    visitor = {key: _visitor(message, key, paths) for key, paths in VISITOR.items()}
    found = {
        "event_source_url": url,
        "external_id": external_id,
        "action_source": action_source,
        **visitor,
        **ids,
    }
    return ServerSideEvent(
        event_name=event_name,
        event_id=event_id,
        event_time_ms=time_ms,
        action_source=_checked_source(action_source.value),
        url=_url(url.value, _checked_source(action_source.value)),
        referrer=read_referrer(_text(at(message, "context.page.referrer").value)),
        fbp=_text(visitor["fbp"].value),
        fbc=_text(visitor["fbc"].value),
        client_ip_address=_text(visitor["client_ip_address"].value),
        client_user_agent=_text(visitor["client_user_agent"].value),
        custom_data=custom.data if custom else {},
        user_data=user.data | ({"external_id": (text,)} if (text := _text(external_id.value)) else {}),
        user_ids={key: text for key, each in ids.items() if (text := _text(each.value))},
        pixel_ids=(),
        opt_out=None,
        data_processing_options=options[0],
        data_processing_options_country=options[1],
        data_processing_options_state=options[2],
        original_event_data=None,
        consent=_consent(message) is True,
        sender=_sender(message),
        why={
            "event_name": f"{name}, a track call" if is_track else f"a {name} call",
            "event_id": "messageId",
            "event_time": time_why,
            **options_why,
            **{field: place.path for field, place in found.items() if place.path},
            **user.why,
            **(custom.why if custom else {}),
        },
    )


def _of_browser(event: ServerSideEvent, seen: BrowserSource) -> ServerSideEvent:
    """What a page says of its visitor's address and agent anyone could write; the request itself counts."""
    why = event.why | {
        "client_ip_address": "the address that the page's own request came from",
        "client_user_agent": "the User-Agent header of the page's own request",
        UNAUTHENTICATED: "a page sent it, with the site's public key; it only fills in what nobody else says",
    }
    limits = seen.gpc and event.data_processing_options is None
    if limits:
        why["data_processing_options"] = "limited, because the browser sends Global Privacy Control"
    return msgspec.structs.replace(
        event,
        client_ip_address=seen.address,
        client_user_agent=seen.user_agent,
        fbp=event.fbp or seen.fbp,
        fbc=event.fbc or seen.fbc,
        data_processing_options=("LDU",) if limits else event.data_processing_options,
        why=why,
    )


def _external_id(message: Json, mapping: EventMapping) -> Found:
    paths = (*(f"{place}.external_id" for place in USER_DATA), "user_id", "anonymous_id")
    return first(message, (mapping.external_id_field, *paths) if mapping.external_id_field else paths)


def _visitor(message: Json, key: str, paths: Sequence[str]) -> Found:
    return first(message, (*paths, *(f"{place}.{key}" for place in USER_DATA)))


def _action_source(message: Json, mapping: EventMapping) -> Found:
    stated = first(message, ("properties.action_source",))
    return stated if stated.path else Found(mapping.action_source, "the setting action_source")


def _checked_source(value: Any) -> ActionSource:
    if (source := member_of(ActionSource, value)) is None:
        raise RefusedError(Refusal.INVALID_ACTION_SOURCE)
    return source


def _url(stated: Any, action_source: ActionSource) -> str | None:
    """The page of a website's event must be one; elsewhere an address that is none is left out."""
    if is_blank(stated):
        return None
    if action_source is ActionSource.WEBSITE:
        return read_url(stated)
    return read_referrer(stated if isinstance(stated, str) else None)


def _user_id(message: Json, names: tuple[str, ...]) -> Found:
    return first(message, [f"{place}.{name}" for place in USER_DATA for name in names])


def _text(value: Any) -> str | None:
    """A text, or a whole number as one."""
    return text_of(value) if not isinstance(value, list | float) else None


def _event_time(message: Json, now_ms: int, sent_at: object) -> tuple[int, str]:
    """Unix milliseconds of the event, on the relay's clock.

    A sender whose clock is wrong says so by `sentAt`: what lies between that and now is taken off, as Segment does.
    What Segment itself has received (`receivedAt`) is right already.
    """
    stated = first(message, ("timestamp", "original_timestamp"))
    if not stated.path:
        return now_ms, "the time of receipt; the message states none"
    time_ms = _time_ms(stated.value)
    sent = first(message, ("sent_at",)).value or sent_at
    if is_blank(sent) or not is_blank(message.get("receivedAt")):
        return time_ms, stated.path
    off_ms = now_ms - _time_ms(sent)
    if abs(off_ms) <= CLOCK_TOLERANCE_MS:
        return time_ms, stated.path
    return time_ms + off_ms, f"{stated.path}, less what the sender's clock is wrong by"


def _time_ms(raw: object) -> int:
    try:
        if isinstance(raw, int | float) and not isinstance(raw, bool):
            return int(raw if abs(raw) > SECONDS_MAX else raw * 1_000)
        time = datetime.fromisoformat(raw.strip() if isinstance(raw, str) else "")
        return round((time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp() * 1_000)
    except (ValueError, OverflowError):
        raise RefusedError(Refusal.INVALID_EVENT_TIME) from None


_Options = tuple[tuple[str, ...] | None, int | None, int | None]


def _processing_options(message: Json, mapping: EventMapping) -> tuple[_Options, Json]:
    """Meta's three fields: the call's own word, else the visitor's, else the event's, else the settings'."""
    for found in _stated_options(message):
        if found.path:
            options = read_processing_options(dict(zip(_OPTIONS, _three(found.value), strict=True)))
            return options, {"data_processing_options": found.path}
    if not mapping.limited_data_use:
        return (None, None, None), {}
    options = (
        mapping.data_processing_options,
        mapping.data_processing_options_country,
        mapping.data_processing_options_state,
    )
    return options, {"data_processing_options": "the setting limited_data_use"}


def _stated_options(message: Json) -> list[Found]:
    integrations = message.get("integrations")
    of_call = [
        at(integrations, f"{name}.data_processing_options")
        for name in (*SERVER_INTEGRATIONS, *BROWSER_INTEGRATIONS)
    ]
    of_event = [at(message, f"properties.{name}") for name in _OPTIONS]
    return [
        *(found for found in of_call if found.path),
        at(message, "context.data_processing_options"),
        Found([found.value for found in of_event], of_event[0].path),
    ]


def _three(value: Any) -> list[Any]:
    """`[options, country, state]`, as Segment has it, from that, from the options alone, or from a yes or no."""
    if isinstance(value, list) and value and isinstance(value[0], list):
        options, country, state, *_ = [*value, None, None]
    elif isinstance(value, list) and len(value) == len(_OPTIONS):
        options, country, state = value
    else:
        options, country, state = value, None, None
    if isinstance(options, bool):
        options = ["LDU"] if options else []
    return [options, country, state]


def _is_switched_off(integrations: Any) -> bool:
    """Whether the call keeps its event from us; a destination in the browser has no say over the server's half."""
    if not isinstance(integrations, Mapping):
        return False
    own = [integrations[name] for name in SERVER_INTEGRATIONS if name in integrations]
    if own:
        return all(choice in (False, None) for choice in own)  # options, even none of them, are a yes
    chosen = any(integrations.get(name, False) not in (False, None) for name in BROWSER_INTEGRATIONS)
    return integrations.get("All", integrations.get("all")) is False and not chosen


def _consent(message: Json) -> bool | None:
    """The visitor's word on advertising, as consent tools stamp it; None where there is none."""
    preferences = at(message, "context.consent.category_preferences").value
    if isinstance(preferences, Mapping):
        said = [answer for name, answer in preferences.items() if name.lower() in ADVERTISING]
        return said[0] is True if said else None
    for path, answer in (("denied_consent_ids", False), ("allowed_consent_ids", True)):
        ids = at(message, f"context.consent_management.{path}").value
        if isinstance(ids, list) and any(
            isinstance(each, str) and each.lower() in ADVERTISING for each in ids
        ):
            return answer
    return None


def _sender(message: Json) -> str:
    """For the receipt: whose library it was, where it says so."""
    name = at(message, "context.library.name").value
    if not isinstance(name, str) or len(name) > LIBRARY_MAX or not name.isprintable() or personal_kind(name):
        return "a client in Segment's format"
    return f"{name}, in Segment's format"
