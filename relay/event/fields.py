"""The members of an event, read one by one: a checked value, or a refusal with its reason.

What these return always serialises again: numbers are finite, texts are valid Unicode, and nothing is nested
deeper than `DEPTH_MAX`. The size of each member is bounded here or by the body's own limit.
"""

import re
from collections.abc import Sequence
from enum import StrEnum
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

import msgspec

from relay.event.normalise import USER_DATA_KEYS
from relay.event.outcome import Refusal
from relay.event.records import Json
from relay.settings import CURRENCIES
from relay.settings import EVENT_NAME_MAX as EVENT_NAME_MAX

# Every other name is the page's own.
STANDARD_EVENTS: Final = frozenset(
    {
        "AddPaymentInfo", "AddToCart", "AddToWishlist", "CompleteRegistration", "Contact", "CustomizeProduct",
        "Donate", "FindLocation", "InitiateCheckout", "Lead", "PageView", "Purchase", "Schedule", "Search",
        "StartTrial", "SubmitApplication", "Subscribe", "ViewContent",
    }
)  # fmt: skip

# Meta's own ids of a person, and those of its other products; never hashed.
USER_ID_KEYS: Final = (
    "subscription_id",
    "fb_login_id",
    "lead_id",
    "anon_id",
    "madid",
    "page_id",
    "page_scoped_user_id",
    "ctwa_clid",
    "ig_account_id",
    "ig_sid",
)

# Members of a server's event that most events do not have, and that no page has.
EXTRA_KEYS: Final = (
    "app_data",
    "messaging_channel",
    "attribution_data",
    "customer_segmentation",
    "advanced_measurement_table",
)

DEPTH_MAX: Final = 16  # of custom_data; Meta's own structures go three levels down
EVENT_ID_MAX: Final = 200
URL_MAX: Final = 4_096
TEXT_MAX: Final = 1_024
CUSTOM_DATA_MEMBERS_MAX: Final = 200
USER_DATA_VALUES_MAX: Final = 20

_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_DECIMAL: Final = re.compile(r"-?[0-9]{1,15}(\.[0-9]{1,15})?")
_INT_EXACT_MAX: Final = 2**53  # beyond it a receiver that reads numbers as doubles gets another one
_E = TypeVar("_E", bound=StrEnum)


class Refused(msgspec.Struct, frozen=True, kw_only=True):
    """One event that was not accepted."""

    event_id: str | None  # None where the id itself is unusable
    reason: Refusal


class RefusedError(Exception):
    def __init__(self, reason: Refusal) -> None:
        self.reason = reason


def plain_number(raw: object) -> int | float | None:
    """A number that every receiver reads alike, from one or from a plain decimal text; else None."""
    if isinstance(raw, str) and _DECIMAL.fullmatch(raw.strip()):
        return float(raw) if "." in raw else int(raw)
    if isinstance(raw, bool) or not isinstance(raw, int | float):
        return None
    return raw if isinstance(raw, float) or abs(raw) <= _INT_EXACT_MAX else None


def read_event_id(raw: object) -> str:
    if not isinstance(raw, str) or not raw.strip() or len(raw) > EVENT_ID_MAX or _CONTROL.search(raw):
        raise RefusedError(Refusal.INVALID_EVENT_ID)
    return raw


def is_event_name(text: str) -> bool:
    """Whether the text can name an event, whatever its length."""
    return bool(text.strip()) and not _CONTROL.search(text)


def read_event_name(raw: object) -> str:
    if not isinstance(raw, str) or not is_event_name(raw):
        raise RefusedError(Refusal.INVALID_EVENT_NAME)
    if len(raw) > EVENT_NAME_MAX:
        raise RefusedError(Refusal.EVENT_NAME_TOO_LONG)
    return raw


def read_url(raw: object) -> str:
    if not isinstance(raw, str) or len(raw) > URL_MAX or not is_web_address(raw):
        raise RefusedError(Refusal.INVALID_URL)
    return raw


def read_referrer(raw: object) -> str | None:
    """A referrer that is no web address (an app's, say) is left out; the event does not need it."""
    referrer = read_text(raw)
    if referrer is None or len(referrer) > URL_MAX or not is_web_address(referrer):
        return None
    return referrer


def is_web_address(text: str) -> bool:
    if _CONTROL.search(text) or " " in text:
        return False
    try:
        parts = urlsplit(text)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def read_text(raw: object) -> str | None:
    if raw is None or raw == "":
        return None
    if not isinstance(raw, str):
        raise RefusedError(Refusal.INVALID_EVENT)
    return raw


def read_custom_data(raw: object, event_name: str) -> Json:
    """Checked, with `value` as a number and `currency` in capitals; a null member counts as left out."""
    members = read_object({} if raw is None else raw, Refusal.INVALID_CUSTOM_DATA)
    if len(members) > CUSTOM_DATA_MEMBERS_MAX or depth_of(members) > DEPTH_MAX:
        raise RefusedError(Refusal.INVALID_CUSTOM_DATA)
    custom_data = {name: value for name, value in members.items() if value is not None}
    needed = event_name == "Purchase"
    for name, check, missing in (
        ("value", _value, Refusal.MISSING_VALUE),
        ("currency", _currency, Refusal.MISSING_CURRENCY),
    ):
        if _is_blank(custom_data.get(name)):
            custom_data.pop(name, None)
            if needed:
                raise RefusedError(missing)
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
        raise RefusedError(Refusal.INVALID_VALUE)
    return number


def _currency(raw: object) -> str:
    code = raw.strip().upper() if isinstance(raw, str) else ""
    if code not in CURRENCIES:
        raise RefusedError(Refusal.INVALID_CURRENCY)
    return code


def read_user_data(raw: object) -> dict[str, tuple[str, ...]]:
    """Meta's customer keys only; what else a page puts there (an address, an agent) is not believed."""
    members = read_object({} if raw is None else raw, Refusal.INVALID_USER_DATA)
    found = {key: _texts(members[key]) for key in USER_DATA_KEYS if key in members}
    return {key: texts for key, texts in found.items() if texts}


def _texts(raw: object) -> tuple[str, ...]:
    values: list[Any] = raw if isinstance(raw, list) else [raw]
    if len(values) > USER_DATA_VALUES_MAX:
        raise RefusedError(Refusal.INVALID_USER_DATA)
    # Pages give a customer's number or a postcode as the number that it is in their own data.
    texts = [str(value) if type(value) is int else value for value in values if value is not None]
    if not all(map(is_short_text, texts)):
        raise RefusedError(Refusal.INVALID_USER_DATA)
    return tuple(dict.fromkeys(text for text in texts if text.strip()))


def read_pixel_ids(raw: object, known: Sequence[str]) -> tuple[str, ...]:
    if raw is None:
        return ()
    if not isinstance(raw, list) or not all(isinstance(pixel_id, str) for pixel_id in raw):
        raise RefusedError(Refusal.INVALID_EVENT)
    if not set(raw) <= set(known):
        raise RefusedError(Refusal.UNKNOWN_PIXEL)
    return tuple(dict.fromkeys(raw))


def read_processing_options(members: Json) -> tuple[tuple[str, ...] | None, int | None, int | None]:
    """Limited Data Use is the only option that Meta documents; another would cost the whole batch."""
    reason = Refusal.INVALID_DATA_PROCESSING_OPTIONS
    options = members.get("data_processing_options")
    if options is not None and options not in ([], ["LDU"]):
        raise RefusedError(reason)
    country, state = (
        None if members.get(name) is None else read_whole(members[name], reason)
        for name in ("data_processing_options_country", "data_processing_options_state")
    )
    return (None if options is None else tuple(options)), country, state


def read_object(raw: object, reason: Refusal) -> dict[str, Any]:
    if not isinstance(raw, dict):
        raise RefusedError(reason)
    return raw


def read_whole(raw: object, reason: Refusal) -> int:
    """A whole number, zero or more; JSON has one kind of number, so 412.0 is whole."""
    if isinstance(raw, float) and raw.is_integer():
        raw = int(raw)
    if isinstance(raw, bool) or not isinstance(raw, int) or raw < 0:
        raise RefusedError(reason)
    return raw


def is_short_text(raw: object) -> bool:
    return isinstance(raw, str) and len(raw) <= TEXT_MAX


def member_of(members: type[_E], raw: object) -> _E | None:
    """The member of a closed list with this value; None for a value that this relay does not know."""
    try:
        return members(raw) if isinstance(raw, str) else None
    except ValueError:
        return None


def depth_of(value: object) -> int:
    """Levels of nesting of a JSON value, counted without recursion, and no further than is already too deep."""
    level, depth = [value], 0
    while level and depth <= DEPTH_MAX:
        depth += 1
        level = [
            inner
            for outer in level
            for inner in (
                outer.values() if isinstance(outer, dict) else outer if isinstance(outer, list) else ()
            )
            if isinstance(inner, dict | list)
        ]
    return depth
