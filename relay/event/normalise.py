"""Match keys → the one form that Meta hashes → SHA-256.

Meta matches a person where both sides hashed the same text, so these rules follow what Meta's own script
does in the browser, except where its written rules say otherwise; `docs/normalisation.md` argues each of them
and shows where Meta's libraries disagree. Nothing raises: a value that cannot be used is left out, with the
reason, and no reason holds any part of the value.
"""

import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from typing import Final

import msgspec
import phonenumbers

from relay.event.places import CA_PROVINCES, NAMESAKES, US_STATES, country_code, table, words_of

# A year that no customer is born in yet. Shops have no customers younger than 13, so it may stay for long.
BIRTH_YEAR_MAX: Final = 2027
BIRTH_YEAR_MIN: Final = 1800
UNUSABLE: Final = "unusable: "
SHAPE_MAX: Final = 32
_PLAIN: Final = frozenset(" @.,;:+-_/()#'\"")
PHONE_DIGITS: Final = range(7, 16)  # E.164 ends at 15

# The mark that Meta's parameter builder leaves behind a value: a language, or eight characters.
APPENDIX: Final = r"(?:AQ|Ag|Aw|BA|BQ|Bg|[A-Za-z0-9_-]{8})"

_HASH: Final = re.compile(r"(?:[0-9A-Fa-f]{64}|[0-9A-Fa-f]{32})")
_MARKED_HASH: Final = re.compile(rf"({_HASH.pattern})\.{APPENDIX}")
# Zero width spaces, soft hyphens, direction marks: they come with copied text, and nobody means them.
_INVISIBLE: Final = re.compile("[\u00ad\u200b\u200e\u200f\u202a-\u202e\u2060\u2066-\u2069\ufeff]")
_SPACE: Final = re.compile(r"\s+")
_SPACE_AND_PUNCTUATION: Final = re.compile(r"[\s!-/:-@\[-`{-~]+")
_SPACE_PUNCTUATION_AND_DIGITS: Final = re.compile(r"[\s!-@\[-`{-~]+")
_NOT_LATIN: Final = re.compile(r"[^A-Za-z0-9]+")
_DIGITS: Final = re.compile(r"[0-9]+")
_EXTENSION: Final = re.compile(r"(?:ext(?:ensio)?n?|x|#)[.:=]?\s*[0-9]{1,7}$", re.IGNORECASE)
_EMAIL_UNUSABLE: Final = re.compile(r"[\s,;<>]|\.\.|^mailto:")
_EMAIL: Final = re.compile(r"[^@]+@((?:[^@.]+\.)+[^@.]+)")
_DOMAIN_LABEL: Final = re.compile(r"(?!-)[a-z0-9_\u0080-\U0010ffff-]+(?<!-)")
_SUBDIVISION: Final = re.compile(r"(us|ca)[-_ ]([a-z]{2})")

_STATE_CODES: Final = {"us": frozenset(US_STATES.values()), "ca": frozenset(CA_PROVINCES.values())}
_STATES: Final = {name: code for name, code in {**US_STATES, **CA_PROVINCES}.items() if name != code}
_STATE_WORDS_MAX: Final = 4

# The words that Meta's script takes for one of the two values it knows; anything else is left out.
_GENDERS: Final[Mapping[str, str]] = table("""\
m male man boy guy he him his himself mr mister sir gentleman lord lad fellow chap bloke dude son father dad
  daddy papa uncle nephew brother husband boyfriend groom widower king prince duke count emperor god
f female woman girl gal she her hers herself ms mrs miss madam ma'am lady dame lass maiden belle chick
  daughter mother mom mommy mama aunt niece sister wife girlfriend bride widow queen princess duchess countess
  empress goddess
""")


class Normalised(msgspec.Struct, frozen=True, kw_only=True):
    """One value of one key. All but `why` are None where nothing is sent."""

    normalized: str | None  # raw personal data, for explanations only; None where the value came hashed
    sha256: str | None  # in lower case; of a value that came as MD5, that MD5
    sent: str | None  # what goes to Meta: `sha256`, with its appendix where the value came with one
    why: str


class HashedUserData(msgspec.Struct, frozen=True, kw_only=True):
    """user_data as it may be stored and sent."""

    hashed: dict[str, list[str]]
    why: dict[str, str]
    unusable: dict[
        str, str
    ] = {}  # keys of which nothing is sent → the shape of the last value, and the reason


def normalise(field: str, value: str, country: str | None = None) -> Normalised:
    """One value of a match key, normalised and hashed. Total: takes any text, never raises.

    `country` (a code or an English name) is the country of a telephone number that carries no country code.
    """
    text = _INVISIBLE.sub("", value).strip()
    if not text:
        return _nothing("empty")
    if field not in _RULES:
        return _nothing(f"unusable: not one of {', '.join(_RULES)}")
    if not _is_unicode(text):
        return _nothing("unusable: not valid Unicode text")
    if hashed := _already_hashed(text):
        return hashed
    if field == "ph" and (number := _valid_phone(text, country)):
        return _hash(number, "rule: country code and number, valid by libphonenumber")
    rules, otherwise = _RULES[field]
    for rule, sentence in rules:
        if normalized := rule(text):
            return _hash(normalized, f"rule: {sentence}")
    return _nothing(f"unusable: {otherwise}")


def hash_user_data(user_data: Mapping[str, Sequence[str]], default_country: str | None) -> HashedUserData:
    """Every match key of an event, hashed; a key of which nothing can be used has a reason and no hash.

    A telephone number's country is the event's own `country`, else `default_country`, the site's.
    """
    own_country = next(filter(None, map(country_code, user_data.get("country", ()))), None)
    hashed: dict[str, list[str]] = {}
    why: dict[str, str] = {}
    unusable: dict[str, str] = {}
    for field, values in user_data.items():
        results = [normalise(field, value, own_country or default_country) for value in values]
        if sent := list(dict.fromkeys(result.sent for result in results if result.sent is not None)):
            hashed[field] = sent
        if results:
            why[field] = "; ".join(dict.fromkeys(result.why for result in results))
        if not sent and results and results[-1].why.startswith(UNUSABLE):
            unusable[field] = f"{shape(values[-1])}: {results[-1].why.removeprefix(UNUSABLE)}"
    return HashedUserData(hashed=hashed, why=why, unusable=unusable)


def shape(value: str) -> str:
    """What a value looks like, with nothing of what it says: x for a letter, 9 for a digit, at most 32 of them."""
    masked = "".join(
        "x"
        if character.isalpha()
        else "9"
        if character.isdigit()
        else character
        if character in _PLAIN
        else "?"
        for character in value[:SHAPE_MAX]
    )
    return f"{masked}…" if len(value) > SHAPE_MAX else masked


def _hash(normalized: str, why: str) -> Normalised:
    digest = sha256(normalized.encode()).hexdigest()
    return Normalised(normalized=normalized, sha256=digest, sent=digest, why=why)


def _nothing(why: str) -> Normalised:
    return Normalised(normalized=None, sha256=None, sent=None, why=why)


def _already_hashed(text: str) -> Normalised | None:
    if marked := _MARKED_HASH.fullmatch(text):
        why = "already hashed by a parameter builder: sent with its appendix unchanged"
        return Normalised(normalized=None, sha256=marked[1].lower(), sent=text, why=why)
    if not _HASH.fullmatch(text):
        return None
    digest = text.lower()
    why = (
        "already hashed" if len(digest) == 64 else "already hashed: as MD5, which Meta takes and cannot match"
    )
    return Normalised(normalized=None, sha256=digest, sent=digest, why=why)


def _is_unicode(text: str) -> bool:
    """A lone half of a surrogate pair cannot be written as UTF-8, so it cannot be hashed."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _email(text: str) -> str | None:
    lowered = text.lower()
    address = _EMAIL.fullmatch(lowered)
    if not address or _EMAIL_UNUSABLE.search(lowered):
        return None
    return lowered if all(map(_DOMAIN_LABEL.fullmatch, address[1].split("."))) else None


def _valid_phone(text: str, country: str | None) -> str | None:
    """The digits of a number that libphonenumber knows to be valid, country code first."""
    region = country_code(country or "")
    try:
        number = phonenumbers.parse(text, region.upper() if region else None)
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_valid_number(number):
        return None
    return _phone_in_bounds(phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164))


def _phone_digits(text: str) -> str | None:
    return _phone_in_bounds(_EXTENSION.sub("", unicodedata.normalize("NFKC", text)))


def _phone_in_bounds(text: str) -> str | None:
    digits = "".join(_DIGITS.findall(text)).lstrip("0")
    return digits if len(digits) in PHONE_DIGITS else None


def _name(text: str) -> str:
    return _SPACE_AND_PUNCTUATION.sub("", text).lower()


def _latin_city(text: str) -> str | None:
    letters = _NOT_LATIN.sub("", text).lower()
    return letters if letters[:1].isalpha() else None


def _other_city(text: str) -> str:
    letters = _SPACE_PUNCTUATION_AND_DIGITS.sub("", text).lower()
    return _latin_city(letters) or letters


def _known_state(text: str) -> str | None:
    """The postal code of a state or province, from `US-CA`, its name, or a text around its name."""
    if (subdivision := _SUBDIVISION.fullmatch(text.lower())) and subdivision[2] in _STATE_CODES[
        subdivision[1]
    ]:
        return subdivision[2]
    return _state_among(words_of(text)) or _state_among(words_of(_name(text)))


def _state_among(words: Sequence[str]) -> str | None:
    for length in range(_STATE_WORDS_MAX, 0, -1):  # West Virginia before Virginia
        for start in range(len(words) - length + 1):
            name = "".join(words[start : start + length])
            if name in NAMESAKES or name in _STATES:
                return _STATES.get(name)
    return None


def _other_state(text: str) -> str | None:
    squashed = _name(text)
    return squashed if any(character.isalpha() for character in squashed) else None


def _postcode(text: str) -> str | None:
    first = _SPACE.sub("", text).lower().split("-", 1)[0]
    return first if len(first) >= 2 else None


def _birth_date(text: str) -> str | None:
    """YYYYMMDD. Of day and month, the one above 12 is the day; where neither is, the month comes first."""
    groups: list[str] = _DIGITS.findall(text)
    if len(groups) == 1 and len(groups[0]) == 8:
        return groups[0]
    if len(groups) < 3 or any(len(group) > 4 for group in groups[:3]):
        return None
    first, second, third = map(int, groups[:3])
    if first > 31:
        year, rest = first, (second, third)
    elif second > 31:
        year, rest = second, (third, first)
    else:
        year, rest = third, (first, second)
    month, day = rest if rest[0] <= 12 else (rest[1], rest[0])
    if BIRTH_YEAR_MIN <= year <= BIRTH_YEAR_MAX and 1 <= month <= 12 and 1 <= day <= 31:
        return f"{year:04}{month:02}{day:02}"
    return None


def _gender(text: str) -> str | None:
    return _GENDERS.get(text.lower())


def _external_id(text: str) -> str:
    return _SPACE.sub("", text).lower()


_Rule = Callable[[str], str | None]

# Per key: the rules in order, each with its sentence; the first that gives a text wins. Then what is wrong
# with a value for which none does.
_NAME_RULES: Final[tuple[tuple[tuple[_Rule, str], ...], str]] = (
    ((_name, "lower case, without white space and ASCII punctuation"),),
    "nothing but white space and punctuation",
)
_RULES: Final[Mapping[str, tuple[tuple[tuple[_Rule, str], ...], str]]] = {
    "em": (((_email, "lower case, trimmed"),), "not one email address"),
    "ph": (
        (
            (
                _phone_digits,
                "digits without leading zeros; no country code could be told, and none is guessed",
            ),
        ),
        "not 7 to 15 digits",
    ),
    "fn": _NAME_RULES,
    "ln": _NAME_RULES,
    "ct": (
        (
            (_latin_city, "lower case, only a to z and digits"),
            (_other_city, "lower case, without white space, punctuation and digits"),
        ),
        "no letters",
    ),
    "st": (
        (
            (_known_state, "postal code of a state of the United States or province of Canada"),
            (_other_state, "lower case, without white space and ASCII punctuation"),
        ),
        "no letters",
    ),
    "zp": (
        ((_postcode, "lower case, without white space, up to the first dash"),),
        "shorter than 2 characters",
    ),
    "country": (
        ((country_code, "ISO 3166-1 alpha-2, lower case"),),
        "neither an ISO 3166-1 code nor its English name",
    ),
    "db": (((_birth_date, "YYYYMMDD"),), "not a date with a four-digit year"),
    "ge": (((_gender, "f or m"),), "not a word for f or m"),
    "external_id": (((_external_id, "lower case, without white space"),), "nothing but white space"),
}
USER_DATA_KEYS: Final = tuple(_RULES)  # in the order in which they are sent
