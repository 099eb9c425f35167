"""What a million queued events, and a ledger of a million, make of the relay: `python -m bench.backlog`.

`[--rows 1000000] [--stores SQLite PostgreSQL]`. A store is filled through its own door: 10,000 events wait, then ten
times as many, and so on. Each time claims are timed; then all is delivered, and admission is timed upon the ledger that
is left. With the most that wait, and with none, relays are started on the store while Graph is away: how long until
one is ready, and its memory then and after 2,000 posts. Exit code 1 where an aim for memory or claims is missed.
"""

import argparse
import asyncio
import statistics
import sys
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
from bench.table import Row, print_table
from e2e.postgres import find_server, new_database, run_sql
from relay.clock import wall_clock_ms
from relay.store.protocol import Again
from relay.store.sqlite.file import connect_reader

PART: Final = "backlog"
STORES: Final = ("SQLite", "PostgreSQL")
FIRST: Final = 10_000
CLAIMS, CLAIMED = 300, 100  # claims, and the events of each
COMMITS, ADMITTED = 200, 50  # groups of posts, and the events of each
POSTS, STARTS = 2_000, 3
EMPTY: Final = "nothing queued"
CLAIM: Final = f"claim of {CLAIMED}, p99 ms"
IDLE: Final = "memory at rest, MiB"
BUSY: Final = "memory after posts, MiB"
IDLE_MAX_MIB, BUSY_MAX_MIB, CLAIM_RATIO_MAX = 120, 250, 2.0
AIMS: Final = (
    f"The aims: {IDLE} at most {IDLE_MAX_MIB}; {BUSY} at most {BUSY_MAX_MIB}; "
    f"{CLAIM} at most {CLAIM_RATIO_MAX:.0f} times that with {FIRST:,} queued"
)


class Place(NamedTuple):
    """A store of one kind."""

    kind: str
    folder: str
    url: str | None


class Times(NamedTuple):
    p50_ms: float
    p99_ms: float


class Admission(NamedTuple):
    commit: Times
    cpu_us: float  # an event
    database_cpu_us: float


class Started(NamedTuple):
    seconds: float
    idle_mib: float
    busy_mib: float


def _rows(kind: str, most: int) -> Iterator[Row]:
    with _place(kind) as place:
        idle = _started(place, "idle")
    yield from _told_start(EMPTY, idle, idle)
    with _place(kind) as place:
        yield from _grown(place, most, idle)


def _grown(place: Place, most: int, idle: Started) -> Iterator[Row]:
    delivered = waiting = 0
    claims: list[Times] = []
    admissions: list[Admission] = []
    while (wanted := FIRST * 10 ** len(claims)) <= most:
        made_before = delivered + waiting
        asyncio.run(_fill(place, range(made_before, made_before + wanted - waiting)))
        claims.append(asyncio.run(_claims(place)))
        yield from _told_claims(f"{wanted:,} queued", claims[-1], claims[0])
        if wanted * 10 > most:
            yield from _told_start(f"{wanted:,} queued", _started(place, "full"), idle)
        delivered += wanted
        yield Row(
            PART,
            f"{wanted:,} queued",
            "delivering, processor µs an event",
            asyncio.run(_deliver(place)),
        )
        waiting = COMMITS * ADMITTED
        admissions.append(asyncio.run(_admission(place, range(delivered, delivered + waiting))))
        yield from _told_admission(f"{delivered:,} delivered", admissions[-1], admissions[0])
    size = _disk_bytes(place) / (delivered + waiting)
    yield Row(PART, f"{delivered:,} delivered", "disk, bytes an event", size)


@contextmanager
def _place(kind: str) -> Iterator[Place]:
    with tempfile.TemporaryDirectory() as folder:
        if kind == "SQLite":
            yield Place(kind, folder, None)
        else:
            with new_database(find_server()) as url:
                yield Place(kind, folder, url)


async def _fill(place: Place, numbers: range) -> None:
    async with opened(place.folder, place.url) as store:
        await fill(store, numbers)


async def _claims(place: Place) -> Times:
    """Each gives its events back, behind those that wait."""
    seconds = []
    async with opened(place.folder, place.url) as store:
        for _ in range(CLAIMS):
            now_ms, began = wall_clock_ms(), time.perf_counter()
            lease = await store.claim(now_ms=now_ms, lease_ms=LEASE_MS, limit=CLAIMED, busy=frozenset())
            seconds.append(time.perf_counter() - began)
            assert lease is not None
            again = [Again(key=each.key, due_ms=now_ms) for each in lease.events]
            await store.settle(lease, again, now_ms=now_ms, attempt=None)
    return _times(seconds)


async def _deliver(place: Place) -> float:
    """Microseconds of this processor for each."""
    async with opened(place.folder, place.url) as store:
        before = time.process_time()
        events = await deliver(store)
        return (time.process_time() - before) * 1e6 / events


async def _admission(place: Place, numbers: range) -> Admission:
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


def _started(place: Place, prefix: str) -> Started:
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


def _disk_bytes(place: Place) -> int:
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


def _told_start(case: str, got: Started, idle: Started) -> Iterator[Row]:
    yield Row(PART, case, "start until ready, s", got.seconds, idle.seconds, EMPTY)
    yield Row(PART, case, IDLE, got.idle_mib, idle.idle_mib, EMPTY)
    yield Row(PART, case, BUSY, got.busy_mib, idle.busy_mib, EMPTY)


def _told_claims(case: str, got: Times, first: Times) -> Iterator[Row]:
    yield Row(PART, case, f"claim of {CLAIMED}, p50 ms", got.p50_ms, first.p50_ms, f"{FIRST:,} queued")
    yield Row(PART, case, CLAIM, got.p99_ms, first.p99_ms, f"{FIRST:,} queued")


def _told_admission(case: str, got: Admission, first: Admission) -> Iterator[Row]:
    to = f"{FIRST:,} delivered"
    yield Row(PART, case, "admitting, processor µs an event", got.cpu_us, first.cpu_us, to)
    if got.database_cpu_us:
        used = got.database_cpu_us
        yield Row(PART, case, "the database's processor µs an event", used, first.database_cpu_us, to)
    yield Row(PART, case, f"commit of {ADMITTED}, p50 ms", got.commit.p50_ms, first.commit.p50_ms, to)
    yield Row(PART, case, f"commit of {ADMITTED}, p99 ms", got.commit.p99_ms, first.commit.p99_ms, to)


def _is_missed(row: Row) -> bool:
    if row.figure == CLAIM:
        return row.value > CLAIM_RATIO_MAX * (row.base or 0)
    if row.figure == BUSY:
        return row.value > BUSY_MAX_MIB
    return row.figure == IDLE and row.case.endswith(EMPTY) and row.value > IDLE_MAX_MIB


def measured(arguments: Sequence[str] | None = None) -> Iterator[Row]:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--stores", nargs="*", choices=STORES, default=STORES)
    asked = parser.parse_args(arguments)
    for kind in asked.stores:
        for row in _rows(kind, asked.rows):
            yield row._replace(case=f"{kind}, {row.case}")


def verdict(told: Sequence[Row]) -> int:
    """The exit code, and the rows that miss an aim."""
    missed = [row for row in told if _is_missed(row)]
    for row in missed:
        print(f"Missed: {row.part}, {row.case}, {row.figure}. {AIMS}.")
    return int(bool(missed))


if __name__ == "__main__":
    sys.exit(verdict(print_table(measured())))
