"""Request body → `BrowserEvent`, or a refusal with its reason. `docs/wire.md` is the format."""

import json
from collections.abc import Sequence
from typing import Final

import msgspec

from relay.errors import RelayError
from relay.event.fields import (
    Refused,
    RefusedError,
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
from relay.event.outcome import (
    BODY_SENTENCES,
    UNREPORTED,
    BodyReason,
    BrowserState,
    Refusal,
    Transport,
)
from relay.event.records import BrowserEvent, Json, PixelReport, PixelSeen
from relay.event.schedule import EVENT_AGE_MAX_MS

BODY_MAX_BYTES: Final = 65_536
EVENTS_MAX: Final = 20
ADDRESSES_MAX: Final = 4

# The Pixel's own names for what its request carries.
_SEEN: Final = {
    "ev": "event_name",
    "eid": "event_id",
    "fbp": "fbp",
    "fbc": "fbc",
    "cd[value]": "value",
    "cd[currency]": "currency",
    "dpo": "dpo",
}


class WireError(RelayError):
    """A request body is refused as a whole."""

    def __init__(self, reason: BodyReason) -> None:
        super().__init__(BODY_SENTENCES[reason])
        self.reason = reason


class Post(msgspec.Struct, frozen=True, kw_only=True):
    """A body that could be read; its events are not checked yet."""

    site_key: str
    events: tuple[object, ...]


def parse_body(body: bytes) -> Post:
    """Read a post's body. Raises `WireError`."""
    if len(body) > BODY_MAX_BYTES:
        raise WireError(BodyReason.BODY_TOO_LARGE)
    members = decode(body)
    if not isinstance(members, dict) or not isinstance(members.get("site"), str):
        raise WireError(BodyReason.BODY_NOT_OBJECT)
    events = members.get("events")
    if not isinstance(events, list) or not events:
        raise WireError(BodyReason.NO_EVENTS)
    if len(events) > EVENTS_MAX:
        raise WireError(BodyReason.TOO_MANY_EVENTS)
    return Post(site_key=members["site"], events=tuple(events))


def parse_event(raw: object, *, pixel_ids: Sequence[str]) -> BrowserEvent | Refused:
    """Check one event of a post for a site with these pixels. Takes any JSON value; never raises."""
    event_id = None
    try:
        members = read_object(raw, Refusal.INVALID_EVENT)
        # Nothing else of a denied event is read: a snippet sends nothing else.
        if members.get("consent") == "denied":
            raise RefusedError(Refusal.CONSENT_DENIED)
        event_id = read_event_id(members.get("event_id"))
        return _browser_event(members, event_id, pixel_ids)
    except RefusedError as refused:
        return Refused(event_id=event_id, reason=refused.reason)


def decode(body: bytes) -> object:
    """Strict JSON. msgspec refuses NaN, overflow, lone surrogates, a BOM and endless nesting; members named twice,
    of which parsers keep different ones, are looked for where the body is not what its value is written as."""
    try:
        value = msgspec.json.decode(body)
        if msgspec.json.encode(value) != body:
            _NAMED_ONCE.decode(body.decode())
    except (msgspec.MsgspecError, ValueError, RecursionError):
        raise WireError(BodyReason.BODY_NOT_JSON) from None
    return value


def _refuse_repeated(pairs: list[tuple[str, object]]) -> None:
    if len({name for name, _ in pairs}) != len(pairs):
        raise ValueError("a member is named twice")


_NAMED_ONCE: Final = json.JSONDecoder(object_pairs_hook=_refuse_repeated)


def _browser_event(members: Json, event_id: str, pixel_ids: Sequence[str]) -> BrowserEvent:
    event_name = read_event_name(members.get("event_name"))
    age_ms = _age_ms(members.get("age_ms"))
    options, country, state = read_processing_options(members)
    return BrowserEvent(
        event_name=event_name,
        event_id=event_id,
        age_ms=age_ms,
        url=read_url(members.get("url")),
        referrer=read_referrer(members.get("referrer")),
        fbp=read_text(members.get("fbp")),
        fbc=read_text(members.get("fbc")),
        custom_data=read_custom_data(members.get("custom_data"), event_name),
        user_data=_seen_user_data(members.get("pixel")) | read_user_data(members.get("user_data")),
        pixel_ids=read_pixel_ids(members.get("pixel_ids"), pixel_ids),
        consent=_consent(members.get("consent")),
        data_processing_options=options,
        data_processing_options_country=country,
        data_processing_options_state=state,
        gpc=members.get("gpc") is True,
        addresses=_addresses(members.get("addresses")),
        address_nonce=_address_nonce(members.get("address_nonce")),
        signature=_signature(members.get("signature")),
        pixel=_pixel_report(members.get("pixel"), age_ms),
    )


def _age_ms(raw: object) -> int:
    age_ms = read_whole(raw, Refusal.INVALID_AGE)
    if age_ms >= EVENT_AGE_MAX_MS:
        raise RefusedError(Refusal.TOO_OLD)
    return age_ms


def _seen_user_data(raw: object) -> dict[str, tuple[str, ...]]:
    """What the Pixel's request was seen to carry, such as `ud[em]`: the page gave it to Meta's script alone."""
    seen = raw.get("seen") if isinstance(raw, dict) else None
    if not isinstance(seen, dict):
        return {}  # `_pixel_report` says what is wrong with it
    return read_user_data({key: seen.get(f"ud[{key}]") for key in USER_DATA_KEYS})


def _consent(raw: object) -> bool:
    if raw not in ("granted", None):
        raise RefusedError(Refusal.INVALID_CONSENT)
    return raw == "granted"


def _addresses(raw: object) -> tuple[str, ...]:
    if raw is None:
        return ()
    if not isinstance(raw, list) or len(raw) > ADDRESSES_MAX or not all(map(is_short_text, raw)):
        raise RefusedError(Refusal.INVALID_ADDRESSES)
    return tuple(raw)


def _address_nonce(raw: object) -> str | None:
    if raw is not None and not is_short_text(raw):
        raise RefusedError(Refusal.INVALID_ADDRESSES)
    return read_text(raw)


def _signature(raw: object) -> str | None:
    if raw is not None and not is_short_text(raw):
        raise RefusedError(Refusal.INVALID_SIGNATURE)
    return read_text(raw)


def _pixel_report(raw: object, age_ms: int) -> PixelReport:
    """The two times cannot lie after the post itself, nor the answer before the dispatch."""
    members = read_object(raw, Refusal.INVALID_PIXEL_REPORT)
    dispatched_ms, settled_ms = (
        None
        if members.get(name) is None
        else min(read_whole(members[name], Refusal.INVALID_PIXEL_REPORT), age_ms)
        for name in ("dispatched_ms", "settled_ms")
    )
    if settled_ms is not None:
        settled_ms = max(settled_ms, dispatched_ms or 0)
    state = member_of(BrowserState, members.get("state"))
    evidence = "" if members.get("evidence") is None else members["evidence"]
    if state is None or state in UNREPORTED or not is_short_text(evidence):
        raise RefusedError(Refusal.INVALID_PIXEL_REPORT)
    return PixelReport(
        state=state,
        evidence=evidence,
        transport=_transport(members.get("transport"), was_dispatched=dispatched_ms is not None),
        dispatched_after_ms=dispatched_ms,
        settled_after_ms=settled_ms,
        seen=_pixel_seen(members.get("seen")),
    )


def _transport(raw: object, *, was_dispatched: bool) -> Transport:
    """A report of a request that never left need not name any."""
    if raw is None and not was_dispatched:
        return Transport.NONE
    return member_of(Transport, raw) or Transport.UNKNOWN


def _pixel_seen(raw: object) -> PixelSeen | None:
    if raw is None:
        return None
    members = read_object(raw, Refusal.INVALID_PIXEL_REPORT)
    texts = {field: members.get(name) for name, field in _SEEN.items()}
    if not all(text is None or is_short_text(text) for text in texts.values()):
        raise RefusedError(Refusal.INVALID_PIXEL_REPORT)
    return PixelSeen(**texts)
