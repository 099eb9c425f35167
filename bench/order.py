"""Order, loss and double counting over randomised trials at the HTTP level.

`python -m bench.order [--trials 1000] [--seed 1]` plays that many visitors against a real relay and the Meta
twin, over real sockets: the Pixel's request leaves after a random delay or never, the post to the relay is
early, late, repeated or upgraded, and the relay is restarted on its file again and again. Printed: a table a
kind of visit, with the number of order violations (a server event before its browser twin), of lost events and
of events that a dedup profile counts other than once. Holds and delays are a quarter of a real installation's.
With `--browser`, the visits are those of a real Chromium (bench/visits.py).
"""

import argparse
import asyncio
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import msgspec

from bench import visits
from bench.tally import Tally, table
from e2e.lab import ENVIRON, PIXEL, SITE, USER_AGENT, Served, loopback_listener
from e2e.rig import HEADERS, ORIGIN, shop_event
from relay.settings import Delivery, Pixel, Server, Settings, Site, StoreSettings
from relay.twin.app import create_twin
from relay.web.app import create_app

HOLDS = Delivery(hold_pending_seconds=5, hold_undispatched_seconds=7.5)
AT_ONCE = 60


class Visit(msgspec.Struct, frozen=True, kw_only=True):
    """What one visitor's browser does, in seconds after the event."""

    kind: str
    event_id: str
    pixel_arrives_after: float | None  # None: the Pixel's request never arrives
    reports: tuple[tuple[float, str, str], ...]  # when, state, evidence


def draw_visit(number: int, rng: random.Random) -> Visit:
    """One random visit; every report's state is what the snippet could truly have known at that moment."""
    arrival = rng.uniform(0.0, 1.0)
    settled = arrival + rng.uniform(0.01, 0.3)
    kinds: dict[str, tuple[float | None, tuple[tuple[float, str, str], ...]]] = {
        "sent": (arrival, ((settled, "sent", "load"),)),
        "sent, post repeated": (
            arrival,
            tuple((settled + n * 0.05, "sent", "load") for n in range(rng.randint(2, 5))),
        ),
        "pending at unload": (arrival, ((rng.uniform(0.0, 0.5), "pending", "unload"),)),
        "pending, then sent": (arrival, ((0.01, "pending", "unload"), (settled, "sent", "load"))),
        "pending, Pixel cancelled": (None, ((rng.uniform(0.0, 0.5), "pending", "unload"),)),
        "blocked": (None, ((rng.uniform(0.0, 0.3), "blocked", "script-error"),)),
        "undispatched": (None, ((1.5, "undispatched", "locked"),)),
        "undispatched, then late": (
            1.5 + 2 * arrival,
            ((1.5, "undispatched", "locked"), (1.5 + 2 * arrival + 0.1, "late", "load")),
        ),
    }
    kind = rng.choice(list(kinds))
    arrives, reports = kinds[kind]
    return Visit(kind=kind, event_id=f"trial-{number}", pixel_arrives_after=arrives, reports=reports)


class Bench:
    """The relay under test, restarted on the same file and address; and the twin that judges it."""

    def __init__(self, folder: Path) -> None:
        twin = loopback_listener()
        self.twin_url = f"http://127.0.0.1:{twin.getsockname()[1]}"
        self._twin = Served(create_twin(), plain=twin)
        port = loopback_listener()
        self.relay_port = port.getsockname()[1]
        port.close()
        self.settings = Settings(
            server=Server(graph_url=self.twin_url, accept_private_addresses=True),
            store=StoreSettings(path=str(folder / "order.db")),
            delivery=HOLDS,
            site=(
                Site(key=SITE, origins=(ORIGIN,), pixels=(Pixel(id=PIXEL, token_env=next(iter(ENVIRON))),)),
            ),
        )
        self._start_relay()

    def _start_relay(self) -> None:
        listener = loopback_listener(self.relay_port)
        self._relay = Served(create_app(self.settings, environ=ENVIRON), plain=listener)

    def restart_relay(self) -> None:
        self._relay.close()
        self._start_relay()

    def close(self) -> None:
        self._relay.close()
        self._twin.close()


def fbp(visit: Visit) -> str:
    """Every visit is another browser's."""
    return f"fb.1.1763859600000.{visit.event_id.removeprefix('trial-')}"


async def post_report(
    client: httpx.AsyncClient, relay: str, visit: Visit, state: str, evidence: str, began: float
) -> None:
    """Post until the relay has committed, as the snippet's outbox does."""
    event = shop_event(visit.event_id, state=state) | {"fbp": fbp(visit)}
    event["pixel"] |= {"evidence": evidence, "dispatched_ms": 0}
    while True:
        body = {"site": SITE, "events": [event | {"age_ms": int((time.monotonic() - began) * 1000)}]}
        try:
            answer = await client.post(
                f"{relay}/v1/events",
                content=msgspec.json.encode(body),
                headers=HEADERS,
            )
        except httpx.TransportError:
            await asyncio.sleep(0.05)
            continue
        if answer.status_code == 202:
            assert answer.json()["refused"] == [], answer.text
            return
        assert answer.status_code == 503, answer.text
        await asyncio.sleep(0.05)


async def fire_pixel(client: httpx.AsyncClient, twin: str, visit: Visit) -> None:
    if visit.pixel_arrives_after is None:
        return
    await asyncio.sleep(visit.pixel_arrives_after)
    parameters = {
        "id": PIXEL,
        "ev": "Purchase",
        "eid": visit.event_id,
        "fbp": fbp(visit),
        "cd[value]": "1",
        "cd[currency]": "EUR",
        "dl": f"{ORIGIN}/thanks",
    }
    (
        await client.get(f"{twin}/tr/", params=parameters, headers={"user-agent": USER_AGENT})
    ).raise_for_status()


async def play(client: httpx.AsyncClient, bench: Bench, visit: Visit) -> None:
    began = time.monotonic()
    relay = f"http://127.0.0.1:{bench.relay_port}"

    pixel = asyncio.create_task(fire_pixel(client, bench.twin_url, visit))
    for after, state, evidence in visit.reports:
        await asyncio.sleep(max(0.0, after - (time.monotonic() - began)))
        if state in ("sent", "late"):  # the snippet says so only once the Pixel's request was answered
            await pixel
        await post_report(client, relay, visit, state, evidence, began)
    await pixel


async def play_all(bench: Bench, visits: list[Visit], restarts: int) -> None:
    slots = asyncio.Semaphore(AT_ONCE)
    restart_due = asyncio.Semaphore(0)
    finished = 0

    async def one(client: httpx.AsyncClient, visit: Visit) -> None:
        nonlocal finished
        async with slots:
            await play(client, bench, visit)
        finished += 1
        if finished % (len(visits) // (restarts + 1) + 1) == 0:
            restart_due.release()

    async def restart_now_and_then() -> None:
        for _ in range(restarts):
            await restart_due.acquire()
            await asyncio.to_thread(bench.restart_relay)

    async with httpx.AsyncClient(timeout=30, limits=httpx.Limits(max_connections=2 * AT_ONCE)) as client:
        await asyncio.gather(restart_now_and_then(), *(one(client, visit) for visit in visits))
        await drained(client, bench, len(visits))


async def drained(client: httpx.AsyncClient, bench: Bench, number: int) -> None:
    """Wait until every event is at the twin, or a time far past every hold has gone by (then some are lost)."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        if len((await client.get(f"{bench.twin_url}/twin/state")).json()["server"]) >= number:
            return
        await asyncio.sleep(0.2)


def judge_visits(
    visits: list[Visit], state: dict[str, Any], counts: Callable[[str], dict[str, int]]
) -> dict[str, Tally]:
    """Compare, visit by visit, what was played with what the twin holds."""
    browser = {event["event_id"]: event for event in state["browser"]}
    sends = Counter(event["event_id"] for event in state["server"])
    server = {event["event_id"]: event for event in reversed(state["server"])}
    tallies: dict[str, Tally] = {}
    for visit in visits:
        tally = tallies.setdefault(visit.kind, Tally())
        tally.visits += 1
        mine, pixels = server.get(visit.event_id), browser.get(visit.event_id)
        tally.lost += mine is None
        tally.counted_otherwise += sends[visit.event_id] > 1 or set(counts(visit.event_id).values()) != {1}
        if mine and pixels:
            tally.pairs += 1
            tally.order_violations += mine["received_ms"] < pixels["received_ms"]
    return tallies


def run(trials: int, seed: int, restarts: int) -> dict[str, Tally]:
    rng = random.Random(seed)
    visits = [draw_visit(number, rng) for number in range(trials)]
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder))
        try:
            asyncio.run(play_all(bench, visits, restarts))
            with httpx.Client(base_url=bench.twin_url, timeout=60) as client:
                state = client.get("/twin/state").json()

                def counts(event_id: str) -> dict[str, int]:
                    counted = client.get("/twin/state", params={"event_id": event_id}).json()["counted"]
                    return {profile: sum(names.values()) for profile, names in counted.items()}

                return judge_visits(visits, state, counts)
        finally:
            bench.close()


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--trials", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--restarts", type=int, default=6)
    parser.add_argument("--browser", action="store_true", help="page visits in a real Chromium instead")
    options = parser.parse_args()
    failures: list[str] = []
    if options.browser:
        tallies, details, failures = visits.run(options.trials, options.seed)
    else:
        tallies, details = run(options.trials, options.seed, options.restarts), ""
    print("\n".join((table(tallies), details, *failures)))
    return 1 if failures or any(tally.faults for tally in tallies.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
