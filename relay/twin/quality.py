"""Graph's `GET /{version}/dataset_quality`: how good the events are that the twin has really received.

Strict as Meta is: the token must be the pixel's, a field that Meta does not have refuses the whole question, and so
does a part that is asked for without its braces closed. The score is the twin's own sum; Meta's is not published.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from relay.event.quality import IDENTIFIERS
from relay.event.verdict import Source
from relay.forms import BodyError, last_wins, query_fields
from relay.graph_answers import GRAPH_TYPE, GraphError, refusal
from relay.twin.diagnostics import ADVICE, TITLES, findings
from relay.twin.graph import CallRefusedError, check_token, check_version, refuse
from relay.twin.state import Received, TwinState

Json = dict[str, Any]
Fields = dict[str, "Fields"]  # the names in braces; empty: all of them

WINDOW_MS: Final = 7 * 24 * 60 * 60 * 1000
GOAL_PERCENT: Final = 75
REAL_TIME_MS: Final = 60 * 60 * 1000
DAY_MS: Final = 24 * REAL_TIME_MS

# What each key adds to the score of 10 where every event has it: our own weights, in the order of Meta's priorities.
WEIGHTS: Final = {
    "email": 2.5,
    "fbc": 2.0,
    "phone": 1.5,
    "external_id": 1.0,
    "fbp": 1.0,
    "ip_address": 0.8,
    "user_agent": 0.4,
    "country": 0.4,
    "birthday": 0.4,
}
DEDUP_KEYS: Final = ("event_id", "external_id", "fbp")

_PERCENT: Final[Fields] = {"percentage": {}, "description": {}}
KNOWN: Final[Fields] = {
    "event_name": {},
    "event_match_quality": {
        "composite_score": {},
        "match_key_feedback": {
            "identifier": {},
            "coverage": {"percentage": {}},
            "potential_aly_acr_increase": _PERCENT,
        },
        "diagnostics": {
            "name": {},
            "description": {},
            "solution": {},
            "percentage": {},
            "affected_event_count": {},
            "total_event_count": {},
        },
    },
    "event_coverage": _PERCENT | {"goal_percentage": {}},
    "dedupe_key_feedback": {
        "dedupe_key": {},
        "browser_events_with_dedupe_key": _PERCENT,
        "server_events_with_dedupe_key": _PERCENT,
        "overall_browser_coverage_from_dedupe_key": _PERCENT,
    },
    "data_freshness": {"upload_frequency": {}, "description": {}},
    "acr": _PERCENT,
    "event_potential_aly_acr_increase": _PERCENT,
}


async def answer_quality(
    request: Request, state: TwinState, tokens: Mapping[str, str], *, readable: bool
) -> Response:
    """One question; `readable` is whether the tokens have the permission for it."""
    try:
        check_version(request)
        query = _query(request)
        pixel = _pixel(query)
        check_token(request, query, pixel, tokens)
        if not readable:
            said = "(#200) Requires ads_read permission to read the quality of this dataset."
            raise CallRefusedError(GraphError(status=403, code=200, message=said))
        wanted = _wanted(query)
    except CallRefusedError as refused:
        return refusal(refused.error)
    rows = [_kept(row, wanted) for row in quality_of(state, pixel, query.get("agent_name"))]
    content = msgspec.json.encode({"web": rows})
    return Response(content, headers={"content-type": GRAPH_TYPE, "cache-control": "no-store"})


def _query(request: Request) -> Mapping[str, str]:
    try:
        return last_wins(query_fields(request.scope["query_string"]))
    except BodyError as error:
        raise refuse(100, f"(#100) {error}") from error


def _pixel(query: Mapping[str, str]) -> str:
    if not (pixel := query.get("dataset_id")):
        raise refuse(100, "(#100) The parameter dataset_id is required.")
    return pixel


def _wanted(query: Mapping[str, str]) -> Fields:
    """The fields below `web`. Raises CallRefusedError for one that does not exist."""
    tree = _parse(query.get("fields", ""))
    if tree is None or set(tree) != {"web"}:
        raise refuse(100, "(#100) Syntax error in fields: ask for web{…} and close every brace.")
    _check(tree["web"], KNOWN)
    return tree["web"]


def _parse(text: str) -> Fields | None:
    """Names with what stands in their braces; None where the braces do not match."""
    tree: Fields = {}
    inside, last = [tree], None
    for part in re.findall(r"[{},]|[^{},]+", text):
        if part == "{" and last is not None:
            inside.append(last)
        elif part == "}" and len(inside) > 1:
            inside.pop()
        elif part in ("{", "}"):
            return None
        last = inside[-1].setdefault(part, {}) if part not in ("{", "}", ",") else None
    return tree if len(inside) == 1 else None


def _check(asked: Fields, known: Fields) -> None:
    for name, parts in asked.items():
        if name not in known:
            raise refuse(100, f"(#100) Tried accessing nonexisting field ({name[:60]})")
        _check(parts, known[name])


def _kept(value: Any, wanted: Fields) -> Any:
    if isinstance(value, list):
        return [_kept(each, wanted) for each in value]
    if not wanted or not isinstance(value, dict):
        return value
    return {name: _kept(value[name], parts) for name, parts in wanted.items() if name in value}


def quality_of(state: TwinState, pixel: str, agent_name: str | None) -> list[Json]:
    """One row for each name of server events of the last seven days, of all senders or of one."""
    since_ms = state.clock_ms() - WINDOW_MS
    recent = [each for each in state.events if each.pixel == pixel and each.received_ms >= since_ms]
    server = [each for each in recent if each.source is Source.SERVER and _is_from(each, agent_name)]
    browser = [each for each in recent if each.source is Source.BROWSER]
    return [
        _row(
            name,
            [each for each in browser if each.event_name == name],
            [each for each in server if each.event_name == name],
        )
        for name in dict.fromkeys(each.event_name for each in server)
    ]


def _is_from(event: Received, agent_name: str | None) -> bool:
    return not agent_name or (event.partner_agent or "").lower().startswith(agent_name.lower())


def _row(name: str, browser: Sequence[Received], server: Sequence[Received]) -> Json:
    coverage = _key_coverage(server)
    return {
        "event_name": name,
        "event_match_quality": {
            "composite_score": round(
                sum(WEIGHTS.get(key, 0) * share / 100 for key, share in coverage.items()), 1
            ),
            "match_key_feedback": [
                {"identifier": key, "coverage": {"percentage": share}} for key, share in coverage.items()
            ],
            "diagnostics": [
                {
                    "name": TITLES[found.trouble],
                    "description": ADVICE[found.trouble],
                    "solution": ADVICE[found.trouble],
                    "percentage": round(found.percent, 1),
                    "affected_event_count": found.affected,
                    "total_event_count": found.total,
                }
                for found in findings([*browser, *server])
            ],
        },
        "event_coverage": {
            "percentage": _share(
                [any(_key(b, key) & _keys(server, key) for key in DEDUP_KEYS) for b in browser]
            ),
            "goal_percentage": GOAL_PERCENT,
        },
        "dedupe_key_feedback": [_dedup(key, browser, server) for key in DEDUP_KEYS],
        "data_freshness": {"upload_frequency": _frequency(server)},
    }


def _key_coverage(server: Sequence[Received]) -> dict[str, float]:
    people = [msgspec.json.decode(event.params)["user_data"] for event in server]
    return {
        name: share
        for key, name in IDENTIFIERS.items()
        if (share := _share([bool(each.get(key)) for each in people]))
    }


def _dedup(key: str, browser: Sequence[Received], server: Sequence[Received]) -> Json:
    theirs = _keys(server, key)
    return {
        "dedupe_key": key,
        "browser_events_with_dedupe_key": {"percentage": _share([bool(_key(b, key)) for b in browser])},
        "server_events_with_dedupe_key": {"percentage": _share([bool(_key(s, key)) for s in server])},
        "overall_browser_coverage_from_dedupe_key": {
            "percentage": _share([bool(_key(b, key) & theirs) for b in browser])
        },
    }


def _key(event: Received, key: str) -> set[str]:
    if key == "external_id":
        return set(event.external_id)
    value = event.event_id if key == "event_id" else event.fbp
    return {value} if value else set()


def _keys(events: Sequence[Received], key: str) -> set[str]:
    return {value for event in events for value in _key(event, key)}


def _share(flags: Sequence[bool]) -> float:
    return round(100 * sum(flags) / len(flags), 1) if flags else 0.0


def _frequency(server: Sequence[Received]) -> str:
    """By the slowest tenth: how long after they happened the events came."""
    delays = sorted(
        event.received_ms - int(msgspec.json.decode(event.params)["event_time"]) * 1_000 for event in server
    )
    late_ms = delays[len(delays) * 9 // 10]
    if late_ms <= REAL_TIME_MS:
        return "real_time"
    return "hourly" if late_ms <= DAY_MS else "daily"
