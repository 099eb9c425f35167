"""Which pages may talk to the relay: exact origins, and the CORS answers that say so."""

from collections.abc import Iterable
from typing import Final
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response

from relay.event.outcome import BODY_SENTENCES, BodyReason
from relay.settings import Settings, Site
from relay.web.errors import error

PREFLIGHT_SECONDS: Final = 600
OPAQUE: Final = "null"  # of sandboxed frames
VARY: Final = (b"vary", b"Origin")


def origin_of(headers: Headers) -> str | None:
    """The Origin header as sent; None where there is none. Several are kept as one that matches nothing."""
    values = headers.getlist("origin")
    return ", ".join(values) if values else None


def is_allowed(origin: str, sites: Iterable[Site]) -> bool:
    """Byte by byte: the settings spell origins as browsers do. `null` is that of frames without one."""
    return any(origin in site.origins or (origin == OPAQUE and site.opaque_origins) for site in sites)


def is_of_site(url: str, site: Site) -> bool:
    """Whether a page's address is below one of the site's origins."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}" in site.origins


def allow(response: Response, origin: str) -> None:
    """Let the page at `origin`, which must have been checked, read this answer, and send cookies for it."""
    response.raw_headers.append((b"access-control-allow-origin", origin.encode("latin-1")))
    if origin != OPAQUE:  # anybody's frame has that one, and none of them needs cookies
        response.raw_headers.append((b"access-control-allow-credentials", b"true"))
    response.raw_headers.append((b"access-control-expose-headers", b"Retry-After"))


def readable_by_pages(request: Request, response: Response) -> Response:
    """Let a page of a configured site read the answer.

    A 403 tells the page nothing: it is not one of the site's, or the site is not one of ours.
    """
    settings: Settings = request.app.state.settings
    origin = origin_of(request.headers)
    if response.status_code != 403 and origin is not None and is_allowed(origin, settings.site):
        allow(response, origin)
    response.raw_headers.append(VARY)
    return response


async def preflight(request: Request) -> Response:
    """`OPTIONS /v1/events`. The site key comes later, in the body, so every site's origins may go on."""
    return preflight_answer(request, methods="POST", headers="content-type")


def preflight_answer(request: Request, *, methods: str, headers: str) -> Response:
    """What a page of any site may do next."""
    settings: Settings = request.app.state.settings
    origin = origin_of(request.headers)
    if origin is None or not is_allowed(origin, settings.site):
        reason = BodyReason.ORIGIN_MISSING if origin is None else BodyReason.ORIGIN_NOT_ALLOWED
        response = error(403, reason, BODY_SENTENCES[reason])
    else:
        response = Response(status_code=204)
        response.headers["access-control-allow-methods"] = methods
        response.headers["access-control-allow-headers"] = headers
        response.headers["access-control-max-age"] = str(PREFLIGHT_SECONDS)
    return readable_by_pages(request, response)
