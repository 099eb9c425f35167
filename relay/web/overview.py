"""The Overview: one sentence, a few numbers, and how they went, for one site and period; as a page and as JSON."""

from collections.abc import Mapping, Sequence
from typing import Final, Literal, NamedTuple

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from relay.delivery.graph import Graph
from relay.event.gap import gap
from relay.event.issue import Severity
from relay.event.tally import DELAY_BOUNDS_MS, Outcome, Topic
from relay.store.protocol import FamilyCount, Mark, MarkKind, Store
from relay.web.addresses import twin_agreement
from relay.web.errors import JsonResponse
from relay.web.headers import NO_STORE
from relay.web.issues import IssueView, read_open
from relay.web.pages import show
from relay.web.plots import WIDTH, Axis, Scale, band, line, percentile, stack
from relay.web.rollup import Sums, axis_of, read_sums
from relay.web.scope import Scope, read_scope
from relay.web.twin_view import read_twin_addresses

OUTCOME_WORDS: Final[dict[str, str]] = {
    Outcome.PAIRED: "paired",
    Outcome.REVERSED: "paired, order not certain",
    Outcome.UNSURE: "page ended first",
    Outcome.SERVER_ONLY: "server only",
    Outcome.FAILED: "failed",
    Outcome.HELD_BACK: "not sent",
}
PAIRS: Final = (Outcome.PAIRED, Outcome.REVERSED)
DELIVERED: Final = (*PAIRS, Outcome.UNSURE, Outcome.SERVER_ONLY)
MARK_WORDS: Final[dict[MarkKind, str]] = {
    MarkKind.STARTED: "relay started, version {detail}",
    MarkKind.TOKEN: "access token of pixel {subject} in place",
    MarkKind.SNIPPET: "another snippet",
}
PAIR_GUIDE: Final = 0.85
DELAYS: Final = Scale(50, 600_000)
DELAY_LINES_MS: Final = (100, 1_000, 10_000, 60_000)
ERROR_WORDS: Final[dict[str, str]] = {
    "no answer": "The call was written and its answer never came: it may have been taken.",
    "no connection": "Graph could not be reached.",
    "HTTP": "Graph, or something on the way to it, answered without saying why.",
    "1": "Graph had a passing trouble.",
    "2": "Graph had a passing trouble.",
    "4": "Too many calls: Graph asks to slow down.",
    "10": "The token has not the permission.",
    "100": "A parameter is wrong, or the pixel is not visible to the token.",
    "102": "The session of the token has ended.",
    "190": "The access token is expired, revoked or malformed.",
    "200": "The token has not the permission.",
    "2804003": "An event is older than seven days.",
}

Level = Literal["good", "wait", "bad", "none"]


class Tile(msgspec.Struct, frozen=True, kw_only=True):
    """One number. `share` is 0 to 1 where it is one, `ms` where it is a length of time; None: nothing to tell."""

    name: str
    share: float | None = None
    ms: int | None = None
    number: int | None = None
    words: str


class ErrorCode(msgspec.Struct, frozen=True, kw_only=True):
    code: str
    calls: int
    sentence: str


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One step of the plots."""

    at_ms: int
    outcomes: dict[str, int]
    pair_rate: float | None
    delay_p50_ms: int | None
    delay_p95_ms: int | None


class Moment(msgspec.Struct, frozen=True, kw_only=True):
    at_ms: int
    words: str


class Overview(msgspec.Struct, frozen=True, kw_only=True):
    site: str | None
    range: str
    since_ms: int
    step_ms: int
    level: Level
    sentence: str
    tiles: tuple[Tile, ...]
    issues: tuple[IssueView, ...]  # open ones, the costly first
    outcomes: dict[str, int]
    errors: tuple[ErrorCode, ...]
    steps: tuple[Step, ...]  # those in which something ended
    marks: tuple[Moment, ...]


class Counted(NamedTuple):
    """What an overview is made of."""

    outcomes: Sums
    delays: Sums
    errors: Sums
    accepted: Sums
    families: Sequence[FamilyCount]
    agreement: float | None  # with a twin, of the two halves' addresses
    oldest_due_ms: int | None
    marks: Sequence[Mark]
    issues: Sequence[IssueView]


async def overview_page(request: Request) -> Response:
    scope = read_scope(request)
    view = await read_overview(request, scope)
    axis = axis_of(scope, request.app.state.clock_ms())
    return show(request, "console/overview.html", view=view, plots=plots_of(view, axis), words=OUTCOME_WORDS)


async def overview_json(request: Request) -> Response:
    return JsonResponse(await read_overview(request, read_scope(request)), headers=NO_STORE)


async def read_overview(request: Request, scope: Scope) -> Overview:
    store: Store = request.app.state.store
    graph: Graph = request.app.state.graph
    now_ms: int = request.app.state.clock_ms()
    axis = axis_of(scope, now_ms)
    twin = twin_agreement(read_twin_addresses(await graph.twin_addresses()))
    counted = Counted(
        outcomes=await read_sums(store, Topic.OUTCOME, scope, now_ms),
        delays=await read_sums(store, Topic.DELAY, scope, now_ms),
        errors=await read_sums(store, Topic.ERROR, scope, now_ms),
        accepted=await read_sums(store, Topic.ACCEPTED, scope, now_ms),
        families=await store.families(since_ms=axis.since_ms, site=scope.site),
        agreement=twin.rate if twin else None,
        oldest_due_ms=(await store.totals()).oldest_due_ms,
        marks=await store.marks(since_ms=axis.since_ms),
        issues=await read_open(request, scope),
    )
    return overview(counted, scope, axis, now_ms)


def overview(counted: Counted, scope: Scope, axis: Axis, now_ms: int) -> Overview:
    level, sentence = status_of(counted, scope)
    return Overview(
        site=scope.site,
        range=scope.range.name,
        since_ms=axis.since_ms,
        step_ms=axis.step_ms,
        level=level,
        sentence=sentence,
        tiles=tiles_of(counted, now_ms),
        issues=tuple(counted.issues),
        outcomes={name: counted.outcomes.by_name[name] for name in Outcome if counted.outcomes.by_name[name]},
        errors=tuple(
            ErrorCode(code=code, calls=calls, sentence=ERROR_WORDS.get(code.partition(" 5")[0], ""))
            for code, calls in counted.errors.by_name.most_common()
        ),
        steps=tuple(
            _step(axis, step, counted.outcomes.by_step.get(step, {}), counted.delays.by_step.get(step, {}))
            for step in sorted({*counted.outcomes.by_step, *counted.delays.by_step})
        ),
        marks=tuple(
            Moment(
                at_ms=mark.at_ms, words=MARK_WORDS[mark.kind].format(subject=mark.subject, detail=mark.detail)
            )
            for mark in counted.marks
        ),
    )


def _step(axis: Axis, step: int, outcomes: Mapping[str, int], delays: Mapping[str, int]) -> Step:
    p50, p95 = (percentile(delays, share, DELAY_BOUNDS_MS) for share in (0.5, 0.95))
    return Step(
        at_ms=axis.since_ms + step * axis.step_ms,
        outcomes=dict(outcomes),
        pair_rate=share_of(outcomes, PAIRS, DELIVERED),
        delay_p50_ms=None if p50 is None else round(p50),
        delay_p95_ms=None if p95 is None else round(p95),
    )


def share_of(numbers: Mapping[str, int], part: Sequence[str], whole: Sequence[str]) -> float | None:
    of = sum(numbers.get(name, 0) for name in whole)
    return sum(numbers.get(name, 0) for name in part) / of if of else None


def status_of(counted: Counted, scope: Scope) -> tuple[Level, str]:
    """The one sentence: the worst thing that is known, or that all is well."""
    worst = counted.issues[0] if counted.issues else None
    events = counted.outcomes.all or counted.accepted.all
    if worst is not None and worst.severity is not Severity.LOW:
        more = sum(issue.severity is not Severity.LOW for issue in counted.issues) - 1
        others = f", and {more} more to look at" if more else ""
        return ("bad" if worst.severity is Severity.HIGH else "wait"), f"{worst.title}{others}."
    if not events:
        return "none", f"No event in {scope.range.words}."
    pairs = share_of(counted.outcomes.by_name, PAIRS, DELIVERED)
    if pairs is None:
        return "wait", "Events have come, and none has reached Meta yet."
    return "good", f"All is well: {round(100 * pairs)} % of what Meta received came in pairs."


def tiles_of(counted: Counted, now_ms: int) -> tuple[Tile, ...]:
    names = counted.outcomes.by_name
    delivered = sum(names[name] for name in DELIVERED)
    p50, p95 = (percentile(counted.delays.by_name, share, DELAY_BOUNDS_MS) for share in (0.5, 0.95))
    due_ms = counted.oldest_due_ms
    return (
        Tile(name="Events", number=counted.accepted.all, words="accepted"),
        Tile(
            name="In pairs",
            share=share_of(names, PAIRS, DELIVERED),
            words=f"{sum(names[name] for name in PAIRS)} of {delivered} delivered",
        ),
        Tile(
            name="Browser first",
            share=share_of(names, (Outcome.PAIRED,), PAIRS),
            words="of the pairs, by the recorded times",
        ),
        Tile(
            name="Accepted",
            share=share_of(names, DELIVERED, (*DELIVERED, Outcome.FAILED)),
            words=f"by Meta; {names[Outcome.FAILED] or 'none'} failed",
        ),
        _address_tile(counted),
        Tile(
            name="Relay to Meta",
            ms=None if p50 is None else round(p50),
            words="" if p95 is None else f"95 % within {gap(round(p95))}, holds included",
        ),
        Tile(
            name="Oldest waiting",
            ms=None if due_ms is None or due_ms > now_ms else now_ms - due_ms,
            words="nothing waits" if due_ms is None else "due" if due_ms <= now_ms else "held, not due yet",
        ),
    )


def _address_tile(counted: Counted) -> Tile:
    """With a twin the agreement is measured; Meta does not tell, so otherwise it is what the relay knows."""
    if counted.agreement is not None:
        return Tile(
            name="Same address", share=counted.agreement, words="in both halves, as the twin saw them"
        )
    events = sum(each.events for each in counted.families)
    known = sum(each.events for each in counted.families if each.sent is not None)
    return Tile(
        name="Visitor's address",
        share=known / events if events else None,
        words="sent with an address the relay saw",
    )


def plots_of(view: Overview, axis: Axis) -> Mapping[str, object]:
    """The drawings of an overview."""
    steps = {axis.step(step.at_ms): step for step in view.steps}
    outcomes = {number: step.outcomes for number, step in steps.items() if step.outcomes}
    rates = {
        number: (step.pair_rate, f"{round(100 * step.pair_rate)} % in pairs")
        for number, step in steps.items()
        if step.pair_rate is not None
    }
    timed = {
        number: (step.delay_p50_ms, step.delay_p95_ms)
        for number, step in steps.items()
        if step.delay_p50_ms is not None and step.delay_p95_ms is not None
    }
    p50 = {
        n: (DELAYS.share(low), f"half within {gap(low)}, 95 % within {gap(high)}")
        for n, (low, high) in timed.items()
    }
    return {
        "outcomes": stack(axis, outcomes, list(Outcome), OUTCOME_WORDS),
        "pairs": line(axis, rates),
        "guide": PAIR_GUIDE,
        "delay": line(axis, p50),
        "delay_band": band(
            axis, {n: (DELAYS.share(low), DELAYS.share(high)) for n, (low, high) in timed.items()}
        ),
        "delay_lines": [(DELAYS.share(ms), gap(ms).replace(".0", "")) for ms in DELAY_LINES_MS],
        "marks": [(round(axis.share(mark.at_ms) * WIDTH, 1), mark) for mark in view.marks],
    }
