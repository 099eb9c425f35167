"""Load for a server on loopback: so many connections, each with one request under way, until all are answered.

The generator is a process of its own, `python -m bench.load`, so that what it costs is not counted as the server's.
SIGTERM ends it early, and what was answered until then is told.
"""

import argparse
import asyncio
import signal
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, cast

import msgspec
import uvloop

ID: Final = b"%ID%"  # stands in the body where each request gets its own event_id
HEAD_END: Final = b"\r\n\r\n"
LENGTH: Final = b"content-length:"
TIME_MAX_SECONDS: Final = 300


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """What to send, to `port` of 127.0.0.1."""

    port: int
    path: str
    headers: dict[str, str]
    body: str
    requests: int
    connections: int
    prefix: str = "bench"  # of the event_ids
    per_second: float | None = None  # of all connections together; None: as fast as they are answered


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """Milliseconds are those of single requests."""

    per_second: float
    p50_ms: float
    p99_ms: float
    statuses: dict[int, int]


class Visitor(asyncio.Protocol):
    """One connection: a request, its whole answer, the next request."""

    def __init__(self, load: Load, run: "Run") -> None:
        self._load = load
        self._run = run
        self._got = b""
        named = {"host": f"127.0.0.1:{load.port}", **load.headers}
        self._head = f"POST {load.path} HTTP/1.1\r\n" + "".join(f"{n}: {v}\r\n" for n, v in named.items())
        self._began = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's own is no subclass
        self._next()

    def _next(self) -> None:
        wait_seconds = self._run.wait_seconds()
        if wait_seconds > 0:
            asyncio.get_running_loop().call_later(wait_seconds, self._send)
        else:
            self._send()

    def _send(self) -> None:
        number = self._run.take()
        if number is None:
            self._transport.close()
            return
        body = self._load.body.encode().replace(ID, f"{self._load.prefix}-{number}".encode())
        head = f"{self._head}content-length: {len(body)}\r\n\r\n".encode()
        self._began = time.perf_counter()
        self._transport.write(head + body)

    def data_received(self, data: bytes) -> None:
        self._got += data
        head, end, rest = self._got.partition(HEAD_END)
        if not end or len(rest) < _length(head):
            return
        self._run.answered(int(head[9:12]), time.perf_counter() - self._began)
        self._got = b""
        self._next()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        self._run.left()


def _length(head: bytes) -> int:
    for line in head.lower().split(b"\r\n"):
        if line.startswith(LENGTH):
            return int(line[len(LENGTH) :])
    return 0


class Run:
    """The requests of one load, shared by its connections."""

    def __init__(self, load: Load) -> None:
        self._numbers = iter(range(load.requests))
        self._open = load.connections
        self._apart_seconds = 1 / load.per_second if load.per_second else 0.0
        self._next_at = time.perf_counter()
        self.seconds: list[float] = []
        self.statuses: Counter[int] = Counter()
        self.last_answer_at = self._next_at
        self.ended = asyncio.Event()

    def take(self) -> int | None:
        return next(self._numbers, None)

    def stop(self) -> None:
        self._numbers = iter(range(0))

    def wait_seconds(self) -> float:
        """Until the next request's turn; a server that is behind is not given what it missed all at once."""
        now = time.perf_counter()
        self._next_at = max(self._next_at + self._apart_seconds, now - 1)
        return self._next_at - now if self._apart_seconds else 0.0

    def answered(self, status: int, seconds: float) -> None:
        self.statuses[status] += 1
        self.seconds.append(seconds)
        self.last_answer_at = time.perf_counter()

    def left(self) -> None:
        self._open -= 1
        if not self._open:
            self.ended.set()


async def drive(load: Load) -> Measured:
    """Send it all; raises where a connection was refused."""
    run = Run(load)
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, run.stop)
    began = time.perf_counter()
    await asyncio.gather(
        *(
            loop.create_connection(lambda: Visitor(load, run), "127.0.0.1", load.port)
            for _ in range(load.connections)
        )
    )
    async with asyncio.timeout(TIME_MAX_SECONDS):
        await run.ended.wait()
    spent = run.last_answer_at - began  # who waits for a turn when the load is ended does nothing more
    cuts = statistics.quantiles(run.seconds, n=100)
    return Measured(
        per_second=len(run.seconds) / spent,
        p50_ms=cuts[49] * 1_000,
        p99_ms=cuts[98] * 1_000,
        statuses=dict(run.statuses),
    )


def generate(load: Load) -> Measured:
    """The same in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "bench.load"],
        input=msgspec.json.encode(load),
        stdout=subprocess.PIPE,
        check=True,
        timeout=600,
    )
    return msgspec.json.decode(done.stdout, type=Measured)


@contextmanager
def generating(load: Load) -> Iterator[Callable[[], Measured]]:
    """Load beside what is done meanwhile; ended, and asked what came of it, by a call of what is given."""
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.load"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )

    def ended() -> Measured:
        process.terminate()
        said, _ = process.communicate(timeout=60)
        return msgspec.json.decode(said, type=Measured)

    try:
        assert process.stdin is not None
        process.stdin.write(msgspec.json.encode(load))
        process.stdin.close()
        process.stdin = None
        time.sleep(1)  # until it is at work
        yield ended
    finally:
        process.kill()
        process.wait()


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__).parse_args()
    asked = msgspec.json.decode(sys.stdin.buffer.read(), type=Load)
    sys.stdout.buffer.write(msgspec.json.encode(uvloop.run(drive(asked))))
