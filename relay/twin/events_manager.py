"""The twin's Events Manager: Overview, Test events, Diagnostics, made on the server."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from typing import Any, Final

import msgspec
from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from relay.assets import find_assets
from relay.event.normalise import USER_DATA_KEYS
from relay.event.verdict import Profile, Source
from relay.twin.diagnostics import ADVICE, TITLES, findings
from relay.twin.state import Received, Standing, TwinState, count

MAX_ROWS: Final = 100
MAX_DIAGNOSED: Final = 20_000  # newest events; keeps a refresh quick after a load run
ASSETS: Final = {
    "twin.css": ("css/twin.css", "text/css"),
    "events-manager.js": ("js/twin/events-manager.js", "text/javascript"),
}
HEADERS: Final = {
    "cache-control": "no-store",
    "content-security-policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self' data:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}
PROFILE_LABELS: Final = {
    Profile.EVENT_ID: "event_id, first received",
    Profile.META_5MIN: "event_id, browser within 5 min",
    Profile.FBP_EXTERNAL_ID: "fbp / external_id",
    Profile.SEGMENT_STRICT: "browser first only",
}


async def overview_page(request: Request) -> Response:
    grouped: dict[tuple[str, str], list[Standing]] = {}
    for each in _state(request).standings():
        grouped.setdefault((each.event.pixel, each.event.event_name), []).append(each)
    rows = [_overview_row(pixel, name, standings) for (pixel, name), standings in grouped.items()]
    return _render(request, "overview.html", rows=sorted(rows, key=lambda row: -row["last_ms"]))


async def test_events_page(request: Request) -> Response:
    state = _state(request)
    profile = _profile(request)
    groups = _groups(state.standings())
    rows = [_event_row(group, profile) for group in groups[-MAX_ROWS:]]
    rejected = list(state.rejected)[: -MAX_ROWS - 1 : -1]
    return _render(
        request,
        "test_events.html",
        rows=rows[::-1],
        hidden=len(groups) - len(rows),
        rejected=rejected,
        profile=profile,
    )


async def diagnostics_page(request: Request) -> Response:
    state = _state(request)
    newest = list(state.events)[-MAX_DIAGNOSED:]
    return _render(
        request,
        "diagnostics.html",
        findings=findings(newest),
        looked_at=len(newest),
        refused=_refused(state),
        titles=TITLES,
        advice=ADVICE,
    )


async def stylesheet_and_script(request: Request) -> Response:
    if (asset := ASSETS.get(request.path_params["name"])) is None:
        return Response("No such file.\n", 404, media_type="text/plain")
    path, media_type = asset
    content = (find_assets("static") / path).read_bytes()
    headers = {"cache-control": "no-cache", "x-content-type-options": "nosniff"}
    return Response(content, media_type=media_type, headers=headers)


def _state(request: Request) -> TwinState:
    state: TwinState = request.app.state.twin.state
    return state


def _profile(request: Request) -> Profile:
    try:
        return Profile(request.query_params.get("profile", Profile.EVENT_ID))
    except ValueError:
        return Profile.EVENT_ID


@cache
def _templates() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(find_assets("templates") / "twin"),
        autoescape=select_autoescape(default=True, default_for_string=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["clock"] = _clock
    return environment


def _clock(received_ms: int) -> str:
    return datetime.fromtimestamp(received_ms / 1000, UTC).strftime("%H:%M:%S.%f")[:-3]


def _render(request: Request, template: str, **values: Any) -> Response:
    state = _state(request)
    page = (
        _templates()
        .get_template(template)
        .render(
            path=request.url.path,
            labels=PROFILE_LABELS,
            received=len(state.events),
            rejected_count=len(state.rejected),
            dropped=state.dropped,
            troubles=len(findings(list(state.events)[-MAX_DIAGNOSED:])),
            **values,
        )
    )
    return HTMLResponse(page, headers=HEADERS)


def _overview_row(pixel: str, name: str, standings: Sequence[Standing]) -> Mapping[str, Any]:
    browser = sum(each.event.source is Source.BROWSER for each in standings)
    return {
        "pixel": pixel,
        "name": name,
        "browser": browser,
        "server": len(standings) - browser,
        "total": len(standings),
        "counted": {profile: names[name] for profile, names in count(standings).items()},
        "last_ms": standings[-1].event.received_ms,
    }


def _groups(standings: Sequence[Standing]) -> list[list[Standing]]:
    """Both halves of an event together, in order of their first arrival; an event without id stands alone."""
    groups: dict[object, list[Standing]] = {}
    for each in standings:
        event = each.event
        key = (event.pixel, event.event_name, event.event_id) if event.event_id else event.sequence
        groups.setdefault(key, []).append(each)
    return list(groups.values())


def _event_row(group: Sequence[Standing], profile: Profile) -> Mapping[str, Any]:
    """One row: the halves in order of receipt, what differs between them, and what counts."""
    halves = [_half(each, profile) for each in group]
    browser = next((each.event for each in group if each.event.source is Source.BROWSER), None)
    server = next((each.event for each in group if each.event.source is Source.SERVER), None)
    first = group[0].event
    return {
        "first": first,
        "halves": halves,
        "counted": {each: sum(half.judgements[each].counted for half in group) for each in Profile},
        "gap_ms": server.received_ms - browser.received_ms if browser and server else None,
        "facts": _facts(browser, server),
        "sources": dict.fromkeys(each.event.source for each in group),
        "value": next(
            (f"{each.event.value} {each.event.currency or ''}" for each in group if each.event.value), ""
        ),
    }


def _half(each: Standing, profile: Profile) -> Mapping[str, Any]:
    event = each.event
    params = msgspec.json.decode(event.params)
    user_data = params.get("user_data", {}) if event.source is Source.SERVER else {}
    keys = [key for key in USER_DATA_KEYS if user_data.get(key) or params.get(f"ud[{key}]")]
    return {
        "event": event,
        "judgement": each.judgements[profile],
        "keys": keys,
        "params": msgspec.json.format(event.params, indent=2).decode(),
    }


def _facts(browser: Received | None, server: Received | None) -> list[Mapping[str, Any]]:
    """What both halves say about the same thing; `same` is None where one of them says nothing."""
    facts: list[Mapping[str, Any]] = []
    for label, field in (
        ("event_id", "event_id"),
        ("IP address", "ip"),
        ("fbp", "fbp"),
        ("fbc", "fbc"),
        ("User agent", "user_agent"),
        ("Value", "value"),
        ("Currency", "currency"),
    ):
        left = getattr(browser, field, None)
        right = getattr(server, field, None)
        same = _same(field, left, right) if left and right else None
        if left or right:
            facts.append({"label": label, "browser": left, "server": right, "same": same})
    return facts


def _same(field: str, left: str, right: str) -> bool:
    if field == "value":
        try:
            return float(left) == float(right)
        except ValueError:
            return left == right
    return left.casefold() == right.casefold() if field == "currency" else left == right


def _refused(state: TwinState) -> list[Mapping[str, Any]]:
    """Refusals by what Meta said: how many events were lost with them."""
    grouped: dict[tuple[object, ...], int] = {}
    for each in state.rejected:
        error = each.error
        said = error.get("error_user_msg") or error.get("message", "")
        key = (error.get("code", "—"), error.get("error_subcode", "—"), said)
        grouped[key] = grouped.get(key, 0) + 1
    return [
        {"code": code, "subcode": subcode, "said": said, "events": number}
        for (code, subcode, said), number in grouped.items()
    ]
