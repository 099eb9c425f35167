"""Asks Meta now and then how good it finds each pixel's events: seldom, never at once, and less where it may not.

Two questions a pixel: of all senders, and of this relay alone (by `agent_name`), so that the two can be compared.
What the API calls a field is found out by asking. Not verified against live Meta.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Final

import structlog

from relay.delivery.batch import PARTNER_AGENT
from relay.delivery.graph import Graph, PixelAccess, Read
from relay.errors import RelayError
from relay.event.outcome import AttemptOutcome
from relay.event.quality import AGENT_NAME, QualityRecord, Scope, query_fields, read_quality, respelt
from relay.store.protocol import Store

HOUR_MS: Final = 3_600_000
FIRST_MS: Final = 600_000  # after a start: Meta shows events within 20 minutes
REFUSED_MS: Final = 24 * HOUR_MS  # a permission does not come by asking
LOOK_MS: Final = 60_000
NO_TOKEN: Final = "There is no access token for this pixel, so Meta cannot be asked."  # noqa: S105 - a sentence
BY_HAND_MS: Final = 60_000  # a person may ask at once, but not twice a minute

log = structlog.get_logger(__name__)


class QualityPoll:
    """One task; `ask` may be called beside it."""

    def __init__(
        self,
        store: Store,
        graph: Graph,
        read_pixels: Callable[[], Mapping[str, PixelAccess]],
        hours: float,
        clock_ms: Callable[[], int],
        jitter: Callable[[], float],
    ) -> None:
        """`hours` between two questions; 0: none unless somebody asks. `jitter` gives a number from 0 to 1."""
        self._store = store
        self._graph = graph
        self._read_pixels = read_pixels
        self._period_ms = round(hours * HOUR_MS)
        self._clock_ms = clock_ms
        self._jitter = jitter
        self._due_ms: dict[str, int] = {}
        self._spelling: dict[str, dict[str, str | None]] = {}  # by pixel, what its API calls the fields
        self._agent: dict[str, str] = {}  # by pixel, the agent_name that finds our events
        self._asked_ms: dict[str, int] = {}
        self._lock = asyncio.Lock()  # one question at a time, whoever asks

    async def run(self) -> None:
        """Ask whenever it is time, until cancelled."""
        if not self._period_ms:
            return
        while True:
            try:
                await self.turn()
            except RelayError as failure:
                log.error("quality.poll_failed", kind=type(failure).__name__)
            await asyncio.sleep(LOOK_MS / 1_000)

    async def turn(self) -> None:
        """Ask about every pixel whose time has come."""
        pixels = await asyncio.to_thread(self._read_pixels)
        if not pixels.keys() <= self._due_ms.keys():
            await self._remember(pixels)
        for pixel, access in pixels.items():
            if access.token and self._due_ms[pixel] <= self._clock_ms():
                await self._ask(access)

    async def ask_now(self, pixel: str) -> bool:
        """Ask because a person wants to know; False where that was done a moment ago, or there is no such pixel."""
        access = (await asyncio.to_thread(self._read_pixels)).get(pixel)
        now_ms = self._clock_ms()
        if access is None or now_ms - self._asked_ms.get(pixel, -BY_HAND_MS) < BY_HAND_MS:
            return False
        await self._ask(access)
        return True

    async def _remember(self, pixels: Mapping[str, PixelAccess]) -> None:
        """After a start: the questions of before count."""
        now_ms = self._clock_ms()
        last = {record.pixel: record for record in await self._store.quality(since_ms=now_ms - REFUSED_MS)}
        for pixel in pixels.keys() - self._due_ms.keys():
            first_ms = now_ms + round(FIRST_MS * self._jitter())
            self._due_ms[pixel] = self._next_ms(last[pixel]) if pixel in last else first_ms

    async def _ask(self, access: PixelAccess) -> None:
        async with self._lock:
            self._asked_ms[access.id] = self._clock_ms()
            records, retry_after_ms = await self._questions(access)
            await self._store.keep_quality(records)
        wait_ms = max(self._next_ms(records[0]), self._clock_ms() + (retry_after_ms or 0))
        self._due_ms[access.id] = wait_ms
        log.info("quality.asked", pixel=access.id, answered=records[0].problem is None)

    def _next_ms(self, record: QualityRecord) -> int:
        """Off the even hour, so that many relays do not ask together."""
        wait_ms = self._period_ms * (0.9 + 0.2 * self._jitter())
        if record.problem is not None:
            wait_ms = max(wait_ms, REFUSED_MS) if record.refused else min(wait_ms, HOUR_MS)
        return record.at_ms + round(wait_ms)

    async def _questions(self, access: PixelAccess) -> tuple[list[QualityRecord], int | None]:
        if not access.token:
            nothing = QualityRecord(
                pixel=access.id, scope="all", at_ms=self._clock_ms(), problem=NO_TOKEN, refused=True
            )
            return [nothing], None
        everybody, read = await self._question(access, "all", None)
        if everybody.problem is not None:
            return [everybody], read.retry_after_ms
        ours, read = await self._question(access, "ours", self._agent.get(access.id, AGENT_NAME))
        if everybody.events and not ours.events and ours.problem is None:
            # Documented as the agent in lower case; whether its beginning will do is not.
            ours, read = await self._question(access, "ours", PARTNER_AGENT.lower())
            if ours.events:
                self._agent[access.id] = PARTNER_AGENT.lower()
        return [everybody, ours], read.retry_after_ms

    async def _question(
        self, access: PixelAccess, scope: Scope, agent_name: str | None
    ) -> tuple[QualityRecord, Read]:
        spelling = self._spelling.get(access.id, {})
        while True:
            read = await self._graph.read_quality(
                access, fields=query_fields(spelling), agent_name=agent_name
            )
            other = None if read.answer is not None else respelt(spelling, read.result.message or "")
            if other is None:
                break
            spelling = other
        self._spelling[access.id] = spelling
        return _record(access.id, scope, self._clock_ms(), read), read


def _record(pixel: str, scope: Scope, at_ms: int, read: Read) -> QualityRecord:
    if read.answer is not None:
        return QualityRecord(
            pixel=pixel, scope=scope, at_ms=at_ms, problem=None, events=read_quality(read.answer)
        )
    code = f" (code {read.result.code})" if read.result.code else ""
    return QualityRecord(
        pixel=pixel,
        scope=scope,
        at_ms=at_ms,
        problem=f"{read.result.message or 'Graph said nothing'}{code}",
        refused=read.result.outcome is AttemptOutcome.PARK,
    )
