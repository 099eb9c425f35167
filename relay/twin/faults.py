"""Scripted trouble: what the twin shall do to the next requests instead of, or around, its answer.

`POST /twin/faults` takes one fault or a list; each matches requests whose path contains `path` and is used up
after `count` of them, first come first served. Three things can become of the request's events: they are
taken in before the trouble starts (as when an answer is lost on its way back), or never (as when a front end
refuses), or late (as on a slow line). Each kind has its natural choice, and `accept` overrides it.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Awaitable, Callable
from enum import StrEnum
from typing import Annotated, Any, Final, assert_never

import msgspec
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.types import Receive, Scope, Send

from relay.forms import BodyError
from relay.graph_answers import GraphError, accepted, refusal
from relay.twin.connection import reset, until_disconnected

Endpoint = Callable[[Request], Awaitable[Response]]
MAX_FAULTS: Final = 1_000


class FaultKind(StrEnum):
    """What happens. The comment says what becomes of the request's events unless `accept` says otherwise."""

    DELAY = "delay"  # taken in at once, answered after `seconds`
    LATE = "late"  # taken in and answered after `seconds`, as on a slow line
    HANG = "hang"  # never taken in, never answered; cut after `seconds`
    RESET = "reset"  # never taken in; the connection is cut
    STATUS = "status"  # an empty answer with `status`; taken in where it is below 300
    GRAPH_ERROR = "graph_error"  # not taken in; Graph's error shape with `status`, `code`, `subcode`
    RATE_LIMIT = "rate_limit"  # not taken in; 429 with Retry-After
    THROTTLE = "throttle"  # not taken in; a throttle code (default 4) with the usage headers
    TOKEN = "token"  # not taken in; 190, subcode 463 by default  # noqa: S105 - the name of a fault
    HTML = "html"  # not taken in; an HTML page with `status` (default 502)
    PARTIAL_JSON = "partial_json"  # taken in; a well-framed 200 whose JSON ends in the middle
    ACCEPT_THEN_TIMEOUT = "accept_then_timeout"  # taken in, never answered; cut after `seconds`
    ACCEPT_THEN_RESET = "accept_then_reset"  # taken in, then the connection is cut
    NO_EVENTS_RECEIVED = "no_events_received"  # not taken in; 200 without `events_received`


TAKES_IN: Final = {
    FaultKind.DELAY,
    FaultKind.LATE,
    FaultKind.PARTIAL_JSON,
    FaultKind.ACCEPT_THEN_TIMEOUT,
    FaultKind.ACCEPT_THEN_RESET,
}


class Fault(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One entry of the script."""

    what: FaultKind
    path: str = "/events"  # matches where the request's path contains it
    method: str | None = None  # such as POST; null: any
    count: Annotated[int, msgspec.Meta(ge=1)] | None = 1  # requests it is good for; null: until cleared
    seconds: Annotated[float, msgspec.Meta(ge=0, le=3600)] = 60.0
    status: Annotated[int, msgspec.Meta(ge=200, le=599)] | None = None
    code: int | None = None
    subcode: int | None = None
    retry_after_seconds: Annotated[int, msgspec.Meta(ge=0, le=86400)] = 1
    accept: bool | None = None

    def takes_in(self) -> bool:
        if self.accept is not None:
            return self.accept
        return self.what in TAKES_IN or (self.what is FaultKind.STATUS and self.answer_status() < 300)

    def answer_status(self) -> int:
        defaults = {FaultKind.RATE_LIMIT: 429, FaultKind.HTML: 502, FaultKind.STATUS: 503}
        return self.status if self.status is not None else defaults.get(self.what, 400)


class FaultScript:
    """The faults still to come, and those that happened."""

    def __init__(self) -> None:
        self._waiting: deque[tuple[Fault, int | None]] = deque()
        self.served = 0
        self._cleared = asyncio.Event()

    def add(self, faults: list[Fault]) -> None:
        if len(self._waiting) + len(faults) > MAX_FAULTS:
            raise BodyError(f"at most {MAX_FAULTS:,} faults may wait; clear the script first.")
        self._waiting.extend((fault, fault.count) for fault in faults)

    def clear(self) -> None:
        """Forget every fault, and end those under way: what was delayed is answered, what hangs is cut."""
        self._waiting.clear()
        self.served = 0
        self._cleared.set()
        self._cleared = asyncio.Event()

    def waiting(self) -> list[dict[str, Any]]:
        return [{**msgspec.to_builtins(fault), "left": left} for fault, left in self._waiting]

    def next_for(self, method: str, path: str) -> Fault | None:
        for index, (fault, left) in enumerate(self._waiting):
            if fault.path in path and fault.method in (None, method):
                self._use(index, fault, left)
                return fault
        return None

    def _use(self, index: int, fault: Fault, left: int | None) -> None:
        self.served += 1
        if left == 1:
            del self._waiting[index]
        elif left is not None:
            self._waiting[index] = (fault, left - 1)

    async def pause(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._cleared.wait(), seconds)


class Cut(Response):
    """No answer at all: the connection is reset."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI's signature
        await reset(receive)


class Silence(Response):
    """No answer: the connection stays open until the client leaves, the script is cleared or time is up."""

    def __init__(self, script: FaultScript, seconds: float) -> None:
        super().__init__()
        self._script = script
        self._seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI's signature
        leaving = asyncio.ensure_future(until_disconnected(receive))
        pause = asyncio.ensure_future(self._script.pause(self._seconds))
        await asyncio.wait({leaving, pause}, return_when=asyncio.FIRST_COMPLETED)
        gone = leaving.done()
        for task in (leaving, pause):
            task.cancel()
        await asyncio.gather(leaving, pause, return_exceptions=True)
        if not gone:
            await reset(receive)


async def perform(script: FaultScript, fault: Fault, request: Request, endpoint: Endpoint) -> Response:
    """Answer one request as the fault says."""
    if fault.what is FaultKind.LATE:
        await script.pause(fault.seconds)
    answer = await endpoint(request) if fault.takes_in() else await _unread(request)
    match fault.what:
        case FaultKind.DELAY:
            await script.pause(fault.seconds)
            return answer
        case FaultKind.LATE:
            return answer
        case FaultKind.HANG | FaultKind.ACCEPT_THEN_TIMEOUT:
            return Silence(script, fault.seconds)
        case FaultKind.RESET | FaultKind.ACCEPT_THEN_RESET:
            return Cut()
        case FaultKind.STATUS:
            return Response(status_code=fault.answer_status(), headers={"cache-control": "no-store"})
        case FaultKind.HTML:
            return HTMLResponse("<!doctype html><title>Error</title><p>Sorry.", fault.answer_status())
        case FaultKind.PARTIAL_JSON:
            whole = bytes(accepted(1).body)
            return Response(whole[: len(whole) // 2], media_type="application/json")
        case FaultKind.NO_EVENTS_RECEIVED:
            return Response(b'{"messages":[]}', media_type="application/json")
        case FaultKind.GRAPH_ERROR | FaultKind.RATE_LIMIT | FaultKind.THROTTLE | FaultKind.TOKEN:
            return _graph_trouble(fault, request)
        case _:
            assert_never(fault.what)


async def _unread(request: Request) -> Response:
    """Let the client finish writing, so that the trouble hits a request that was sent whole."""
    async for _ in request.stream():
        pass
    return Response()


def _graph_trouble(fault: Fault, request: Request) -> Response:
    code, subcode, message, transient = {
        FaultKind.TOKEN: (190, 463, "Error validating access token: the session has expired.", False),
        FaultKind.THROTTLE: (4, None, "(#4) Application request limit reached", True),
        FaultKind.RATE_LIMIT: (4, None, "(#4) Application request limit reached", True),
    }.get(fault.what, (2, None, "Service temporarily unavailable", True))
    answer = refusal(
        GraphError(
            status=fault.answer_status(),
            code=fault.code if fault.code is not None else code,
            subcode=fault.subcode if fault.subcode is not None or fault.code is not None else subcode,
            message=message,
            is_transient=transient,
        )
    )
    if fault.what is FaultKind.RATE_LIMIT:
        answer.headers["retry-after"] = str(fault.retry_after_seconds)
    if fault.what is FaultKind.THROTTLE:
        answer.headers.update(
            _usage_headers(request.path_params.get("pixel", "0"), fault.retry_after_seconds)
        )
    return answer


def _usage_headers(pixel: str, wait_seconds: int) -> dict[str, str]:
    """Graph's three usage headers at their limit; the wait is in whole minutes, as Graph counts it."""
    usage = {"call_count": 100, "total_cputime": 60, "total_time": 70}
    wait = {"type": "ads_management", "estimated_time_to_regain_access": -(-wait_seconds // 60)}
    by_header = {
        "x-app-usage": usage,
        "x-ad-account-usage": {"acc_id_util_pct": 100},
        "x-business-use-case-usage": {pixel: [{**usage, **wait}]},
    }
    return {header: msgspec.json.encode(value).decode() for header, value in by_header.items()}
