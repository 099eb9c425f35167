"""Request body → `BrowserEvent`, or a refusal with its reason. `docs/wire.md` is the format.

What leaves this module always serialises again: numbers are finite, texts are valid Unicode, and nothing is
nested deeper than `DEPTH_MAX`. The size of each member is bounded here or by the body's own limit.
"""

import json
import re
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

import iso4217
import msgspec

from relay.errors import RelayError
from relay.event.normalise import USER_DATA_KEYS
from relay.event.outcome import BODY_SENTENCES, BodyReason, BrowserState, Refusal, Transport
from relay.event.records import BrowserEvent, Json, PixelReport, PixelSeen
from relay.event.schedule import EVENT_AGE_MAX_MS

BODY_MAX_BYTES: Final = 65_536
EVENTS_MAX: Final = 20
DEPTH_MAX: Final = 16  # of custom_data; Meta's own structures go three levels down
EVENT_NAME_MAX: Final = 50
EVENT_ID_MAX: Final = 200
URL_MAX: Final = 4_096
TEXT_MAX: Final = 1_024
CUSTOM_DATA_MEMBERS_MAX: Final = 200
USER_DATA_VALUES_MAX: Final = 20
ADDRESSES_MAX: Final = 4

_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_DECIMAL: Final = re.compile(r"-?[0-9]{1,15}(\.[0-9]{1,15})?")
_CURRENCIES: Final = frozenset(currency.code for currency in iso4217.Currency)
_INT_EXACT_MAX: Final = 2**53  # beyond it a receiver that reads numbers as doubles gets another one
_E = TypeVar("_E", bound=StrEnum)


class WireError(RelayError):
    """A request body is refused as a whole."""

    def __init__(self, reason: BodyReason) -> None:
        super().__init__(BODY_SENTENCES[reason])
        self.reason = reason


class Post(msgspec.Struct, frozen=True, kw_only=True):
    """A body that could be read; its events are not checked yet."""

    site_key: str
    events: tuple[object, ...]


class Refused(msgspec.Struct, frozen=True, kw_only=True):
    """One event that was not accepted."""

    event_id: str | None  # None where the id itself is unusable
    reason: Refusal


class _RefusedError(Exception):
    def __init__(self, reason: Refusal) -> None:
        self.reason = reason


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
        members = _object(raw, Refusal.INVALID_EVENT)
        # Nothing else of a denied event is read: a snippet sends nothing else.
        if members.get("consent") == "denied":
            raise _RefusedError(Refusal.CONSENT_DENIED)
        event_id = _event_id(members.get("event_id"))
        return _browser_event(members, event_id, pixel_ids)
    except _RefusedError as refused:
        return Refused(event_id=event_id, reason=refused.reason)


def plain_number(raw: object) -> int | float | None:
    """A number that every receiver reads alike, from one or from a plain decimal text; else None."""
    if isinstance(raw, str) and _DECIMAL.fullmatch(raw.strip()):
        return float(raw) if "." in raw else int(raw)
    if isinstance(raw, bool) or not isinstance(raw, int | float):
        return None
    return raw if isinstance(raw, float) or abs(raw) <= _INT_EXACT_MAX else None


def decode(body: bytes) -> object:
    """Strict JSON. msgspec refuses NaN, overflow, lone surrogates, a BOM and endless nesting; the second
    reading is there for members named twice, of which parsers keep different ones."""
    try:
        value = msgspec.json.decode(body)
        json.loads(body.decode(), object_pairs_hook=_refuse_repeated)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        raise WireError(BodyReason.BODY_NOT_JSON) from None
    return value


def _refuse_repeated(pairs: list[tuple[str, object]]) -> None:
    if len({name for name, _ in pairs}) != len(pairs):
        raise ValueError("a member is named twice")


def _browser_event(members: Json, event_id: str, pixel_ids: Sequence[str]) -> BrowserEvent:
    event_name = _event_name(members.get("event_name"))
    age_ms = _age_ms(members.get("age_ms"))
    options, country, state = _data_processing_options(members)
    return BrowserEvent(
        event_name=event_name,
        event_id=event_id,
        age_ms=age_ms,
        url=_url(members.get("url")),
        referrer=_referrer(members.get("referrer")),
        fbp=_text(members.get("fbp")),
        fbc=_text(members.get("fbc")),
        custom_data=_custom_data(members.get("custom_data"), event_name),
        user_data=_user_data(members.get("user_data")),
        pixel_ids=_pixel_ids(members.get("pixel_ids"), pixel_ids),
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


def _event_id(raw: object) -> str:
    if not isinstance(raw, str) or not raw.strip() or len(raw) > EVENT_ID_MAX or _CONTROL.search(raw):
        raise _RefusedError(Refusal.INVALID_EVENT_ID)
    return raw


def is_event_name(text: str) -> bool:
    """Whether the text can name an event, whatever its length."""
    return bool(text.strip()) and not _CONTROL.search(text)


def _event_name(raw: object) -> str:
    if not isinstance(raw, str) or not is_event_name(raw):
        raise _RefusedError(Refusal.INVALID_EVENT_NAME)
    if len(raw) > EVENT_NAME_MAX:
        raise _RefusedError(Refusal.EVENT_NAME_TOO_LONG)
    return raw


def _age_ms(raw: object) -> int:
    age_ms = _whole(raw, Refusal.INVALID_AGE)
    if age_ms >= EVENT_AGE_MAX_MS:
        raise _RefusedError(Refusal.TOO_OLD)
    return age_ms


def _url(raw: object) -> str:
    if not isinstance(raw, str) or len(raw) > URL_MAX or not _is_web_address(raw):
        raise _RefusedError(Refusal.INVALID_URL)
    return raw


def _referrer(raw: object) -> str | None:
    """A referrer that is no web address (an app's, say) is left out; the event does not need it."""
    referrer = _text(raw)
    if referrer is None or len(referrer) > URL_MAX or not _is_web_address(referrer):
        return None
    return referrer


def _is_web_address(text: str) -> bool:
    if _CONTROL.search(text) or " " in text:
        return False
    try:
        parts = urlsplit(text)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def _text(raw: object) -> str | None:
    if raw is None or raw == "":
        return None
    if not isinstance(raw, str):
        raise _RefusedError(Refusal.INVALID_EVENT)
    return raw


def _custom_data(raw: object, event_name: str) -> Json:
    """Checked, with `value` as a number and `currency` in capitals; a null member counts as left out."""
    members = _object({} if raw is None else raw, Refusal.INVALID_CUSTOM_DATA)
    if len(members) > CUSTOM_DATA_MEMBERS_MAX or _depth(members) > DEPTH_MAX:
        raise _RefusedError(Refusal.INVALID_CUSTOM_DATA)
    custom_data = {name: value for name, value in members.items() if value is not None}
    needed = event_name == "Purchase"
    for name, check, missing in (
        ("value", _value, Refusal.MISSING_VALUE),
        ("currency", _currency, Refusal.MISSING_CURRENCY),
    ):
        if _is_blank(custom_data.get(name)):
            custom_data.pop(name, None)
            if needed:
                raise _RefusedError(missing)
        else:
            custom_data[name] = check(custom_data[name])
    return custom_data


def _is_blank(raw: object) -> bool:
    return raw is None or (isinstance(raw, str) and not raw.strip())


def _value(raw: object) -> int | float:
    """A finite number, or a text that is a plain decimal, which becomes one.

    The Pixel itself puts texts on the wire and counts a `value: "49.90"`, so refusing it here would lose the
    server half of a pair whose browser half counts. Meta's reference asks for a number, so a number is what
    is sent. A comma, a currency sign or an exponent in a text would have to be guessed at, and is refused.
    """
    number = plain_number(raw)
    if number is None:
        raise _RefusedError(Refusal.INVALID_VALUE)
    return number


def _currency(raw: object) -> str:
    code = raw.strip().upper() if isinstance(raw, str) else ""
    if code not in _CURRENCIES:
        raise _RefusedError(Refusal.INVALID_CURRENCY)
    return code


def _user_data(raw: object) -> dict[str, tuple[str, ...]]:
    """Meta's customer keys only; what else a page puts there (an address, an agent) is not believed."""
    members = _object({} if raw is None else raw, Refusal.INVALID_USER_DATA)
    found = {key: _texts(members.get(key)) for key in USER_DATA_KEYS}
    return {key: texts for key, texts in found.items() if texts}


def _texts(raw: object) -> tuple[str, ...]:
    values: list[Any] = raw if isinstance(raw, list) else [raw]
    if len(values) > USER_DATA_VALUES_MAX:
        raise _RefusedError(Refusal.INVALID_USER_DATA)
    # Pages give a customer's number or a postcode as the number that it is in their own data.
    texts = [str(value) if type(value) is int else value for value in values if value is not None]
    if not all(map(_is_short_text, texts)):
        raise _RefusedError(Refusal.INVALID_USER_DATA)
    return tuple(dict.fromkeys(text for text in texts if text.strip()))


def _pixel_ids(raw: object, known: Sequence[str]) -> tuple[str, ...]:
    if raw is None:
        return ()
    if not isinstance(raw, list) or not all(isinstance(pixel_id, str) for pixel_id in raw):
        raise _RefusedError(Refusal.INVALID_EVENT)
    if not set(raw) <= set(known):
        raise _RefusedError(Refusal.UNKNOWN_PIXEL)
    return tuple(dict.fromkeys(raw))


def _consent(raw: object) -> bool:
    if raw not in ("granted", None):
        raise _RefusedError(Refusal.INVALID_CONSENT)
    return raw == "granted"


def _data_processing_options(members: Json) -> tuple[tuple[str, ...] | None, int | None, int | None]:
    """Limited Data Use is the only option that Meta documents; another would cost the whole batch."""
    reason = Refusal.INVALID_DATA_PROCESSING_OPTIONS
    options = members.get("data_processing_options")
    if options is not None and options not in ([], ["LDU"]):
        raise _RefusedError(reason)
    country, state = (
        None if members.get(name) is None else _whole(members[name], reason)
        for name in ("data_processing_options_country", "data_processing_options_state")
    )
    return (None if options is None else tuple(options)), country, state


def _addresses(raw: object) -> tuple[str, ...]:
    if raw is None:
        return ()
    if not isinstance(raw, list) or len(raw) > ADDRESSES_MAX or not all(map(_is_short_text, raw)):
        raise _RefusedError(Refusal.INVALID_ADDRESSES)
    return tuple(raw)


def _address_nonce(raw: object) -> str | None:
    if raw is not None and not _is_short_text(raw):
        raise _RefusedError(Refusal.INVALID_ADDRESSES)
    return _text(raw)


def _signature(raw: object) -> str | None:
    if raw is not None and not _is_short_text(raw):
        raise _RefusedError(Refusal.INVALID_SIGNATURE)
    return _text(raw)


def _pixel_report(raw: object, age_ms: int) -> PixelReport:
    """The two times cannot lie after the post itself, nor the answer before the dispatch."""
    members = _object(raw, Refusal.INVALID_PIXEL_REPORT)
    dispatched_ms, settled_ms = (
        None
        if members.get(name) is None
        else min(_whole(members[name], Refusal.INVALID_PIXEL_REPORT), age_ms)
        for name in ("dispatched_ms", "settled_ms")
    )
    if settled_ms is not None:
        settled_ms = max(settled_ms, dispatched_ms or 0)
    state = _member(BrowserState, members.get("state"))
    evidence = "" if members.get("evidence") is None else members["evidence"]
    if state is None or not _is_short_text(evidence):
        raise _RefusedError(Refusal.INVALID_PIXEL_REPORT)
    return PixelReport(
        state=state,
        evidence=evidence,
        transport=_member(Transport, members.get("transport")) or Transport.UNKNOWN,
        dispatched_after_ms=dispatched_ms,
        settled_after_ms=settled_ms,
        seen=_pixel_seen(members.get("seen")),
    )


def _pixel_seen(raw: object) -> PixelSeen | None:
    if raw is None:
        return None
    members = _object(raw, Refusal.INVALID_PIXEL_REPORT)
    texts = {name: members.get(name) for name in PixelSeen.__struct_fields__}
    if not all(text is None or _is_short_text(text) for text in texts.values()):
        raise _RefusedError(Refusal.INVALID_PIXEL_REPORT)
    return PixelSeen(**texts)


def _object(raw: object, reason: Refusal) -> dict[str, Any]:
    if not isinstance(raw, dict):
        raise _RefusedError(reason)
    return raw


def _whole(raw: object, reason: Refusal) -> int:
    """A whole number, zero or more; JSON has one kind of number, so 412.0 is whole."""
    if isinstance(raw, float) and raw.is_integer():
        raw = int(raw)
    if isinstance(raw, bool) or not isinstance(raw, int) or raw < 0:
        raise _RefusedError(reason)
    return raw


def _is_short_text(raw: object) -> bool:
    return isinstance(raw, str) and len(raw) <= TEXT_MAX


def _member(members: type[_E], raw: object) -> _E | None:
    """The member of a closed list with this value; None for a value that this relay does not know."""
    return members(raw) if isinstance(raw, str) and raw in members.__members__.values() else None


def _depth(value: object) -> int:
    """Levels of nesting, counted without recursion, and no further than is already too deep."""
    level, depth = [value], 0
    while level and depth <= DEPTH_MAX:
        depth += 1
        level = [
            inner
            for outer in level
            for inner in (
                outer.values() if isinstance(outer, Mapping) else outer if isinstance(outer, list) else ()
            )
            if isinstance(inner, Mapping | list)
        ]
    return depth
