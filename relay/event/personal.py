"""The tripwire: e-mail addresses and phone numbers in plain text, where no event should carry any.

Meta's terms want contact data hashed, and only in user_data. What a page leaks into addresses, custom_data or
names is removed here, before anything is stored; the field's path is told, never the value. A hash, an order
number, a GTIN or a timestamp is no phone number: bare digits count as one only under a name that says so.
"""

import re
from collections.abc import Iterator
from functools import lru_cache
from itertools import islice
from typing import Any, Final, Literal, NamedTuple
from urllib.parse import unquote, unquote_plus, urlsplit

import msgspec
from phonenumbers import COUNTRY_CODE_TO_REGION_CODE, PhoneMetadata

from relay.event.records import BrowserEvent, Json, PixelReport, ServerSideEvent

Kind = Literal["an e-mail address", "a phone number", "a user name"]

REMOVED: Final = "removed"  # stands in an address where the value was
PLACES_MAX: Final = 20  # named per event; what is over is removed all the same
NAME_MAX: Final = 40

_DECODINGS: Final = 3  # "%252540" is an "@" too
_SIGNS_MAX: Final = (
    200  # more "@" than that in one text are not looked at: it is taken for a list of addresses
)
_NO_DIGIT: Final = re.compile(r"\D")
_DOMAIN: Final = re.compile(
    r"(?:[^\W_](?:[\w-]{0,61}[^\W_])?\.){1,8}([^\W\d_]{2,24}|xn--[a-z0-9-]{2,58})(?![\w-])", re.I
)
_LOCAL: Final = re.compile(r"[\w.+%'-]")
# "logo@2x.png" is a file for sharp screens.
_FILES: Final = frozenset(
    {
        "avif",
        "bmp",
        "css",
        "gif",
        "html",
        "ico",
        "jpeg",
        "jpg",
        "js",
        "json",
        "map",
        "pdf",
        "php",
        "png",
        "svg",
        "webm",
        "webp",
        "xml",
    }
)
_TELLING: Final = re.compile(r"[@\uff20%+(:]")
_INTERNATIONAL: Final = re.compile(r"(?<![\w+])\+(?:[ \t\u00a0.()/-]{0,2}\d){7,15}(?!\d)")
_NORTH_AMERICAN: Final = re.compile(r"(?<!\w)\(\d{3}\)[ .-]?\d{3}[ .-]\d{4}(?!\d)")
_LINK: Final = re.compile(r"(?<!\w)tel:\+?[\d().-]{7,24}", re.I)
_DIALLED: Final = re.compile(r"\+?(?:[ \t\u00a0.()/-]{0,2}\d){7,15}[ ).]?")
_WORD: Final = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")
_PHONES: Final = frozenset(
    {
        "cell",
        "cellphone",
        "fax",
        "handy",
        "mobile",
        "mobiltelefon",
        "msisdn",
        "ph",
        "phone",
        "tel",
        "telefon",
        "telephone",
        "whatsapp",
    }
)
# All that personal_kind looks for holds one of these, in lower case: the last ones are parts of _PHONES.
_SIGNS: Final = (
    "@",
    "\uff20",
    "%",
    "+",
    "(",
    "cell",
    "fax",
    "handy",
    "mobil",
    "msisdn",
    "ph",
    "tel",
    "whatsapp",
)
_NUMBERS: Final = frozenset({"nb", "no", "nr", "num", "number", "nummer"})


class Scrubbed(NamedTuple):
    """The event without what was found, and what was found where."""

    event: BrowserEvent
    removed: dict[str, Kind]  # path → what stood there


class ScrubbedServerSide(NamedTuple):
    """The same of an event that a server sent."""

    event: ServerSideEvent
    removed: dict[str, Kind]


class _Found(NamedTuple):
    value: Any
    removed: dict[str, Kind]


_NOTHING: Final[dict[str, Kind]] = {}


def personal_kind(text: str, name: str = "") -> Kind | None:
    """What kind of contact data the text holds; `name` is that of its field, as far as it has one."""
    if not _TELLING.search(text):  # most texts; only a name can make their digits a number
        return "a phone number" if name and _is_dialled(text, name) else None
    for plain in _decoded(text):
        if "@" in plain and _has_e_mail(plain):
            return "an e-mail address"
        if _has_phone(plain) or (name and _is_dialled(plain, name)):
            return "a phone number"
    return None


def scrub(event: BrowserEvent) -> Scrubbed:
    """The event as it may be stored. Name and id are not looked at: changing them would part the halves."""
    url, in_url = _address(event.url, "url")
    referrer, in_referrer = _address(event.referrer, "referrer") if event.referrer else (None, _NOTHING)
    custom_data, in_data = _object(event.custom_data, "custom_data")
    pixel, in_pixel = _report(event.pixel)
    removed = in_url | in_referrer | in_data | in_pixel
    if not removed:
        return Scrubbed(event, _NOTHING)
    event = msgspec.structs.replace(event, url=url, referrer=referrer, custom_data=custom_data, pixel=pixel)
    return Scrubbed(event, dict(islice(removed.items(), PLACES_MAX)))


def scrub_server_side(event: ServerSideEvent) -> ScrubbedServerSide:
    """The same for an event that a server sent."""
    url, in_url = _address(event.url, "url") if event.url else (None, _NOTHING)
    referrer, in_referrer = _address(event.referrer, "referrer") if event.referrer else (None, _NOTHING)
    custom_data, removed = _object(event.custom_data, "custom_data")
    removed = in_url | in_referrer | removed
    changes: Json = {"url": url, "referrer": referrer, "custom_data": custom_data}
    if event.original_event_data is not None:
        changes["original_event_data"], found = _object(event.original_event_data, "original_event_data")
        removed |= found
    if event.extra:
        changes["extra"], found = _object(event.extra, "extra")
        removed |= found
    if not removed:
        return ScrubbedServerSide(event, _NOTHING)
    event = msgspec.structs.replace(event, **changes)
    return ScrubbedServerSide(event, dict(islice(removed.items(), PLACES_MAX)))


def _object(members: Json, place: str) -> _Found:
    if not _may_hold(msgspec.json.encode(members).decode()):
        return _Found(members, _NOTHING)
    return _members(members, place)


def _decoded(text: str) -> Iterator[str]:
    """The text, and what it says to who decodes it once, twice, or three times."""
    text = text.replace("\uff20", "@")
    yield text
    for _ in range(_DECODINGS):
        if "%" not in text:
            return
        text, coded = unquote(text), text
        if text == coded:
            return
        yield text


def _has_e_mail(text: str) -> bool:
    if text.count("@") > _SIGNS_MAX:
        return True
    at = text.find("@")
    while at >= 0:
        domain = _DOMAIN.match(text, at + 1)
        if domain and domain[1].lower() not in _FILES and at and _LOCAL.match(text, at - 1):
            return True
        at = text.find("@", at + 1)
    return False


def _has_phone(text: str) -> bool:
    if "(" in text and _NORTH_AMERICAN.search(text):
        return True
    if ":" in text and _LINK.search(text):
        return True
    return "+" in text and any(_is_possible(found[0]) for found in _INTERNATIONAL.finditer(text))


def _is_possible(number: str) -> bool:
    """Whether numbers of its country code are as long as this one. Cheap: a page may hold thousands."""
    digits = _NO_DIGIT.sub("", number.replace("(0)", ""))  # "+44 (0)20 …": dialled at home only
    codes = ((digits[:length], len(digits) - length) for length in (1, 2, 3))
    return any(national in _national_lengths(code) for code, national in codes)


@lru_cache(maxsize=1_000)
def _national_lengths(country_code: str) -> frozenset[int]:
    """The lengths that libphonenumber knows; none for a code that is no country's."""
    regions = COUNTRY_CODE_TO_REGION_CODE.get(int(country_code), ()) if country_code[:1] != "0" else ()
    known = (PhoneMetadata.metadata_for_region_or_calling_code(int(country_code), each) for each in regions)
    kinds = (each.general_desc for each in known if each is not None and each.general_desc is not None)
    return frozenset(length for kind in kinds for length in kind.possible_length)


def _is_dialled(text: str, name: str) -> bool:
    return _DIALLED.fullmatch(text.strip()) is not None and _names_a_phone(name)


@lru_cache(maxsize=1_024)
def _names_a_phone(name: str) -> bool:
    """`customer_phone` and `mobileNumber` do; `phone_case_sku` does not."""
    words = [word.lower() for word in _WORD.findall(name)]
    if len(words) > 1 and words[-1] in _NUMBERS:
        words.pop()
    return bool(words) and words[-1] in _PHONES


def _may_hold(text: str) -> bool:
    """Whether it is worth looking closely: nothing that `personal_kind` finds is without one of the signs."""
    text = text.lower()
    for sign in _SIGNS:  # noqa: SIM110 - any() over a generator takes four times as long, and each event pays it
        if sign in text:
            return True
    return False


def _address(url: str, place: str) -> tuple[str, dict[str, Kind]]:
    """A web address with the parts taken out that hold contact data; letter for letter as it was elsewhere."""
    if not _may_hold(url):
        return url, _NOTHING
    parts = urlsplit(url)
    removed: dict[str, Kind] = {}
    netloc = parts.netloc
    if "@" in netloc:
        netloc = netloc.rpartition("@")[2]
        removed[f"{place}.userinfo"] = "a user name"
    path = _segments(parts.path, f"{place}.path", removed)
    query = _parameters(parts.query, f"{place}.query", removed)
    fragment = _parameters(parts.fragment, f"{place}.fragment", removed)
    if not removed:
        return url, _NOTHING
    return parts._replace(netloc=netloc, path=path, query=query, fragment=fragment).geturl(), removed


def _segments(path: str, place: str, removed: dict[str, Kind]) -> str:
    segments = path.split("/")
    for index, segment in enumerate(segments):
        if kind := personal_kind(segment):
            segments[index] = REMOVED
            removed[place] = kind
    return "/".join(segments)


def _parameters(query: str, place: str, removed: dict[str, Kind]) -> str:
    if not query:
        return query
    parameters = query.split("&")
    for index, parameter in enumerate(parameters):
        name, equals, value = parameter.partition("=")
        if kind := personal_kind(name):
            parameters[index] = REMOVED
            removed[place] = kind
        elif (
            kind := personal_kind(value, name)
            or ("+" in value and personal_kind(unquote_plus(value), name))
            or None
        ):
            parameters[index] = name + equals + REMOVED
            removed[f"{place}.{_shown(name)}"] = kind
    return "&".join(parameters)


def _value(value: Any, place: str, name: str) -> _Found:
    """Any JSON value without the texts that hold contact data; None where nothing is left of it."""
    if isinstance(value, dict):
        return _members(value, place)
    if isinstance(value, list):
        return _items(value, place, name)
    if isinstance(value, bool | float) or value is None:
        return _Found(value, _NOTHING)
    kind = personal_kind(str(value), name)
    return _Found(value, _NOTHING) if kind is None else _Found(None, {place: kind})


def _members(members: dict[str, Any], place: str) -> _Found:
    kept: dict[str, Any] = {}
    removed: dict[str, Kind] = {}
    for name, value in members.items():
        if kind := personal_kind(name):
            removed[f"{place}.<name>"] = kind
            continue
        found = _value(value, f"{place}.{_shown(name)}", name)
        removed |= found.removed
        if found.value is not None or value is None:
            kept[name] = found.value
    return _Found(kept if removed else members, removed)


def _items(items: list[Any], place: str, name: str) -> _Found:
    found = [_value(item, f"{place}[]", name) for item in items]
    removed = {path: kind for each in found for path, kind in each.removed.items()}
    if not removed:
        return _Found(items, _NOTHING)
    kept = [
        each.value for item, each in zip(items, found, strict=True) if each.value is not None or item is None
    ]
    return _Found(kept or None, removed)


def _report(report: PixelReport) -> tuple[PixelReport, dict[str, Kind]]:
    """The browser leg's own texts: the evidence, and what was read off the Pixel's request."""
    removed: dict[str, Kind] = {}
    if not _may_hold(msgspec.json.encode(report).decode()):
        return report, _NOTHING
    if kind := personal_kind(report.evidence):
        report = msgspec.structs.replace(report, evidence="")
        removed["pixel.evidence"] = kind
    if report.seen is not None:
        seen = {
            name: kind
            for name, text in msgspec.structs.asdict(report.seen).items()
            if text is not None and (kind := personal_kind(text))
        }
        if seen:
            report = msgspec.structs.replace(
                report, seen=msgspec.structs.replace(report.seen, **dict.fromkeys(seen))
            )
            removed |= {f"pixel.seen.{name}": kind for name, kind in seen.items()}
    return report, removed


def _shown(name: str) -> str:
    return name if len(name) <= NAME_MAX else f"{name[:NAME_MAX]}…"
