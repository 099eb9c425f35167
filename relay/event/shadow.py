"""Two Conversions API events of one id, ours and the incumbent's, laid side by side: where they differ.

Values in, values out. Customer data is hashed on both sides, so a hash that differs means another value or another
normalisation; which of the two it is, no hash tells.
"""

from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Final

import msgspec

from relay.event.fields import plain_number
from relay.event.records import Json

TIME_SECONDS: Final = 60  # clocks and queues; Meta's deduplication does not look at event_time
OBJECTS: Final = ("user_data", "custom_data")
SHOWN_MAX: Final = 120


class Lack(StrEnum):
    """How one member of two events differs."""

    DIFFERS = "differs"
    OURS_ONLY = "ours only"
    THEIRS_ONLY = "theirs only"


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """One member; the values as texts, cut where they are long."""

    path: str
    lack: Lack
    ours: str | None
    theirs: str | None


def differences(ours: Json, theirs: Json) -> tuple[Difference, ...]:
    """Both as Graph would get them. The order is ours, what only they have last."""
    mine, others = dict(_flat(ours)), dict(_flat(theirs))
    found = []
    for path in [*mine, *(path for path in others if path not in mine)]:
        if (lack := _lack(path, mine, others)) is not None:
            shown = {"ours": _shown(mine.get(path)), "theirs": _shown(others.get(path))}
            found.append(Difference(path=path, lack=lack, **shown))
    return tuple(found)


def _flat(event: Json) -> Iterator[tuple[str, object]]:
    """Each member that says something; those of user_data and custom_data by their paths."""
    for name, value in event.items():
        members = value.items() if name in OBJECTS and isinstance(value, Mapping) else None
        for path, each in (
            [(name, value)] if members is None else [(f"{name}.{key}", v) for key, v in members]
        ):
            if each not in (None, "", [], {}):
                yield path, each


def _lack(path: str, ours: Mapping[str, object], theirs: Mapping[str, object]) -> Lack | None:
    if path not in theirs:
        return Lack.OURS_ONLY
    if path not in ours:
        return Lack.THEIRS_ONLY
    return None if _agree(path, ours[path], theirs[path]) else Lack.DIFFERS


def _agree(path: str, ours: object, theirs: object) -> bool:
    numbers = plain_number(ours), plain_number(theirs)
    if numbers[0] is not None and numbers[1] is not None:
        apart = abs(numbers[0] - numbers[1])
        return apart <= TIME_SECONDS if path == "event_time" else apart == 0
    if path.startswith("user_data."):
        return _texts(ours) == _texts(theirs)
    if path == "custom_data.currency":
        return str(ours).upper() == str(theirs).upper()
    return ours == theirs


def _texts(value: object) -> set[str]:
    values = value if isinstance(value, list) else [value]
    return {str(each) for each in values}


def _shown(value: object) -> str | None:
    if value is None:
        return None
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return text if len(text) <= SHOWN_MAX else f"{text[:SHOWN_MAX]}…"
