"""What one core carries, post to Graph: `python -m bench.capacity [--requests 20000] [--rounds 3]`.

One relay, kept to one core; the load, Graph's stand-in and the database have the others. First posts that are held, so
that ingest is timed alone; then posts that are due at once, which it commits, answers and delivers at the same time,
until Graph has the last. The median round counts. docs/scale.md makes its table of sizes of these figures.
"""

import argparse
import os
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final, NamedTuple

from bench.posts import turn
from bench.processes import Process, graph, received, relay, relay_on_postgres
from bench.table import Row, print_table
from e2e.postgres import find_server

CONNECTIONS: Final = 64
HELD: Final = "ingest alone"
DAY_SECONDS: Final = 86_400


class Carried(NamedTuple):
    """One round."""

    per_second: float
    held_per_second: float
    cpu_ms: float  # an event, of the relay
    p99_ms: float
    memory_mib: float


def _rows(requests: int, rounds: int) -> Iterator[Row]:
    server = find_server()
    found: dict[str, list[Carried]] = defaultdict(list)
    with _others() as core:
        for _ in range(rounds):
            with graph() as meta, relay(meta) as process:
                found["relay, SQLite"].append(_carried(process, core, meta, requests))
            with graph() as meta, relay_on_postgres(meta, server) as process:
                found["relay, PostgreSQL"].append(_carried(process, core, meta, requests))
    for name, each in found.items():
        got = sorted(each)[rounds // 2]
        yield Row("capacity", name, "events/s, post to Graph", got.per_second, got.held_per_second, HELD)
        yield Row("capacity", name, "processor ms an event", got.cpu_ms)
        yield Row("capacity", name, "p99 ms of a post", got.p99_ms)
        yield Row("capacity", name, "memory MiB", got.memory_mib)
        yield Row("capacity", name, "million events a day, half busy", got.per_second * DAY_SECONDS / 2e6)


@contextmanager
def _others() -> Iterator[int]:
    """The core that the relay has to itself; this process, and what it starts, keeps to the others."""
    cores = os.sched_getaffinity(0)
    core = min(cores)
    os.sched_setaffinity(0, cores - {core} or cores)
    try:
        yield core
    finally:
        os.sched_setaffinity(0, cores)


def _carried(process: Process, core: int, meta: str, requests: int) -> Carried:
    process.keep_to(core)
    held = turn(process, requests, CONNECTIONS, "held").measured
    before, used, began = received(meta)[0], process.cpu_seconds(), time.perf_counter()
    posts = turn(process, requests, CONNECTIONS, "due", state="sent").measured
    while (got := received(meta)[0] - before) < requests:
        time.sleep(0.01)
    seconds = time.perf_counter() - began
    return Carried(
        per_second=got / seconds,
        held_per_second=held.per_second,
        cpu_ms=(process.cpu_seconds() - used) * 1_000 / got,
        p99_ms=posts.p99_ms,
        memory_mib=process.memory_mib(),
    )


def measured(arguments: Sequence[str] | None = None) -> Iterator[Row]:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--requests", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args(arguments)
    yield from _rows(asked.requests, asked.rounds)


if __name__ == "__main__":
    print_table(measured())
