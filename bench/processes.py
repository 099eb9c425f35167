"""The servers that the benches measure, each a process of its own on loopback: the relay, its peers, Graph's stand-in.

Peers come from `bench/peers/setup.sh`. Nothing leaves this machine.
"""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

import asyncpg
import httpx

from e2e.postgres import free_port, new_database

PEERS: Final = Path(__file__).parent / "peers"
SITE, OTHER_SITE, PIXEL, OTHER_PIXEL = "shop", "other", "1234567890", "2222222222"
PIXELS: Final = (PIXEL, OTHER_PIXEL)
TOKEN: Final = "EAAbench"
TICKS: Final = os.sysconf("SC_CLK_TCK")
AWAY: Final = "http://127.0.0.1:9"  # a Graph that is not there
NO_LIMIT: Final = 100_000_000
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


class Process:
    """A server of its own, and what it has used of the machine."""

    def __init__(self, command: Sequence[str], port: int, environ: dict[str, str] | None = None) -> None:
        self.port = port
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 - as long as the process
        self._process = subprocess.Popen(
            command, env=os.environ | (environ or {}), stdout=self._said, stderr=self._said
        )

    def cpu_seconds(self) -> float:
        """Of the process and its threads; the store's writer is one of them."""
        return cpu_seconds(self._process.pid)

    def memory_mib(self) -> float:
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        return int(status.partition("VmRSS:")[2].split()[0]) / 1024

    def keep_to(self, core: int) -> None:
        for thread in Path(f"/proc/{self._process.pid}/task").iterdir():
            os.sched_setaffinity(int(thread.name), {core})

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


Server = Callable[[], contextlib.AbstractContextManager[Process]]


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


async def database_cpu_seconds(url: str | None) -> float:
    """Of the server's processes for this database, where it runs on this machine; 0 where it does not."""
    if url is None:
        return 0.0
    connection = await asyncpg.connect(url)
    rows = await connection.fetch(
        "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    await connection.close()
    return sum(_cpu_seconds_if_here(row["pid"]) for row in rows)


def _cpu_seconds_if_here(pid: int) -> float:
    try:
        return cpu_seconds(pid)
    except FileNotFoundError:
        return 0.0


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
    budget: int = NO_LIMIT,
    role: str = "all",
) -> Iterator[Process]:
    """A relay that holds what is pending for ten minutes, so that ingest can be measured alone."""
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
def relay_on_postgres(meta: str, server: str) -> Iterator[Process]:
    with new_database(server) as url, relay(meta, url=url) as process:
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


def peer_python() -> str | None:
    """The Python that has Meta's SDK; says so where there is none."""
    python = PEERS / ".venv" / "bin" / "python"
    if not python.exists():
        print("Meta's SDK for Python is left out; bench/peers/setup.sh installs it.")
    return str(python) if python.exists() else None


def peer_node() -> str | None:
    node = shutil.which("node")
    if node is None or not (PEERS / "node_modules").exists():
        print("Meta's SDK for Node is left out; bench/peers/setup.sh installs it.")
        return None
    return node


@contextlib.contextmanager
def graph() -> Iterator[str]:
    """The stand-in for Graph that costs least."""
    port = free_port()
    with running(Process([sys.executable, str(PEERS / "graph.py"), str(port)], port)):
        yield f"http://127.0.0.1:{port}"


def received(meta: str) -> tuple[int, float]:
    """Events so far, and the seconds between Graph's first call and its last."""
    events, seconds = httpx.get(f"{meta}/bench").json()
    return events, seconds
