"""The radar: who else sends which events, with or without ids, and what to turn off; as a page and as JSON."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from relay.event.issue import Severity
from relay.event.quality import Share
from relay.event.radar import VERDICT_WORDS, Verdict, fix_of, name_of, verdict_of
from relay.event.report import PAGE
from relay.settings import Settings
from relay.store.protocol import SenderCount, Store
from relay.web.errors import JsonResponse
from relay.web.headers import NO_STORE
from relay.web.pages import show
from relay.web.quality import PixelQuality, QualityReport, read_quality_report
from relay.web.scope import read_scope

DAY_MS: Final = 86_400_000
GONE_MS: Final = DAY_MS  # as long as pages were looked at and none named it


class SenderEvents(msgspec.Struct, frozen=True, kw_only=True):
    """Requests of one event and pixel, by whose id they carried."""

    event_name: str
    pixel: str
    ours: int
    own: int
    none: int


class RadarFinding(msgspec.Struct, frozen=True, kw_only=True):
    """One sender on one site, with what to do."""

    site: str
    sender: str
    name: str
    verdict: Verdict
    severity: Severity
    title: str
    sentence: str
    fix: str
    verify: str
    gone: bool  # no page has named it for a day, and pages were looked at
    first_ms: int
    last_ms: int
    pages: int  # that named it
    events: tuple[SenderEvents, ...]


class SenderShare(msgspec.Struct, frozen=True, kw_only=True):
    """One event name at Meta: all senders beside this relay."""

    event_name: str
    share: Share
    sentence: str
    coverage: float | None  # percent of the Pixel's events, by all senders
    coverage_ours: float | None


class AtMeta(msgspec.Struct, frozen=True, kw_only=True):
    """What the Dataset Quality API tells of one pixel's senders."""

    pixel: str
    site: str
    asked_ms: int | None
    problem: str | None
    events: tuple[SenderShare, ...]


class RadarReport(msgspec.Struct, frozen=True, kw_only=True):
    """What the pages of the site, or of all, have told since `since_ms`."""

    site: str | None
    since_ms: int
    pages: int  # that were looked at
    last_page_ms: int | None
    in_step: int  # Pixel requests that carried an id of ours
    at_meta: tuple[AtMeta, ...]
    findings: tuple[RadarFinding, ...]  # what is still there first, the costly ones first


async def radar_page(request: Request) -> Response:
    return show(request, "console/radar.html", report=await read_radar(request))


async def radar_json(request: Request) -> Response:
    return JsonResponse(await read_radar(request), headers=NO_STORE)


async def read_radar(request: Request) -> RadarReport:
    store: Store = request.app.state.store
    settings: Settings = request.app.state.settings
    scope = read_scope(request)
    since_ms = request.app.state.clock_ms() - scope.range.length_ms
    rows = await store.senders(since_ms=since_ms, site=scope.site)
    quality = await read_quality_report(request)
    return report_of(rows, settings, quality, site=scope.site, since_ms=since_ms)


def report_of(
    rows: Sequence[SenderCount],
    settings: Settings,
    quality: QualityReport,
    *,
    site: str | None,
    since_ms: int,
) -> RadarReport:
    looked = [row for row in rows if row.sender == PAGE]
    last_page_ms = {row.site: row.last_ms for row in looked}
    grouped: dict[tuple[str, str, Verdict], list[SenderCount]] = defaultdict(list)
    for row in rows:
        known = settings.site_by_key(row.site)
        verdict = verdict_of(row.sender, row.pixel, row.ids, known.pixel_ids() if known else ())
        if verdict is not None:
            grouped[row.site, row.sender, verdict].append(row)
    findings = [_finding(*about, told, last_page_ms.get(about[0], 0)) for about, told in grouped.items()]
    return RadarReport(
        site=site,
        since_ms=since_ms,
        pages=sum(row.pages for row in looked),
        last_page_ms=max(last_page_ms.values(), default=None),
        in_step=sum(row.count for row in rows if row.ids == "ours"),
        at_meta=tuple(map(_at_meta, quality.pixels)),
        findings=tuple(sorted(findings, key=lambda each: (each.gone, list(Severity).index(each.severity)))),
    )


def _finding(
    site: str, sender: str, verdict: Verdict, told: Sequence[SenderCount], last_page_ms: int
) -> RadarFinding:
    words = VERDICT_WORDS[verdict]
    last_ms = max(row.last_ms for row in told)
    return RadarFinding(
        site=site,
        sender=sender,
        name=name_of(sender),
        verdict=verdict,
        severity=words.severity,
        title=words.title,
        sentence=words.sentence,
        fix=fix_of(sender, verdict),
        verify=words.verify,
        gone=last_page_ms - last_ms >= GONE_MS,
        first_ms=min(row.first_ms for row in told),
        last_ms=last_ms,
        pages=max(row.pages for row in told),
        events=_lines(told),
    )


def _at_meta(pixel: PixelQuality) -> AtMeta:
    return AtMeta(
        pixel=pixel.pixel,
        site=pixel.site,
        asked_ms=pixel.asked_ms,
        problem=pixel.problem,
        events=tuple(
            SenderShare(
                event_name=event.event_name,
                share=event.share,
                sentence=event.share_sentence,
                coverage=event.coverage,
                coverage_ours=event.coverage_ours,
            )
            for event in pixel.events
        ),
    )


def _lines(told: Sequence[SenderCount]) -> tuple[SenderEvents, ...]:
    """One line per event name and pixel; a loader that sends nothing that the page can see has none."""
    counts: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for row in told:
        if row.ids or row.pixel:
            counts[row.event_name, row.pixel][row.ids] += row.count
    return tuple(
        SenderEvents(event_name=name, pixel=pixel, ours=n["ours"], own=n["own"], none=n["none"])
        for (name, pixel), n in counts.items()
    )
