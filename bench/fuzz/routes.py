"""Every route of a running relay, asked as its `/openapi.json` says and otherwise; and raw bytes at its port."""

import random
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from bench.fuzz.report import Line
from e2e.lab import SITE
from e2e.rig import ORIGIN, RelayProcess
from relay.web.signin import SignIn
from tests.fuzz.texts import posts

CHECKS: Final = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
NOBODY_LISTENS: Final = "http://127.0.0.1:9"
KEY: Final = "k" * 64
REQUEST: Final = (
    b"POST /v1/events HTTP/1.1\r\nhost: x\r\norigin: https://shop.example\r\ncontent-length: 2\r\n\r\n{}"
)
ANSWER_SECONDS: Final = 20.0
ENDLESS: Final = ("/live/stream",)  # an answer that has no end cannot be held against a schema
REAL: Final = 0.7  # of the requests: with what is known to the relay
QUERY: Final = {"site": SITE}
PATH: Final = {"event_id": "e-1", "part": "history", "source": "tcf", "file": "console.css"}


def fuzz_routes(folder: Path, *, each: int, number: int) -> Iterator[Line]:
    """`each` inputs of both kinds, valid and not, to every operation; a line of the table per operation."""
    (folder / "signing.key").write_text(KEY)
    relay = RelayProcess(folder, NOBODY_LISTENS)
    relay.start()
    try:
        schema = schemathesis.openapi.from_url(f"{relay.url}/openapi.json")
        for found in schema.get_all_operations():
            operation = found.ok()
            assert operation is not None, found
            if operation.path not in ENDLESS:
                yield fuzz_operation(operation, each, number)
        yield fuzz_socket(relay.port, each, number)
    finally:
        relay.stop()


def bounded(each: int) -> settings:
    return settings(
        max_examples=each,
        deadline=None,
        database=None,
        phases=[Phase.explicit, Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )


def fuzz_operation(operation: Any, each: int, number: int) -> Line:
    line = Line(f"{operation.method.upper()} {operation.path}", "schemathesis")
    rng = random.Random(number)
    for mode in GenerationMode:

        @seed(number)
        @bounded(each)
        @given(operation.as_strategy(generation_mode=mode), posts)
        def ask(case: Case, post: bytes) -> None:
            line.inputs += 1
            response = case.call(**company(case, post, rng))
            line.statuses[response.status_code] += 1
            case.validate_response(response, checks=CHECKS)

        def ask_if_any(ask: Callable[[], None] = ask) -> None:
            with suppress(Unsatisfiable):  # nothing invalid can be said where nothing is asked
                ask()

        line.hold(ask_if_any)
    return line


def company(case: Case, post: bytes, rng: random.Random) -> dict[str, Any]:
    """What goes with a request so that it comes further than the door: a session, the site's origin and key."""
    asked: dict[str, Any] = {"timeout": ANSWER_SECONDS}
    session = SignIn([KEY], secure=False)
    asked["cookies"] = {session.cookie: session.issue("session", time.time_ns() // 1_000_000)}
    if rng.random() < REAL:
        asked["headers"] = {"Origin": ORIGIN}
        for given, real in ((case.query, QUERY), (case.path_parameters, PATH), (case.body, {"site": SITE})):
            if isinstance(given, dict):
                given.update({name: value for name, value in real.items() if name in given})
        if isinstance(case.body, str):
            case.body = post.decode("utf-8", "replace")
    return asked


def fuzz_socket(port: int, each: int, number: int) -> Line:
    """A request with some of its bytes changed, cut or repeated, on a connection of its own."""
    line = Line("bytes on the relay's port", "hypothesis")

    @seed(number)
    @bounded(each)
    @given(
        st.lists(
            st.tuples(st.integers(0, len(REQUEST)), st.integers(0, 9), st.binary(max_size=6)), max_size=6
        )
    )
    def send(changes: list[tuple[int, int, bytes]]) -> None:
        line.inputs += 1
        request = REQUEST
        for at, cut, put in changes:
            request = request[:at] + put + request[at + cut :]
        status = answered(port, request)
        line.statuses[status] += 1
        assert status < 500, request

    line.hold(send)
    return line


def answered(port: int, request: bytes) -> int:
    """The status; 0 where the connection is closed without one."""
    with socket.create_connection(("127.0.0.1", port), timeout=ANSWER_SECONDS) as connection:
        connection.sendall(request)
        connection.shutdown(socket.SHUT_WR)
        try:
            head = connection.recv(12)
        except ConnectionResetError:
            return 0
    return int(head[9:12]) if head[:5] == b"HTTP/" else 0
