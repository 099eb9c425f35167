"""The faults that are tried one by one; `python -m bench.faults` prints the table of docs/reliability.md."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from typing import Final

import httpx
import msgspec

from e2e.checker import Json
from e2e.story import Faulty, Transport

TIMES: Final = 2  # calls on end that meet the fault
DRIP_SECONDS: Final = 0.1  # the story's relay waits half a second for an answer


class Trouble(msgspec.Struct, frozen=True, kw_only=True):
    """One fault, in the twin or on the way to it, and whether it leaves a send of which nobody knows."""

    name: str
    twin: tuple[Json, ...] = ()
    way: Callable[[], Transport] | None = None
    ambiguous: bool = False


class Drips(httpx.AsyncByteStream):
    """A body that comes byte by byte, each well before a read times out, and does not come to its end in time."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for byte in self._body:
            await asyncio.sleep(DRIP_SECONDS)
            yield bytes([byte])


class Dripping(Transport):
    """The way to Meta: the first answer drips."""

    def __init__(self) -> None:
        self._real = httpx.AsyncHTTPTransport()
        self._left = 1  # each takes as long as a call may

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        response = await self._real.handle_async_request(request)
        if not self._left:
            return response
        self._left -= 1
        body = await response.aread()
        return httpx.Response(response.status_code, headers=response.headers, stream=Drips(body))

    async def aclose(self) -> None:
        await self._real.aclose()


def _in_twin(name: str, *, ambiguous: bool = False, **fault: object) -> Trouble:
    return Trouble(name=name, twin=({**fault, "count": TIMES},), ambiguous=ambiguous)


def _before(name: str, *errors: Exception) -> Trouble:
    return Trouble(name=name, way=lambda: Faulty(before=errors))


def _after(name: str, *errors: Exception) -> Trouble:
    return Trouble(name=name, way=lambda: Faulty(after=errors), ambiguous=True)


TROUBLES: Final = (
    Trouble(name="none"),
    _in_twin("503, empty", what="status", status=503),
    _in_twin("500 as an HTML page", what="html", status=500),
    _in_twin("502 as an HTML page", what="html", status=502, ambiguous=True),
    _in_twin("Graph error 2", what="graph_error", status=500, code=2),
    _in_twin("429 with Retry-After", what="rate_limit", retry_after_seconds=0),
    _in_twin("a throttle with usage headers", what="throttle", retry_after_seconds=0),
    _in_twin("reset, events not taken", what="reset", ambiguous=True),
    _in_twin("reset, events taken", what="accept_then_reset", ambiguous=True),
    _in_twin("hang, events not taken", what="hang", seconds=5, ambiguous=True),
    _in_twin("hang, events taken", what="accept_then_timeout", seconds=5, ambiguous=True),
    _in_twin("slow, then answered", what="late", seconds=0.05),
    _in_twin("slower than the time-out", what="late", seconds=1.5, ambiguous=True),
    _in_twin("200, JSON cut off", what="partial_json", ambiguous=True),
    _in_twin("200 without events_received", what="no_events_received", ambiguous=True),
    _in_twin("302 elsewhere", what="status", status=302),
    _before("name not found (DNS)", *[httpx.ConnectError(str(socket.gaierror(-2, "not known")))] * TIMES),
    _before("certificate refused (TLS)", *[httpx.ConnectError(str(ssl.SSLError("certificate")))] * TIMES),
    _before("connection refused", *[httpx.ConnectError("refused")] * TIMES),
    _before("connect time-out", *[httpx.ConnectTimeout("slow")] * TIMES),
    Trouble(name="an answer that drips", way=Dripping, ambiguous=True),
    _after("answer lost on the way back", *[httpx.ReadError("reset")] * TIMES),
    _after("answer late on the way back", *[httpx.ReadTimeout("slow")] * TIMES),
)
