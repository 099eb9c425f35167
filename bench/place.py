"""One store of either kind, and what can be timed of it; `bench/backlog.py` asks at which sizes."""

import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final, NamedTuple

import httpx

from bench.outbox import LEASE_MS, deliver, fill, made, opened
from bench.posts import turn
from bench.processes import AWAY, Process, database_cpu_seconds, relay
from e2e.postgres import find_server, new_database, run_sql
from relay.clock import wall_clock_ms
from relay.store.protocol import Again, Store
from relay.store.sqlite.file import connect_reader

STORES: Final = ("SQLite", "PostgreSQL")
CLAIMS, CLAIMED = 300, 100  # claims, and the events of each
COMMITS, ADMITTED = 200, 50  # groups of posts, and the events of each
POSTS, STARTS = 2_000, 3


class Place(NamedTuple):
    """A store of one kind."""

    kind: str
    folder: str
    url: str | None


class Times(NamedTuple):
    p50_ms: float
    p99_ms: float


class Claims(NamedTuple):
    times: Times
    cpu_us: float  # an event, of this processor


class Admission(NamedTuple):
    commit: Times
    cpu_us: float  # an event
    database_cpu_us: float


class Started(NamedTuple):
    seconds: float
    idle_mib: float
    busy_mib: float


@contextmanager
def new_place(kind: str) -> Iterator[Place]:
    with tempfile.TemporaryDirectory() as folder:
        if kind == "SQLite":
            yield Place(kind, folder, None)
        else:
            with new_database(find_server()) as url:
                yield Place(kind, folder, url)


async def fill_place(place: Place, numbers: range) -> None:
    async with opened(place.folder, place.url) as store:
        await fill(store, numbers)


async def time_claims(place: Place, small: Place) -> tuple[Claims, Claims]:
    """In turns."""
    async with opened(place.folder, place.url) as one, opened(small.folder, small.url) as other:
        stores = (one, other)
        found: list[list[tuple[float, float]]] = [[], []]
        for _ in range(CLAIMS):
            for store, spent in zip(stores, found, strict=True):
                spent.append(await _claim(store))
    return _claims_of(found[0]), _claims_of(found[1])


async def _claim(store: Store) -> tuple[float, float]:
    """Seconds, and those of the processor; the events go back behind those that wait."""
    now_ms, began, began_cpu = wall_clock_ms(), time.perf_counter(), time.process_time()
    lease = await store.claim(now_ms=now_ms, lease_ms=LEASE_MS, limit=CLAIMED, busy=frozenset())
    spent = time.perf_counter() - began, time.process_time() - began_cpu
    assert lease is not None
    again = [Again(key=each.key, due_ms=now_ms) for each in lease.events]
    await store.settle(lease, again, now_ms=now_ms, attempt=None)
    return spent


def _claims_of(spent: Sequence[tuple[float, float]]) -> Claims:
    seconds, cpu = zip(*spent, strict=True)
    return Claims(_times(seconds), statistics.median(cpu) * 1e6 / CLAIMED)


async def time_delivery(place: Place) -> float:
    """Microseconds of this processor for each."""
    async with opened(place.folder, place.url) as store:
        before = time.process_time()
        events = await deliver(store)
        return (time.process_time() - before) * 1e6 / events


async def time_admission(place: Place, numbers: range) -> Admission:
    """One group after the other, as many posts as wait for a commit under load."""
    events, seconds = list(made(numbers)), []
    async with opened(place.folder, place.url) as store:
        before = await database_cpu_seconds(place.url), time.process_time()
        for start in range(0, len(events), ADMITTED):
            began = time.perf_counter()
            await store.admit(events[start : start + ADMITTED])
            seconds.append(time.perf_counter() - began)
        used = time.process_time() - before[1]
        database_used = await database_cpu_seconds(place.url) - before[0]
    return Admission(_times(seconds), used * 1e6 / len(events), database_used * 1e6 / len(events))


def _times(seconds: Sequence[float]) -> Times:
    cuts = statistics.quantiles(seconds, n=100)
    return Times(cuts[49] * 1_000, cuts[98] * 1_000)


def time_starts(place: Place, prefix: str) -> Started:
    seconds = []
    for number in range(STARTS):
        began = time.perf_counter()
        with relay(AWAY, folder=place.folder, url=place.url) as process:
            _wait_until_ready(process)
            seconds.append(time.perf_counter() - began)
            idle_mib = process.memory_mib()
            busy_mib = turn(process, POSTS, 16, f"{prefix}-{number}").memory_mib
    return Started(statistics.median(seconds), idle_mib, busy_mib)


def _wait_until_ready(process: Process) -> None:
    while httpx.get(f"http://127.0.0.1:{process.port}/readyz").status_code != httpx.codes.OK:
        time.sleep(0.01)


def disk_bytes(place: Place) -> int:
    """Of the ledger: the room of what waited once, and is free again, left out."""
    if place.url:
        size = "SELECT pg_database_size(current_database()) - pg_total_relation_size('queue')"
        return int(run_sql(place.url, size)[0][0])
    with closing(connect_reader(Path(place.folder) / "counterfoil.db")) as connection:
        pages, free, size = (
            connection.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("page_count", "freelist_count", "page_size")
        )
        return int((pages - free) * size)
