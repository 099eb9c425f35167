"""The faults that are tried one by one; `python -m bench.faults` prints the table of docs/reliability.md."""

import socket
import ssl
from collections.abc import Callable
from typing import Final

import httpx
import msgspec

from e2e.checker import Json
from e2e.story import Faulty, Transport

TIMES: Final = 2  # calls on end that meet the fault


class Trouble(msgspec.Struct, frozen=True, kw_only=True):
    """One fault, in the twin or on the way to it, and whether it leaves a send of which nobody knows."""

    name: str
    twin: tuple[Json, ...] = ()
    way: Callable[[], Transport] | None = None
    ambiguous: bool = False


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
    _after("answer lost on the way back", *[httpx.ReadError("reset")] * TIMES),
    _after("answer late on the way back", *[httpx.ReadTimeout("slow")] * TIMES),
)
