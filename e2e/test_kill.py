"""kill -9 of the relay, again and again: what was acknowledged is delivered, and only ambiguous sends may repeat."""

import os
import random
import signal
import subprocess
import sys
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import anyio
import httpx
import msgspec
import pytest

from e2e.lab import ENVIRON, PIXEL, SITE, USER_AGENT, Json, Served, loopback_listener, wait_until
from relay.store.sqlite import SqliteStore
from relay.twin.app import create_twin

ORIGIN = "https://shop.example"
ROUNDS = 20


class RelayProcess:
    """`counterfoil serve` as an operator runs it, in a process of its own."""

    def __init__(self, folder: Path, graph_url: str) -> None:
        with loopback_listener() as free:
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.database = folder / "kill.db"
        self._config = folder / "relay.toml"
        self._config.write_text(
            f'[server]\nport = {self.port}\npublic_url = "{self.url}"\ngraph_url = "{graph_url}"\n'
            "accept_private_addresses = true\n"
            f'[store]\npath = "{self.database}"\n'
            f'[[site]]\nkey = "{SITE}"\norigins = ["{ORIGIN}"]\n'
            f'[[site.pixels]]\nid = "{PIXEL}"\ntoken_env = "{next(iter(ENVIRON))}"\n'
        )

    def start(self) -> None:
        command = [sys.executable, "-m", "relay", "serve", "--config", str(self._config)]
        self._process = subprocess.Popen(command, env=os.environ | ENVIRON, stdout=subprocess.DEVNULL)
        wait_until(self._ready, "the relay is ready")

    def _ready(self) -> bool:
        assert self._process.poll() is None, "the relay ended by itself"
        try:
            return httpx.get(f"{self.url}/readyz").status_code == 200
        except httpx.TransportError:
            return False

    def kill(self) -> None:
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()

    def stop(self) -> None:
        self._process.send_signal(signal.SIGTERM)
        assert self._process.wait(timeout=30) == 0


class Visitors:
    """Threads that post events until the relay dies under them, and remember what it acknowledged."""

    def __init__(self, url: str, first_number: int) -> None:
        self.acknowledged: list[str] = []
        self._url, self._number = url, first_number
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._post_until_dead) for _ in range(4)]
        for thread in self._threads:
            thread.start()

    def _next_ids(self) -> list[str]:
        with self._lock:
            self._number += 3
            return [f"kill-{number}" for number in range(self._number - 3, self._number)]

    def _post_until_dead(self) -> None:
        headers = {"origin": ORIGIN, "content-type": "text/plain", "user-agent": USER_AGENT}
        with httpx.Client(headers=headers) as client:
            while True:
                ids = self._next_ids()
                body = {"site": SITE, "events": [purchase(event_id) for event_id in ids]}
                try:
                    answer = client.post(f"{self._url}/v1/events", content=msgspec.json.encode(body))
                except httpx.TransportError:
                    return
                assert answer.json()["accepted"] == 3
                self.acknowledged += ids

    def join(self) -> int:
        for thread in self._threads:
            thread.join()
        return self._number


def purchase(event_id: str) -> Json:
    return {
        "event_name": "Purchase",
        "event_id": event_id,
        "age_ms": 0,
        "url": f"{ORIGIN}/thanks",
        "fbp": "fb.1.1763859600000.1234567890",
        "custom_data": {"value": 1, "currency": "EUR"},
        "pixel": {"state": "blocked", "evidence": "script-error", "transport": "none"},
    }


async def ambiguous_sends(database: Path, event_ids: list[str]) -> dict[str, int]:
    store = await SqliteStore.open(database)
    try:
        return {event_id: (await store.find(event_id))[0].ambiguous for event_id in event_ids}
    finally:
        await store.close()


@pytest.mark.timeout(300)
def test_every_acknowledged_event_survives_kills_in_ingest_and_in_delivery(tmp_path: Path) -> None:
    rng = random.Random(7)
    listener = loopback_listener()
    twin = Served(create_twin(), plain=listener)
    meta = httpx.Client(base_url=f"http://127.0.0.1:{listener.getsockname()[1]}", timeout=30)
    # Answers that take a while, so that kills hit calls under way.
    meta.post(
        "/twin/faults", json={"what": "delay", "path": "/v26.0/", "seconds": 0.05, "count": 1_000_000}
    ).raise_for_status()
    relay = RelayProcess(tmp_path, str(meta.base_url))
    acknowledged: list[str] = []
    number = 0
    for _ in range(ROUNDS):
        relay.start()
        visitors = Visitors(relay.url, number)
        killer = threading.Timer(rng.uniform(0.05, 0.6), relay.kill)
        killer.start()
        killer.join()
        number = visitors.join()
        acknowledged += visitors.acknowledged
    relay.start()

    def sends() -> Counter[str]:
        return Counter(event["event_id"] for event in meta.get("/twin/state").json()["server"])

    wait_until(lambda: set(acknowledged) <= set(sends()), "every acknowledged event is at Meta", seconds=120)
    relay.stop()
    repeated = {event_id: times - 1 for event_id, times in sends().items() if times > 1}
    # In a thread of its own: Playwright keeps an event loop running in this one once a browser test has been here.
    with ThreadPoolExecutor(1) as elsewhere:
        counted = elsewhere.submit(anyio.run, ambiguous_sends, relay.database, list(repeated)).result()
    meta.close()
    twin.close()
    assert len(acknowledged) > ROUNDS
    assert {event_id: times for event_id, times in repeated.items() if times > counted[event_id]} == {}
