"""What the courier's tests share: a clock to move, events to deliver, a Meta to script."""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from relay.delivery.courier import Courier
from relay.delivery.graph import Graph, PixelAccess
from relay.event.outcome import BrowserState, Transport
from relay.event.records import BrowserLeg, OutboxEvent
from relay.settings import Delivery
from relay.store.protocol import Store, StoredReceipt
from tests.clock import Clock

PIXEL, OTHER_PIXEL = "1111111111", "2222222222"
TOKEN = "EAABtestToken0123456789"
DAY_MS = 86_400_000


def purchase(
    event_id: str, clock: Clock, *, pixel: str = PIXEL, age_ms: int = 0, held_ms: int = 0, good: bool = True
) -> OutboxEvent:
    """A Purchase that Meta takes, or, without its value, one that Meta refuses."""
    event_time_ms = clock() - age_ms
    server_event = {
        "event_name": "Purchase",
        "event_id": event_id,
        "event_time": event_time_ms // 1_000,
        "action_source": "website",
        "event_source_url": "https://shop.example/thanks",
        "user_data": {"fbp": "fb.1.1763859600000.1234567890"},
        "custom_data": {"currency": "EUR", **({"value": 49.9} if good else {})},
    }
    leg = BrowserLeg(
        state=BrowserState.SENT,
        evidence="load",
        transport=Transport.IMAGE,
        dispatched_ms=clock(),
        settled_ms=clock(),
        reported_ms=clock(),
    )
    return OutboxEvent(
        key=hashlib.blake2b(f"{pixel}|Purchase|{event_id}".encode(), digest_size=16).digest(),
        site="shop",
        pixel=pixel,
        event_name="Purchase",
        event_id=event_id,
        event_time_ms=event_time_ms,
        received_ms=clock(),
        not_before_ms=clock() + held_ms,
        leg=leg,
        server_event=json.dumps(server_event).encode(),
        client_ip_address="2001:db8::1",
        client_user_agent="Mozilla/5.0 (X11; Linux x86_64) Chrome/130",
        why={},
    )


def receipt(request: httpx.Request) -> httpx.Response:
    return httpx.Response(
        200, json={"events_received": len(sent(request)), "messages": [], "fbtrace_id": "A1"}
    )


def error(
    code: int, status: int = 400, *, headers: Mapping[str, str] | None = None, **more: Any
) -> httpx.Response:
    body = {"error": {"message": "Words of Meta", "type": "OAuthException", "code": code, **more}}
    return httpx.Response(status, json=body, headers=headers)


def sent(request: httpx.Request) -> list[str]:
    """The event_ids of a call."""
    return [event["event_id"] for event in json.loads(request.content)["data"]]


def pixel_of(request: httpx.Request) -> str:
    return request.url.path.split("/")[2]


Behaviour = Callable[[httpx.Request], httpx.Response] | Callable[[httpx.Request], Awaitable[httpx.Response]]


class ScriptedMeta:
    """Answers each call with the next behaviour of the script, and gives receipts after its end."""

    def __init__(self, *script: Behaviour | httpx.Response | Exception) -> None:
        self.script = list(script)
        self.calls: list[httpx.Request] = []

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        self.calls.append(request)
        step = self.script.pop(0) if self.script else receipt
        if isinstance(step, Exception):
            raise step
        if isinstance(step, httpx.Response):
            return step
        answer = step(request)
        return answer if isinstance(answer, httpx.Response) else await answer

    def sent(self) -> list[list[str]]:
        return [sent(call) for call in self.calls]

    def graph(self) -> Graph:
        return Graph(httpx.AsyncClient(transport=httpx.MockTransport(self)), "https://graph.example")


class Gate:
    """A call that has arrived and is not answered before the test says so."""

    def __init__(self, answer: Callable[[httpx.Request], httpx.Response] = receipt) -> None:
        self.arrived = asyncio.Event()
        self.open = asyncio.Event()
        self._answer = answer

    async def stays_unasked(self) -> None:
        """No call arrives, though the courier has had time for it."""
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await self.arrived.wait()

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        self.arrived.set()
        await self.open.wait()
        return self._answer(request)


def access(*pixels: str, token: str | None = TOKEN) -> dict[str, PixelAccess]:
    return {pixel: PixelAccess(pixel, token, "v26.0") for pixel in pixels}


def courier_for(
    store: Store,
    graph: Graph,
    clock: Clock,
    *,
    pixels: Mapping[str, PixelAccess] | None = None,
    delivery: Delivery | None = None,
) -> Courier:
    return Courier(
        store, graph, pixels or access(PIXEL, OTHER_PIXEL), delivery or Delivery(), clock, jitter=lambda: 0.0
    )


@asynccontextmanager
async def running(courier: Courier, *, grace_seconds: float = 5.0) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(courier.run())
    try:
        yield task
    finally:
        await courier.stop(grace_seconds)
        await asyncio.gather(task, return_exceptions=True)


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    """Wait for what must come to be; the limit only ends a test that has failed."""
    async with asyncio.timeout(100):
        while not await condition():  # noqa: ASYNC110 - a store has no event to wait for
            await asyncio.sleep(0.002)


async def settled(store: Store) -> None:
    """Until no event waits."""

    async def nothing_waits() -> bool:
        return (await store.totals()).waiting == 0

    await until(nothing_waits)


async def the_receipt(store: Store, event_id: str) -> StoredReceipt:
    (found,) = await store.find(event_id)
    return found


async def attempts_ended(store: Store, event_id: str, count: int = 1) -> StoredReceipt:
    """Until `count` attempts of the event have ended."""

    async def ended() -> bool:
        attempts = (await the_receipt(store, event_id)).attempts
        return sum(attempt.finished_ms is not None for attempt in attempts) >= count

    await until(ended)
    return await the_receipt(store, event_id)
