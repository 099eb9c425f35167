"""Durable ingest beside what one would run instead: `python -m bench.ingest`.

`[--requests 20000] [--connections 64] [--rounds 3]`. One event a post, committed before `202`, against a bare Starlette
route that parses the same body and keeps nothing, and against routes that call Meta's SDK. Servers take turns, round
after round, and the median round counts. The load runs beside them on the same cores, so the processor time of the
server is told, too: it is what decides on a machine of another size.
"""

import argparse
from collections.abc import Iterator, Sequence
from typing import Final

from bench.posts import Turn, median, turn
from bench.processes import PEERS, Server, bare, graph, peer, peer_node, peer_python, relay, relay_on_postgres
from bench.table import Row, print_table
from e2e.postgres import find_server

BASE: Final = "bare route"


def _rows(requests: int, connections: int, rounds: int) -> Iterator[Row]:
    with graph() as meta:
        servers = _servers(meta, requests)
        turns: dict[str, list[Turn]] = {name: [] for name in servers}
        for number in range(rounds):
            for name, (server, wanted) in servers.items():
                with server() as process:
                    turns[name].append(turn(process, wanted, connections, f"r{number}"))
    base = _figures(median(turns[BASE]))
    for name, each in turns.items():
        for figure, value in _figures(median(each)).items():
            yield Row("ingest", name, figure, value, base[figure], BASE)


def _figures(of: Turn) -> dict[str, float]:
    return {
        "requests/s": of.measured.per_second,
        "p50 ms": of.measured.p50_ms,
        "p99 ms": of.measured.p99_ms,
        "processor ms a request": of.cpu_ms_per_request,
        "memory MiB": of.memory_mib,
    }


def _servers(meta: str, requests: int) -> dict[str, tuple[Server, int]]:
    """Peers that wait for Meta get a tenth of the requests: a run of them would take minutes."""
    postgres = find_server()
    servers: dict[str, tuple[Server, int]] = {
        BASE: (bare, requests),
        "relay, SQLite": (lambda: relay(meta), requests),
        "relay, PostgreSQL": (lambda: relay_on_postgres(meta, postgres), requests),
    }
    if python := peer_python():
        command = [python, str(PEERS / "fastapi_sdk.py")]
        servers["FastAPI + facebook-business"] = (lambda: peer(command, meta), requests // 10)
    if node := peer_node():
        script = [node, str(PEERS / "express_sdk.mjs")]
        servers["Express + facebook-nodejs-business-sdk"] = (lambda: peer(script, meta), requests // 10)
    return servers


def measured(arguments: Sequence[str] | None = None) -> Iterator[Row]:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--requests", type=int, default=20_000)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args(arguments)
    yield from _rows(asked.requests, asked.connections, asked.rounds)


if __name__ == "__main__":
    print_table(measured())
