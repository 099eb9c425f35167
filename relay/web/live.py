"""The Live page: the newest events as they come and as they end, pushed to those who look (server-sent events)."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec
from jinja2 import Environment
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from relay.event.address import Family
from relay.event.families import family_path
from relay.event.outcome import FATE_SENTENCES, Fate, FateReason
from relay.event.records import Json
from relay.settings import Settings
from relay.store.protocol import Status, Store, StoredReceipt
from relay.web.errors import JsonResponse, error
from relay.web.headers import NO_STORE
from relay.web.pages import show
from relay.web.receipt_view import BROWSER_SENTENCES, First, keys_of, order_of, server_sends
from relay.web.scope import read_scope

ROWS: Final = 100
LISTENERS_MAX: Final = 20
LOOK_SECONDS: Final = 1.0
BEAT_LOOKS: Final = 15  # a comment every so often, so that a proxy does not take the stream for dead
TOO_MANY: Final = "Too many people watch at once. Close a Live page, or reload this one now and then."

# In the order of the badges; those of a name and address are counted together.
BADGES: Final = ("em", "ph", "external_id", "fbc", "fbp", "client_ip_address", "client_user_agent")


class LiveRow(msgspec.Struct, frozen=True, kw_only=True):
    """One event for one pixel, as the page shows it."""

    row_id: int
    site: str
    pixel: str
    event_name: str
    event_id: str
    page: str  # the path of the page, without its query
    event_time_ms: int
    state: str  # of the browser half
    first: First
    delay_ms: int | None  # from the browser half's settlement to the call to Graph
    status: Status
    fate: Fate | None
    fate_reason: FateReason | None
    page_family: Family | None
    sent_family: Family | None
    keys: tuple[str, ...]
    value: str | None
    currency: str | None


class LiveRows(msgspec.Struct, frozen=True, kw_only=True):
    rows: tuple[LiveRow, ...]  # newest first


class Feed:
    """What all who look share: one look at the store a second, however many they are."""

    def __init__(self) -> None:
        self.listeners = 0
        self._looked: dict[str | None, tuple[float, tuple[LiveRow, ...]]] = {}
        self._lock = asyncio.Lock()

    async def rows(self, store: Store, site: str | None) -> tuple[LiveRow, ...]:
        """The newest rows, not older than a second."""
        now = asyncio.get_running_loop().time()
        async with self._lock:
            looked_at, rows = self._looked.get(site, (-LOOK_SECONDS, ()))
            if now - looked_at >= LOOK_SECONDS:
                rows = tuple(live_row(stored) for stored in await store.latest(site=site, limit=ROWS))
                self._looked[site] = (now, rows)
        return rows


def live_row(stored: StoredReceipt) -> LiveRow:
    row, event = stored.row, stored.server_event
    order = order_of(stored.legs[-1] if stored.legs else None, server_sends(stored.attempts))
    custom_data: Json = event.get("custom_data") or {}
    path = family_path(stored.addresses)
    value = custom_data.get("value")
    return LiveRow(
        row_id=row.row_id,
        site=row.site,
        pixel=row.pixel,
        event_name=row.event_name,
        event_id=row.event_id,
        page=_page(event),
        event_time_ms=row.event_time_ms,
        state=row.state,
        first=order.first,
        delay_ms=order.delay_ms,
        status=row.status,
        fate=row.fate,
        fate_reason=row.fate_reason,
        page_family=path.page if path else None,
        sent_family=path.sent if path else None,
        keys=keys_of(stored),
        value=None if value is None else f"{value:.2f}" if isinstance(value, int | float) else str(value),
        currency=str(custom_data["currency"]) if "currency" in custom_data else None,
    )


def _page(event: Json) -> str:
    try:
        return urlsplit(str(event.get("event_source_url") or "")).path
    except ValueError:
        return ""


def known_site(request: Request) -> str | None:
    """The asked site where it is one of ours: each keeps a look of its own."""
    settings: Settings = request.app.state.settings
    site = read_scope(request).site
    return site if site is None or settings.site_by_key(site) else ""


async def live_page(request: Request) -> Response:
    rows = await _rows(request.app, known_site(request))
    names = sorted({row.event_name for row in rows})
    return show(
        request, "console/live.html", rows=rows, names=names, fates=list(Fate), badges=BADGES, **_sentences()
    )


async def live_json(request: Request) -> Response:
    return JsonResponse(LiveRows(rows=await _rows(request.app, known_site(request))), headers=NO_STORE)


async def live_stream(request: Request) -> Response:
    """`text/event-stream`: each row that is new or has changed, as the page would draw it."""
    feed: Feed = request.app.state.feed
    if feed.listeners >= LISTENERS_MAX:
        return error(503, "too_many_listeners", TOO_MANY, {"retry-after": "60"})
    return StreamingResponse(
        stream(request, known_site(request)), media_type="text/event-stream", headers=NO_STORE
    )


async def stream(request: Request, site: str | None) -> AsyncGenerator[str, None]:
    state = request.app.state
    feed: Feed = state.feed
    pages: Environment = state.pages
    template = pages.get_template("console/live_row.html")
    sent: dict[int, LiveRow] = {}
    looks = 0
    feed.listeners += 1
    try:
        while not state.draining:
            rows = await _rows(request.app, site)
            for row in reversed(rows):
                if sent.get(row.row_id) != row:
                    html = template.render(row=row, badges=BADGES, **_sentences())
                    yield f"data: {msgspec.json.encode({'id': row.row_id, 'html': html}).decode()}\n\n"
            sent = {row.row_id: row for row in rows}
            looks += 1
            if looks % BEAT_LOOKS == 0:
                yield ": still here\n\n"
            await asyncio.sleep(LOOK_SECONDS)
    finally:
        feed.listeners -= 1


async def _rows(app: Starlette, site: str | None) -> tuple[LiveRow, ...]:
    feed: Feed = app.state.feed
    return await feed.rows(app.state.store, site)


def _sentences() -> dict[str, Any]:
    return {
        "browser_sentences": {str(state): sentence for state, sentence in BROWSER_SENTENCES.items()},
        "fate_sentences": {str(reason): sentence for reason, sentence in FATE_SENTENCES.items()},
    }
