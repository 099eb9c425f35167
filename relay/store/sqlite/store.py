"""The door: each method of `Store`, handed to the writer or to a reader."""

import asyncio
import sqlite3
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Final, Literal, Self

from relay.errors import StoreError, StoreFull
from relay.event.outcome import Admission, Fate
from relay.event.records import OutboxEvent
from relay.store.protocol import (
    AttemptResult,
    Decision,
    EventRow,
    Filters,
    Lease,
    PixelState,
    StoredReceipt,
    Totals,
)
from relay.store.sqlite import admit, ended, outbox, prune, receipts
from relay.store.sqlite.counter import add_to_total
from relay.store.sqlite.file import FileLock, connect_writer, empty_wal, has_room, make_private
from relay.store.sqlite.readers import Readers
from relay.store.sqlite.writer import Unit, Writer

# Posts that may wait for the disk at once, 64 KiB each at most. A browser that hears 503 keeps its events.
ADMISSIONS_WAITING_MAX: Final = 4096

REPLAY_BITE: Final = 500


def wall_clock_ms() -> int:
    return time.time_ns() // 1_000_000


@dataclass(frozen=True, slots=True)
class _OpenFile:
    path: Path
    lock: FileLock
    connection: sqlite3.Connection  # the writer's
    readers: Readers


class SqliteStore:
    """A `Store` in one SQLite file: `async with await SqliteStore.open(path) as store:`."""

    def __init__(self, file: _OpenFile, clock_ms: Callable[[], int]) -> None:
        self._file = file
        self._writer = Writer(file.connection)
        self._clock_ms = clock_ms
        self._closed = False

    @classmethod
    async def open(cls, path: Path, *, clock_ms: Callable[[], int] = wall_clock_ms) -> Self:
        """Open the file, or create it with its folder.

        The clock only tells "held" from "due" in what is read. Raises StoreLocked where another process has
        the file, StoreError where it cannot be used.
        """
        file = await asyncio.to_thread(_open, path)
        return cls(file, clock_ms)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        await self._writer.close()
        await self._file.readers.close()
        self._file.connection.close()  # as the last one, it moves the write-ahead log into the file
        self._file.lock.release()

    async def admit(self, events: Sequence[OutboxEvent]) -> list[Admission]:
        if self._writer.waiting >= ADMISSIONS_WAITING_MAX:
            raise StoreFull(
                "More posts wait for the disk than the relay keeps in memory. Come back in a moment."
            )
        return await self._writer.write(partial(admit.admit, events=events))

    async def count_refused(self, site: str, reason: str, now_ms: int) -> None:
        await self._writer.write(partial(admit.count_refused, site=site, reason=reason, now_ms=now_ms))

    async def claim(self, *, now_ms: int, lease_ms: int, limit: int, busy: frozenset[str]) -> Lease | None:
        unit = partial(outbox.claim, now_ms=now_ms, lease_ms=lease_ms, limit=limit, busy=busy)
        return await self._writer.write(unit)

    async def begin_attempt(self, lease: Lease, keys: Sequence[bytes], now_ms: int) -> int:
        """As promised; raises LeaseLost where the lease no longer holds every key."""
        return await self._writer.write(partial(outbox.begin_attempt, lease=lease, keys=keys, now_ms=now_ms))

    async def settle(
        self,
        lease: Lease,
        decisions: Sequence[Decision],
        *,
        now_ms: int,
        attempt: tuple[int, AttemptResult] | None,
    ) -> int:
        unit = partial(outbox.settle, lease=lease, decisions=decisions, now_ms=now_ms, attempt=attempt)
        return await self._writer.write(unit)

    async def park(self, lease: Lease, *, now_ms: int, attempt: tuple[int, AttemptResult]) -> None:
        await self._writer.write(partial(outbox.park, lease=lease, now_ms=now_ms, attempt=attempt))

    async def unpark(self, pixel: str) -> None:
        await self._writer.write(partial(outbox.unpark, pixel=pixel))

    async def next_due_ms(self, *, busy: frozenset[str]) -> int | None:
        return await self._file.readers.read(partial(outbox.next_due_ms, busy=busy))

    async def recover(self, *, now_ms: int, on_unknown: Literal["resend", "hold"]) -> int:
        return await self._writer.write(partial(outbox.recover, now_ms=now_ms, on_unknown=on_unknown))

    async def replay(self, *, event_ids: Sequence[str] = (), fate: Fate | None = None, now_ms: int) -> int:
        """As promised. With both, the events that have one of the ids and this fate; with neither, none."""
        asked: Sequence[str | None] = tuple(dict.fromkeys(event_ids)) or (() if fate is None else (None,))
        replayed = 0
        for event_id in asked:
            after: int | None = 0
            while after is not None:
                n, after = await self._writer.write(
                    partial(
                        ended.replay_bite,
                        event_id=event_id,
                        fate=fate,
                        after=after,
                        limit=REPLAY_BITE,
                        now_ms=now_ms,
                    )
                )
                replayed += n
        return replayed

    async def find(self, event_id: str) -> list[StoredReceipt]:
        return await self._file.readers.read(
            partial(receipts.find, event_id=event_id, now_ms=self._clock_ms())
        )

    async def recent(self, filters: Filters) -> list[EventRow]:
        return await self._file.readers.read(
            partial(receipts.recent, filters=filters, now_ms=self._clock_ms())
        )

    async def event_names(self) -> list[str]:
        return await self._file.readers.read(receipts.event_names)

    async def parked(self) -> list[PixelState]:
        return await self._file.readers.read(receipts.parked)

    async def totals(self) -> Totals:
        return await self._file.readers.read(receipts.totals)

    async def prune(self, *, now_ms: int, retention_ms: int, address_ms: int) -> None:
        """As promised. Keys are remembered for seven days at least, so that a late post stays a duplicate."""
        await self._forget_visitors(now_ms - address_ms)
        await self._repeat(partial(prune.forget_events, ended_by_ms=now_ms - retention_ms))
        await self._repeat(partial(prune.forget_keys, now_ms=now_ms))
        await self._repeat(partial(prune.forget_counters, by_ms=now_ms - retention_ms))
        await asyncio.to_thread(empty_wal, self._file.path)

    async def ready(self) -> bool:
        """As promised: a small write was committed just now, and a large one would find room."""
        try:
            await self._writer.write(partial(add_to_total, what="probe", n=1))
            return has_room(self._file.path)
        except (StoreError, OSError):
            return False

    async def _forget_visitors(self, ended_by_ms: int) -> None:
        after = 0
        while row_ids := await self._file.readers.read(
            partial(prune.old_visitors, after=after, ended_by_ms=ended_by_ms)
        ):
            await self._writer.write(partial(prune.forget_visitors, row_ids=row_ids, ended_by_ms=ended_by_ms))
            after = row_ids[-1]

    async def _repeat(self, unit: Unit[int]) -> None:
        """Bite after bite, with room between them for the posts that wait."""
        while await self._writer.write(unit):
            pass


def _open(path: Path) -> _OpenFile:
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with ExitStack() as undo:
            lock = FileLock(path)
            undo.callback(lock.release)
            make_private(path)
            connection = connect_writer(path)
            undo.callback(connection.close)
            file = _OpenFile(path, lock, connection, Readers(path))
            undo.pop_all()
    except OSError as error:
        raise StoreError(
            f"{path} cannot be opened: {error.strerror}. Check [store] path and its owner."
        ) from error
    return file
