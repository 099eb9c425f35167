"""Issues that no single event shows: what the relay's state and its counts say now.

Each is an `Issue` like those that the store keeps, so that one page and one list hold both.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from starlette.requests import Request

from relay.delivery.graph import Graph
from relay.event.issue import IssueKind, Severity
from relay.event.outcome import AttemptOutcome, BrowserState, Fate, Refusal
from relay.event.tally import Topic
from relay.settings import Settings, Site
from relay.store.protocol import Issue, PixelState, Store
from relay.web.ingest import BY_CHOICE
from relay.web.loads import Loads
from relay.web.radar import RadarFinding, read_radar
from relay.web.rollup import Sums, read_sums
from relay.web.scope import MINUTE_MS, Scope
from relay.web.twin_view import AddressWay, read_twin_addresses

CALLS: Final = 200  # looked back through for Meta's words
LATE_MS: Final = 10 * MINUTE_MS
LOADS_MIN: Final = 3  # fewer are somebody's first look
UNHEARD_MS: Final = 10_000  # longer than a page waits for the Pixel before it posts
BLOCKED_MIN: Final = 3
NO_SUCH_OBJECT: Final = 100  # with subcode 33, the only one of that code that parks a pixel


class Seen(NamedTuple):
    """What the conditions are told by."""

    now_ms: int
    parked: Sequence[PixelState]
    oldest_due_ms: int | None
    refused: Sums
    fates: Sums
    legs: Sums
    ways: Sequence[AddressWay]
    loads: Mapping[str, Loads]
    senders: Sequence[RadarFinding]  # that pages tell of now
    words: str  # Meta's own, of the last call that it refused


async def read_conditions(request: Request, scope: Scope) -> list[Issue]:
    state = request.app.state
    store: Store = state.store
    graph: Graph = state.graph
    settings: Settings = state.settings
    now_ms: int = state.clock_ms()
    totals = await store.totals()
    seen = Seen(
        now_ms=now_ms,
        parked=await store.parked(),
        oldest_due_ms=totals.oldest_due_ms,
        refused=await read_sums(store, Topic.REFUSED, scope, now_ms),
        fates=await read_sums(store, Topic.FATE, scope, now_ms),
        legs=await read_sums(store, Topic.LEG, scope, now_ms),
        ways=read_twin_addresses(await graph.twin_addresses()) or (),
        loads=state.loads.of_sites(),
        senders=[each for each in (await read_radar(request)).findings if not each.gone],
        words=await _last_words(store),
    )
    sites = [site for site in settings.site if scope.site in (None, site.key)]
    return [*conditions(seen, sites, scope.site)]


async def _last_words(store: Store) -> str:
    calls = (each.attempt for each in await store.attempts(limit=CALLS))
    return next((call.message or "" for call in calls if call.outcome is AttemptOutcome.REJECT), "")


def conditions(seen: Seen, sites: Sequence[Site], site: str | None) -> Iterator[Issue]:
    named = site or ("" if len(sites) != 1 else sites[0].key)
    for pixel in seen.parked:
        owner = next((each.key for each in sites if pixel.pixel in each.pixel_ids()), None)
        if owner is not None:
            kind = IssueKind.PIXEL_REFUSED if pixel.code == NO_SUCH_OBJECT else IssueKind.TOKEN_REFUSED
            yield _issue(seen, kind, owner, place=pixel.pixel, first_ms=pixel.parked_ms, sample=pixel.message)
    for each in sites:
        loads = seen.loads.get(each.key)
        if loads is not None and _is_silent(loads, seen.now_ms):
            yield _issue(
                seen, IssueKind.SNIPPET_SILENT, each.key, place=loads.origin,
                first_ms=loads.first_ms, last_ms=loads.last_ms, count=loads.unheard,
            )  # fmt: skip
    if rejected := seen.fates.total(Fate.REJECTED):
        yield _issue(seen, IssueKind.REJECTED, named, count=rejected, sample=seen.words)
    if (late := _late_ms(seen)) is not None:
        yield _issue(seen, IssueKind.LATE, named, first_ms=late)
    for sender in seen.senders:
        if sender.severity is not Severity.LOW:
            yield _issue(
                seen, IssueKind.FOREIGN_SENDER, sender.site, place=sender.sender, first_ms=sender.first_ms,
                last_ms=sender.last_ms, count=sender.pages, sample=f"{sender.name}: {sender.fix}",
            )  # fmt: skip
    differing = sum(way.pairs for way in seen.ways if way.pixel != way.server)
    if differing:
        yield _issue(seen, IssueKind.OTHER_FAMILY, named, count=differing)
    blocked = seen.legs.total(BrowserState.BLOCKED)
    if blocked >= BLOCKED_MIN:
        share = round(100 * blocked / seen.legs.all)
        yield _issue(
            seen, IssueKind.PIXEL_BLOCKED, named, count=blocked, sample=f"{share} % of delivered events"
        )
    if declined := sum(seen.refused.total(reason) for reason in BY_CHOICE - {Refusal.PREFETCH}):
        yield _issue(seen, IssueKind.CONSENT_DENIED, named, count=declined)


def _is_silent(loads: Loads, now_ms: int) -> bool:
    return loads.unheard >= LOADS_MIN and now_ms - loads.first_ms >= UNHEARD_MS


def _late_ms(seen: Seen) -> int | None:
    """Since when the oldest event is due, where that is too long and no parked pixel explains it."""
    if seen.parked or seen.oldest_due_ms is None or seen.now_ms - seen.oldest_due_ms < LATE_MS:
        return None
    return seen.oldest_due_ms


def _issue(
    seen: Seen,
    kind: IssueKind,
    site: str,
    *,
    place: str = "",
    first_ms: int | None = None,
    last_ms: int | None = None,
    count: int = 1,
    sample: str = "",
) -> Issue:
    return Issue(
        kind=kind,
        site=site,
        event_name="",
        place=place,
        event_id="",
        first_ms=0 if first_ms is None else first_ms,
        last_ms=seen.now_ms if last_ms is None else last_ms,
        count=count,
        sample=sample,
    )


def is_open(issue: Issue) -> bool:
    """Not resolved, or seen again since."""
    return issue.resolved_ms is None or issue.last_ms > issue.resolved_ms
