"""The loop that takes due events from the outbox to Graph: one round per pixel at once, several pixels.

Every call is recorded before it is made, so that one cut short shows as ambiguous and never as nothing.
Stopping cancels no round: it cuts the round's call, and the round settles that as it settles any answer.
"""

import asyncio
import contextlib
import math
import traceback
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

import structlog

from relay.delivery.answer import Answer
from relay.delivery.graph import Graph, PixelAccess, call_seconds
from relay.delivery.round import OnCall, Round
from relay.errors import SettingsError, StoreError
from relay.event.schedule import rest_ms, retry_delay_ms
from relay.settings import Delivery
from relay.store.protocol import Circuit, Lease, SharedCircuits, Store

SLEEP_MAX_MS: Final = 60_000  # a moved clock, or a change that nobody told us of, is noticed within this
SLEEP_MIN_MS: Final = 10
RENEW_MS: Final = 60_000  # how often the tokens of parked pixels are read again
CLOCK_STEP_MS: Final = 5_000  # a clock that is further off than drift explains has been set

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
        steady_ms: Callable[[], int] | None = None,
        read_pixels: Callable[[], Mapping[str, PixelAccess]] | None = None,
        on_call: OnCall | None = None,
        *,
        circuits: SharedCircuits | None = None,
        look_ms: int = SLEEP_MAX_MS,
    ) -> None:
        """`pixels` by id; `clock_ms` gives Unix milliseconds, `jitter` a number from 0 to 1.

        `steady_ms` counts milliseconds and cannot be set: against it a step of the wall clock shows. Left
        out: the wall clock is never set. `read_pixels` reads `pixels` anew, where a token can change. `on_call` is
        told of each call that has ended. `circuits` is what it
        shares with other couriers on the store; `look_ms` is how long it sleeps at most without being woken.
        """
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
        self._steady_ms = steady_ms or clock_ms
        self._drift_ms = clock_ms() - self._steady_ms()  # between the two clocks, when it was last looked at
        self._read_pixels = read_pixels
        self._on_call = on_call
        self._look_ms = look_ms
        self._circuits = circuits
        self._renewed_ms = self._steady_ms()
        self._resting: dict[str, int] = {}  # pixel → when it may be called again
        self._failures: dict[str, int] = {}  # pixel → calls that failed on end; then it is probed
        self._wake = asyncio.Event()
        self.sleeps_until_ms: float = math.inf  # by the wall clock; while it is awake, everything is sooner
        self._stopping = asyncio.Event()
        self._ended = asyncio.Event()
        self._running = False
        self._grace_seconds = 0.0

    def token_of(self, pixel: str) -> str | None:
        """The token that this pixel's events are sent with, as it was read last."""
        access = self._pixels.get(pixel)
        return None if access is None else access.token

    def wake(self, due_ms: int = 0) -> None:
        """Look again: something was replayed or let go, or was admitted that is due at `due_ms`.

        What is due later than the courier sleeps is found then: a look costs queries, and most events are held.
        """
        if due_ms < self.sleeps_until_ms:
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
        """A restart is how a token in a variable is replaced; where it is still bad, one call parks the pixel again."""
        for state in await self._store.parked():
            await self._store.unpark(state.pixel)

    async def _follow_clock(self) -> None:
        """When the wall clock was set, what waits shall wait neither shorter nor longer for it."""
        now_ms, steady_ms = self._clock_ms(), self._steady_ms()
        step_ms = now_ms - steady_ms - self._drift_ms
        if abs(step_ms) <= CLOCK_STEP_MS:
            self._drift_ms += step_ms
            return
        log.warning("delivery.clock_stepped", step_ms=step_ms)
        await self._store.clock_stepped(expected_ms=now_ms - step_ms, now_ms=now_ms)
        self._drift_ms += step_ms
        self._resting = {pixel: until_ms + step_ms for pixel, until_ms in self._resting.items()}
        for current in self._rounds.values():
            current.clock_stepped(step_ms)

    async def _renew_tokens(self) -> None:
        """Let a parked pixel go whose token has been replaced. Every other call keeps the token it has."""
        steady_ms = self._steady_ms()
        if self._read_pixels is None or steady_ms - self._renewed_ms < RENEW_MS:
            return
        self._renewed_ms = steady_ms
        parked = await self._store.parked()
        fresh = await asyncio.to_thread(self._read_pixels) if parked else self._pixels
        for state in parked:
            access = fresh.get(state.pixel)
            if access is not None and access != self._pixels.get(state.pixel):
                self._pixels = {**self._pixels, state.pixel: access}
                await self._store.unpark(state.pixel)
                log.info("delivery.unparked", pixel=state.pixel)

    async def _turn(self) -> None:
        self._wake.clear()
        await self._follow_clock()
        await self._renew_tokens()
        await self._learn_circuits()
        if len(self._rounds) >= self._delivery.concurrency:
            await self._wake.wait()  # the end of a round
            return
        now_ms = self._clock_ms()
        self._resting = {pixel: until_ms for pixel, until_ms in self._resting.items() if until_ms > now_ms}
        busy = frozenset(self._rounds) | frozenset(self._resting)
        due_ms = await self._store.next_due_ms(busy=busy)
        if due_ms is not None and due_ms <= now_ms:
            lease = await self._claim(now_ms, busy)
            if lease is not None:
                self._begin(lease, now_ms)
                return
        await self._sleep(due_ms)

    async def _claim(self, now_ms: int, busy: frozenset[str]) -> Lease | None:
        """A batch of a sound pixel, else a probe: one event of a pixel whose last call failed.

        So a pixel in trouble costs one call and at most one ambiguous send at a time, however many events
        wait behind it.
        """
        return await self._store.claim(
            now_ms=now_ms,
            lease_ms=self._lease_ms,
            limit=self._delivery.batch_max,
            busy=busy | frozenset(self._failures),
        ) or await self._claim_probe(now_ms, busy)

    async def _claim_probe(self, now_ms: int, busy: frozenset[str]) -> Lease | None:
        if self._circuits is None:
            return await self._store.claim(now_ms=now_ms, lease_ms=self._lease_ms, limit=1, busy=busy)
        for pixel in sorted(self._failures.keys() - busy):
            others = busy | (frozenset(self._failures) - {pixel})
            due_ms = await self._store.next_due_ms(busy=others)
            if due_ms is None or due_ms > now_ms:
                continue
            if await self._circuits.take_probe(pixel, now_ms=now_ms, until_ms=now_ms + self._lease_ms):
                return await self._store.claim(now_ms=now_ms, lease_ms=self._lease_ms, limit=1, busy=others)
        return None

    async def _learn_circuits(self) -> None:
        """What the calls of other machines have told of each pixel; theirs count as this one's own."""
        if self._circuits is None:
            return
        known = {circuit.pixel: circuit for circuit in await self._circuits.circuits()}
        for pixel in self._failures.keys() - known.keys():
            self._resting.pop(pixel, None)  # mended, and found so by another
        self._failures = {pixel: circuit.failures for pixel, circuit in known.items()}
        self._resting |= {pixel: circuit.until_ms for pixel, circuit in known.items()}

    async def _sleep(self, due_ms: int | None) -> None:
        nearest_ms = min([*self._resting.values(), *(() if due_ms is None else (due_ms,))], default=None)
        now_ms = self._clock_ms()
        wait_ms = self._look_ms if nearest_ms is None else nearest_ms - now_ms
        wait_ms = min(max(wait_ms, SLEEP_MIN_MS), self._look_ms)
        self.sleeps_until_ms = now_ms + wait_ms
        await _wait(self._wake, wait_ms)
        self.sleeps_until_ms = math.inf

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
            on_call=self._on_call,
        )
        self._rounds[lease.pixel] = current
        task = asyncio.create_task(self._see_through(lease.pixel, current))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _see_through(self, pixel: str, current: Round) -> None:
        try:
            failed = await current.deliver()
        except Exception as error:  # its events come back when the lease runs out
            _log_failure("delivery.round_failed", error, pixel=pixel)
            self._resting[pixel] = self._clock_ms() + retry_delay_ms(1, self._jitter())
        else:
            await self._note(pixel, failed, current.answered_ms)
        finally:
            del self._rounds[pixel]
            self._wake.set()

    async def _note(self, pixel: str, failed: Answer | None, answered_ms: int) -> None:
        """The circuit of the pixel: opened by a call that fails, closed by one that does not."""
        failures = self._failures.pop(pixel, 0)
        if failed is None:
            self._resting.pop(pixel, None)  # it rested for all couriers while this one probed it
            if failures:
                log.info("delivery.circuit_closed", pixel=pixel, failures=failures)
                await self._tell(lambda shared: shared.close_circuit(pixel))
            return
        if not failures:
            log.warning("delivery.circuit_opened", pixel=pixel)
        self._failures[pixel] = failures + 1
        wait_ms = rest_ms(failures + 1, self._jitter(), failed.retry_after_ms, throttled=failed.throttled)
        self._resting[pixel] = answered_ms + wait_ms
        circuit = Circuit(pixel=pixel, failures=failures + 1, until_ms=answered_ms + wait_ms)
        await self._tell(lambda shared: shared.open_circuit(circuit))

    async def _tell(self, say: Callable[[SharedCircuits], Awaitable[None]]) -> None:
        """Where the store fails, this courier knows it alone, until the next call."""
        if self._circuits is not None:
            with contextlib.suppress(StoreError):
                await say(self._circuits)

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
