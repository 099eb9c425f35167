"""How fast, beside what one would run instead: every figure a ratio in one run (`python -m bench.speed`).

`[--requests 20000] [--connections 64] [--rounds 3] [--only PART …]`

- **ingest**: one event a post, committed before `202`, against a bare Starlette route that parses the same body and
  keeps nothing, and against routes that call Meta's SDK. Servers take turns, round after round, and the median round
  counts. The load runs beside them on the same cores, so the processor time of the server is printed, too: it is what
  decides on a machine of another size.
- **delivery**: the courier against Meta's own SDK with batches of the same size, both towards one stand-in for Graph.
- **attack**: the p99 of a good client alone, beside 500 connections that trickle, and beside another site's flood.

Peers come from `bench/peers/setup.sh`; without them their rows are left out, and said so. Nothing leaves this machine.
"""

import argparse
import asyncio
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

import httpx
import msgspec

from bench.load import ID, Load, Measured, generate
from e2e.postgres import find_server, free_port, new_database
from relay.clock import wall_clock_ms
from relay.event.outcome import BrowserState, Transport
from relay.event.records import BrowserLeg, OutboxEvent
from relay.store.postgres import PostgresStore
from relay.store.protocol import Store
from relay.store.sqlite import SqliteStore

PEERS: Final = Path(__file__).parent / "peers"
SITE, OTHER_SITE, PIXEL, OTHER_PIXEL = "shop", "other", "1234567890", "2222222222"
ORIGIN: Final = "https://shop.example"
TOKEN: Final = "EAAbench"
AGENT: Final = "Mozilla/5.0 (X11; Linux x86_64; rv:144.0) Gecko/20100101 Firefox/144.0"
HEADERS: Final = {"origin": ORIGIN, "content-type": "application/json", "user-agent": AGENT}
TICKS: Final = os.sysconf("SC_CLK_TCK")
PARTS: Final = ("ingest", "delivery", "attack")
CONFIG: Final = """
[server]
port = {port}
public_url = "http://127.0.0.1:{port}"
graph_url = "{graph}"
accept_private_addresses = true
secret_key_env = "BENCH_KEY"
{role}
[store]
path = "{folder}/counterfoil.db"
{url}
[delivery]
hold_pending_seconds = 600
[limits]
address_posts_per_minute = 100000000
site_events_per_minute = {budget}
[[site]]
key = "shop"
origins = ["https://shop.example"]
pixels = [{{ id = "1234567890", token_env = "BENCH_TOKEN" }}]
[[site]]
key = "other"
origins = ["https://shop.example"]
pixels = [{{ id = "2222222222", token_env = "BENCH_TOKEN" }}]
"""


def event(state: str) -> dict[str, object]:
    """A Purchase as the snippet posts it."""
    return {
        "event_name": "Purchase",
        "event_id": ID.decode(),
        "age_ms": 412,
        "url": "https://shop.example/thanks?order=1001",
        "referrer": "https://shop.example/checkout",
        "fbp": "fb.1.1763859600000.1234567890",
        "custom_data": {
            "value": 49.9,
            "currency": "EUR",
            "content_type": "product",
            "contents": [{"id": "sku-1", "quantity": 2, "item_price": 24.95}],
        },
        "user_data": {"em": "a" * 64, "external_id": "b" * 64},
        "pixel": {"state": state, "evidence": "unload", "transport": "image", "dispatched_ms": 3},
    }


class Process:
    """A server of its own, and what it has used of the processor."""

    def __init__(self, command: Sequence[str], port: int, environ: dict[str, str] | None = None) -> None:
        self.port = port
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 - as long as the process
        self._process = subprocess.Popen(
            command, env=os.environ | (environ or {}), stdout=self._said, stderr=self._said
        )

    def cpu_seconds(self) -> float:
        """Of the process and its threads; the store's writer is one of them."""
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def memory_mib(self) -> float:
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        return int(status.partition("VmRSS:")[2].split()[0]) / 1024

    def up(self) -> "Process":
        for _ in range(600):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
                return self
            if self._process.poll() is not None:
                break
            time.sleep(0.05)
        self._said.seek(0)
        raise RuntimeError(f"no server on port {self.port}: {self._said.read()[-2_000:].decode()}")

    def end(self) -> None:
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


@contextlib.contextmanager
def running(process: Process) -> Iterator[Process]:
    try:
        yield process.up()
    finally:
        process.end()


@contextlib.contextmanager
def relay(
    meta: str,
    *,
    folder: str | None = None,
    url: str | None = None,
    budget: int = 100_000_000,
    role: str = "all",
) -> Iterator[Process]:
    """A relay that holds what it takes for ten minutes, so that ingest is measured alone."""
    port = free_port()
    with tempfile.TemporaryDirectory() as own:
        config = Path(own) / "relay.toml"
        config.write_text(
            CONFIG.format(
                port=port,
                graph=meta,
                folder=folder or own,
                url=f'url = "{url}"' if url else "",
                budget=budget,
                role=f'role = "{role}"' if url else "",
            )
        )
        command = [sys.executable, "-m", "relay", "serve", "--config", str(config)]
        with running(Process(command, port, {"BENCH_TOKEN": TOKEN, "BENCH_KEY": "k" * 32})) as process:
            yield process


@contextlib.contextmanager
def bare() -> Iterator[Process]:
    port = free_port()
    with running(Process([sys.executable, str(PEERS / "bare.py"), str(port)], port)) as process:
        yield process


@contextlib.contextmanager
def peer(command: Sequence[str], meta: str) -> Iterator[Process]:
    port = free_port()
    environ = {"GRAPH_URL": meta, "META_ACCESS_TOKEN": TOKEN, "PIXEL_ID": PIXEL, "NODE_ENV": "production"}
    with running(Process([*command, str(port)], port, environ)) as process:
        yield process


@contextlib.contextmanager
def graph() -> Iterator[str]:
    """The stand-in for Graph that costs least."""
    port = free_port()
    with running(Process([sys.executable, str(PEERS / "graph.py"), str(port)], port)):
        yield f"http://127.0.0.1:{port}"


class Turn(msgspec.Struct, frozen=True, kw_only=True):
    """One round of one server."""

    measured: Measured
    cpu_ms_per_request: float
    memory_mib: float


def turn(process: Process, requests: int, connections: int, prefix: str, state: str = "pending") -> Turn:
    body = msgspec.json.encode({"site": SITE, "events": [event(state)]}).decode()
    load = Load(
        port=process.port,
        path="/v1/events",
        headers=HEADERS,
        body=body,
        requests=requests,
        connections=connections,
        prefix=prefix,
    )
    generate(msgspec.structs.replace(load, requests=connections * 4, prefix=f"{prefix}-warm"))
    before = process.cpu_seconds()
    measured = generate(load)
    if measured.statuses != {202: requests}:
        raise RuntimeError(f"not every post was taken: {measured.statuses}")
    used = process.cpu_seconds() - before
    return Turn(
        measured=measured, cpu_ms_per_request=used * 1_000 / requests, memory_mib=process.memory_mib()
    )


def median(turns: Sequence[Turn]) -> Turn:
    return sorted(turns, key=lambda each: each.measured.per_second)[len(turns) // 2]


Server = Callable[[], contextlib.AbstractContextManager[Process]]


def ingest(servers: dict[str, tuple[Server, int]], connections: int, rounds: int) -> str:
    turns: dict[str, list[Turn]] = {name: [] for name in servers}
    for number in range(rounds):
        for name, (server, requests) in servers.items():
            with server() as process:
                turns[name].append(turn(process, requests, connections, f"r{number}"))
    base = median(turns["bare route"])
    lines = [
        f"{'ingest':<34}{'req/s':>9}{'ratio':>8}{'p50 ms':>9}{'p99 ms':>9}{'cpu ms/req':>12}{'ratio':>8}{'MiB':>7}"
    ]
    for name, each in turns.items():
        best = median(each)
        got = best.measured
        lines.append(
            f"{name:<34}{got.per_second:>9.0f}{got.per_second / base.measured.per_second:>8.2f}"
            f"{got.p50_ms:>9.1f}{got.p99_ms:>9.1f}"
            f"{best.cpu_ms_per_request:>12.3f}{best.cpu_ms_per_request / base.cpu_ms_per_request:>8.2f}"
            f"{best.memory_mib:>7.0f}"
        )
    return "\n".join(lines)


def ingest_servers(meta: str, server: str, requests: int) -> dict[str, tuple[Server, int]]:
    """Peers that wait for Meta get a tenth of the requests: a run of them would take minutes."""
    servers: dict[str, tuple[Server, int]] = {
        "bare route": (bare, requests),
        "relay, SQLite": (lambda: relay(meta), requests),
    }
    servers["relay, PostgreSQL"] = (lambda: on_postgres(meta, server), requests)
    python, node = PEERS / ".venv" / "bin" / "python", shutil.which("node")
    if python.exists():
        command = [str(python), str(PEERS / "fastapi_sdk.py")]
        servers["FastAPI + facebook-business"] = (lambda: peer(command, meta), requests // 10)
    if node and (PEERS / "node_modules").exists():
        script = [node, str(PEERS / "express_sdk.mjs")]
        servers["Express + facebook-nodejs-…-sdk"] = (lambda: peer(script, meta), requests // 10)
    return servers


@contextlib.contextmanager
def on_postgres(meta: str, server: str) -> Iterator[Process]:
    with new_database(server) as url, relay(meta, url=url) as process:
        yield process


def delivery(events: int, server: str) -> str:
    """Couriers that find a full outbox at their start, until Graph has all of it."""
    lines = [f"{'delivery':<34}{'events/s':>9}{'cpu s per million':>19}"]
    for name, couriers in (
        ("relay, SQLite", 0),
        ("relay, PostgreSQL", 1),
        ("relay, PostgreSQL, 2 couriers", 2),
    ):
        with contextlib.ExitStack() as stack:
            meta = stack.enter_context(graph())
            url = stack.enter_context(new_database(server)) if couriers else None
            folder = stack.enter_context(tempfile.TemporaryDirectory())
            asyncio.run(fill(folder, url, events))
            rate, cpu = drained(stack, meta, folder, url, couriers, events)
        lines.append(f"{name:<34}{rate:>9.0f}{cpu * 1e6 / events:>19.1f}")
    python = PEERS / ".venv" / "bin" / "python"
    if python.exists():
        rate, cpu = sdk_batches(str(python), events)
        lines.append(f"{'facebook-business, 1,000 a call':<34}{rate:>9.0f}{cpu * 1e6 / events:>19.1f}")
    return "\n".join(lines)


async def fill(folder: str, url: str | None, events: int) -> None:
    """Rows of two pixels, as ingest would write them, due at once."""
    rows = [stored(number, (PIXEL, OTHER_PIXEL)[number % 2]) for number in range(events)]
    store: Store = (
        await PostgresStore.open(url) if url else await SqliteStore.open(Path(folder) / "counterfoil.db")
    )
    for start in range(0, events, 500):
        await store.admit(rows[start : start + 500])
    await store.close()


def stored(number: int, pixel: str) -> OutboxEvent:
    now_ms = wall_clock_ms()
    posted = {**event("pending"), "event_id": f"d-{number}", "user_data": {"em": ["a" * 64]}}
    server_event = {
        **{name: posted[name] for name in ("event_name", "event_id", "custom_data", "user_data")},
        "event_time": now_ms // 1_000,
        "event_source_url": posted["url"],
        "action_source": "website",
    }
    return OutboxEvent(
        key=number.to_bytes(16, "big"),
        site=SITE if pixel == PIXEL else OTHER_SITE,
        pixel=pixel,
        event_name="Purchase",
        event_id=f"d-{number}",
        event_time_ms=now_ms,
        received_ms=now_ms,
        not_before_ms=now_ms,
        leg=BrowserLeg(
            state=BrowserState.SENT,
            evidence="load",
            transport=Transport.IMAGE,
            dispatched_ms=now_ms,
            settled_ms=now_ms,
            reported_ms=now_ms,
        ),
        server_event=msgspec.json.encode(server_event),
        client_ip_address="2001:db8::7",
        client_user_agent=AGENT,
        why={},
    )


def drained(
    stack: contextlib.ExitStack, meta: str, folder: str, url: str | None, couriers: int, events: int
) -> tuple[float, float]:
    """Events per second by Graph's own clock, and processor seconds once the relays are up."""
    role = "courier" if couriers else "all"
    senders = [
        stack.enter_context(relay(meta, folder=folder, url=url, role=role)) for _ in range(couriers or 1)
    ]
    before = sum(each.cpu_seconds() for each in senders)
    while (got := received(meta))[0] < events:
        time.sleep(0.02)
    return events / got[1], sum(each.cpu_seconds() for each in senders) - before


def received(meta: str) -> tuple[int, float]:
    """Events so far, and the seconds between Graph's first call and its last."""
    events, seconds = httpx.get(f"{meta}/bench").json()
    return events, seconds


def sdk_batches(python: str, events: int) -> tuple[float, float]:
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
    return events / seconds, used


def attack(meta: str, requests: int) -> str:
    """A good client's p99 alone, beside slow connections, and beside another site's flood."""
    lines = [f"{'beside a good client':<34}{'p50 ms':>9}{'p99 ms':>9}{'p99 ratio':>11}"]
    with relay(meta, budget=20_000) as process:
        alone = median([turn(process, requests, 4, f"a{number}") for number in range(3)]).measured
        with trickling(process.port, 500):
            slow = median([turn(process, requests, 4, f"s{number}") for number in range(3)]).measured
        with flood(process.port):
            beside = median([turn(process, requests, 4, f"f{number}") for number in range(3)]).measured
    for name, got in (
        ("nobody", alone),
        ("500 connections that trickle", slow),
        ("a flood of another site", beside),
    ):
        lines.append(f"{name:<34}{got.p50_ms:>9.2f}{got.p99_ms:>9.2f}{got.p99_ms / alone.p99_ms:>11.2f}")
    return "\n".join(lines)


@contextlib.contextmanager
def trickling(port: int, connections: int) -> Iterator[None]:
    """Connections that send a byte of their head now and then; the relay ends each after its time."""
    stop = threading.Event()
    thread = threading.Thread(target=_trickle, args=(port, connections, stop))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _trickle(port: int, connections: int, stop: threading.Event) -> None:
    while not stop.is_set():
        opened = []
        for _ in range(connections):
            with contextlib.suppress(OSError):
                opened.append(socket.create_connection(("127.0.0.1", port), 1))
        for byte in b"POST /v1/events HTTP/1.1\r\nhost: x\r\n":
            for each in opened:
                with contextlib.suppress(OSError):
                    each.send(bytes([byte]))
            if stop.wait(0.25):
                break
        for each in opened:
            each.close()


@contextlib.contextmanager
def flood(port: int) -> Iterator[None]:
    """Another site's pages post as fast as they can, far over their budget; ends by itself after two minutes."""
    body = msgspec.json.encode({"site": OTHER_SITE, "events": [event("pending")]}).decode()
    load = Load(
        port=port,
        path="/v1/events",
        headers=HEADERS,
        body=body,
        requests=200_000,
        connections=16,
        prefix="flood",
    )
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.load"],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    assert process.stdin is not None
    process.stdin.write(msgspec.json.encode(load))
    process.stdin.close()
    time.sleep(1)
    try:
        yield
    finally:
        process.kill()
        process.wait()


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--requests", type=int, default=20_000)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="*", choices=PARTS, default=PARTS)
    asked = parser.parse_args(arguments)
    server = find_server()
    if not (PEERS / ".venv").exists():
        print("Peers are left out; bench/peers/setup.sh installs them.")
    with graph() as meta:
        if "ingest" in asked.only:
            servers = ingest_servers(meta, server, asked.requests)
            print(ingest(servers, asked.connections, asked.rounds), end="\n\n")
        if "delivery" in asked.only:
            print(delivery(asked.requests, server), end="\n\n")
        if "attack" in asked.only:
            print(attack(meta, asked.requests // 10), end="\n\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
