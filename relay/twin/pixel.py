"""`/tr/`: the Pixel's own requests, as image, form or beacon.

What the live `/tr/` answers to each of them was never established, so the twin answers a 1x1 gif and a fault
can make it anything else. It sends no CORS and no Timing-Allow-Origin header: a page cannot read what
happened, as with Meta.
"""

import base64
from collections.abc import Mapping
from typing import Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from relay.event.normalise import normalise
from relay.event.verdict import Source
from relay.forms import BodyError, form_fields, last_wins, query_fields, read_body
from relay.twin.state import Received, Rejected, TwinState

MAX_BODY: Final = 1024 * 1024
GIF: Final = base64.b64decode("R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7")
NOTHING_COUNTED: Final = "A Pixel request needs id (digits) and ev; it was answered, and counts as nothing."


async def receive_pixel(request: Request, state: TwinState, ip: str | None) -> Response:
    """Record one Pixel request. HEAD is answered like GET and counts as nothing."""
    if request.method != "HEAD":
        try:
            via, params = await _read(request)
        except BodyError as error:
            return Response(str(error), 400, media_type="text/plain")
        _record(state, request, ip, via, params)
    return Response(
        GIF, media_type="image/gif", headers={"cache-control": "no-cache, no-store, must-revalidate"}
    )


async def _read(request: Request) -> tuple[str, Mapping[str, str]]:
    fields = query_fields(request.scope["query_string"])
    if request.method != "POST":
        return "GET", last_wins(fields)
    body = await read_body(request, MAX_BODY)
    is_multipart = request.headers.get("content-type", "").startswith("multipart/")
    return (
        "POST multipart" if is_multipart else "POST urlencoded",
        last_wins(fields + await form_fields(request.headers, body)),
    )


def _record(state: TwinState, request: Request, ip: str | None, via: str, params: Mapping[str, str]) -> None:
    pixel, event_name = params.get("id", ""), params.get("ev", "")
    raw = msgspec.Raw(msgspec.json.encode(params))
    if not (is_pixel_id(pixel) and event_name):
        state.reject([_rejected(state, params, ip, raw)])
        return
    state.take(
        Received(
            sequence=state.next_sequence(),
            source=Source.BROWSER,
            pixel=pixel,
            event_name=event_name,
            event_id=params.get("eid") or None,
            received_ms=state.clock_ms(),
            ip=ip,
            user_agent=request.headers.get("user-agent"),
            fbp=params.get("fbp") or None,
            fbc=params.get("fbc") or None,
            external_id=hashed_ids([params.get("ud[external_id]", "")]),
            value=params.get("cd[value]"),
            currency=params.get("cd[currency]"),
            via=via,
            params=raw,
        )
    )


def _rejected(state: TwinState, params: Mapping[str, str], ip: str | None, raw: msgspec.Raw) -> Rejected:
    return Rejected(
        source=Source.BROWSER,
        pixel=params.get("id", ""),
        event_name=params.get("ev"),
        event_id=params.get("eid"),
        received_ms=state.clock_ms(),
        ip=ip,
        guilty=True,
        error={"message": NOTHING_COUNTED},
        params=raw,
    )


def is_pixel_id(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 20


def hashed_ids(values: list[str]) -> tuple[str, ...]:
    """external_id of both halves in one form, so that a raw one on one side meets its hash on the other."""
    return tuple(hashed for value in values if value and (hashed := normalise("external_id", value).sha256))
