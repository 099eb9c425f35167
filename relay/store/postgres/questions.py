"""The door's reading half: each question of `Store`, handed to a reader."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar

from relay.event.quality import QualityRecord
from relay.event.tally import Topic
from relay.store.postgres import counter, families, issues, marks, outbox, quality, receipts, senders
from relay.store.postgres.database import Database, Unit
from relay.store.protocol import (
    Backlog,
    Counts,
    EventRow,
    FamilyCount,
    Filters,
    Issue,
    Mark,
    PixelAttempt,
    PixelState,
    SenderCount,
    StoredReceipt,
    Totals,
)

T = TypeVar("T")


class Questions:
    """What of a `PostgresStore` only reads."""

    def __init__(self, database: Database, clock_ms: Callable[[], int]) -> None:
        self._database = database
        self._clock_ms = clock_ms

    async def find(self, event_id: str) -> list[StoredReceipt]:
        return await self._read(partial(receipts.find, event_id=event_id, now_ms=self._clock_ms()))

    async def recent(self, filters: Filters) -> list[EventRow]:
        return await self._read(partial(receipts.recent, filters=filters, now_ms=self._clock_ms()))

    async def event_names(self) -> list[str]:
        return await self._read(receipts.event_names)

    async def families(self, *, since_ms: int, site: str | None = None) -> list[FamilyCount]:
        return await self._read(partial(families.families, since_ms=since_ms, site=site))

    async def counts(
        self, what: Topic, *, step_ms: int, since_ms: int, site: str | None = None
    ) -> list[Counts]:
        query = partial(counter.counts, what=what, step_ms=step_ms, since_ms=since_ms, site=site)
        return await self._read(query)

    async def marks(self, *, since_ms: int) -> list[Mark]:
        return await self._read(partial(marks.marks, since_ms=since_ms))

    async def latest(self, *, site: str | None = None, limit: int) -> list[StoredReceipt]:
        query = partial(receipts.latest, site=site, limit=limit, now_ms=self._clock_ms())
        return await self._read(query)

    async def orders(self, keys: Sequence[bytes]) -> list[str]:
        return await self._read(partial(receipts.orders, keys=keys))

    async def backlog(self) -> list[Backlog]:
        return await self._read(outbox.backlog)

    async def attempts(self, *, limit: int) -> list[PixelAttempt]:
        return await self._read(partial(receipts.attempts, limit=limit))

    async def parked(self) -> list[PixelState]:
        return await self._read(receipts.parked)

    async def totals(self) -> Totals:
        return await self._read(receipts.totals)

    async def issues(self) -> list[Issue]:
        return await self._read(issues.issues)

    async def senders(self, *, since_ms: int, site: str | None = None) -> list[SenderCount]:
        return await self._read(partial(senders.senders, since_ms=since_ms, site=site))

    async def quality(self, *, since_ms: int) -> list[QualityRecord]:
        return await self._read(partial(quality.quality, since_ms=since_ms))

    async def _read(self, query: Unit[T]) -> T:
        return await self._database.read(query)
