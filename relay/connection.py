"""One HTTP connection with an end: uvicorn alone waits for ever for a request that never becomes whole.

A request has to arrive completely, head and body, within a deadline that starts with the connection, or with the
request's first byte on one that is kept alive. Trickling does not prolong it. What is refused here, before any
ASGI code runs, has the relay's one error shape.

The app is started once the body is whole, or larger than `GATHERED_MAX_BYTES`: who sends it byte by byte, or never,
costs no task and wakes nothing.
"""

from asyncio import TimerHandle, Transport
from http import HTTPStatus
from typing import Final, cast

import msgspec
from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from relay.transport import OneWrite

HEAD_MAX_BYTES: Final = 32_768  # request line and headers; browsers stay far below, cookies included
GATHERED_MAX_BYTES: Final = HIGH_WATER_LIMIT  # beyond it uvicorn reads no more until the app takes it

REFUSALS: Final[dict[HTTPStatus, tuple[str, str]]] = {
    HTTPStatus.BAD_REQUEST: ("not_http", "This is not an HTTP/1.1 request that the relay can read."),
    HTTPStatus.REQUEST_TIMEOUT: ("request_too_slow", "The request did not arrive in time. Send it again."),
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE: (
        "head_too_large",
        f"Request line and headers are larger than {HEAD_MAX_BYTES:,} bytes. Send fewer cookies.",
    ),
    HTTPStatus.SERVICE_UNAVAILABLE: (
        "too_many_connections",
        "More connections are open than this relay takes. Come back after the seconds in Retry-After.",
    ),
}
RETRY_AFTER_SECONDS: Final = 5


class BoundedConnection(HttpToolsProtocol):
    """uvicorn's protocol, with bounds on the time of a request, on the size of its head, and on its company."""

    receive_seconds: float  # both set by `bounded`
    connections_max: int

    _deadline: TimerHandle | None = None  # None: between requests, or one is whole
    _head_bytes = 0  # of the head that is arriving: what the parser has told of
    _untold_bytes = 0  # and of the line that is not complete yet, which it keeps to itself
    _is_telling = False  # whether the parser has made something of the bytes at hand
    _in_body = False
    _waiting_app: ASGI3Application | None = None  # for the body of `self.cycle`

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override] # as uvicorn has it
        super().connection_made(cast(Transport, OneWrite(transport, self.loop)))
        self._start_waiting()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():
            return
        if self._deadline is None:
            self._start_waiting()
        self._is_telling = False
        super().data_received(data)
        if not self._in_body and not self._is_telling:
            self._untold_bytes += len(data)
            if self._is_head_too_large():
                self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)

    def on_message_begin(self) -> None:
        if self._deadline is None:  # one request right behind another
            self._start_waiting()
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        self._tell(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._tell(len(name) + len(value) + len(b": \r\n"))
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        if self._is_head_too_large():
            raise ValueError("head too large")  # stops the parser; uvicorn then calls send_400_response
        if len(self.connections) >= self.connections_max:
            self._refuse(HTTPStatus.SERVICE_UNAVAILABLE)
            raise ValueError("too many connections")
        self._in_body = True
        super().on_headers_complete()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        # Who asks whether to go on (Expect: 100-continue) wants an answer to the head.
        if cycle.more_body and not cycle.waiting_for_100_continue:
            self._waiting_app = app
        else:
            super()._start_asgi_task(cycle, app)

    def on_body(self, body: bytes) -> None:
        super().on_body(body)
        if len(self.cycle.body) > GATHERED_MAX_BYTES:
            self._start_waiting_app()

    def on_message_complete(self) -> None:
        self._stop_waiting()
        self._is_telling, self._in_body = True, False
        self._head_bytes = self._untold_bytes = 0
        super().on_message_complete()
        self._start_waiting_app()

    def _start_waiting_app(self) -> None:
        if self._waiting_app is not None:
            super()._start_asgi_task(self.cycle, self._waiting_app)
            self._waiting_app = None

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - uvicorn's sentence, which is no JSON
        self._refuse(
            HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
            if self._is_head_too_large()
            else HTTPStatus.BAD_REQUEST
        )

    def _tell(self, size: int) -> None:
        self._is_telling = True
        self._head_bytes += size
        self._untold_bytes = 0

    def _is_head_too_large(self) -> bool:
        return not self._in_body and self._head_bytes + self._untold_bytes > HEAD_MAX_BYTES

    def _start_waiting(self) -> None:
        self._deadline = self.loop.call_later(self.receive_seconds, self._give_up)

    def _stop_waiting(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _give_up(self) -> None:
        self._deadline = None
        # Nothing came: there is nobody to answer. An answer under way must not be mixed with another.
        if self._is_silent() or (self._in_body and self.cycle.response_started):
            self.transport.abort()
        else:
            self._refuse(HTTPStatus.REQUEST_TIMEOUT)

    def _is_silent(self) -> bool:
        return not self._in_body and self._head_bytes + self._untold_bytes == 0

    def _refuse(self, status: HTTPStatus) -> None:
        if self.transport.is_closing():
            return
        reason, message = REFUSALS[status]
        body = msgspec.json.encode({"error": {"reason": reason, "message": message}})
        retry = f"retry-after: {RETRY_AFTER_SECONDS}\r\n" if status is HTTPStatus.SERVICE_UNAVAILABLE else ""
        head = (
            f"HTTP/1.1 {status.value} {status.phrase}\r\ncontent-type: application/json\r\n{retry}"
            f"content-length: {len(body)}\r\ncache-control: no-store\r\nconnection: close\r\n\r\n"
        )
        self.transport.write(head.encode("ascii") + body)
        self.transport.close()


def bounded(receive_seconds: float, connections_max: int) -> type[BoundedConnection]:
    """The protocol with its bounds: uvicorn makes one of the class for each connection."""
    bounds = {"receive_seconds": receive_seconds, "connections_max": connections_max}
    return type("BoundedConnection", (BoundedConnection,), bounds)
