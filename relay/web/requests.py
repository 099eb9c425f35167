"""What surrounds every request: an id for the log and the answer, the answer's security headers, the time it took."""

import itertools
import secrets
from collections.abc import Callable
from typing import Final

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from relay.metrics import Metrics
from relay.web.headers import secure

REQUEST_ID: Final = b"x-request-id"
NO_ROUTE: Final = "none"
CUT_SHORT: Final = 499  # the asker was gone before there was an answer


class Requests:
    """Every log line of a request carries its id, which is made here: a sender's own could forge another's lines."""

    def __init__(self, app: ASGIApp, *, metrics: Metrics, steady_ms: Callable[[], int]) -> None:
        self.app = app
        self._metrics = metrics
        self._steady_ms = steady_ms
        # Counted, behind a random word of this process: a system call for each would let go of the interpreter.
        word = secrets.token_hex(4)
        self._ids = (f"{word}{number:08x}" for number in itertools.count(1))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request_id, begun_ms, status = next(self._ids), self._steady_ms(), CUT_SHORT

        async def send_completed(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"].append((REQUEST_ID, request_id.encode()))
                secure(message["headers"])
            await send(message)

        unbind = structlog.contextvars.bind_contextvars(request_id=request_id)
        try:
            await self.app(scope, receive, send_completed)
        finally:
            structlog.contextvars.reset_contextvars(**unbind)
            seconds = (self._steady_ms() - begun_ms) / 1_000
            self._metrics.answered(_route(scope), status, seconds)


def _route(scope: Scope) -> str:
    """The pattern that was matched: an address itself may hold an event_id, and there is no end of them."""
    path: str = getattr(scope.get("route"), "path", NO_ROUTE)
    return path
