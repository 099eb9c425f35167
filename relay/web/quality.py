"""Quality from Meta: what its Dataset Quality API said last, beside what this relay sent; as a page and as JSON."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from relay.delivery.quality import QualityPoll
from relay.event.quality import (
    KEY_OF,
    SHARE_SENTENCES,
    DedupKey,
    EventQuality,
    MetaDiagnostic,
    QualityRecord,
    Share,
    shares,
)
from relay.event.tally import Outcome, Topic
from relay.settings import GRAPH_URL, Settings, Site
from relay.store.protocol import TWO_HOURS_MS, Counts, Store
from relay.web.errors import JsonResponse, error
from relay.web.headers import NO_STORE
from relay.web.pages import show
from relay.web.scope import DAY_MS, read_scope
from relay.web.signin import comes_from_here

WINDOW_MS: Final = 7 * DAY_MS  # what Meta averages over
TREND_MS: Final = 30 * DAY_MS
GOOD_SCORE: Final = 6.0  # Meta's own advice
SENT: Final = frozenset({Outcome.PAIRED, Outcome.REVERSED, Outcome.UNSURE, Outcome.SERVER_ONLY})


class MatchKey(msgspec.Struct, frozen=True, kw_only=True):
    """One match key of one event, in percent of its server events."""

    identifier: str  # as Meta calls it
    key: str | None  # as it is sent
    at_meta: float | None
    sent: float | None  # None: no event of this name was delivered in that time
    gain: float | None  # Meta's estimate


class ScoreOfDay(msgspec.Struct, frozen=True, kw_only=True):
    at_ms: int
    match_quality: float


class EventReport(msgspec.Struct, frozen=True, kw_only=True):
    """One event name of one pixel."""

    event_name: str
    delivered: int  # by this relay, in seven days
    match_quality: float | None  # 0 to 10
    trend: tuple[ScoreOfDay, ...]
    coverage: float | None
    coverage_goal: float | None
    freshness: str | None
    keys: tuple[MatchKey, ...]
    dedup: tuple[DedupKey, ...]
    diagnostics: tuple[MetaDiagnostic, ...]
    share: Share
    share_sentence: str
    coverage_ours: float | None


class PixelQuality(msgspec.Struct, frozen=True, kw_only=True):
    """What Meta said of one pixel."""

    pixel: str
    site: str
    asked_ms: int | None  # None: not yet
    problem: str | None
    refused: bool
    events: tuple[EventReport, ...]


class QualityReport(msgspec.Struct, frozen=True, kw_only=True):
    """Every pixel of the site, or of all. Not verified against live Meta."""

    site: str | None
    every_hours: float  # 0: only when somebody asks
    is_meta: bool  # whether graph_url is Meta's; a twin's score is a sum of its own
    pixels: tuple[PixelQuality, ...]


async def quality_page(request: Request) -> Response:
    report = await read_quality_report(request)
    return show(request, "console/quality.html", report=report, good_score=GOOD_SCORE)


async def quality_json(request: Request) -> Response:
    return JsonResponse(await read_quality_report(request), headers=NO_STORE)


async def ask_quality(request: Request) -> Response:
    """Ask Meta now, for every pixel that the page shows; then back to the page."""
    if not comes_from_here(request):
        return error(403, "cross_site", "This must be sent from the relay's own page.")
    poll: QualityPoll = request.app.state.quality_poll
    scope = read_scope(request)
    for site in _sites(request.app.state.settings, scope.site):
        for pixel in site.pixel_ids():
            await poll.ask_now(pixel)
    return RedirectResponse(f"/quality{scope.query}", status_code=303, headers=NO_STORE)


async def read_quality_report(request: Request) -> QualityReport:
    settings: Settings = request.app.state.settings
    store: Store = request.app.state.store
    scope = read_scope(request)
    now_ms: int = request.app.state.clock_ms()
    records = await store.quality(since_ms=now_ms - TREND_MS)
    pixels = [
        pixel
        for site in _sites(settings, scope.site)
        for pixel in _pixels(site, records, await sent_keys(store, site.key, now_ms))
    ]
    return QualityReport(
        site=scope.site,
        every_hours=settings.delivery.quality_hours,
        is_meta=settings.server.graph_url == GRAPH_URL,
        pixels=tuple(pixels),
    )


class SentKeys(msgspec.Struct, frozen=True):
    """Deliveries of one event name, and how many of them carried each key."""

    delivered: int
    keys: dict[str, int]


async def sent_keys(store: Store, site: str, now_ms: int) -> dict[str, SentKeys]:
    """By event name, what this relay delivered for the site in the time that Meta averages over."""
    since_ms = now_ms - WINDOW_MS
    outcomes = await store.counts(Topic.OUTCOME, step_ms=TWO_HOURS_MS, since_ms=since_ms, site=site)
    keys = await store.counts(Topic.KEY, step_ms=TWO_HOURS_MS, since_ms=since_ms, site=site)
    delivered = _summed([count for count in outcomes if count.name in SENT])
    carried = _summed(keys)
    return {name: SentKeys(sum(n.values()), dict(carried[name])) for name, n in delivered.items()}


def _summed(counts: Sequence[Counts]) -> defaultdict[str, defaultdict[str, int]]:
    summed: defaultdict[str, defaultdict[str, int]] = defaultdict(lambda: defaultdict(int))
    for count in counts:
        summed[count.event_name][count.name] += count.n
    return summed


def latest(records: Sequence[QualityRecord], pixel: str) -> tuple[QualityRecord | None, QualityRecord | None]:
    """The last word on all senders, and the one on this relay that was asked with it."""
    of_all = [each for each in records if (each.pixel, each.scope) == (pixel, "all")]
    ours = [each for each in records if (each.pixel, each.scope) == (pixel, "ours")]
    if not of_all:
        return None, None
    together = ours and ours[-1].at_ms >= of_all[-1].at_ms and ours[-1].problem is None
    return of_all[-1], ours[-1] if together else None


def _sites(settings: Settings, key: str | None) -> list[Site]:
    return [site for site in settings.site if key in (None, site.key)]


def _pixels(site: Site, records: Sequence[QualityRecord], sent: Mapping[str, SentKeys]) -> list[PixelQuality]:
    return [_pixel(site.key, pixel, records, sent) for pixel in site.pixel_ids()]


def _pixel(
    site: str, pixel: str, records: Sequence[QualityRecord], sent: Mapping[str, SentKeys]
) -> PixelQuality:
    everybody, ours = latest(records, pixel)
    if everybody is None:
        return PixelQuality(pixel=pixel, site=site, asked_ms=None, problem=None, refused=False, events=())
    of_whom = shares(everybody.events, ours.events) if ours else {}
    own = {event.event_name: event for event in ours.events} if ours else {}
    events = [
        _event(
            event,
            _trend(records, pixel, event.event_name),
            sent.get(event.event_name, SentKeys(0, {})),
            of_whom.get(event.event_name, Share.UNKNOWN),
            own.get(event.event_name),
        )
        for event in everybody.events
    ]
    return PixelQuality(
        pixel=pixel,
        site=site,
        asked_ms=everybody.at_ms,
        problem=everybody.problem,
        refused=everybody.refused,
        events=tuple(sorted(events, key=lambda event: -event.delivered)),
    )


def _trend(records: Sequence[QualityRecord], pixel: str, event_name: str) -> tuple[ScoreOfDay, ...]:
    return tuple(
        ScoreOfDay(at_ms=record.at_ms, match_quality=event.match_quality)
        for record in records
        if (record.pixel, record.scope) == (pixel, "all")
        for event in record.events
        if event.event_name == event_name and event.match_quality is not None
    )


def _event(
    event: EventQuality,
    trend: tuple[ScoreOfDay, ...],
    sent: SentKeys,
    share: Share,
    ours: EventQuality | None,
) -> EventReport:
    return EventReport(
        event_name=event.event_name,
        delivered=sent.delivered,
        match_quality=event.match_quality,
        trend=trend,
        coverage=event.coverage,
        coverage_goal=event.coverage_goal,
        freshness=event.freshness,
        keys=_keys(event, sent),
        dedup=event.dedup,
        diagnostics=event.diagnostics,
        share=share,
        share_sentence=SHARE_SENTENCES[share],
        coverage_ours=ours.coverage if ours else None,
    )


def _keys(event: EventQuality, sent: SentKeys) -> tuple[MatchKey, ...]:
    """Meta's keys in its order, then those that were sent and of which it says nothing."""
    told = {row.identifier: row for row in event.keys}
    silent = [key for key in sent.keys if key not in {KEY_OF.get(name) for name in told}]
    rows = [
        MatchKey(
            identifier=name,
            key=(key := KEY_OF.get(name)),
            at_meta=row.coverage,
            sent=_percent(sent, key),
            gain=row.gain,
        )
        for name, row in told.items()
    ]
    return (
        *rows,
        *(
            MatchKey(identifier=key, key=key, at_meta=None, sent=_percent(sent, key), gain=None)
            for key in sorted(silent)
        ),
    )


def _percent(sent: SentKeys, key: str | None) -> float | None:
    if not sent.delivered or key is None:
        return None
    return round(100 * sent.keys.get(key, 0) / sent.delivered, 1)
