"""`GET /policy.js?site=KEY`: a page says that its own Content Security Policy keeps its posts from the relay.

Where `connect-src` lacks the relay nothing can be posted, but what let the snippet in lets one more script in. So the
report is a script: an empty one, whose address says all there is to say.
"""

from typing import Final

import structlog
from starlette.requests import Request
from starlette.responses import Response

from relay.errors import StoreError
from relay.event.enrich import connection_address
from relay.event.issue import IssueKind
from relay.event.outcome import BODY_SENTENCES, BODY_STATUS
from relay.event.wire import WireError
from relay.settings import Settings
from relay.store.protocol import IssueSeen, Store
from relay.web.errors import error
from relay.web.headers import NO_STORE
from relay.web.ingest import known_site, page_origin, request_facts
from relay.web.origin import origin_of
from relay.web.rates import Limited, Rates, asker

PAGE_POLICY: Final = "page_policy"  # among the reasons of refusals, and counted with them

log = structlog.get_logger("relay.web")


async def get_policy(request: Request) -> Response:
    """Count it for the site, as a refusal that happened in the browser, and note the issue."""
    settings: Settings = request.app.state.settings
    store: Store = request.app.state.store
    rates: Rates = request.app.state.rates
    now_ms: int = request.app.state.clock_ms()
    facts = request_facts(request, now_ms)
    try:
        if (who := asker(facts, connection_address(facts, settings), settings)) is not None:
            rates.addresses.take(who)
        site = known_site(settings, request.query_params.get("site", ""))
        page = page_origin(origin_of(request.headers), site)
        await store.count_refused(site.key, PAGE_POLICY, now_ms)
        await store.note(IssueSeen(site.key, IssueKind.PAGE_POLICY, "", page, ""), now_ms=now_ms)
    except Limited as limited:
        return await rates.answer(limited)
    except WireError as refused:
        return error(BODY_STATUS[refused.reason], refused.reason, BODY_SENTENCES[refused.reason])
    except StoreError as failure:
        log.warning("issue_not_noted", kind=type(failure).__name__)
    headers = {**NO_STORE, "access-control-allow-origin": page, "vary": "Origin"}
    return Response(b"", media_type="text/javascript", headers=headers)
