"""Many machines on one database, as processes: relays behind a balancer, couriers, the twin, and visitors with a log.

What is done to them is in `e2e/test_machines.py`, in short, and in `bench/machines.py`, at length.
"""

import asyncio
import itertools
import os
import subprocess
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final, Self

import httpx

from e2e.checker import GeneratorLog, Json, Violation, check, read_generator, read_postgres_ledger
from e2e.lab import ENVIRON, Served, loopback_listener, wait_until
from e2e.lossy_postgres import Proxy
from e2e.network import why_not
from e2e.postgres import Cluster, open_folder, run_sql
from e2e.rig import Poisoned, RelayProcess
from relay.twin.app import create_twin

KEY: Final = "FARM_KEY"
URL: Final = "FARM_URL"  # as an operator keeps an address with a password

# A lease that a frozen courier can outlive within a test.
FAST: Final = "connect_timeout_seconds = 0.5\nread_timeout_seconds = 1.0\nlease_seconds = 4.0\n"


class Farm:
    """`with Farm(folder, url, relays=2, couriers=2) as farm:`; every process has a folder of its own."""

    def __init__(
        self, folder: Path, url: str, *, relays: int = 2, couriers: int = 2, watch: str = ""
    ) -> None:
        """`watch` is the address by which the test itself looks at the database, where that is another."""
        self._folder, self._url = folder, url
        self._watch = watch or url
        listener = loopback_listener()
        self.meta = Poisoned(create_twin())
        self._twin = Served(self.meta, plain=listener)
        self.http = httpx.Client(base_url=f"http://127.0.0.1:{listener.getsockname()[1]}", timeout=120)
        self.log_path = folder / "generator.jsonl"
        self.log = GeneratorLog(self.log_path)
        self.relays = [self._process(f"relay-{number}", "relay") for number in range(relays)]
        self.couriers = [self._process(f"courier-{number}", "courier") for number in range(couriers)]
        self._turn = itertools.count()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        for process in (*self.relays, *self.couriers):
            process.kill()
        self.http.close()
        self._twin.close()
        self.log.close()

    def start(self) -> None:
        """All at once, as after a power cut: the first makes the tables."""
        for process in (*self.relays, *self.couriers):
            process.start(wait=False)
        for process in self.relays:  # they are ready even where the database is not
            process.wait_until_ready()

    def relay_url(self) -> str:
        """The balancer's choice."""
        return self.relays[next(self._turn) % len(self.relays)].url

    def fault(self, **fault: Any) -> None:
        self.http.post("/twin/faults", json=fault).raise_for_status()

    def spilled(self) -> int:
        return sum(httpx.get(f"{relay.url}/readyz").json().get("spilled", 0) for relay in self.relays)

    def waiting(self) -> int:
        return int(run_sql(self._watch, "SELECT count(*) FROM queue")[0][0])

    def drain(self, *, seconds: float = 90) -> None:
        """Until every post is in the database, and none of its events waits any more."""
        wait_until(
            lambda: self.spilled() == 0 and self.waiting() == 0, "nothing waits any more", seconds=seconds
        )

    def repeats(self) -> int:
        """Events that the twin got more than once; the checker says whether each was allowed."""
        arrived: list[Json] = self.http.get("/twin/state").raise_for_status().json()["server"]
        return len(arrived) - len({(each["pixel"], each["event_name"], each["event_id"]) for each in arrived})

    def verdict(self) -> list[str]:
        """What the checker says of the three logs."""
        twin: Json = self.http.get("/twin/state").raise_for_status().json()
        ledger = read_postgres_ledger(self._watch)
        found: list[Violation] = check(read_generator(self.log_path), ledger, twin, spilled=True)
        return [str(violation) for violation in found]

    def _process(self, name: str, role: str) -> RelayProcess:
        folder = self._folder / name
        folder.mkdir()
        return RelayProcess(
            folder,
            str(self.http.base_url),
            settings=FAST,
            server=f'role = "{role}"\nsecret_key_env = "{KEY}"\n',
            store=f'url_env = "{URL}"\n',
            environ=ENVIRON | {KEY: "farm" * 16, URL: self._url},
        )


def rolling_restart(processes: Sequence[RelayProcess]) -> None:
    """One after the other, each in order, and the next only when it is ready again."""
    for process in processes:
        process.stop()
        process.start()


@contextmanager
def pair() -> Iterator[tuple[Cluster, Cluster]]:
    """A primary and its synchronous standby, both our own."""
    with ExitStack() as stack:
        folder = stack.enter_context(open_folder())
        primary, standby = Cluster(folder / "primary").make(), Cluster(folder / "standby")
        primary.start()
        stack.callback(primary.kill)
        primary.sql("ALTER SYSTEM SET synchronous_standby_names = 'standby'", "SELECT pg_reload_conf()")
        standby.make_standby_of(primary, "standby")
        standby.start()
        stack.callback(standby.kill)
        wait_until(lambda: _is_synchronous(primary), "the standby follows", seconds=30)
        yield primary, standby


def _is_synchronous(primary: Cluster) -> bool:
    return any(row[0] == "sync" for row in primary.sql("SELECT sync_state FROM pg_stat_replication"))


def fail_over(primary: Cluster, standby: Cluster) -> None:
    """As a cluster manager does it: the dead is dead, the standby takes over, and waits for no standby of its own."""
    primary.kill()
    standby.promote()
    standby.sql("ALTER SYSTEM RESET synchronous_standby_names", "SELECT pg_reload_conf()")


def both(primary: Cluster, standby: Cluster) -> str:
    """The address that names every server; the relays look for the one that takes writes."""
    return f"postgresql://postgres@127.0.0.1:{primary.port},127.0.0.1:{standby.port}/postgres"


class ProxyThread:
    """The lossy proxy, for processes and tests without an event loop: `with ProxyThread(url) as proxy:`."""

    def __init__(self, server: str) -> None:
        self._server = server
        self._made: Future[Proxy] = Future()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self._proxy = self._made.result(timeout=10)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join()

    @property
    def url(self) -> str:
        return self._proxy.url

    @property
    def lost(self) -> int:
        return self._proxy.lost

    def cut(self) -> None:
        asyncio.run_coroutine_threadsafe(self._proxy.cut(), self._loop).result()

    def mend(self) -> None:
        self._loop.call_soon_threadsafe(self._proxy.mend)

    def freeze(self) -> None:
        self._loop.call_soon_threadsafe(self._proxy.freeze)

    def thaw(self) -> None:
        self._loop.call_soon_threadsafe(self._proxy.thaw)

    def lose_the_answer_to(self, query: bytes) -> None:
        self._loop.call_soon_threadsafe(self._proxy.lose_the_answer_to, query)

    async def _run(self) -> None:
        self._loop, self._end = asyncio.get_running_loop(), asyncio.Event()
        async with Proxy.before(self._server) as proxy:
            self._made.set_result(proxy)
            await self._end.wait()


class Cable:
    """A PostgreSQL of our own behind a cable that can be pulled: its packets vanish, and nobody is told."""

    def __init__(self, cluster: Cluster, namespace: str) -> None:
        self.cluster, self._namespace = cluster, namespace

    @property
    def url(self) -> str:
        return self.cluster.url

    def pull(self, way: str) -> None:
        """`input`: nothing reaches the server; `output`: nothing leaves it."""
        rules = f"table inet cut {{ chain cut {{ type filter hook {way} priority 0; policy drop; }}\n}}"
        _run("ip", "netns", "exec", self._namespace, "nft", "-f", "-", text=rules)

    def plug(self) -> None:
        _run("ip", "netns", "exec", self._namespace, "nft", "delete", "table", "inet", "cut")


def why_no_cable() -> str | None:
    """Why namespaces cannot be made here; None where they can."""
    return why_not()


@contextmanager
def cable() -> Iterator[Cable]:
    """A cluster in a network namespace of its own. Takes root."""
    number = os.getpid()
    namespace, link = f"cf{number}-db", f"cf{number}d"
    network = f"198.{18 + number // 256 % 2}.{number % 256}"
    with ExitStack() as stack:
        folder = stack.enter_context(open_folder())
        _run("ip", "netns", "add", namespace)
        stack.callback(_run, "ip", "netns", "delete", namespace)
        _run("ip", "link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", namespace)
        for line in (f"address add {network}.1/30 dev {link}", f"link set {link} up"):
            _run("ip", *line.split())
        for line in ("link set lo up", f"address add {network}.2/30 dev eth0", "link set eth0 up"):
            _run("ip", "-netns", namespace, *line.split())
        as_postgres = ("setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups")
        cluster = Cluster(
            folder / "pg", address=f"{network}.2", prefix=("ip", "netns", "exec", namespace, *as_postgres)
        ).make()
        cluster.start()
        stack.callback(cluster.kill)
        yield Cable(cluster, namespace)


def _run(*command: str, text: str = "") -> None:
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"
