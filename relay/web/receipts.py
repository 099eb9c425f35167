"""The console's receipts, as pages and as JSON: a list with filters, and everything about one event_id."""

from typing import Final
from urllib.parse import urlencode

import msgspec
from starlette.datastructures import QueryParams
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from relay.delivery.graph import Graph
from relay.event.enrich import key_of_order
from relay.event.normalise import USER_DATA_KEYS
from relay.event.outcome import FATE_SENTENCES, Fate
from relay.settings import GRAPH_URL, Settings
from relay.store.protocol import EventRow, Filters, Store
from relay.web.errors import JsonResponse, error
from relay.web.headers import NO_STORE
from relay.web.pages import receipt_path, show
from relay.web.receipt_view import BROWSER_SENTENCES, ReceiptsOfEvent, receipts_of_event
from relay.web.timeline import Lane, dots

PAGE_ROWS: Final = 50
MAX_ROWS: Final = 500
WAITING: Final = "waiting"
USER_DATA_BADGES: Final = (*USER_DATA_KEYS, "fbp", "fbc", "client_ip_address", "client_user_agent")
UNKNOWN_EVENT_ID: Final = (
    "No receipt has this event_id: it has not arrived, was not accepted, or its time to be kept is over."
)


class ReceiptList(msgspec.Struct, frozen=True, kw_only=True):
    """One page of the list, newest first; `next_before` asks for the older rows, None at the end."""

    receipts: list[EventRow]
    next_before: int | None


async def list_page(request: Request) -> Response:
    query = request.query_params
    if sought := query.get("event_id", "").strip():
        event_id = await find_event_id(request, sought)
        return RedirectResponse(receipt_path(event_id), status_code=303, headers=NO_STORE)
    filters = read_filters(query)
    page = await read_list(request.app.state.store, filters)
    store: Store = request.app.state.store
    settings: Settings = request.app.state.settings
    return show(
        request,
        "console/receipts.html",
        page=page,
        filters=filters,
        sites=[site.key for site in settings.site],
        event_names=await store.event_names(),
        fates=list(Fate),
        totals=await store.totals(),
        parked=await store.parked(),
        graph_url=None if settings.server.graph_url == GRAPH_URL else settings.server.graph_url,
        browser_sentences={str(state): sentence for state, sentence in BROWSER_SENTENCES.items()},
        fate_sentences=FATE_SENTENCES,
        older_query=older_query(query, page.next_before),
    )


async def find_event_id(request: Request, sought: str) -> str:
    """The event_id of a Purchase with this order_id, where there is one; else what was sought is an event_id."""
    store: Store = request.app.state.store
    settings: Settings = request.app.state.settings
    pixels = (pixel for site in settings.site for pixel in site.pixel_ids())
    return next(iter(await store.orders([key_of_order(pixel, sought) for pixel in pixels])), sought)


async def list_json(request: Request) -> Response:
    page = await read_list(request.app.state.store, read_filters(request.query_params))
    return JsonResponse(page, headers=NO_STORE)


async def receipt_page(request: Request) -> Response:
    view = await read_receipts(request)
    if not view.receipts:
        title = "No such receipt"
        return show(request, "console/error.html", status=404, title=title, message=UNKNOWN_EVENT_ID)
    charts = [dots(receipt.timeline) for receipt in view.receipts]
    return show(
        request, "console/receipt.html", view=view, charts=charts, lanes=list(Lane), badges=USER_DATA_BADGES
    )


async def receipt_json(request: Request) -> Response:
    view = await read_receipts(request)
    if not view.receipts:
        return error(404, "unknown_event_id", UNKNOWN_EVENT_ID)
    return JsonResponse(view, headers=NO_STORE)


async def read_receipts(request: Request) -> ReceiptsOfEvent:
    store: Store = request.app.state.store
    graph: Graph = request.app.state.graph
    event_id: str = request.path_params["event_id"]
    settings: Settings = request.app.state.settings
    found = await store.find(event_id)
    return receipts_of_event(
        event_id,
        found,
        await graph.twin_arrivals(event_id) if found else None,
        anonymised=settings.privacy.show_addresses == "anonymised",
    )


async def read_list(store: Store, filters: Filters) -> ReceiptList:
    """The asked page. One row more than wanted is read, to know whether there is an older page."""
    rows = await store.recent(msgspec.structs.replace(filters, limit=filters.limit + 1))
    page = rows[: filters.limit]
    return ReceiptList(receipts=page, next_before=page[-1].row_id if len(rows) > len(page) else None)


def read_filters(query: QueryParams) -> Filters:
    """The list's filters: site, event_name, fate (or "waiting"), before, limit. Empty ones filter nothing."""
    fate = query.get("fate") or None
    if fate not in (None, WAITING, *Fate):
        raise HTTPException(400, f"fate must be {WAITING} or one of {', '.join(Fate)}.")
    return Filters(
        site=query.get("site") or None,
        event_name=query.get("event_name") or None,
        fate=None if fate in (None, WAITING) else Fate(fate),
        waiting=fate == WAITING,
        before_row_id=_number(query, "before"),
        limit=min(_number(query, "limit") or PAGE_ROWS, MAX_ROWS),
    )


def _number(query: QueryParams, name: str) -> int | None:
    text = query.get(name, "")
    if not text:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) <= 18):
        raise HTTPException(400, f"{name} must be a whole number.")
    return int(text)


def older_query(query: QueryParams, next_before: int | None) -> str | None:
    """The same list, one page further; None at the end."""
    if next_before is None:
        return None
    kept = [(name, value) for name, value in query.items() if name != "before" and value]
    return urlencode([*kept, ("before", str(next_before))])
