"""What Meta's Dataset Quality API says of a pixel's events, read with patience, and what two such answers tell.

Names and shapes are those of Meta's documentation and of published integrations; numbers may come as texts, and any
part may be missing. Nothing here was verified against live Meta.
"""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from typing import Any, Final, Literal

import msgspec

from relay.event.records import Json

AGENT_NAME: Final = "counterfoil"  # the beginning of our partner_agent, which the API filters by
GOAL_PERCENT: Final = 75.0  # Meta's goal for the coverage, where the answer names none
EVENTS_MAX: Final = 200
ROWS_MAX: Final = 40
TEXT_MAX: Final = 500
DIFFERENCE_PERCENT: Final = 5.0  # what two averages may differ by without meaning anything

Scope = Literal["all", "ours"]  # every sender of server events; only this relay

_PERCENT: Final = "percentage"
# Each field of an event with its own fields. Two spellings of one field are about: its documentation has both.
FIELDS: Final[dict[str, str]] = {
    "event_name": "",
    "event_match_quality": (
        "{composite_score,match_key_feedback{identifier,coverage{percentage},"
        "potential_aly_acr_increase{percentage}},diagnostics{name,description,solution,percentage,"
        "affected_event_count,total_event_count}}"
    ),
    "event_coverage": "{percentage,goal_percentage}",
    "dedupe_key_feedback": (
        "{dedupe_key,browser_events_with_dedupe_key{percentage},server_events_with_dedupe_key{percentage},"
        "overall_browser_coverage_from_dedupe_key{percentage}}"
    ),
    "data_freshness": "{upload_frequency}",
}
OTHER_SPELLING: Final = {"dedupe_key_feedback": "dedup_key_feedback"}
_NONEXISTING: Final = re.compile(r"nonexisting field \((\w+)\)")


# Meta's names for the match keys, as far as its documentation shows them.
IDENTIFIERS: Final = {
    "em": "email",
    "ph": "phone",
    "client_ip_address": "ip_address",
    "client_user_agent": "user_agent",
    "external_id": "external_id",
    "fbp": "fbp",
    "fbc": "fbc",
    "fn": "first_name",
    "ln": "last_name",
    "ct": "city",
    "st": "state",
    "zp": "zip",
    "country": "country",
    "db": "birthday",
    "ge": "gender",
}
KEY_OF: Final = {identifier: key for key, identifier in IDENTIFIERS.items()}


class KeyCoverage(msgspec.Struct, frozen=True, kw_only=True):
    """One match key: on how many server events Meta found it, in percent."""

    identifier: str
    coverage: float | None
    gain: float | None = None  # potential_aly_acr_increase, in percent: Meta's own estimate


class MetaDiagnostic(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of Diagnostics, in Meta's words."""

    name: str
    description: str
    solution: str
    percent: float | None
    affected: int | None
    total: int | None


class DedupKey(msgspec.Struct, frozen=True, kw_only=True):
    """How many events carry one deduplication key, in percent."""

    key: str
    browser: float | None
    server: float | None
    overall: float | None  # of browser events that it pairs


class EventQuality(msgspec.Struct, frozen=True, kw_only=True):
    """What Meta says of one event name."""

    event_name: str
    match_quality: float | None  # 0 to 10
    keys: tuple[KeyCoverage, ...]
    diagnostics: tuple[MetaDiagnostic, ...]
    coverage: float | None  # percent of the Pixel's events, over seven days
    coverage_goal: float | None
    dedup: tuple[DedupKey, ...]
    freshness: str | None


class QualityRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One answer of Meta's: for all senders of a pixel, or for this relay alone."""

    pixel: str
    scope: Scope
    at_ms: int
    problem: str | None  # why there is no answer, in Meta's words or ours
    refused: bool = False  # the token may not read it: asking again soon is no use
    events: tuple[EventQuality, ...] = ()


def query_fields(spelling: Mapping[str, str | None]) -> str:
    """The `fields` of a call; `spelling` renames a field, or leaves it out (None)."""
    named = ((spelling.get(field, field), parts) for field, parts in FIELDS.items())
    return f"web{{{','.join(f'{field}{parts}' for field, parts in named if field)}}}"


def respelt(spelling: Mapping[str, str | None], message: str) -> dict[str, str | None] | None:
    """The spelling to try after Graph's sentence about a field that it does not know; None: it is about no field.

    First the other spelling of the field, then without it.
    """
    if not (found := _NONEXISTING.search(message)):
        return None
    unknown = found[1]
    for field in FIELDS:
        if spelling.get(field, field) == unknown and field != "event_name":
            other = OTHER_SPELLING.get(field)
            return {**spelling, field: other if other != unknown else None}
    return None


def read_quality(answer: Json) -> tuple[EventQuality, ...]:
    """The events of an answer; what cannot be read is left out."""
    return tuple(
        _event(event) for event in _objects(answer.get("web"), EVENTS_MAX) if _text(event, "event_name")
    )


def _event(event: Json) -> EventQuality:
    match, coverage = _object(event, "event_match_quality"), _object(event, "event_coverage")
    dedup = event.get("dedupe_key_feedback", event.get("dedup_key_feedback"))
    return EventQuality(
        event_name=_text(event, "event_name"),
        match_quality=_number(match.get("composite_score")),
        keys=tuple(
            KeyCoverage(
                identifier=_text(row, "identifier"),
                coverage=_percent(row, "coverage"),
                gain=_percent(row, "potential_aly_acr_increase"),
            )
            for row in _objects(match.get("match_key_feedback"), ROWS_MAX)
        ),
        diagnostics=tuple(
            MetaDiagnostic(
                name=_text(row, "name"),
                description=_text(row, "description"),
                solution=_text(row, "solution"),
                percent=_percent(row, _PERCENT),
                affected=_count(row.get("affected_event_count")),
                total=_count(row.get("total_event_count")),
            )
            for row in _objects(match.get("diagnostics"), ROWS_MAX)
        ),
        coverage=_percent(event, "event_coverage"),
        coverage_goal=_number(coverage.get("goal_percentage")),
        dedup=tuple(
            DedupKey(
                key=_text(row, "dedupe_key"),
                browser=_percent(row, "browser_events_with_dedupe_key"),
                server=_percent(row, "server_events_with_dedupe_key"),
                overall=_percent(row, "overall_browser_coverage_from_dedupe_key"),
            )
            for row in _objects(dedup, ROWS_MAX)
        ),
        freshness=_text(_object(event, "data_freshness"), "upload_frequency") or None,
    )


class Share(StrEnum):
    """Whose the server events of one name are, as far as two answers tell."""

    OTHERS_ONLY = "others_only"
    OTHERS_TOO = "others_too"
    OURS = "ours"
    UNKNOWN = "unknown"


SHARE_SENTENCES: Final[dict[Share, str]] = {
    Share.OTHERS_ONLY: "Meta has server events of this name, and none of them from this relay.",
    Share.OTHERS_TOO: "All senders together do more than this relay alone: somebody else sends this event too.",
    Share.OURS: "All senders together do no more than this relay alone.",
    Share.UNKNOWN: "Meta's answer holds nothing that could be compared.",
}


def shares(everybody: Sequence[EventQuality], ours: Sequence[EventQuality]) -> dict[str, Share]:
    """By event name, what the answer for all senders says beside that for this relay."""
    own = {event.event_name: event for event in ours}
    return {event.event_name: _share(event, own.get(event.event_name)) for event in everybody}


def _share(everybody: EventQuality, ours: EventQuality | None) -> Share:
    if ours is None:
        return Share.OTHERS_ONLY
    compared = list(_compared(everybody, ours))
    if not compared:
        return Share.UNKNOWN
    return Share.OTHERS_TOO if any(compared) else Share.OURS


def _compared(everybody: EventQuality, ours: EventQuality) -> Iterator[bool]:
    """Whether each measure that both answers have says more of all senders."""
    if everybody.coverage is not None and ours.coverage is not None:
        yield everybody.coverage - ours.coverage > DIFFERENCE_PERCENT
    totals = [max((each.total or 0 for each in event.diagnostics), default=0) for event in (everybody, ours)]
    if all(totals):
        yield totals[0] > totals[1] * (1 + DIFFERENCE_PERCENT / 100)


def _objects(value: Any, limit: int) -> list[Json]:
    return [each for each in value[:limit] if isinstance(each, dict)] if isinstance(value, list) else []


def _object(owner: Json, name: str) -> Json:
    value = owner.get(name)
    return value if isinstance(value, dict) else {}


def _text(owner: Json, name: str) -> str:
    """One printable line; empty where there is none."""
    value = owner.get(name)
    text = value if isinstance(value, str) else ""
    return "".join(char if char.isprintable() else " " for char in text).strip()[:TEXT_MAX]


def _percent(owner: Json, name: str) -> float | None:
    """A percentage, as a number or as an object that holds one."""
    value = owner.get(name)
    return _number(value.get(_PERCENT) if isinstance(value, dict) else value)


def _number(value: Any) -> float | None:
    """A finite number, from one or from a text."""
    try:
        number = (
            float(value) if isinstance(value, int | float | str) and not isinstance(value, bool) else math.nan
        )
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _count(value: Any) -> int | None:
    number = _number(value)
    return int(number) if number is not None and 0 <= number < 2**53 else None
