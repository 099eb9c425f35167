"""The door: each method of `Store`, handed to the writer or to a reader."""

import asyncio
import sqlite3
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Final, Literal, Self

import msgspec

from relay.clock import wall_clock_ms
from relay.errors import StoreError, StoreFull
from relay.event.alert import AlertState
from relay.event.notice import Notice
from relay.event.outcome import Admission, Fate
from relay.event.quality import QualityRecord
from relay.event.records import OutboxEvent
from relay.event.report import Sighting
from relay.event.tally import Topic
from relay.settings import StoreSettings
from relay.store.protocol import (
    ORDER_MS,
    STEP_KEPT_MS,
    STEPS_MS,
    AttemptResult,
    Backlog,
    Counts,
    Decision,
    Erased,
    EventRow,
    FamilyCount,
    Filters,
    Issue,
    IssueSeen,
    Lease,
    Mark,
    MarkKind,
    PixelAttempt,
    PixelState,
    SenderCount,
    StoredReceipt,
    Totals,
)
from relay.store.rules import replayable
from relay.store.sqlite import (
    admit,
    alerts,
    counter,
    ended,
    families,
    issues,
    marks,
    outbox,
    person,
    prune,
    quality,
    receipts,
    senders,
)
from relay.store.sqlite.counter import add_to_total
from relay.store.sqlite.file import FileLock, connect_writer, empty_wal, free_bytes, make_private, rewrite
from relay.store.sqlite.readers import Readers
from relay.store.sqlite.writer import Unit, Writer

REPLAY_BITE: Final = 500
NO_END_MS: Final = 2**62  # a clock that was set back has left fates in the future
MIB: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class _OpenFile:
    path: Path
    lock: FileLock
    connection: sqlite3.Connection  # the writer's
    readers: Readers


class SqliteStore:
    """A `Store` in one SQLite file: `async with await SqliteStore.open(path) as store:`."""

    def __init__(self, file: _OpenFile, limits: StoreSettings, clock_ms: Callable[[], int]) -> None:
        self._file = file
        self._limits = limits
        self._writer = Writer(file.connection)
        self._clock_ms = clock_ms
        self._closed = False

    @classmethod
    async def open(
        cls,
        path: Path,
        *,
        limits: StoreSettings = StoreSettings(),  # noqa: B008 - frozen
        clock_ms: Callable[[], int] = wall_clock_ms,
    ) -> Self:
        """Open the file, or create it with its folder.

        Of the settings only the limits of admission are looked at. The clock only tells "held" from "due" in
        what is read. Raises StoreLocked where another process has the file, StoreError where it cannot be used.
        """
        file = await asyncio.to_thread(_open, path)
        return cls(file, limits, clock_ms)

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
        if self._writer.waiting >= self._limits.waiting_posts_max:
            raise StoreFull(
                "More posts wait for the disk than [store] waiting_posts_max allows. Come back in a moment."
            )
        return await self._writer.share(self._admit, events)

    def _admit(
        self, connection: sqlite3.Connection, posts: Sequence[Sequence[OutboxEvent]]
    ) -> list[list[Admission]]:
        """In the writer's thread: asking for the room lets go of the interpreter, and here nobody waits for it."""
        if not self._has_room():
            raise StoreFull(
                "The disk has less room than [store] disk_reserve_mib: the rest is for what was accepted already. "
                "Free disk space."
            )
        return admit.admit(connection, posts)

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

    async def clock_stepped(self, *, expected_ms: int, now_ms: int) -> None:
        await self._writer.write(partial(outbox.clock_stepped, expected_ms=expected_ms, now_ms=now_ms))

    async def recover(self, *, now_ms: int, on_unknown: Literal["resend", "hold"]) -> int:
        return await self._writer.write(partial(outbox.recover, now_ms=now_ms, on_unknown=on_unknown))

    async def replay(
        self,
        *,
        event_ids: Sequence[str] = (),
        fate: Fate | None = None,
        since_ms: int | None = None,
        until_ms: int | None = None,
        now_ms: int,
    ) -> int:
        """As promised, in small bites, so that posts need not wait for the end of it."""
        walks: list[tuple[str | None, Fate | None]] = [
            (event_id, fate) for event_id in dict.fromkeys(event_ids)
        ]
        if not walks and (fate, since_ms, until_ms) != (None, None, None):
            walks = [(None, each) for each in replayable(fate)]
        # What ends from now on is not meant: a replayed event that soon ends again is not taken twice.
        ended_ms = range(since_ms or 0, NO_END_MS if until_ms is None else min(until_ms, now_ms + 1))
        return sum([await self._replay(event_id, each, ended_ms, now_ms) for event_id, each in walks])

    async def _replay(self, event_id: str | None, fate: Fate | None, ended_ms: range, now_ms: int) -> int:
        replayed, after = 0, 0
        while True:
            n, next_after = await self._writer.write(
                partial(
                    ended.replay_bite,
                    event_id=event_id,
                    fate=fate,
                    ended_ms=ended_ms,
                    after=after,
                    limit=REPLAY_BITE,
                    now_ms=now_ms,
                )
            )
            replayed += n
            if next_after is None:
                return replayed
            after = next_after

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

    async def families(self, *, since_ms: int, site: str | None = None) -> list[FamilyCount]:
        return await self._file.readers.read(partial(families.families, since_ms=since_ms, site=site))

    async def counts(
        self, what: Topic, *, step_ms: int, since_ms: int, site: str | None = None
    ) -> list[Counts]:
        query = partial(counter.counts, what=what, step_ms=step_ms, since_ms=since_ms, site=site)
        return await self._file.readers.read(query)

    async def mark(self, kind: MarkKind, subject: str, detail: str, *, now_ms: int) -> None:
        unit = partial(marks.mark, kind=kind, subject=subject, detail=detail, now_ms=now_ms)
        await self._writer.write(unit)

    async def marks(self, *, since_ms: int) -> list[Mark]:
        return await self._file.readers.read(partial(marks.marks, since_ms=since_ms))

    async def latest(self, *, site: str | None = None, limit: int) -> list[StoredReceipt]:
        query = partial(receipts.latest, site=site, limit=limit, now_ms=self._clock_ms())
        return await self._file.readers.read(query)

    async def orders(self, keys: Sequence[bytes]) -> list[str]:
        return await self._file.readers.read(partial(receipts.orders, keys=keys))

    async def backlog(self) -> list[Backlog]:
        return await self._file.readers.read(outbox.backlog)

    async def attempts(self, *, limit: int) -> list[PixelAttempt]:
        return await self._file.readers.read(partial(receipts.attempts, limit=limit))

    async def note(self, seen: IssueSeen, *, now_ms: int) -> None:
        await self._writer.write(partial(issues.note, seen=[seen], now_ms=now_ms))

    async def resolve(self, issue: Issue, *, now_ms: int) -> bool:
        return await self._writer.write(partial(issues.resolve, issue=issue, now_ms=now_ms))

    async def parked(self) -> list[PixelState]:
        return await self._file.readers.read(receipts.parked)

    async def totals(self) -> Totals:
        return await self._file.readers.read(receipts.totals)

    async def issues(self) -> list[Issue]:
        return await self._file.readers.read(issues.issues)

    async def note_senders(self, site: str, seen: Sequence[Sighting], now_ms: int) -> None:
        await self._writer.write(partial(senders.note_senders, site=site, seen=seen, now_ms=now_ms))

    async def senders(self, *, since_ms: int, site: str | None = None) -> list[SenderCount]:
        return await self._file.readers.read(partial(senders.senders, since_ms=since_ms, site=site))

    async def keep_quality(self, records: Sequence[QualityRecord]) -> None:
        await self._writer.write(partial(quality.keep_quality, records=records))

    async def quality(self, *, since_ms: int) -> list[QualityRecord]:
        return await self._file.readers.read(partial(quality.quality, since_ms=since_ms))

    async def alerts(self) -> list[AlertState]:
        return await self._file.readers.read(alerts.alerts)

    async def change_alert(self, state: AlertState, notices: Sequence[Notice]) -> bool:
        return await self._writer.write(partial(alerts.change_alert, state=state, notices=notices))

    async def notices(self, *, due_by_ms: int | None = None, limit: int) -> list[Notice]:
        return await self._file.readers.read(partial(alerts.notices, due_by_ms=due_by_ms, limit=limit))

    async def keep_notice(self, notice: Notice) -> None:
        await self._writer.write(partial(alerts.keep_notice, notice=notice))

    async def prune(
        self,
        *,
        now_ms: int,
        retention_ms: int,
        address_ms: int,
        counter_ms: int | None = None,
        order_ms: int = ORDER_MS,
    ) -> None:
        """As promised. Keys are remembered for seven days at least, so that a late post stays a duplicate."""
        counted_by_ms = now_ms - (retention_ms if counter_ms is None else counter_ms)
        await self._forget_visitors(now_ms - address_ms)
        await self._repeat(partial(prune.forget_events, ended_by_ms=now_ms - retention_ms))
        await self._repeat(partial(prune.forget_keys, now_ms=now_ms))
        for step_ms in STEPS_MS:
            kept_by_ms = now_ms - STEP_KEPT_MS.get(step_ms, now_ms)
            by_ms = max(counted_by_ms, kept_by_ms)
            await self._repeat(partial(prune.forget_counters, step_ms=step_ms, by_ms=by_ms))
        await self._repeat(partial(prune.forget_marks, by_ms=counted_by_ms))
        await self._repeat(partial(prune.forget_families, by_ms=counted_by_ms))
        await self._repeat(partial(senders.forget_senders, by_ms=counted_by_ms, limit=prune.BITE))
        await self._repeat(partial(quality.forget_quality, by_ms=counted_by_ms))
        await self._repeat(partial(alerts.forget_alerts, by_ms=counted_by_ms))
        await self._repeat(partial(prune.forget_orders, by_ms=now_ms - order_ms))
        await self._repeat(partial(issues.forget_issues, by_ms=counted_by_ms))
        await asyncio.to_thread(empty_wal, self._file.path)

    async def erase(self, hashes: Sequence[str]) -> list[Erased]:
        """As promised, bite after bite."""
        wanted = msgspec.json.encode(sorted(set(hashes))).decode()
        were: Counter[tuple[str, str, str]] = Counter()
        after = 0
        while row_ids := await self._file.readers.read(
            partial(person.mentions, hashes=wanted, after=after, limit=prune.BITE)
        ):
            for each in await self._writer.write(partial(person.erase, row_ids=row_ids)):
                were[each.site, each.pixel, each.was] += each.events
            after = row_ids[-1]
        if were:
            await self.rewrite()
        return [Erased(site=site, pixel=pixel, was=was, events=n) for (site, pixel, was), n in were.items()]

    async def rewrite(self) -> None:
        """As promised. Posts wait meanwhile, about as long as a copy of the file takes."""
        await self._writer.alone(lambda _: rewrite(self._file.path))

    def spilled(self) -> int:
        """As promised: there is nothing but the file."""
        return 0

    async def ready(self) -> bool:
        """As promised: a small write was committed just now, and a large one would find room."""
        try:
            await self._writer.write(partial(add_to_total, what="probe", n=1))
            return self._has_room()
        except (StoreError, OSError):
            return False

    def _has_room(self) -> bool:
        """Whether the disk takes more posts; delivering what it has needs room as well."""
        return free_bytes(self._file.path) >= self._limits.disk_reserve_mib * MIB

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
