"""Dedup: how far apart the halves of each pair were, and what keeps pairs from being pairs."""

import math
from collections.abc import Sequence
from typing import Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from relay.event.gap import gap
from relay.event.issue import ISSUE_WORDS, IssueKind, Severity
from relay.event.outcome import BrowserState
from relay.event.tally import Outcome, Topic
from relay.store.protocol import Issue, Store, StoredReceipt
from relay.web.conditions import is_open
from relay.web.errors import JsonResponse
from relay.web.headers import NO_STORE
from relay.web.issues import id_of
from relay.web.pages import show
from relay.web.plots import HEIGHT, WIDTH
from relay.web.receipt_view import BROWSER_SENTENCES, order_of, server_sends
from relay.web.rollup import read_sums
from relay.web.scope import DAY_MS, read_scope

PAIRS: Final = 300  # the newest, drawn one by one
WINDOW_MS: Final = 2 * DAY_MS  # after which Meta forgets an id
LINES_MS: Final = (100, 1_000, 10_000, 3_600_000)

OFFENDERS: Final = (
    IssueKind.SHARED_EVENT_ID,
    IssueKind.MISSING_EVENT_ID,
    IssueKind.DIFFERENT_EVENT_ID,
    IssueKind.RENAMED_EVENT,
    IssueKind.DIFFERENT_VALUE,
    IssueKind.VALUE_CHANGED,
    IssueKind.RELOADED_PAGE,
    IssueKind.REPEATED_ORDER,
)


class Pair(msgspec.Struct, frozen=True, kw_only=True):
    """One event of which both halves are known to have arrived. `delay_ms` is negative where the server was first."""

    event_id: str
    event_name: str
    pixel: str
    event_time_ms: int
    delay_ms: int


class Offender(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that keeps halves apart, over all event names."""

    kind: IssueKind
    severity: Severity
    title: str
    count: int  # since it was first seen; 0: never
    last_ms: int | None
    event_id: str  # of the latest example
    issue: str  # its name on the Issues page


class LegCount(msgspec.Struct, frozen=True, kw_only=True):
    state: BrowserState
    events: int
    sentence: str


class DedupReport(msgspec.Struct, frozen=True, kw_only=True):
    site: str | None
    range: str
    outcomes: dict[str, int]
    legs: tuple[LegCount, ...]  # what became of the Pixel's request, of what Meta received
    pairs: tuple[Pair, ...]  # the newest, newest first
    offenders: tuple[Offender, ...]
    server_first: int  # pairs whose order is the other one, or not certain


class Point(msgspec.Struct, frozen=True, kw_only=True):
    x: float
    y: float
    pair: Pair


async def dedup_page(request: Request) -> Response:
    report = await read_dedup(request)
    lines = [
        (place(0), "0"),
        *((place(ms), gap(ms).replace(".0", "")) for ms in LINES_MS),
        (place(WINDOW_MS), "48 h"),
    ]
    return show(request, "console/dedup.html", report=report, points=points(report.pairs), lines=lines)


async def dedup_json(request: Request) -> Response:
    return JsonResponse(await read_dedup(request), headers=NO_STORE)


async def read_dedup(request: Request) -> DedupReport:
    store: Store = request.app.state.store
    scope = read_scope(request)
    now_ms: int = request.app.state.clock_ms()
    outcomes = await read_sums(store, Topic.OUTCOME, scope, now_ms)
    legs = await read_sums(store, Topic.LEG, scope, now_ms)
    issues = [issue for issue in await store.issues() if scope.site in (None, issue.site) and is_open(issue)]
    latest = await store.latest(site=scope.site, limit=PAIRS)
    return DedupReport(
        site=scope.site,
        range=scope.range.name,
        outcomes={name: outcomes.by_name[name] for name in Outcome if outcomes.by_name[name]},
        legs=tuple(
            LegCount(state=state, events=legs.by_name[state], sentence=BROWSER_SENTENCES[state])
            for state in BrowserState
            if legs.by_name[state]
        ),
        pairs=tuple(pair for stored in latest if (pair := pair_of(stored)) is not None),
        offenders=tuple(offender(kind, issues) for kind in OFFENDERS),
        server_first=outcomes.by_name[Outcome.REVERSED],
    )


def pair_of(stored: StoredReceipt) -> Pair | None:
    if not stored.legs:
        return None
    order = order_of(stored.legs[-1], server_sends(stored.attempts))
    if order.delay_ms is None:
        return None
    row = stored.row
    return Pair(
        event_id=row.event_id,
        event_name=row.event_name,
        pixel=row.pixel,
        event_time_ms=row.event_time_ms,
        delay_ms=order.delay_ms,
    )


def offender(kind: IssueKind, issues: Sequence[Issue]) -> Offender:
    found = sorted((issue for issue in issues if issue.kind is kind), key=lambda issue: -issue.last_ms)
    words = ISSUE_WORDS[kind]
    return Offender(
        kind=kind,
        severity=words.severity,
        title=words.title,
        count=sum(issue.count for issue in found),
        last_ms=found[0].last_ms if found else None,
        event_id=found[0].event_id if found else "",
        issue=id_of(found[0]) if found else "",
    )


def place(delay_ms: int) -> float:
    """The height of a delay, 0 to 1: by its logarithm on both sides of zero; 48 hours are near the upper edge."""
    zero, above = 0.16, 0.8
    share = math.log1p(abs(delay_ms)) / math.log1p(WINDOW_MS)
    return zero + above * share if delay_ms >= 0 else zero - zero * min(share * 1.6, 1.0)


def points(pairs: Sequence[Pair]) -> list[Point]:
    """The pairs from left to right in the order of their events, evenly: a night without events takes no room."""
    ordered = sorted(pairs, key=lambda pair: pair.event_time_ms)
    step = WIDTH / max(len(ordered), 1)
    return [
        Point(x=round((n + 0.5) * step, 1), y=round(HEIGHT * (1 - place(pair.delay_ms)), 1), pair=pair)
        for n, pair in enumerate(ordered)
    ]
