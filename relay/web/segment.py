"""Segment's HTTP API, for its own clients and RudderStack's: see docs/segment.md.

Two kinds of senders, told apart by their key. A site's servers send its secret write key and are believed. Its pages
send the site's public key, from one of its origins; what they say of the visitor's address is not believed.
"""

import asyncio
import base64
import uuid
from typing import Any, Final, NamedTuple

import msgspec
import structlog
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from relay.errors import StoreError
from relay.event.enrich import connection_address, outbox_key
from relay.event.enrich_server import enrich_server
from relay.event.fields import Refused
from relay.event.mapping_preview import preview
from relay.event.outcome import (
    BODY_SENTENCES,
    BODY_STATUS,
    REFUSAL_SENTENCES,
    SEGMENT_SENTENCES,
    SEGMENT_STATUS,
    Fate,
    FateReason,
    Refusal,
    SegmentReason,
)
from relay.event.records import OutboxEvent, RequestFacts
from relay.event.segment import BrowserSource, NoEvent, read_message
from relay.event.segment_batch import BODY_MAX_BYTES, CALLS, Batch, SegmentError, read_batch
from relay.event.wire import WireError
from relay.forms import read_body
from relay.settings import Settings, Site
from relay.web.errors import ErrorWords, JsonResponse, error
from relay.web.headers import NO_STORE
from relay.web.ingest import (
    admit_rows,
    count_refused,
    page_origin,
    request_facts,
    store_unavailable,
    summary,
)
from relay.web.mapping import RECENT_MAX
from relay.web.origin import origin_of, preflight_answer, readable_by_pages
from relay.web.rates import Limited, Rates
from relay.web.server_events import AT_ONCE, site_of_key, take_address

log = structlog.get_logger("relay.web")

# What a visitor has decided is no mistake of the client's.
DECIDED: Final = frozenset({Refusal.CONSENT_DENIED, Refusal.CONSENT_MISSING, Refusal.PRIVACY_CONTROL})


class Source(NamedTuple):
    """Who sends, as far as the key and the Origin tell."""

    site: Site
    browser: BrowserSource | None  # None: one of the site's servers


class RefusedMessage(msgspec.Struct, frozen=True, kw_only=True):
    message_id: str | None
    reason: Refusal
    message: str


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """The 200's body; its counts and the refused add up to the number of messages."""

    success: bool
    accepted: int
    updated: int
    duplicates: int
    ignored: int
    refused: tuple[RefusedMessage, ...]


class RefusedAnswer(Answer, frozen=True, kw_only=True):
    """The same, as the error that a client tells its caller of: nothing was taken."""

    error: ErrorWords


async def post_messages(request: Request) -> Response:
    """One post: refused whole with a 4xx, or 200 with what became of its messages."""
    call = request.path_params["call"]
    if call not in CALLS:
        raise HTTPException(404)
    rates: Rates = request.app.state.rates
    try:
        response = await _take(request, call)
    except Limited as limited:
        response = await rates.answer(limited)
    except SegmentError as refused:
        await count_refused(request, "", [refused.reason])
        response = error(SEGMENT_STATUS[refused.reason], refused.reason, SEGMENT_SENTENCES[refused.reason])
    except WireError as refused:
        await count_refused(request, "", [refused.reason])
        response = error(BODY_STATUS[refused.reason], refused.reason, BODY_SENTENCES[refused.reason])
    except StoreError as failure:
        response = store_unavailable(failure)
    return readable_by_pages(request, response)


async def preflight(request: Request) -> Response:
    """What a page of any site may ask before its post: the clients differ in the headers that they add."""
    asked = request.headers.get("access-control-request-headers") or "authorization, content-type"
    return preflight_answer(request, methods="GET, POST", headers=asked)


async def _take(request: Request, call: str) -> Response:
    facts = request_facts(request, request.app.state.clock_ms())
    state = request.app.state
    key = _basic_key(request.headers)
    if site_of_key(key, state.write_keys, state.settings) is None:
        take_address(request)
    batch = read_batch(
        await read_body(request, BODY_MAX_BYTES, SegmentError(SegmentReason.BATCH_TOO_LARGE)), call
    )
    source = _source(request, facts, key or batch.write_key)
    budget = state.rates.servers if source.browser is None else state.rates.sites
    budget.take(source.site.key, len(batch.messages))
    return await _admit(request, source, batch, facts)


async def _admit(request: Request, source: Source, batch: Batch, facts: RequestFacts) -> Response:
    """Commit what is good in one transaction, and say what was not and why."""
    outcomes = await _outcomes(request, source, batch, facts)
    request.app.state.recent_messages.extend(
        preview(message, outcome, site=source.site.key, received_ms=facts.received_ms)
        for message, outcome in zip(batch.messages[-RECENT_MAX:], outcomes[-RECENT_MAX:], strict=True)
    )
    rows = [outcome for outcome in outcomes if isinstance(outcome, tuple)]
    refused = [outcome for outcome in outcomes if isinstance(outcome, Refused)]
    admissions = await admit_rows(request, rows)
    await count_refused(request, source.site.key, [outcome.reason for outcome in refused])
    counted = summary(admissions)
    answer = Answer(
        success=not refused,
        accepted=counted.accepted,
        updated=counted.updated,
        duplicates=counted.duplicates,
        ignored=sum(isinstance(outcome, NoEvent) for outcome in outcomes),
        refused=tuple(_refused(outcome) for outcome in refused),
    )
    mistaken = any(outcome.reason not in DECIDED for outcome in refused)
    # The clients tell their caller of a 400; they retry none. Where anything was taken it would say too much.
    if mistaken and len(refused) == len(outcomes):
        return _all_refused(answer)
    return JsonResponse(answer, headers=NO_STORE)


def _all_refused(answer: Answer) -> Response:
    reason = SegmentReason.MESSAGES_REFUSED
    words = ErrorWords(reason=reason, message=SEGMENT_SENTENCES[reason])
    refused = RefusedAnswer(**msgspec.structs.asdict(answer), error=words)
    return JsonResponse(refused, status_code=SEGMENT_STATUS[reason], headers=NO_STORE)


async def _outcomes(
    request: Request, source: Source, batch: Batch, facts: RequestFacts
) -> list[tuple[OutboxEvent, ...] | Refused | NoEvent]:
    """Of each message; a large batch lets other requests have their turn."""
    outcomes: list[tuple[OutboxEvent, ...] | Refused | NoEvent] = []
    for number, message in enumerate(batch.messages, start=1):
        outcomes.append(_outcome(request, source, message, batch.sent_at, facts))
        if number % AT_ONCE == 0:
            await asyncio.sleep(0)
    return outcomes


def _outcome(
    request: Request, source: Source, message: Any, sent_at: object, facts: RequestFacts
) -> tuple[OutboxEvent, ...] | Refused | NoEvent:
    """One message: a row for each pixel, why it was refused, or why it is no event."""
    settings: Settings = request.app.state.settings
    site, browser = source
    if isinstance(message, dict) and not message.get("messageId"):
        message = {**message, "messageId": str(uuid.uuid4())}
    event = read_message(message, site.mapping, now_ms=facts.received_ms, sent_at=sent_at, browser=browser)
    if isinstance(event, Refused | NoEvent):
        return event
    if browser is not None and browser.gpc and site.gpc == "drop":
        return Refused(event_id=event.event_id, reason=Refusal.PRIVACY_CONTROL)
    events = enrich_server(event, received_ms=facts.received_ms, site=site, settings=settings)
    if isinstance(events, Refused) or browser is None:
        return events
    if event.event_name in site.require_signature:
        return tuple(map(_quarantined, events))
    if site.rules_of(event.event_name).mode == "split":
        return tuple(map(_for_the_pixel_only, events))
    return events


def _for_the_pixel_only(event: OutboxEvent) -> OutboxEvent:
    """Pages do not send such an event's server half; the backend does, and then this post completes it."""
    if event.fate is not None:
        return event
    return msgspec.structs.replace(
        event, fate=Fate.FILTERED, fate_reason=FateReason.BROWSER_ONLY, order_key=None
    )


def _quarantined(event: OutboxEvent) -> OutboxEvent:
    """A page's word on an event that only the shop's server may vouch for; Segment's format has no signature."""
    return msgspec.structs.replace(
        event,
        key=outbox_key(event.pixel, event.event_name, event.event_id, Fate.QUARANTINED),
        fate=Fate.QUARANTINED,
        fate_reason=FateReason.UNSIGNED,
        order_key=None,
    )


def _refused(outcome: Refused) -> RefusedMessage:
    return RefusedMessage(
        message_id=outcome.event_id, reason=outcome.reason, message=REFUSAL_SENTENCES[outcome.reason]
    )


def _source(request: Request, facts: RequestFacts, key: str | None) -> Source:
    """Raises SegmentError for a key that is none, and WireError for a page that is not the site's."""
    settings: Settings = request.app.state.settings
    origin = origin_of(request.headers)
    if (site := site_of_key(key, request.app.state.write_keys, settings)) is not None:
        if origin is not None:
            raise SegmentError(SegmentReason.SECRET_KEY_IN_BROWSER)
        return Source(site=site, browser=None)
    if (site := settings.site_by_key(key or "")) is None:
        raise SegmentError(SegmentReason.UNKNOWN_WRITE_KEY)
    if origin is None:
        raise SegmentError(SegmentReason.PUBLIC_KEY_WITHOUT_ORIGIN)
    page_origin(origin, site)
    seen = BrowserSource(
        address=connection_address(facts, settings).address,
        user_agent=facts.user_agent,
        fbp=facts.cookies.get("_fbp"),
        fbc=facts.cookies.get("_fbc"),
        gpc=facts.sec_gpc and site.gpc != "ignore",
    )
    return Source(site=site, browser=seen)


def _basic_key(headers: Headers) -> str | None:
    """The user name of Basic authentication: that is where the clients put their write key."""
    scheme, _, coded = headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        return base64.b64decode(coded.strip(), validate=True).decode().partition(":")[0] or None
    except ValueError:
        return None
