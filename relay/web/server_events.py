"""`POST /v1/server-events`: events of backends, payment systems and CRMs. See docs/server-events.md."""

import asyncio
import hmac
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec
import structlog
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response

from relay.errors import StoreError
from relay.event.enrich import connection_address
from relay.event.enrich_server import enrich_server
from relay.event.fields import Refused
from relay.event.outcome import CALL_SENTENCES, CALL_STATUS, REFUSAL_SENTENCES, CallReason, Refusal
from relay.event.records import OutboxEvent
from relay.event.server_wire import BODY_MAX_BYTES, CallError, parse_call, parse_server_event
from relay.forms import read_body
from relay.settings import Settings, Site
from relay.web.errors import JsonResponse, error
from relay.web.headers import NO_STORE, bearer
from relay.web.ingest import admit_rows, count_refused, request_facts, store_unavailable, summary
from relay.web.rates import Limited, Rates, asker

log = structlog.get_logger("relay.web")

SENDER: Final = "POST /v1/server-events"
AT_ONCE: Final = 50  # events that are worked on before other requests have their turn


class RefusedServerEvent(msgspec.Struct, frozen=True, kw_only=True):
    index: int  # in the call
    event_id: str | None
    reason: Refusal
    message: str


class ServerAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The 202's body. The three counts and the refused add up to the number of events sent."""

    accepted: int
    updated: int
    duplicates: int
    refused: tuple[RefusedServerEvent, ...]


async def post_server_events(request: Request) -> Response:
    """One call of a server: refused whole with a 4xx, single events inside the 202."""
    rates: Rates = request.app.state.rates
    try:
        return await _take(request)
    except Limited as limited:
        return await rates.answer(limited)
    except CallError as refused:
        return await _refuse(request, refused.reason)
    except StoreError as failure:
        return store_unavailable(failure)


async def _refuse(request: Request, reason: CallReason) -> Response:
    await count_refused(request, "", [reason])
    headers = {"www-authenticate": "Bearer"} if CALL_STATUS[reason] == 401 else None
    return error(CALL_STATUS[reason], reason, CALL_SENTENCES[reason], headers)


async def _take(request: Request) -> Response:
    settings: Settings = request.app.state.settings
    rates: Rates = request.app.state.rates
    now_ms: int = request.app.state.clock_ms()
    site = _sender(request)
    _check_head(request.headers)
    events = parse_call(await read_body(request, BODY_MAX_BYTES, CallError(CallReason.CALL_TOO_LARGE)))
    rates.servers.take(site.key, len(events))
    outcomes = await enrich_all(events, site, settings, now_ms)
    return await _admit(request, site, outcomes)


def _sender(request: Request) -> Site:
    """The site whose key it is. A wrong one costs its sender's address, so that keys cannot be guessed at speed."""
    key = bearer(request.headers)
    site = site_of_key(key, request.app.state.write_keys, request.app.state.settings)
    if site is None:
        take_address(request)
        raise CallError(CallReason.KEY_MISSING if key is None else CallReason.KEY_UNKNOWN)
    return site


def site_of_key(key: str | None, write_keys: Mapping[str, Sequence[str]], settings: Settings) -> Site | None:
    """Every key is compared, so that the time it takes tells nothing."""
    asked = (key or "").encode()
    found = [
        site
        for site, keys in write_keys.items()
        for each in keys
        if hmac.compare_digest(each.encode(), asked)
    ]
    return settings.site_by_key(found[0]) if found else None


def take_address(request: Request) -> None:
    """Raises Limited where this address has asked too often."""
    settings: Settings = request.app.state.settings
    rates: Rates = request.app.state.rates
    facts = request_facts(request, request.app.state.clock_ms())
    if (who := asker(facts, connection_address(facts, settings), settings)) is not None:
        rates.addresses.take(who)


def _check_head(headers: Headers) -> None:
    if headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise CallError(CallReason.CALL_CONTENT_TYPE)
    if "content-encoding" in headers:
        raise CallError(CallReason.CALL_ENCODED)


async def enrich_all(
    events: Sequence[object], site: Site, settings: Settings, now_ms: int
) -> list[tuple[OutboxEvent, ...] | Refused]:
    """Each event as rows, or why it is refused; a large call lets other requests have their turn."""
    outcomes: list[tuple[OutboxEvent, ...] | Refused] = []
    for number, raw in enumerate(events, start=1):
        event = parse_server_event(raw, pixel_ids=site.pixel_ids(), received_ms=now_ms, sender=SENDER)
        if not isinstance(event, Refused):
            outcomes.append(enrich_server(event, received_ms=now_ms, site=site, settings=settings))
        else:
            outcomes.append(event)
        if number % AT_ONCE == 0:
            await asyncio.sleep(0)
    return outcomes


async def _admit(
    request: Request, site: Site, outcomes: Sequence[tuple[OutboxEvent, ...] | Refused]
) -> Response:
    """Commit what is good in one transaction, and say what was not and why."""
    rows = [outcome for outcome in outcomes if not isinstance(outcome, Refused)]
    admissions = await admit_rows(request, rows)
    refused = tuple(
        RefusedServerEvent(
            index=index, event_id=each.event_id, reason=each.reason, message=REFUSAL_SENTENCES[each.reason]
        )
        for index, each in enumerate(outcomes)
        if isinstance(each, Refused)
    )
    await count_refused(request, site.key, [each.reason for each in refused])
    counted = summary(admissions)
    answer = ServerAnswer(
        accepted=counted.accepted, updated=counted.updated, duplicates=counted.duplicates, refused=refused
    )
    return JsonResponse(answer, status_code=202, headers=NO_STORE)
