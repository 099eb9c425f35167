"""`POST /graph/{version}/{pixel}/events`: Graph's own address on this relay, for Meta's SDKs. See docs/graph-sdk.md.

Answers in Graph's shapes. As with Graph, one bad event refuses the whole call; unlike Graph, the answer names it.
"""

import asyncio
import hmac
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
import structlog
from starlette.requests import Request
from starlette.responses import Response

from relay.delivery.courier import Courier
from relay.delivery.graph import PixelAccess
from relay.errors import StoreError
from relay.event.enrich import outbox_key
from relay.event.enrich_server import enrich_server
from relay.event.fields import Refused
from relay.event.graph_wire import (
    GraphCallError,
    GraphEvent,
    messages,
    read_data,
    read_graph_event,
    read_json,
)
from relay.event.outcome import RATE_SENTENCES, REFUSAL_SENTENCES, Fate, FateReason
from relay.event.records import OutboxEvent
from relay.event.server_wire import BODY_MAX_BYTES
from relay.forms import BodyError, form_fields, last_wins, query_fields, read_body
from relay.graph_answers import GraphError, accepted, refusal
from relay.settings import Settings, Site
from relay.web.headers import bearer
from relay.web.ingest import admit_rows, count_refused
from relay.web.rates import Limited, Rates
from relay.web.server_events import AT_ONCE, take_address

log = structlog.get_logger("relay.web")

VERSION: Final = re.compile(r"v[0-9]{1,3}\.[0-9]{1,2}")
Fields = Mapping[str, Any]


class CallRefusedError(Exception):
    def __init__(self, error: GraphError) -> None:
        super().__init__(error.message)
        self.error = error


async def post_graph_events(request: Request) -> Response:
    """One call of an SDK: taken whole, or refused whole in Graph's words."""
    try:
        return await _take(request)
    except CallRefusedError as refused:
        return refusal(refused.error)
    except (GraphCallError, BodyError) as unreadable:
        return refusal(GraphError(code=100, message=str(unreadable)))
    except Limited as limited:
        rates: Rates = request.app.state.rates
        await rates.hold_back()
        # Graph's own throttle: SDKs know code 4.
        throttled = GraphError(
            status=429, code=4, message=f"(#4) {RATE_SENTENCES[limited.reason]}", is_transient=True
        )
        return refusal(throttled, headers={"retry-after": str(limited.retry_after_seconds)})
    except StoreError as failure:
        log.error("store_unavailable", kind=type(failure).__name__)
        message = "(#2) The relay cannot commit events now. Keep them and come back."
        return refusal(GraphError(status=503, code=2, message=message, is_transient=True))


async def _take(request: Request) -> Response:
    site, fields = await _authenticated(request)
    data = read_data(fields.get("data"))
    rates: Rates = request.app.state.rates
    rates.servers.take(site.key, len(data))
    events, outcomes = await _enrich_all(request, site, data)
    rows = [outcome for outcome in outcomes if not isinstance(outcome, Refused)]
    if site.shadow:
        rows = [tuple(map(as_incumbents, events_of_one)) for events_of_one in rows]
    refused = [outcome.reason for outcome in outcomes if isinstance(outcome, Refused)]
    await count_refused(request, site.key, refused)
    if refused:
        raise CallRefusedError(_bad_event(outcomes))
    await admit_rows(request, rows)
    return accepted(len(rows), messages(events, fields))


async def _authenticated(request: Request) -> tuple[Site, Fields]:
    """The site of the call's pixel and token, and the call's fields.

    A token in the header or the address is looked at before the body; one in the body costs its sender's address first.
    """
    if not VERSION.fullmatch(request.path_params["version"]):
        raise CallRefusedError(GraphError(code=2500, message="Unknown path components: no Graph version."))
    query = last_wins(query_fields(request.scope["query_string"]))
    token = bearer(request.headers) or query.get("access_token")
    site = None if token is None else _checked(request, token)
    if site is None:
        take_address(request)
    sent = await _fields(request)
    fields = {**query, **{name: value for name, value in sent.items() if value is not None}}
    if site is None:
        in_body = fields.get("access_token")
        if not isinstance(in_body, str) or not in_body:
            raise CallRefusedError(
                GraphError(code=104, message="An access token is required to request this resource.")
            )
        site = _checked(request, in_body)
    return site, fields


async def _fields(request: Request) -> Mapping[str, Any]:
    body = await read_body(request, BODY_MAX_BYTES)
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() == "application/json":
        sent = read_json(body)
        if not isinstance(sent, Mapping):
            raise GraphCallError("(#100) The body must be a JSON object.")
        return sent
    return last_wins(await form_fields(request.headers, body))


def _checked(request: Request, token: str) -> Site:
    """The site that this token may send for: a write key of the pixel's site, or the pixel's own token.

    Raises CallRefusedError as Graph answers: 190 for a token that is none, 100/33 for another pixel's.
    """
    settings: Settings = request.app.state.settings
    pixel: str = request.path_params["pixel"]
    known = [(each, key) for each in settings.site for key in _keys(request, each, pixel)]
    found = [each for each, key in known if hmac.compare_digest(key.encode(), token.encode())]
    if not found:
        take_address(request)
        raise CallRefusedError(
            GraphError(
                code=190, message="Invalid access token: none of this relay's write keys or pixels has it."
            )
        )
    if pixel not in found[0].pixel_ids():
        message = f"Unsupported post request. Object with ID '{pixel[:30]}' is no pixel of this token's site."
        raise CallRefusedError(GraphError(code=100, subcode=33, message=message, type="GraphMethodException"))
    return found[0]


def _keys(request: Request, site: Site, pixel: str) -> Sequence[str]:
    keys: Sequence[str] = request.app.state.write_keys.get(site.key, ())
    token = _token(request, pixel) if pixel in site.pixel_ids() else None
    return (*keys, token) if token else keys


def _token(request: Request, pixel: str) -> str | None:
    """The courier has the newest; a process without one knows those of its start."""
    courier: Courier | None = request.app.state.courier
    pixels: Mapping[str, PixelAccess] = request.app.state.pixels
    return pixels[pixel].token if courier is None else courier.token_of(pixel)


async def _enrich_all(
    request: Request, site: Site, data: Sequence[object]
) -> tuple[list[GraphEvent], list[tuple[OutboxEvent, ...] | Refused]]:
    settings: Settings = request.app.state.settings
    now_ms: int = request.app.state.clock_ms()
    events: list[GraphEvent] = []
    outcomes: list[tuple[OutboxEvent, ...] | Refused] = []
    for number, raw in enumerate(data, start=1):
        read = read_graph_event(raw, pixel=request.path_params["pixel"], received_ms=now_ms)
        events.append(read)
        outcomes.append(
            read.event
            if isinstance(read.event, Refused)
            else enrich_server(read.event, received_ms=now_ms, site=site, settings=settings)
        )
        if number % AT_ONCE == 0:
            await asyncio.sleep(0)
    return events, outcomes


def as_incumbents(event: OutboxEvent) -> OutboxEvent:
    """A copy of what the incumbent sends, in shadow mode: kept beside ours under a key of its own."""
    return msgspec.structs.replace(
        event,
        key=outbox_key(event.pixel, event.event_name, event.event_id, Fate.SHADOWED),
        fate=Fate.SHADOWED,
        fate_reason=FateReason.INCUMBENT,
        order_key=None,
    )


def _bad_event(outcomes: Sequence[tuple[OutboxEvent, ...] | Refused]) -> GraphError:
    """Which events are bad and why; code 100, with the subcodes that are known of Meta's."""
    bad = [(index, each.reason) for index, each in enumerate(outcomes) if isinstance(each, Refused)]
    index, reason = bad[0]
    more = f" {len(bad) - 1} more events of the call are bad." if len(bad) > 1 else ""
    return GraphError(
        code=100,
        message=f"Invalid parameter: data[{index}]: {reason}",
        title=reason,
        user_message=f"data[{index}]: {REFUSAL_SENTENCES[reason]} Nothing of the call was taken.{more}",
    )
