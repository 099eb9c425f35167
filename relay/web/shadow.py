"""Shadow mode: what this relay would have sent beside what the incumbent sends, by event_id; a page and JSON."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Final, Literal

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from relay.event.outcome import FATE_SENTENCES, BrowserState, Fate, FateReason
from relay.event.records import Json
from relay.event.shadow import Difference, Lack, differences
from relay.settings import Settings
from relay.store.protocol import EventRow, Filters, Store, StoredReceipt
from relay.web.address_view import shown
from relay.web.errors import JsonResponse
from relay.web.headers import NO_STORE
from relay.web.pages import show
from relay.web.scope import read_scope

ROWS_MAX: Final = 1_000  # events that one report looks at, newest first
SHOWN_MAX: Final = 100

Standing = Literal["same", "differs", "ours only", "theirs only", "not sent", "waiting"]


class ShadowEvent(msgspec.Struct, frozen=True, kw_only=True):
    """One event of one pixel on both sides."""

    pixel: str
    event_name: str
    event_id: str
    event_time_ms: int
    standing: Standing
    sentence: str
    theirs_first: bool  # the incumbent's came before the Pixel's request had arrived
    differences: tuple[Difference, ...]


class FieldCount(msgspec.Struct, frozen=True, kw_only=True):
    """One member over all pairs, with the latest event that shows it."""

    path: str
    differs: int
    ours_only: int
    theirs_only: int
    event_id: str


class ShadowReport(msgspec.Struct, frozen=True, kw_only=True):
    """The events since `since_ms` of the sites in shadow mode; each counted under one standing."""

    site: str | None
    since_ms: int
    in_shadow: tuple[str, ...]  # the keys of the sites
    truncated: bool  # there were more events than one report looks at
    counts: dict[str, int]  # by standing
    theirs_first: int
    fields: tuple[FieldCount, ...]  # the most frequent first
    events: tuple[ShadowEvent, ...]  # those that do not agree first, then the newest


async def shadow_page(request: Request) -> Response:
    return show(request, "console/shadow.html", report=await read_shadow(request))


async def shadow_json(request: Request) -> Response:
    return JsonResponse(await read_shadow(request), headers=NO_STORE)


async def read_shadow(request: Request) -> ShadowReport:
    settings: Settings = request.app.state.settings
    store: Store = request.app.state.store
    scope = read_scope(request)
    since_ms = request.app.state.clock_ms() - scope.range.length_ms
    rows = await store.recent(Filters(site=scope.site, fate=Fate.SHADOWED, limit=ROWS_MAX + 1))
    recent = [row for row in rows[:ROWS_MAX] if row.received_ms >= since_ms]
    ids = dict.fromkeys(row.event_id for row in recent)
    found = [receipt for event_id in ids for receipt in await store.find(event_id)]
    anonymised = settings.privacy.show_addresses == "anonymised"
    return report_of(
        events_of(recent, found, anonymised=anonymised),
        site=scope.site,
        since_ms=since_ms,
        in_shadow=tuple(site.key for site in settings.site if site.shadow),
        truncated=len(rows) > ROWS_MAX,
    )


def events_of(
    rows: Sequence[EventRow], found: Sequence[StoredReceipt], *, anonymised: bool
) -> list[ShadowEvent]:
    """One line per pixel, name and id of the rows; `found` has every receipt of their ids."""
    sides: dict[tuple[str, str, str], dict[bool, StoredReceipt]] = defaultdict(dict)
    for receipt in found:
        row = receipt.row
        sides[row.pixel, row.event_name, row.event_id][_is_theirs(row)] = receipt
    wanted = dict.fromkeys((row.pixel, row.event_name, row.event_id) for row in rows)
    return [
        _event(sides[key].get(False), sides[key].get(True), anonymised=anonymised)
        for key in wanted
        if key in sides
    ]


def report_of(
    events: Sequence[ShadowEvent],
    *,
    site: str | None,
    since_ms: int,
    in_shadow: tuple[str, ...],
    truncated: bool,
) -> ShadowReport:
    order: list[Standing] = ["differs", "theirs only", "not sent", "ours only", "waiting", "same"]
    return ShadowReport(
        site=site,
        since_ms=since_ms,
        in_shadow=in_shadow,
        truncated=truncated,
        counts={standing: sum(each.standing == standing for each in events) for standing in order},
        theirs_first=sum(each.theirs_first for each in events),
        fields=_fields(events),
        events=tuple(sorted(events, key=lambda each: order.index(each.standing))[:SHOWN_MAX]),
    )


def _is_theirs(row: EventRow) -> bool:
    return row.fate_reason is FateReason.INCUMBENT


def _event(ours: StoredReceipt | None, theirs: StoredReceipt | None, *, anonymised: bool) -> ShadowEvent:
    known = ours or theirs
    assert known is not None
    found: tuple[Difference, ...] = ()
    if ours is not None and theirs is not None:
        found = differences(_sent(ours, anonymised=anonymised), _sent(theirs, anonymised=anonymised))
    standing, sentence = _standing(ours, theirs, found)
    return ShadowEvent(
        pixel=known.row.pixel,
        event_name=known.row.event_name,
        event_id=known.row.event_id,
        event_time_ms=known.row.event_time_ms,
        standing=standing,
        sentence=sentence,
        theirs_first=ours is not None and theirs is not None and _theirs_first(ours, theirs),
        differences=found,
    )


def _standing(
    ours: StoredReceipt | None, theirs: StoredReceipt | None, found: Sequence[Difference]
) -> tuple[Standing, str]:
    if ours is None:
        return (
            "theirs only",
            "No page and no server has told this relay of the event, or under another event_id.",
        )
    if ours.fate is None:
        return "waiting", "Still held here; look again when its time has come."
    if ours.fate.fate is not Fate.SHADOWED:
        return "not sent", FATE_SENTENCES[ours.fate.reason]
    if theirs is None:
        return "ours only", "The incumbent has not sent it, or under another event_id."
    if found:
        return "differs", f"{len(found)} {'member differs' if len(found) == 1 else 'members differ'}."
    return "same", "Both sides send the same."


def _sent(receipt: StoredReceipt, *, anonymised: bool) -> Json:
    """The event as Graph would get it; the address as the console may show it."""
    visitor = {
        "client_ip_address": shown(receipt.client_ip_address, anonymised=anonymised),
        "client_user_agent": receipt.client_user_agent,
    }
    event = {
        name: value for name, value in receipt.server_event.items() if name not in ("event_name", "event_id")
    }
    return event | {"user_data": {**event.get("user_data", {}), **visitor}}


def _theirs_first(ours: StoredReceipt, theirs: StoredReceipt) -> bool:
    """Whether the incumbent's copy came while the Pixel's request was still open."""
    leg = ours.legs[-1] if ours.legs else None
    if leg is None or leg.state not in (BrowserState.SENT, BrowserState.LATE):
        return False
    settled_ms = leg.settled_ms if leg.settled_ms is not None else leg.reported_ms
    return theirs.row.received_ms < settled_ms


def _fields(events: Sequence[ShadowEvent]) -> tuple[FieldCount, ...]:
    counts: dict[str, Counter[Lack]] = defaultdict(Counter)
    sample: dict[str, str] = {}
    for event in events:
        for difference in event.differences:
            counts[difference.path][difference.lack] += 1
            sample.setdefault(difference.path, event.event_id)
    return tuple(
        FieldCount(
            path=path,
            differs=n[Lack.DIFFERS],
            ours_only=n[Lack.OURS_ONLY],
            theirs_only=n[Lack.THEIRS_ONLY],
            event_id=sample[path],
        )
        for path, n in sorted(counts.items(), key=lambda item: -item[1].total())
    )
