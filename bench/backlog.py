"""What a million queued events, and a ledger of a million, make of the relay: `python -m bench.backlog`.

`[--rows 1000000] [--stores SQLite PostgreSQL]`. A store is filled through its own door: 10,000 events wait, then ten
times as many, and so on. Each time claims are timed, in turns with those of a store in which 10,000 wait, so that what
else the machine does costs both alike; then all is delivered, and admission is timed upon the ledger that
is left. With the most that wait, and with none, relays are started on the store while Graph is away: how long until
one is ready, and its memory then and after 2,000 posts. Exit code 1 where an aim for memory or claims is missed.
"""

import argparse
import asyncio
import sys
from collections.abc import Iterator, Sequence
from typing import Final

from bench.place import (
    ADMITTED,
    CLAIMED,
    COMMITS,
    STORES,
    Admission,
    Claims,
    Place,
    Started,
    disk_bytes,
    fill_place,
    new_place,
    time_admission,
    time_claims,
    time_delivery,
    time_starts,
)
from bench.table import Row, print_table

PART: Final = "backlog"
FIRST: Final = 10_000
EMPTY: Final = "nothing queued"
CLAIM: Final = f"claim of {CLAIMED}, p99 ms"
IDLE: Final = "memory at rest, MiB"
BUSY: Final = "memory after posts, MiB"
IDLE_MAX_MIB, BUSY_MAX_MIB, CLAIM_RATIO_MAX = 120, 250, 2.0
AIMS: Final = (
    f"The aims: {IDLE} at most {IDLE_MAX_MIB}; {BUSY} at most {BUSY_MAX_MIB}; "
    f"{CLAIM} at most {CLAIM_RATIO_MAX:.0f} times that with {FIRST:,} queued"
)


def _rows(kind: str, most: int) -> Iterator[Row]:
    with new_place(kind) as place:
        idle = time_starts(place, "idle")
        yield from _told_start(EMPTY, idle, idle)
    with new_place(kind) as place, new_place(kind) as small:
        asyncio.run(fill_place(small, range(FIRST)))
        yield from _grown(place, small, most, idle)


def _grown(place: Place, small: Place, most: int, idle: Started) -> Iterator[Row]:
    delivered = waiting = 0
    first: Admission | None = None
    wanted = FIRST
    while wanted <= most:
        made_before = delivered + waiting
        asyncio.run(fill_place(place, range(made_before, made_before + wanted - waiting)))
        queued = f"{wanted:,} queued"
        yield from _told_claims(queued, *asyncio.run(time_claims(place, small)))
        if wanted * 10 > most:
            yield from _told_start(queued, time_starts(place, "full"), idle)
        yield Row(PART, queued, "delivering, processor µs an event", asyncio.run(time_delivery(place)))
        delivered += wanted
        waiting = COMMITS * ADMITTED
        admission = asyncio.run(time_admission(place, range(delivered, delivered + waiting)))
        first = first or admission
        yield from _told_admission(f"{delivered:,} delivered", admission, first)
        wanted *= 10
    size = disk_bytes(place) / (delivered + waiting)
    yield Row(PART, f"{delivered:,} delivered", "disk, bytes an event", size)


def _told_start(case: str, got: Started, idle: Started) -> Iterator[Row]:
    yield Row(PART, case, "start until ready, s", got.seconds, idle.seconds, EMPTY)
    yield Row(PART, case, IDLE, got.idle_mib, idle.idle_mib, EMPTY)
    yield Row(PART, case, BUSY, got.busy_mib, idle.busy_mib, EMPTY)


def _told_claims(case: str, got: Claims, small: Claims) -> Iterator[Row]:
    to = f"{FIRST:,} queued"
    yield Row(PART, case, f"claim of {CLAIMED}, p50 ms", got.times.p50_ms, small.times.p50_ms, to)
    yield Row(PART, case, CLAIM, got.times.p99_ms, small.times.p99_ms, to)
    yield Row(PART, case, "claiming, processor µs an event", got.cpu_us, small.cpu_us, to)


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
