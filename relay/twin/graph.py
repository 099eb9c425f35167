"""Graph's `POST /{version}/{pixel}/events`: every shape that real clients send, and Meta's refusals.

One bad event refuses its whole batch, and the answer does not say which (except for an unknown key): clients
must bisect, as with Meta.
"""

import hmac
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from relay.event.verdict import Source
from relay.forms import BodyError, form_fields, last_wins, query_fields, read_body
from relay.graph_answers import GraphError, accepted, error_body, refusal
from relay.twin.connection import plain_address
from relay.twin.pixel import hashed_ids, is_pixel_id
from relay.twin.rules import first_fault
from relay.twin.state import Received, Rejected, TwinState

MAX_EVENTS_PER_CALL: Final = 1_000
MAX_BODY: Final = 32 * 1024 * 1024  # ours; Meta publishes no limit in bytes
OLDEST_VERSION, NEWEST_VERSION = 16, 26  # still called by Meta's own tag of 2025; current in November 2026
_VERSION = re.compile(r"v([0-9]{1,3})\.0")


class CallRefusedError(Exception):
    """The call is refused before its events are looked at."""

    def __init__(self, error: GraphError) -> None:
        super().__init__(error.message)
        self.error = error


async def receive_call(request: Request, state: TwinState, tokens: Mapping[str, str]) -> Response:
    """Take one call in, or refuse it whole. `tokens` by pixel; where empty, any pixel and token will do."""
    pixel = request.path_params["pixel"]
    data: Sequence[object] = ()
    try:
        _check_path(request)
        fields, raw_data = await _read(request)
        check_token(request, fields, pixel, tokens)
        data = _events(raw_data)
        _check_events(data, state.clock_ms())
    except CallRefusedError as refused:
        body = error_body(refused.error)
        _remember_refusal(state, pixel, data, refused.error, body)
        return refusal(refused.error, body)
    for event in data:
        state.take(_received(state, request.path_params["version"], pixel, event, fields))
    answer = accepted(len(data))
    answer.headers["facebook-api-version"] = request.path_params["version"]
    return answer


def refuse(code: int, message: str, *, subcode: int | None = None) -> CallRefusedError:
    kind = "GraphMethodException" if subcode == 33 else "OAuthException"
    return CallRefusedError(GraphError(code=code, subcode=subcode, message=message, type=kind))


def unknown_path(request: Request) -> GraphError:
    return GraphError(code=2500, message=f"Unknown path components: {request.url.path[:200]}")


def check_version(request: Request) -> None:
    """Versions outside of the served range are an unknown path, which is our choice of code."""
    match = _VERSION.fullmatch(request.path_params["version"])
    if not match or not OLDEST_VERSION <= int(match[1]) <= NEWEST_VERSION:
        raise CallRefusedError(unknown_path(request))


def _check_path(request: Request) -> None:
    check_version(request)
    if request.method != "POST":
        raise refuse(100, f"Unsupported {request.method.lower()} request.", subcode=33)


async def _read(request: Request) -> tuple[Mapping[str, Any], object]:
    """The call's fields from query and body together, and its data still as it came."""
    try:
        query = last_wins(query_fields(request.scope["query_string"]))
        body = await read_body(request, MAX_BODY)
        kind = request.headers.get("content-type", "").split(";", 1)[0].strip().lower()
        sent = (
            _json(body) if kind == "application/json" else last_wins(await form_fields(request.headers, body))
        )
    except BodyError as error:
        raise refuse(100, f"(#100) {error}") from error
    if not isinstance(sent, Mapping):
        raise refuse(100, "(#100) The body must be a JSON object.")
    fields = {**query, **{key: value for key, value in sent.items() if value is not None}}
    return fields, fields.get("data")


def _json(text: bytes | str) -> Any:
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise refuse(100, "(#100) Param data must be valid JSON.") from error


def check_token(request: Request, fields: Mapping[str, Any], pixel: str, tokens: Mapping[str, str]) -> None:
    scheme, _, bearer = request.headers.get("authorization", "").partition(" ")
    token = bearer.strip() if scheme.lower() == "bearer" else fields.get("access_token")
    if not isinstance(token, str) or not token:
        raise refuse(104, "An access token is required to request this resource.")
    if tokens and not any(_equal(token, known) for known in tokens.values()):
        raise refuse(190, "Invalid OAuth access token - Cannot parse access token")
    if not is_pixel_id(pixel) or (tokens and not _equal(token, tokens.get(pixel, ""))):
        said = f"Object with ID '{pixel[:30]}' does not exist, or the token lacks permission for it."
        raise refuse(100, f"Unsupported post request. {said}", subcode=33)


def _equal(left: str, right: str) -> bool:
    return hmac.compare_digest(left.encode(), right.encode())


def _events(raw: object) -> list[object]:
    """data as a list, out of an array of objects, an array of JSON texts, or a JSON text of either."""
    data = _json(raw) if isinstance(raw, str) else raw
    if not isinstance(data, list) or not data:
        raise refuse(100, "(#100) The parameter data is required.")
    if len(data) > MAX_EVENTS_PER_CALL:
        raise refuse(100, "(#100) Param data must hold at most 1000 events.")
    return [_json(event) if isinstance(event, str) else event for event in data]


def _check_events(data: Sequence[object], now_ms: int) -> None:
    for index, event in enumerate(data):
        if error := first_fault(event, index, now_ms):
            raise CallRefusedError(error)


def _received(state: TwinState, version: str, pixel: str, event: Any, fields: Mapping[str, Any]) -> Received:
    """One event that passed every rule, in the twin's record."""
    user_data = event["user_data"]
    custom_data = event.get("custom_data") or {}
    return Received(
        sequence=state.next_sequence(),
        source=Source.SERVER,
        pixel=pixel,
        event_name=event["event_name"],
        event_id=_text(event.get("event_id")),
        received_ms=state.clock_ms(),
        ip=plain_address(_text(user_data.get("client_ip_address")) or ""),
        user_agent=_text(user_data.get("client_user_agent")),
        fbp=_text(user_data.get("fbp")),
        fbc=_text(user_data.get("fbc")),
        external_id=hashed_ids(_texts(user_data.get("external_id"))),
        value=_text(custom_data.get("value")),
        currency=_text(custom_data.get("currency")),
        via=version,
        test_event_code=_text(fields.get("test_event_code")),
        partner_agent=_text(fields.get("partner_agent")),
        params=msgspec.Raw(msgspec.json.encode(event)),
    )


def _remember_refusal(
    state: TwinState, pixel: str, data: Sequence[object], error: GraphError, body: dict[str, Any]
) -> None:
    """List every event of a refused batch, so that a reader sees what was lost with it."""
    shown = {"status": error.status, **body}
    events = [event if isinstance(event, Mapping) else {} for event in data] or [{}]
    state.reject(
        [_rejected(state, pixel, event, index == error.guilty, shown) for index, event in enumerate(events)]
    )


def _rejected(
    state: TwinState, pixel: str, event: Mapping[str, Any], guilty: bool, error: dict[str, Any]
) -> Rejected:
    user_data = event.get("user_data")
    address = user_data.get("client_ip_address") if isinstance(user_data, Mapping) else None
    return Rejected(
        source=Source.SERVER,
        pixel=pixel,
        event_name=_text(event.get("event_name")),
        event_id=_text(event.get("event_id")),
        received_ms=state.clock_ms(),
        ip=plain_address(_text(address) or ""),
        guilty=guilty,
        error=error,
        params=msgspec.Raw(msgspec.json.encode(event)),
    )


def _text(value: object) -> str | None:
    """A scalar as text; what is empty or no scalar is None."""
    if isinstance(value, list) and len(value) == 1:
        return _text(value[0])
    return str(value) if isinstance(value, str | int | float) and value != "" else None


def _texts(value: object) -> list[str]:
    values = value if isinstance(value, list) else [value]
    return [text for each in values if (text := _text(each))]
