"""A rig for faults, kills and soaks: the relay as a process, the twin beside it, visitors that keep a log."""

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Protocol, Self

import httpx
import msgspec
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from e2e.checker import GeneratorLog, Json, Violation, check, now_ms, read_generator, read_ledger
from e2e.lab import ENVIRON, PIXEL, SITE, USER_AGENT, Served, loopback_listener, wait_until
from relay.store.sqlite.look import look
from relay.twin.app import create_twin

ORIGIN: Final = "https://shop.example"
HEADERS: Final = {"origin": ORIGIN, "content-type": "text/plain", "user-agent": USER_AGENT}
POISONED_SHARE: Final = 0.002  # of the posts; what the relay lets through, Meta seldom refuses
POISON: Final = "poison-"  # events with such an id are refused by Meta, and a whole batch with them

# Every fault of the twin, so short that a soak meets many of them; those that take events in make ambiguous sends.
FAULTS: Final[tuple[Json, ...]] = (
    {"what": "status", "status": 503},
    {"what": "html", "status": 500},
    {"what": "html", "status": 502},
    {"what": "graph_error", "status": 500, "code": 2},
    {"what": "reset"},
    {"what": "hang", "seconds": 0.3},
    {"what": "late", "seconds": 0.3},
    {"what": "delay", "seconds": 0.3},
    {"what": "partial_json"},
    {"what": "no_events_received"},
    {"what": "accept_then_reset"},
    {"what": "accept_then_timeout", "seconds": 0.3},
)


class Poisoned:
    """The twin, but for batches that hold a poisoned event: those it refuses as Meta refuses bad contents."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self.calls = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not scope["path"].endswith("/events"):
            await self._app(scope, receive, send)
            return
        self.calls += 1
        messages = [await receive()]
        while messages[-1].get("more_body"):
            messages.append(await receive())
            if messages[-1]["type"] == "http.disconnect":
                return  # the relay was killed in the middle of its call
        if any(POISON.encode() in message.get("body", b"") for message in messages):
            error = {
                "message": "Invalid parameter",
                "type": "OAuthException",
                "code": 100,
                "error_subcode": 2804017,
            }
            await JSONResponse({"error": error}, 400)(scope, receive, send)
            return

        await self._app(scope, _Again(receive, messages).receive, send)


class _Again:
    """What was read can be read again; the twin finds the connection where it looks for it."""

    def __init__(self, receive: Receive, messages: list[Message]) -> None:
        self.transport = getattr(getattr(receive, "__self__", None), "transport", None)
        self._receive, self._messages = receive, messages

    async def receive(self) -> Message:
        return self._messages.pop(0) if self._messages else await self._receive()


class RelayProcess:
    """`counterfoil serve` as an operator runs it, in a process of its own."""

    def __init__(
        self,
        folder: Path,
        graph_url: str,
        *,
        settings: str = "",
        server: str = "",
        store: str = "",
        environ: Mapping[str, str] = ENVIRON,
        program: str = "relay",
    ) -> None:
        """`settings` is more of relay.toml, `server` and `store` of those two tables; `program` is
        the module to run."""
        self._program = program
        self._environ = dict(os.environ) | dict(environ)
        self._log = folder / "relay.log"
        with loopback_listener() as free:
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.database = folder / "relay.db"
        self._config = folder / "relay.toml"
        self._config.write_text(
            f'[server]\nport = {self.port}\npublic_url = "{self.url}"\ngraph_url = "{graph_url}"\n'
            f"accept_private_addresses = true\n{server}"
            f'[store]\npath = "{self.database}"\ndisk_reserve_mib = 1\n{store}'
            f"[delivery]\nhold_pending_seconds = 2\n{settings}"
            f'[[site]]\nkey = "{SITE}"\norigins = ["{ORIGIN}"]\n'
            f'[[site.pixels]]\nid = "{PIXEL}"\ntoken_env = "{next(iter(ENVIRON))}"\n'
        )

    def start(self, *, wait: bool = True) -> None:
        command = [sys.executable, "-m", self._program, "serve", "--config", str(self._config)]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(command, env=self._environ, stdout=log, stderr=log)
        if wait:
            self.wait_until_ready()

    def wait_until_ready(self) -> None:
        wait_until(self._ready, "the relay is ready", seconds=60)

    def _ready(self) -> bool:
        assert self._process.poll() is None, "the relay ended by itself"
        try:
            return httpx.get(f"{self.url}/readyz").status_code == 200
        except httpx.TransportError:
            return False

    def memory_mib(self) -> float:
        """Resident memory of the process."""
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        return int(status.partition("VmRSS:")[2].split()[0]) / 1024

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def stop(self) -> None:
        self._process.terminate()
        assert self._process.wait(timeout=60) == 0


class Rig:
    """Relay, twin and the generator's log in one folder: `with Rig(folder) as rig:`."""

    def __init__(self, folder: Path, *, settings: str = "", program: str = "relay") -> None:
        listener = loopback_listener()
        self.meta = Poisoned(create_twin())
        self._twin = Served(self.meta, plain=listener)
        self.http = httpx.Client(base_url=f"http://127.0.0.1:{listener.getsockname()[1]}", timeout=120)
        self.log_path = folder / "generator.jsonl"
        self.log = GeneratorLog(self.log_path)
        self.relay = RelayProcess(folder, str(self.http.base_url), settings=settings, program=program)

    def __enter__(self) -> Self:
        self.relay.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.relay.kill()
        self.http.close()
        self._twin.close()
        self.log.close()

    def relay_url(self) -> str:
        return self.relay.url

    def fault(self, **fault: Any) -> None:
        self.http.post("/twin/faults", json=fault).raise_for_status()

    def faults_waiting(self) -> bool:
        return bool(self.http.get("/twin/faults").raise_for_status().json()["waiting"])

    def clear_faults(self) -> None:
        self.http.delete("/twin/faults").raise_for_status()

    def waiting(self) -> int:
        return look(self.relay.database).totals.waiting

    def drain(self, *, seconds: float) -> None:
        wait_until(lambda: self.waiting() == 0, "nothing waits any more", seconds=seconds)

    def verdict(self) -> list[Violation]:
        """What the checker says of the three logs."""
        return check(read_generator(self.log_path), read_ledger(self.relay.database), self.twin_state())

    def twin_state(self) -> Json:
        state: Json = self.http.get("/twin/state").raise_for_status().json()
        return state


class Target(Protocol):
    """Where visitors post, and where that is written down."""

    log: GeneratorLog

    def relay_url(self) -> str: ...


class Visitors:
    """Threads that post at a bounded rate until they are stopped, each post in the log before and after."""

    def __init__(self, rig: Target, *, posts_per_second: float, seed: int, threads: int = 4) -> None:
        self._rig = rig
        self._end = threading.Event()
        self._pause_seconds = threads / posts_per_second
        self._run = f"{seed}-{now_ms()}"
        self.posts = 0
        self.answers: dict[int, int] = {}  # by status; 0: none
        self.seconds: list[float] = []  # that each 202 took
        self._lock = threading.Lock()
        self._threads = [
            threading.Thread(target=self._visit, args=(random.Random(f"{seed}-{n}"), n), daemon=True)
            for n in range(threads)
        ]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._end.set()
        for thread in self._threads:
            thread.join()

    def _visit(self, rng: random.Random, thread: int) -> None:
        client = httpx.Client(headers=HEADERS, timeout=20)
        number = 0
        kept: tuple[list[Json], str] | None = None  # what the snippet's outbox would post again
        while not self._end.wait(rng.expovariate(1 / self._pause_seconds)):
            events, ends = kept or self._events(rng, f"{self._run}-{thread}-{number}")
            number += 1
            began = time.monotonic()
            try:
                status = post(client, self._rig, events, ends=ends)
            except httpx.TransportError:
                client.close()
                client, status = httpx.Client(headers=HEADERS, timeout=20), 0
                self._end.wait(0.05)
            # Most lost posts come again, and now and then one that was answered does too.
            again = rng.random() < (0.8 if status != 202 else 0.03)
            kept = (events, ends) if again else None
            with self._lock:
                self.posts += 1
                self.answers[status] = self.answers.get(status, 0) + 1
                if status == 202:
                    self.seconds.append(time.monotonic() - began)
        client.close()

    def _events(self, rng: random.Random, name: str) -> tuple[list[Json], str]:
        if rng.random() < POISONED_SHARE:
            return [shop_event(f"{POISON}{name}")], "rejected"
        states = ("sent", "blocked", "pending")
        return [shop_event(f"e-{name}-{n}", state=rng.choice(states), value=n) for n in range(2)], "delivered"


def post(client: httpx.Client, rig: Target, events: Sequence[Json], *, ends: str = "delivered") -> int:
    """One post, written down before it leaves and after its answer; the status."""
    number = rig.log.post(PIXEL, events, user_agent=USER_AGENT, ends=ends)
    body = msgspec.json.encode({"site": SITE, "events": events})
    answer = client.post(f"{rig.relay_url()}/v1/events", content=body)
    rig.log.answer(number, answer.status_code, answer.json() if answer.status_code == 202 else None)
    return answer.status_code


def shop_event(event_id: str, *, state: str = "blocked", value: float = 1) -> Json:
    return {
        "event_name": "Purchase",
        "event_id": event_id,
        "age_ms": 0,
        "url": f"{ORIGIN}/thanks",
        "fbp": "fb.1.1763859600000.1234567890",
        "custom_data": {"value": value, "currency": "EUR"},
        "user_data": {"em": f" {event_id}@Shop.example "},
        "pixel": {"state": state, "evidence": "load", "transport": "image"},
    }


class Faults:
    """A thread that gives the twin one fault after the other until it is stopped."""

    def __init__(self, rig: Rig, *, every_seconds: float, seed: int) -> None:
        self._rig, self._every, self._rng = rig, every_seconds, random.Random(seed)
        self._end = threading.Event()
        self.tried: dict[str, int] = {}
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        """A fault waits for a call; the next comes after it, or every call would fail and none be tried again."""
        while not self._end.wait(self._rng.expovariate(1 / self._every)):
            if self._rig.faults_waiting():
                continue
            fault = self._rng.choice(FAULTS)
            self._rig.fault(**fault)
            name = " ".join(str(fault[part]) for part in ("what", "status") if part in fault)
            self.tried[name] = self.tried.get(name, 0) + 1

    def stop(self) -> None:
        self._end.set()
        self._thread.join()
        self._rig.clear_faults()


class Kills:
    """A thread that ends the relay with SIGKILL at random instants, and starts it again."""

    def __init__(self, rig: Rig, *, number: int, seed: int) -> None:
        self._rig, self._left, self._rng = rig, number, random.Random(seed)
        self.done = 0
        self.slowest_start_seconds = 0.0
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        for _ in range(self._left):
            time.sleep(self._rng.uniform(0.05, 1.0))
            self._rig.relay.kill()
            began = time.monotonic()
            self._rig.relay.start()
            self.slowest_start_seconds = max(self.slowest_start_seconds, time.monotonic() - began)
            self.done += 1

    def join(self) -> None:
        self._thread.join()
