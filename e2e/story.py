"""A small story with every turn, played against the whole relay in one process: what a fault does shows in seconds.

Some posts, a repeat, a refusal, a poisoned event, a hold and its browser half; meanwhile the twin, or the way to it,
is in trouble. Retries come at once, so that a run takes a second.
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final
from unittest import mock

import anyio
import httpx
import msgspec
from starlette.applications import Starlette

from e2e.checker import (
    GeneratorLog,
    Json,
    Ledger,
    Violation,
    check,
    read_generator,
    read_ledger,
    read_postgres_ledger,
)
from e2e.lab import ENVIRON, PIXEL, SITE, USER_AGENT, Served, loopback_listener
from e2e.rig import HEADERS, ORIGIN, POISON, Poisoned, shop_event
from relay.delivery.graph import Graph
from relay.settings import Delivery, Pixel, Server, Settings, Site, StoreSettings
from relay.store.protocol import Store
from relay.twin.app import create_twin
from relay.web.app import create_app

DRAIN_SECONDS: Final = 4.0  # a relay with a mistake may never drain; a sound one needs half a second
KEY: Final = "STORY_KEY"
PATIENT_SECONDS: Final = 60.0  # a busy machine is no fault; what is spilled in a story is spilled on purpose

Transport = httpx.AsyncBaseTransport


class Logs(msgspec.Struct):
    """The three logs of one run."""

    generator: list[Json]
    ledger: Ledger
    twin: Json

    def violations(self) -> list[Violation]:
        return check(self.generator, self.ledger, self.twin)

    def invariants(self) -> set[str]:
        return {violation.invariant for violation in self.violations()}


class Faulty(Transport):
    """The way to Meta: the first calls meet an error, before they are sent or after they were answered."""

    def __init__(self, before: Sequence[Exception] = (), after: Sequence[Exception] = ()) -> None:
        self._before, self._after = list(before), list(after)
        self._real = httpx.AsyncHTTPTransport()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if self._before:
            raise self._before.pop(0)
        response = await self._real.handle_async_request(request)
        if self._after:
            await response.aclose()
            raise self._after.pop(0)
        return response

    async def aclose(self) -> None:
        await self._real.aclose()


def play(
    folder: Path,
    faults: Iterable[Json] = (),
    *,
    transport: Callable[[], Transport] | None = None,
    database: str | None = None,
    drain_seconds: float = DRAIN_SECONDS,
) -> Logs:
    """One run: `faults` for the twin's script, `transport` for the way to it; `database`: an empty PostgreSQL."""
    listener = loopback_listener()
    twin = Served(Poisoned(create_twin()), plain=listener)
    meta = httpx.Client(base_url=f"http://127.0.0.1:{listener.getsockname()[1]}", timeout=30)
    try:
        for fault in faults:
            meta.post("/twin/faults", json=fault).raise_for_status()
        with _impatient(transport):
            anyio.run(_play, folder, meta, database, drain_seconds)
        meta.delete("/twin/faults").raise_for_status()
        state = meta.get("/twin/state").json()
    finally:
        meta.close()
        twin.close()
    ledger = read_ledger(folder / "relay.db") if database is None else read_postgres_ledger(database)
    return Logs(read_generator(folder / "generator.jsonl"), ledger, state)


@contextmanager
def _impatient(transport: Callable[[], Transport] | None) -> Iterator[None]:
    """Retries come at once, and calls go the way that the story says."""

    def open_graph(graph_url: str, delivery: Delivery) -> Graph:
        return Graph(httpx.AsyncClient(transport=transport() if transport else None), graph_url, delivery)

    with (
        mock.patch("relay.event.schedule.RETRY_CEILINGS_MS", (30,) * 6),
        mock.patch("relay.event.schedule.RETRY_MIN_MS", 10),
        mock.patch("relay.event.schedule.THROTTLED_MIN_MS", 10),
        mock.patch("relay.web.app.open_graph", open_graph),
    ):
        yield


def story_settings(folder: Path, graph_url: str, database: str | None = None) -> Settings:
    return Settings(
        server=Server(
            graph_url=graph_url, accept_private_addresses=True, secret_key_env=KEY if database else None
        ),
        store=StoreSettings(
            path=str(folder / "relay.db"), url=database, disk_reserve_mib=0, spill_seconds=PATIENT_SECONDS
        ),
        delivery=Delivery(
            hold_pending_seconds=0.4, batch_max=6, connect_timeout_seconds=0.5, read_timeout_seconds=0.5
        ),
        site=(Site(key=SITE, origins=(ORIGIN,), pixels=(Pixel(id=PIXEL, token_env=next(iter(ENVIRON))),)),),
    )


class Poster:
    """Posts to a relay in this process, with the generator's log before and after."""

    def __init__(self, app: Starlette, log: GeneratorLog) -> None:
        transport = httpx.ASGITransport(app, client=("127.0.0.1", 50_000))
        self.http = httpx.AsyncClient(transport=transport, base_url="http://relay.example", headers=HEADERS)
        self._log = log

    async def send(self, *events: Json, ends: str = "delivered") -> httpx.Response:
        number = self._log.post(PIXEL, events, user_agent=USER_AGENT, ends=ends)
        body = msgspec.json.encode({"site": SITE, "events": events})
        answer = await self.http.post("/v1/events", content=body)
        self._log.answer(number, answer.status_code, answer.json())
        return answer


async def _play(folder: Path, meta: httpx.Client, database: str | None, drain_seconds: float) -> None:
    settings = story_settings(folder, str(meta.base_url).rstrip("/"), database)
    app = create_app(settings, environ=ENVIRON | {KEY: "story" * 16})
    log = GeneratorLog(folder / "generator.jsonl")
    poster = Poster(app, log)
    async with app.router.lifespan_context(app), poster.http:
        await poster.send(shop_event("held", state="pending", value=7))
        for number in range(12):
            await poster.send(*[shop_event(f"e{number}-{part}", value=number) for part in range(2)])
        await poster.send(shop_event("e3-0", value=3))
        await poster.send(shop_event(f"{POISON}1"), ends="rejected")
        await poster.send({**shop_event("refused"), "custom_data": {}}, shop_event("beside-the-refused"))
        pixel = {"id": PIXEL, "ev": "Purchase", "eid": "held", "cd[value]": "7", "cd[currency]": "EUR"}
        await asyncio.to_thread(meta.get, "/tr/", params=pixel)
        await drained(app.state.store, seconds=drain_seconds)
    log.close()


async def drained(store: Store, *, seconds: float) -> None:
    """Until nothing waits, or the time is up."""
    end = asyncio.get_running_loop().time() + seconds
    while (await store.totals()).waiting and asyncio.get_running_loop().time() < end:  # noqa: ASYNC110 - a store has no event to wait for
        await asyncio.sleep(0.02)
