"""The courier against Meta's own SDK, both in calls of 1,000 to one stand-in for Graph: `python -m bench.delivery`.

`[--events 50000] [--rounds 3]`. Couriers find a full outbox at their start and are timed by Graph's clock until it has
all of it. What the SDK sends is made in memory and is nowhere written down. The median round counts.
"""

import argparse
import asyncio
import contextlib
import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Final, NamedTuple

from bench.outbox import PURCHASES, fill, opened
from bench.processes import PEERS, PIXEL, TOKEN, database_cpu_seconds, graph, peer_python, received, relay
from bench.table import Row, print_table
from e2e.postgres import find_server, new_database

BASE: Final = "facebook-business, 1,000 a call"


class Drained(NamedTuple):
    """One round."""

    per_second: float
    cpu_seconds: float  # a million events
    database_cpu_seconds: float = 0.0  # the same of the database's processes
    memory_mib: float = 0.0  # of one sender


def _rows(events: int, rounds: int) -> Iterator[Row]:
    ways: dict[str, Callable[[int], Drained]] = {}
    if python := peer_python():
        ways[BASE] = partial(_sdk, python)
    server = find_server()
    ways["relay, SQLite"] = partial(_relays, None, 1)
    ways["relay, PostgreSQL"] = partial(_relays, server, 1)
    ways["relay, PostgreSQL, 2 couriers"] = partial(_relays, server, 2)
    found: dict[str, list[Drained]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            found[name].append(way(events))
    middle = {name: sorted(each)[rounds // 2] for name, each in found.items()}
    base = middle.get(BASE)
    for name, got in middle.items():
        yield Row("delivery", name, "events/s", got.per_second, base and base.per_second, BASE)
        yield Row("delivery", name, "processor s a million", got.cpu_seconds, base and base.cpu_seconds, BASE)
        if got.database_cpu_seconds:
            yield Row("delivery", name, "the database's processor s a million", got.database_cpu_seconds)
        if got.memory_mib:
            yield Row("delivery", name, "memory MiB", got.memory_mib)


def _relays(server: str | None, couriers: int, events: int) -> Drained:
    with contextlib.ExitStack() as stack:
        meta = stack.enter_context(graph())
        url = stack.enter_context(new_database(server)) if server else None
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        asyncio.run(_fill(folder, url, events))
        role = "courier" if server else "all"
        senders = [
            stack.enter_context(relay(meta, folder=folder, url=url, role=role)) for _ in range(couriers)
        ]
        before = sum(each.cpu_seconds() for each in senders), asyncio.run(database_cpu_seconds(url))
        sent = received(meta)[0]  # they have begun
        while (got := received(meta))[0] < events:
            time.sleep(0.02)
        if sent == events:
            raise RuntimeError("too few events: they were delivered before the first look")
        share = (events - sent) / 1e6
        return Drained(
            events / got[1],
            (sum(each.cpu_seconds() for each in senders) - before[0]) / share,
            (asyncio.run(database_cpu_seconds(url)) - before[1]) / share,
            max(each.memory_mib() for each in senders),
        )


async def _fill(folder: str, url: str | None, events: int) -> None:
    async with opened(folder, url) as store:
        await fill(store, range(events), PURCHASES)


def _sdk(python: str, events: int) -> Drained:
    with graph() as meta:
        environ = {"GRAPH_URL": meta, "META_ACCESS_TOKEN": TOKEN, "PIXEL_ID": PIXEL}
        done = subprocess.run(
            [python, str(PEERS / "sdk_batches.py"), str(events)],
            env=os.environ | environ,
            stdout=subprocess.PIPE,
            check=True,
            timeout=600,
        )
    seconds, used = map(float, done.stdout.split())
    return Drained(events / seconds, used * 1e6 / events)


def measured(arguments: Sequence[str] | None = None) -> Iterator[Row]:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--events", type=int, default=50_000)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args(arguments)
    yield from _rows(asked.events, asked.rounds)


if __name__ == "__main__":
    print_table(measured())
