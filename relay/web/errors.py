"""The one error shape: `{"error": {"reason": "...", "message": "..."}}`, or a page for a person's browser."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

import msgspec
import structlog
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from relay.web.headers import NO_STORE, SECURITY_HEADERS
from relay.web.pages import show

log = structlog.get_logger("relay.web")

SENTENCES: Final[dict[int, str]] = {
    404: "There is nothing at this address. The console starts at /.",
    405: "This address does not take that method; the Allow header says which it does.",
}


class ErrorWords(msgspec.Struct, frozen=True, kw_only=True):
    reason: str  # from a closed list, for programs
    message: str  # what is wrong and the next step, for people


class Error(msgspec.Struct, frozen=True, kw_only=True):
    """The one shape of every error."""

    error: ErrorWords


class JsonResponse(Response):
    """JSON by msgspec, so that records can be answered as they are."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        return msgspec.json.encode(content)


def error(status: int, reason: str, message: str, headers: Mapping[str, str] | None = None) -> Response:
    """The error shape as JSON; `message` says what is wrong and the next step."""
    shape = Error(error=ErrorWords(reason=reason, message=message))
    return JsonResponse(shape, status_code=status, headers={**NO_STORE, **(headers or {})})


async def on_http_exception(request: Request, exc: Exception) -> Response:
    """Unknown addresses and wrong methods: a page where a person asks, the JSON shape elsewhere."""
    assert isinstance(exc, HTTPException)
    reason = HTTPStatus(exc.status_code).phrase.lower().replace(" ", "_")
    message = SENTENCES.get(exc.status_code, exc.detail)
    if "text/html" not in request.headers.get("accept", ""):
        return error(exc.status_code, reason, message, exc.headers)
    title = HTTPStatus(exc.status_code).phrase
    response = show(request, "console/error.html", status=exc.status_code, title=title, message=message)
    response.headers.update(exc.headers or {})
    return response


async def on_disconnect(request: Request, exc: Exception) -> Response:  # noqa: ARG001 - Starlette's signature
    """The sender hung up in the middle of its body: nobody is left to read this answer."""
    return error(400, "body_cut_short", "The connection ended before the body did. Send it again.")


async def on_exception(request: Request, exc: Exception) -> Response:
    """Our own mistake. The log gets the kind and the place; never the body, which may hold personal data."""
    log.error("request_failed", method=request.method, path=request.scope["path"], kind=type(exc).__name__)
    message = "The relay made a mistake; its log has the details. Try again later."
    # Starlette answers this one outside of every middleware.
    return error(500, "internal", message, SECURITY_HEADERS)
