"""Delivery: what waits and how long, the calls to Graph, what has ended without Meta, and sending it again."""

from typing import Final

import msgspec
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from relay.event.outcome import FATE_SENTENCES, AttemptOutcome, Fate, FateReason
from relay.event.tally import Topic
from relay.settings import Settings
from relay.store.protocol import Backlog, PixelAttempt, PixelState, Store
from relay.web.errors import JsonResponse, error
from relay.web.headers import NO_STORE
from relay.web.pages import receipt_path, show
from relay.web.plots import stack
from relay.web.rollup import axis_of, read_sums
from relay.web.scope import read_scope
from relay.web.signin import comes_from_here
from relay.web.waking import wake

CALLS: Final = 25
CALL_WORDS: Final[dict[str, str]] = {
    AttemptOutcome.RECEIPT: "taken",
    AttemptOutcome.RETRY: "to be tried again",
    AttemptOutcome.REJECT: "refused",
    AttemptOutcome.PARK: "token or permission refused",
    AttemptOutcome.UNKNOWN: "without an answer",
}
# What a person may want to send again, each with its usual reason. Quarantined events are a decision of their own.
DEAD: Final[dict[Fate, FateReason]] = {
    Fate.REJECTED: FateReason.REJECTED_BY_META,
    Fate.EXPIRED: FateReason.TOO_OLD,
    Fate.UNKNOWN: FateReason.AMBIGUOUS_SEND,
    Fate.QUARANTINED: FateReason.UNSIGNED,
}


class Queue(msgspec.Struct, frozen=True, kw_only=True):
    """What waits for one pixel; `late_ms` is how long the oldest has been due, None: none is."""

    site: str | None  # None: a pixel that is configured no more
    pixel: str
    waiting: int
    tried: int
    late_ms: int | None
    parked: PixelState | None


class Dead(msgspec.Struct, frozen=True, kw_only=True):
    """Events of the period that ended without Meta having them."""

    fate: Fate
    events: int
    sentence: str


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    site: str | None
    range: str
    since_ms: int
    queues: tuple[Queue, ...]
    calls: dict[str, int]  # by outcome
    dead: tuple[Dead, ...]
    latest: tuple[PixelAttempt, ...]  # newest first


async def delivery_page(request: Request) -> Response:
    scope = read_scope(request)
    now_ms: int = request.app.state.clock_ms()
    calls = await read_sums(request.app.state.store, Topic.CALL, scope, now_ms)
    plot = stack(axis_of(scope, now_ms), calls.by_step, list(CALL_WORDS), CALL_WORDS)
    view = await read_delivery(request)
    return show(request, "console/delivery.html", view=view, plot=plot, words=CALL_WORDS, now_ms=now_ms)


async def delivery_json(request: Request) -> Response:
    return JsonResponse(await read_delivery(request), headers=NO_STORE)


async def read_delivery(request: Request) -> Delivery:
    store: Store = request.app.state.store
    settings: Settings = request.app.state.settings
    scope = read_scope(request)
    now_ms: int = request.app.state.clock_ms()
    owners = {pixel: site.key for site in settings.site for pixel in site.pixel_ids()}
    parked = {state.pixel: state for state in await store.parked()}
    waiting = {each.pixel: each for each in await store.backlog()}
    pixels = [
        pixel for pixel in dict.fromkeys((*owners, *waiting)) if scope.site in (None, owners.get(pixel))
    ]
    fates = await read_sums(store, Topic.FATE, scope, now_ms)
    calls = await read_sums(store, Topic.CALL, scope, now_ms)
    return Delivery(
        site=scope.site,
        range=scope.range.name,
        since_ms=axis_of(scope, now_ms).since_ms,
        queues=tuple(
            _queue(owners.get(pixel), pixel, waiting.get(pixel), parked.get(pixel), now_ms)
            for pixel in pixels
        ),
        calls={outcome: calls.by_name[outcome] for outcome in CALL_WORDS if calls.by_name[outcome]},
        dead=tuple(
            Dead(fate=fate, events=fates.by_name[fate], sentence=FATE_SENTENCES[reason])
            for fate, reason in DEAD.items()
            if fates.by_name[fate]
        ),
        latest=tuple(each for each in await store.attempts(limit=CALLS) if each.pixel in pixels),
    )


def _queue(
    site: str | None, pixel: str, backlog: Backlog | None, parked: PixelState | None, now_ms: int
) -> Queue:
    due_ms = backlog.oldest_due_ms if backlog else None
    return Queue(
        site=site,
        pixel=pixel,
        waiting=backlog.waiting if backlog else 0,
        tried=backlog.tried if backlog else 0,
        late_ms=None if due_ms is None or due_ms > now_ms else now_ms - due_ms,
        parked=parked,
    )


async def post_replay(request: Request) -> Response:
    """Send again: one event by its event_id, or what ended so (`fate`) since the beginning of the period."""
    if not comes_from_here(request):
        return error(403, "cross_site", "This must be sent from the relay's own page.")
    query = request.query_params
    store: Store = request.app.state.store
    now_ms: int = request.app.state.clock_ms()
    if event_id := query.get("event_id"):
        await store.replay(event_ids=[event_id], now_ms=now_ms)
        back = receipt_path(event_id)
    elif (fate := query.get("fate")) in tuple(DEAD):
        scope = read_scope(request)
        since_ms = axis_of(scope, now_ms).since_ms
        await store.replay(fate=Fate(fate), since_ms=since_ms, now_ms=now_ms)
        back = f"/delivery{scope.query}"
    else:
        return error(400, "bad_request", f"Name an event_id, or a fate: {', '.join(DEAD)}.")
    wake(request)
    return RedirectResponse(back, status_code=303, headers=NO_STORE)
