"""Match keys: which events carry which of them, how old click ids are, what could not be used, and an estimate of
what is missing."""

from collections.abc import Mapping
from typing import Final, Literal

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from relay.event.issue import IssueKind
from relay.event.normalise import USER_DATA_KEYS
from relay.event.tally import FBC_AGE_BOUNDS_DAYS, FUTURE, OLDER, Topic
from relay.store.protocol import Store
from relay.web.conditions import is_open
from relay.web.errors import JsonResponse
from relay.web.headers import NO_STORE
from relay.web.overview import DELIVERED
from relay.web.pages import show
from relay.web.rollup import read_sums
from relay.web.scope import read_scope

KEYS: Final = (*USER_DATA_KEYS, "fbp", "fbc", "client_ip_address", "client_user_agent")
NAMES_MAX: Final = 14  # the commonest event names; the others have few events
AGES: Final = (*map(str, FBC_AGE_BOUNDS_DAYS), OLDER, FUTURE)

Priority = Literal["high", "medium", "low"]

# The table of Meta's help page (765081237991954, as of November 2025), which knows neither address nor user agent.
HELP_PAGE: Final[dict[str, Priority]] = {
    "em": "high", "fbc": "high",
    "db": "medium", "country": "medium", "ph": "medium", "external_id": "medium", "fbp": "medium",
    "fn": "low", "ln": "low", "ct": "low", "zp": "low",
}  # fmt: skip
# What Meta's best practices for the Conversions API call keys of high quality.
BEST_PRACTICES: Final = frozenset({"em", "client_ip_address", "fn", "ln", "ph"})
WEIGHTS: Final[dict[Priority, float]] = {"high": 1.0, "medium": 0.6, "low": 0.3}


class Coverage(msgspec.Struct, frozen=True, kw_only=True):
    """One event name: how many were delivered, and which share of them carried each key, 0 to 1."""

    event_name: str
    delivered: int
    shares: dict[str, float]


class Missing(msgspec.Struct, frozen=True, kw_only=True):
    """An estimate: `weight` is our reading of Meta's priorities, `cost` that times the share without the key."""

    key: str
    share: float
    events: int
    help_page: Priority | None  # None: not in its table
    best_practices: bool
    weight: float
    cost: float


class Unusable(msgspec.Struct, frozen=True, kw_only=True):
    """A field whose values could not be used."""

    site: str
    event_name: str
    place: str
    sample: str
    count: int
    last_ms: int


class MatchKeyReport(msgspec.Struct, frozen=True, kw_only=True):
    site: str | None
    range: str
    delivered: int
    keys: tuple[str, ...]  # the columns
    events: tuple[Coverage, ...]  # the commonest first
    fbc_age_days: dict[str, int]  # by the upper end in days, and "older", "future"
    unusable: tuple[Unusable, ...]
    missing: tuple[Missing, ...]  # the costly first


async def match_keys_page(request: Request) -> Response:
    report = await read_match_keys(request)
    return show(request, "console/match_keys.html", report=report, ages=AGES)


async def match_keys_json(request: Request) -> Response:
    return JsonResponse(await read_match_keys(request), headers=NO_STORE)


async def read_match_keys(request: Request) -> MatchKeyReport:
    store: Store = request.app.state.store
    scope = read_scope(request)
    now_ms: int = request.app.state.clock_ms()
    keys = await read_sums(store, Topic.KEY, scope, now_ms)
    outcomes = await read_sums(store, Topic.OUTCOME, scope, now_ms)
    ages = await read_sums(store, Topic.FBC_AGE, scope, now_ms)
    delivered = {name: sum(counts[each] for each in DELIVERED) for name, counts in outcomes.by_event.items()}
    commonest = sorted((name for name in delivered if delivered[name]), key=lambda name: -delivered[name])
    return MatchKeyReport(
        site=scope.site,
        range=scope.range.name,
        delivered=sum(delivered.values()),
        keys=KEYS,
        events=tuple(
            coverage(name, delivered[name], keys.by_event.get(name, {})) for name in commonest[:NAMES_MAX]
        ),
        fbc_age_days={age: ages.by_name[age] for age in AGES if ages.by_name[age]},
        unusable=tuple(
            Unusable(
                site=issue.site,
                event_name=issue.event_name,
                place=issue.place,
                sample=issue.sample,
                count=issue.count,
                last_ms=issue.last_ms,
            )
            for issue in await store.issues()
            if issue.kind is IssueKind.UNUSABLE_KEY and scope.site in (None, issue.site) and is_open(issue)
        ),
        missing=missing(keys.by_name, sum(delivered.values())),
    )


def coverage(event_name: str, delivered: int, keys: Mapping[str, int]) -> Coverage:
    shares = {key: min(keys.get(key, 0) / delivered, 1.0) for key in KEYS}
    return Coverage(event_name=event_name, delivered=delivered, shares=shares)


def missing(keys: Mapping[str, int], delivered: int) -> tuple[Missing, ...]:
    if not delivered:
        return ()
    rows = []
    for key in KEYS:
        priority, praised = HELP_PAGE.get(key), key in BEST_PRACTICES
        weight = max(WEIGHTS[priority] if priority else 0.0, WEIGHTS["high"] if praised else 0.0)
        events = max(delivered - keys.get(key, 0), 0)
        if weight and events:
            share = events / delivered
            rows.append(
                Missing(
                    key=key,
                    share=share,
                    events=events,
                    help_page=priority,
                    best_practices=praised,
                    weight=weight,
                    cost=weight * share,
                )
            )
    return tuple(sorted(rows, key=lambda row: -row.cost))
