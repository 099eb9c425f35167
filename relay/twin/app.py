"""The Meta twin: a local stand-in for the parts of Meta that a Pixel and the Conversions API talk to.

Every URL is on this screen. The twin is for development, tests and demonstrations: it asks for no sign-in, so
keep it on loopback. It was built from Meta's published documentation and from observation of the Pixel in
browsers; nothing of it was compared with Meta's live systems.
"""

from collections.abc import Callable, Mapping
from typing import Final

import msgspec
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from relay.assets import find_assets
from relay.clock import wall_clock_ms
from relay.event.verdict import SameSource
from relay.forms import BodyError, read_body
from relay.graph_answers import refusal
from relay.twin.connection import peer_address
from relay.twin.diagnostics import address_ways
from relay.twin.events_manager import diagnostics_page, overview_page, stylesheet_and_script, test_events_page
from relay.twin.faults import Endpoint, Fault, FaultScript, perform
from relay.twin.graph import receive_call, unknown_path
from relay.twin.pixel import is_pixel_id, receive_pixel
from relay.twin.quality import answer_quality
from relay.twin.state import TwinState

MAX_SCRIPT_BODY: Final = 256 * 1024
SCRIPT_HEADERS: Final = {"cache-control": "no-store", "x-content-type-options": "nosniff"}


class Twin(msgspec.Struct, frozen=True, kw_only=True):
    """What the routes share; at `app.state.twin`."""

    state: TwinState
    faults: FaultScript
    tokens: Mapping[str, str]
    quality_readable: bool
    trust_forwarded_for: bool


def create_twin(
    *,
    clock_ms: Callable[[], int] = wall_clock_ms,
    same_source: SameSource = "keep",
    tokens: Mapping[str, str] | None = None,
    quality_readable: bool = True,
    trust_forwarded_for: bool = False,
) -> Starlette:
    """The twin as an ASGI app, for one event loop.

    `same_source` is the dedup profiles' switch for two events of one source. `tokens` by pixel: where given,
    other pixels and tokens are refused as Meta does; where not, any will do. `quality_readable`: whether tokens
    have the permission for the Dataset Quality API. `trust_forwarded_for` lets the
    last entry of X-Forwarded-For stand for the visitor, for a twin behind a proxy of its own.
    """
    app = Starlette(
        routes=[
            Route("/", overview_page, methods=["GET"]),
            Route("/test-events", test_events_page, methods=["GET"]),
            Route("/diagnostics", diagnostics_page, methods=["GET"]),
            Route("/assets/{name}", stylesheet_and_script, methods=["GET"]),
            Route("/twin/state", _state, methods=["GET", "DELETE"]),
            Route("/twin/addresses", _addresses, methods=["GET"]),
            Route("/twin/faults", _faults, methods=["GET", "POST", "DELETE"]),
            Route("/tr/", _scripted(_pixel), methods=["GET", "POST"]),
            Route("/tr", _scripted(_pixel), methods=["GET", "POST"]),
            Route("/signals/config/{pixel}", _scripted(_config), methods=["GET"]),
            Route("/{locale}/fbevents.js", _scripted(_fbevents), methods=["GET"]),
            Route("/{version}/dataset_quality", _scripted(_quality), methods=["GET"]),
            Route("/{version}/{pixel}/events", _scripted(_graph), methods=["GET", "POST", "DELETE"]),
            Route("/{rest:path}", _nothing_here, methods=["GET", "POST", "PUT", "PATCH", "DELETE"]),
        ],
        exception_handlers={ClientDisconnect: _hung_up},
    )
    app.router.redirect_slashes = False
    app.state.twin = Twin(
        state=TwinState(clock_ms=clock_ms, same_source=same_source),
        faults=FaultScript(),
        tokens=dict(tokens or {}),
        quality_readable=quality_readable,
        trust_forwarded_for=trust_forwarded_for,
    )
    return app


def _twin(request: Request) -> Twin:
    twin: Twin = request.app.state.twin
    return twin


def _scripted(endpoint: Endpoint) -> Endpoint:
    """The endpoint, unless the script holds a fault for this path."""

    async def answer(request: Request) -> Response:
        faults = _twin(request).faults
        fault = faults.next_for(request.method, request.url.path)
        return await (perform(faults, fault, request, endpoint) if fault else endpoint(request))

    return answer


async def _pixel(request: Request) -> Response:
    twin = _twin(request)
    address = peer_address(request, request.receive, trust_forwarded_for=twin.trust_forwarded_for)
    return await receive_pixel(request, twin.state, address)


async def _graph(request: Request) -> Response:
    twin = _twin(request)
    return await receive_call(request, twin.state, twin.tokens)


async def _quality(request: Request) -> Response:
    twin = _twin(request)
    return await answer_quality(request, twin.state, twin.tokens, readable=twin.quality_readable)


async def _config(request: Request) -> Response:
    """Meta's per-pixel settings script, reduced to what unlocks the queue."""
    pixel = request.path_params["pixel"]
    if not is_pixel_id(pixel):
        return await _nothing_here(request)
    code = f'(function(f){{f&&f.instance&&f.instance.configLoaded("{pixel}")}})(window.fbq);'
    return Response(code, media_type="text/javascript", headers=SCRIPT_HEADERS)


async def _fbevents(_request: Request) -> Response:
    code = (find_assets("static") / "js" / "twin" / "fbevents.js").read_bytes()
    return Response(code, media_type="text/javascript", headers=SCRIPT_HEADERS)


async def _state(request: Request) -> Response:
    state = _twin(request).state
    if request.method == "DELETE":
        state.clear()
        return Response(status_code=204)
    return _json(state.snapshot(request.query_params.get("event_id")))


async def _addresses(request: Request) -> Response:
    return _json({"ways": address_ways(_twin(request).state.events)})


async def _faults(request: Request) -> Response:
    """Read, add to or clear the script. Takes `application/json` only: no other site's page can send it."""
    faults = _twin(request).faults
    if request.method == "DELETE":
        faults.clear()
        return Response(status_code=204)
    if request.method == "POST":
        if not request.headers.get("content-type", "").startswith("application/json"):
            return _json({"error": "Send the faults as application/json."}, 415)
        try:
            faults.add(_read_faults(await read_body(request, MAX_SCRIPT_BODY)))
        except (BodyError, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            return _json({"error": f"Not a fault: {error}"}, 400)
    return _json(
        {"waiting": faults.waiting(), "served": faults.served}, 201 if request.method == "POST" else 200
    )


def _read_faults(body: bytes) -> list[Fault]:
    if body.lstrip().startswith(b"["):
        return msgspec.json.decode(body, type=list[Fault])
    return [msgspec.json.decode(body, type=Fault)]


async def _nothing_here(request: Request) -> Response:
    """Graph's own words under a version, a plain 404 elsewhere."""
    if request.url.path.startswith("/v") and request.url.path[2:3].isdigit():
        return refusal(unknown_path(request))
    return Response("The twin serves nothing here.\n", 404, media_type="text/plain")


async def _hung_up(_request: Request, _gone: Exception) -> Response:
    """The sender left in the middle of its body: nobody reads this answer, and nothing was recorded."""
    return Response(status_code=400)


def _json(body: object, status: int = 200) -> Response:
    headers = {"cache-control": "no-store"}
    return Response(msgspec.json.encode(body), status, headers=headers, media_type="application/json")
