"""The loop that takes due events from the outbox to Graph: one round per pixel at once, several pixels.

Every call is recorded before it is made, so that one cut short shows as ambiguous and never as nothing.
Stopping cancels no round: it cuts the round's call, and the round settles that as it settles any answer.
"""

import asyncio
import contextlib
import traceback
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

import structlog

from relay.delivery.graph import Graph, PixelAccess, call_seconds
from relay.delivery.round import Round
from relay.errors import SettingsError
from relay.event.schedule import retry_delay_ms
from relay.settings import Delivery
from relay.store.protocol import Lease, Store

SLEEP_MAX_MS: Final = 60_000  # a moved clock, or a change that nobody told us of, is noticed within this
SLEEP_MIN_MS: Final = 10

log = structlog.get_logger(__name__)


class Courier:
    """Delivers what is due. All of it runs in one event loop, and once."""

    def __init__(
        self,
        store: Store,
        graph: Graph,
        pixels: Mapping[str, PixelAccess],
        delivery: Delivery,
        clock_ms: Callable[[], int],
        jitter: Callable[[], float],
    ) -> None:
        """`pixels` by id; `clock_ms` gives Unix milliseconds, `jitter` a number from 0 to 1."""
        self._store = store
        self._graph = graph
        self._pixels = pixels
        self._delivery = delivery
        self._clock_ms = clock_ms
        self._jitter = jitter
        self._call_ms = round(call_seconds(delivery) * 1_000)
        self._lease_ms = round(delivery.lease_seconds * 1_000)
        if self._lease_ms <= self._call_ms:
            raise SettingsError(
                f"delivery.lease_seconds must be more than {self._call_ms / 1_000:g}: a call may take the "
                "connect time-out and twice the read time-out, and must not outlast its lease."
            )
        self._rounds: dict[str, Round] = {}  # by pixel
        self._tasks: set[asyncio.Task[None]] = set()  # the same rounds
        self._resting: dict[str, int] = {}  # pixel → when it may be called again
        self._wake = asyncio.Event()
        self._stopping = asyncio.Event()
        self._ended = asyncio.Event()
        self._running = False
        self._grace_seconds = 0.0

    def wake(self) -> None:
        """Look again now: something was admitted, replayed or let go."""
        self._wake.set()

    async def run(self) -> None:
        """Deliver until `stop`. Cancelled, it cuts the calls under way and sees them settled first."""
        self._running = True
        try:
            await self._safely(self._unpark_all)
            while not self._stopping.is_set():
                await self._safely(self._turn)
            await self._drain()
        finally:
            self._stopping.set()
            for current in self._rounds.values():
                current.cut()
            await _outlast(self._tasks)
            self._ended.set()

    async def stop(self, seconds: float) -> None:
        """Claim no more, give calls under way `seconds` to end, cut the rest, give unsent events back."""
        self._grace_seconds = seconds
        self._stopping.set()
        self._wake.set()
        if self._running:
            await self._ended.wait()

    async def _safely(self, step: Callable[[], Awaitable[None]]) -> None:
        """A failing store neither ends the loop nor makes it spin; nothing is lost, for leases run out."""
        try:
            await step()
        except Exception as error:
            _log_failure("delivery.loop_failed", error)
            await _wait(self._stopping, retry_delay_ms(1, self._jitter()))

    async def _unpark_all(self) -> None:
        """A restart is how a token is replaced; where it is still bad, one call parks the pixel again."""
        for state in await self._store.parked():
            await self._store.unpark(state.pixel)

    async def _turn(self) -> None:
        self._wake.clear()
        if len(self._rounds) >= self._delivery.concurrency:
            await self._wake.wait()  # the end of a round
            return
        now_ms = self._clock_ms()
        self._resting = {pixel: until_ms for pixel, until_ms in self._resting.items() if until_ms > now_ms}
        busy = frozenset(self._rounds) | frozenset(self._resting)
        due_ms = await self._store.next_due_ms(busy=busy)
        if due_ms is not None and due_ms <= now_ms:
            lease = await self._store.claim(
                now_ms=now_ms, lease_ms=self._lease_ms, limit=self._delivery.batch_max, busy=busy
            )
            if lease is not None:
                self._begin(lease, now_ms)
                return
        await self._sleep(due_ms)

    async def _sleep(self, due_ms: int | None) -> None:
        nearest_ms = min([*self._resting.values(), *(() if due_ms is None else (due_ms,))], default=None)
        wait_ms = SLEEP_MAX_MS if nearest_ms is None else nearest_ms - self._clock_ms()
        await _wait(self._wake, min(max(wait_ms, SLEEP_MIN_MS), SLEEP_MAX_MS))

    def _begin(self, lease: Lease, now_ms: int) -> None:
        current = Round(
            self._store,
            self._graph,
            lease,
            self._pixels.get(lease.pixel),
            self._delivery,
            self._clock_ms,
            self._jitter,
            last_call_ms=now_ms + self._lease_ms - self._call_ms,
        )
        self._rounds[lease.pixel] = current
        task = asyncio.create_task(self._see_through(lease.pixel, current))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _see_through(self, pixel: str, current: Round) -> None:
        try:
            rest_until_ms = await current.deliver()
        except Exception as error:  # its events come back when the lease runs out
            _log_failure("delivery.round_failed", error, pixel=pixel)
            rest_until_ms = self._clock_ms() + retry_delay_ms(1, self._jitter())
        finally:
            del self._rounds[pixel]
            self._wake.set()
        if rest_until_ms is not None:
            self._resting[pixel] = rest_until_ms

    async def _drain(self) -> None:
        for current in self._rounds.values():
            current.close()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=self._grace_seconds)


async def _wait(event: asyncio.Event, at_most_ms: int) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(at_most_ms / 1_000):
            await event.wait()


async def _outlast(tasks: set[asyncio.Task[None]]) -> None:
    """Wait for the tasks to end even while this one is cancelled; the cancellation goes on afterwards."""
    cancelled: asyncio.CancelledError | None = None
    while tasks:
        try:
            await asyncio.wait(tasks)
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled:
        raise cancelled


def _log_failure(event: str, error: Exception, **ids: str) -> None:
    """Where it failed, without the message: it could hold a piece of an event."""
    where = "".join(traceback.format_tb(error.__traceback__))
    log.error(event, error=type(error).__name__, where=where, **ids)
