"""`POST /v1/report`: what a page's radar tells of other senders. Authenticated and bounded as events are."""

import structlog
from starlette.requests import Request
from starlette.responses import Response

from relay.errors import StoreError
from relay.event.enrich import connection_address
from relay.event.outcome import BODY_SENTENCES, BODY_STATUS
from relay.event.report import PAGE, PIXEL, parse_report
from relay.event.wire import WireError
from relay.settings import Settings
from relay.store.protocol import Store
from relay.web.errors import error
from relay.web.ingest import check_head, known_site, page_origin, read_post, request_facts
from relay.web.origin import origin_of, readable_by_pages
from relay.web.rates import Limited, Rates, asker

log = structlog.get_logger("relay.web")


async def post_report(request: Request) -> Response:
    """204 once it is counted. A page does not wait for it: it comes by sendBeacon."""
    settings: Settings = request.app.state.settings
    origin = origin_of(request.headers)
    try:
        await _take(request, settings, origin)
        response = Response(status_code=204)
    except Limited as limited:
        response = await request.app.state.rates.answer(limited)
    except WireError as refused:
        response = error(BODY_STATUS[refused.reason], refused.reason, BODY_SENTENCES[refused.reason])
    except StoreError as failure:
        log.error("report_not_counted", kind=type(failure).__name__)
        response = error(
            503, "store_unavailable", "The relay cannot count this report now; the next will do."
        )
    return readable_by_pages(request, response)


async def _take(request: Request, settings: Settings, origin: str | None) -> None:
    rates: Rates = request.app.state.rates
    store: Store = request.app.state.store
    now_ms: int = request.app.state.clock_ms()
    facts = request_facts(request, now_ms)
    if (who := asker(facts, connection_address(facts, settings), settings)) is not None:
        rates.addresses.take(who)
    check_head(request.headers, origin)
    report = parse_report(await read_post(request))
    site = known_site(settings, report.site_key)
    page_origin(origin, site)
    rates.sites.take(site.key)
    if report.seen:
        await store.note_senders(site.key, report.seen, now_ms)
        request.app.state.metrics.seen_elsewhere(
            site.key, {seen.sender for seen in report.seen} - {PAGE, PIXEL}
        )
