"""Graph's two answer shapes: events received, and the error object."""

import secrets
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
from starlette.responses import Response

GRAPH_TYPE: Final = "application/json; charset=UTF-8"
HEADERS: Final = {"content-type": GRAPH_TYPE, "cache-control": "no-store"}


class GraphError(msgspec.Struct, frozen=True, kw_only=True):
    """One refusal in Graph's words. `guilty` is for the twin's own state; Meta does not answer it either."""

    status: int = 400
    code: int
    subcode: int | None = None
    message: str
    type: str = "OAuthException"  # Graph uses it far beyond OAuth: branch on `code`, never on this
    title: str | None = None
    user_message: str | None = None
    is_transient: bool = False
    guilty: int | None = None  # index of the event in the batch


def trace_id() -> str:
    """A made-up fbtrace_id of Graph's look."""
    return "A" + secrets.token_urlsafe(17)[:22]


def error_body(error: GraphError) -> dict[str, Any]:
    body: dict[str, Any] = {"message": error.message, "type": error.type, "code": error.code}
    if error.subcode is not None:
        body["error_subcode"] = error.subcode
    body["is_transient"] = error.is_transient
    if error.title is not None:
        body |= {"error_user_title": error.title, "error_user_msg": error.user_message}
    return body | {"fbtrace_id": trace_id()}


def refusal(
    error: GraphError, body: dict[str, Any] | None = None, *, headers: Mapping[str, str] | None = None
) -> Response:
    """The answer to a refused call; `body` where the caller has already made it."""
    content = msgspec.json.encode({"error": body or error_body(error)})
    return Response(content, error.status, headers={**HEADERS, **(headers or {})})


def accepted(number: int, messages: Sequence[str] = ()) -> Response:
    answer = {"events_received": number, "messages": messages, "fbtrace_id": trace_id()}
    return Response(msgspec.json.encode(answer), headers=HEADERS)
