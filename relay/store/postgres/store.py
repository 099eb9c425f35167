"""The door: each method of `Store`, handed to the writer or to a transaction; what only reads is in `questions.py`."""

import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from functools import partial
from types import TracebackType
from typing import Any, Final, Literal, Self, TypeVar
from uuid import uuid4

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
from relay.store.postgres import (
    admit,
    alerts,
    circuits,
    claims,
    clock_step,
    days,
    ended,
    issues,
    marks,
    outbox,
    quality,
    senders,
    upkeep,
)
from relay.store.postgres.counter import count_at
from relay.store.postgres.database import Connection, Database
from relay.store.postgres.questions import Questions
from relay.store.postgres.schema import migrate
from relay.store.postgres.writer import Post, Writer, refusals
from relay.store.protocol import (
    ORDER_MS,
    AttemptResult,
    Circuit,
    Decision,
    Erased,
    Issue,
    IssueSeen,
    Lease,
    MarkKind,
    StoredReceipt,
)
from relay.store.rules import Counted, replayable

T = TypeVar("T")

REPLAY_BITE: Final = 500
NO_END_MS: Final = 2**62  # a clock that was set back has left fates in the future
SHARDS: Final = 32  # of counts: two machines seldom share one, and one only costs them a wait
READY_SECONDS: Final = 3.0


class PostgresStore(Questions):
    """A `Store` in a PostgreSQL database, for any number of processes: `async with await PostgresStore.open(url)`."""

    def __init__(self, url: str, limits: StoreSettings, clock_ms: Callable[[], int]) -> None:
        super().__init__(Database(url), clock_ms)
        self._limits = limits
        self._shard = secrets.randbelow(SHARDS)
        self._courier = uuid4()
        self._days: set[int] = set()  # those that are known to have a place
        self._writer = Writer(self._commit)

    @classmethod
    async def open(
        cls,
        url: str,
        *,
        limits: StoreSettings = StoreSettings(),  # noqa: B008 - frozen
        clock_ms: Callable[[], int] = wall_clock_ms,
    ) -> Self:
        """Connect, and bring the database to the newest version.

        Of the settings only `waiting_posts_max` is looked at. The clock only tells "held" from "due" in what is
        read. Raises StoreError where the database cannot be used.
        """
        store = cls(url, limits, clock_ms)
        try:
            await store.prepare()
        except BaseException:
            await store.close()
            raise
        return store

    async def prepare(self) -> None:
        """Make the tables, where that is not done. Raises StoreError where the database cannot be used."""
        await self._database.open()
        async with self._database.session() as connection:
            await migrate(connection)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        await self._writer.close()
        await self._database.close()

    async def admit(self, events: Sequence[OutboxEvent]) -> list[Admission]:
        if self._writer.waiting >= self._limits.waiting_posts_max:
            raise StoreFull(
                "More posts wait for the database than [store] waiting_posts_max allows. Come back in a moment."
            )
        return await self._writer.write(Post(events))

    async def count_refused(self, site: str, reason: str, now_ms: int) -> None:
        await self._writer.write(Post((), refused=(now_ms, Counted(site, "", Topic.REFUSED, reason))))

    async def _commit(self, posts: Sequence[Post]) -> list[list[Admission]]:
        """One transaction for all of them."""
        wanted = {days.day_of(event.received_ms) for post in posts for event in post.events}
        if not wanted <= self._days:
            self._days = await days.make_days(self._database, wanted)

        async def unit(connection: Connection) -> list[list[Admission]]:
            answers = await admit.admit(connection, posts, self._shard)
            await count_at(connection, refusals(posts), self._shard)
            return answers

        return await self._database.write(unit)

    async def claim(self, *, now_ms: int, lease_ms: int, limit: int, busy: frozenset[str]) -> Lease | None:
        return await self._write(
            claims.claim, now_ms=now_ms, lease_ms=lease_ms, limit=limit, busy=busy, shard=self._shard
        )

    async def begin_attempt(self, lease: Lease, keys: Sequence[bytes], now_ms: int) -> int:
        """As promised; raises LeaseLost where the lease no longer holds every key."""
        return await self._write(outbox.begin_attempt, lease=lease, keys=keys, now_ms=now_ms)

    async def settle(
        self,
        lease: Lease,
        decisions: Sequence[Decision],
        *,
        now_ms: int,
        attempt: tuple[int, AttemptResult] | None,
    ) -> int:
        return await self._write(
            outbox.settle, lease=lease, decisions=decisions, now_ms=now_ms, attempt=attempt, shard=self._shard
        )

    async def park(self, lease: Lease, *, now_ms: int, attempt: tuple[int, AttemptResult]) -> None:
        await self._write(outbox.park, lease=lease, now_ms=now_ms, attempt=attempt, shard=self._shard)

    async def unpark(self, pixel: str) -> None:
        await self._write(outbox.unpark, pixel=pixel)

    async def next_due_ms(self, *, busy: frozenset[str]) -> int | None:
        return await self._read(partial(claims.next_due_ms, busy=busy))

    async def clock_stepped(self, *, expected_ms: int, now_ms: int) -> None:
        await self._write(
            clock_step.clock_stepped, expected_ms=expected_ms, now_ms=now_ms, courier=self._courier
        )

    async def circuits(self) -> list[Circuit]:
        return await self._read(circuits.circuits)

    async def open_circuit(self, circuit: Circuit) -> None:
        await self._write(circuits.open_circuit, circuit=circuit)

    async def close_circuit(self, pixel: str) -> None:
        await self._write(circuits.close_circuit, pixel=pixel)

    async def take_probe(self, pixel: str, *, now_ms: int, until_ms: int) -> bool:
        return await self._write(circuits.take_probe, pixel=pixel, now_ms=now_ms, until_ms=until_ms)

    async def recover(self, *, now_ms: int, on_unknown: Literal["resend", "hold"]) -> int:
        return await self._write(outbox.recover, now_ms=now_ms, on_unknown=on_unknown, shard=self._shard)

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
            (event_id, fate) for event_id in dict.fromkeys(event_ids) if "\0" not in event_id
        ]
        if not event_ids and (fate, since_ms, until_ms) != (None, None, None):
            walks = [(None, each) for each in replayable(fate)]
        # What ends from now on is not meant: a replayed event that soon ends again is not taken twice.
        ended_ms = range(since_ms or 0, NO_END_MS if until_ms is None else min(until_ms, now_ms + 1))
        return sum([await self._replay(event_id, each, ended_ms, now_ms) for event_id, each in walks])

    async def _replay(self, event_id: str | None, fate: Fate | None, ended_ms: range, now_ms: int) -> int:
        replayed, after = 0, 0
        while True:
            n, next_after = await self._write(
                ended.replay_bite,
                event_id=event_id,
                fate=fate,
                ended_ms=ended_ms,
                after=after,
                limit=REPLAY_BITE,
                now_ms=now_ms,
                shard=self._shard,
            )
            replayed += n
            if next_after is None:
                return replayed
            after = next_after

    async def mark(self, kind: MarkKind, subject: str, detail: str, *, now_ms: int) -> None:
        await self._write(marks.mark, kind=kind, subject=subject, detail=detail, now_ms=now_ms)

    async def note(self, seen: IssueSeen, *, now_ms: int) -> None:
        await self._write(issues.note_one, seen=seen, now_ms=now_ms)

    async def resolve(self, issue: Issue, *, now_ms: int) -> bool:
        return await self._write(issues.resolve, issue=issue, now_ms=now_ms)

    async def note_senders(self, site: str, seen: Sequence[Sighting], now_ms: int) -> None:
        await self._write(senders.note_senders, site=site, seen=seen, now_ms=now_ms)

    async def keep_quality(self, records: Sequence[QualityRecord]) -> None:
        await self._write(quality.keep_quality, records=records)

    async def alerts(self) -> list[AlertState]:
        return await self._database.read(alerts.alerts)

    async def change_alert(self, state: AlertState, notices: Sequence[Notice]) -> bool:
        return await self._write(alerts.change_alert, state=state, notices=notices)

    async def notices(self, *, due_by_ms: int | None = None, limit: int) -> list[Notice]:
        return await self._database.read(partial(alerts.notices, due_by_ms=due_by_ms, limit=limit))

    async def keep_notice(self, notice: Notice) -> None:
        await self._write(alerts.keep_notice, notice=notice)

    async def prune(
        self,
        *,
        now_ms: int,
        retention_ms: int,
        address_ms: int,
        counter_ms: int | None = None,
        order_ms: int = ORDER_MS,
    ) -> None:
        """As promised, but for events: up to a day later, so that a day of them can go as a whole.

        Keys are remembered for seven days at least, so that a late post stays a duplicate. Any process may do
        this, and several at once.
        """
        counted_by_ms = now_ms - (retention_ms if counter_ms is None else counter_ms)
        await upkeep.forget_visitors(self._database, now_ms - address_ms)
        await upkeep.forget_days(self._database, self._days, now_ms - retention_ms)
        await upkeep.forget_rows(
            self._database,
            now_ms=now_ms,
            retention_ms=retention_ms,
            counted_by_ms=counted_by_ms,
            ordered_by_ms=now_ms - order_ms,
        )
        self._days = await days.make_days(self._database, (days.day_of(now_ms), days.day_of(now_ms) + 1))

    async def erase(self, hashes: Sequence[str]) -> list[Erased]:
        """As promised, bite after bite; then the days concerned are written anew."""
        return await upkeep.erase(self._database, hashes)

    async def rewrite(self) -> None:
        """As promised, a day after the other."""
        await upkeep.rewrite(self._database, await self._database.read(days.kept_days))

    def export(self, hashes: Sequence[str] | None) -> AsyncIterator[StoredReceipt]:
        """Every receipt, or one person's, oldest first; nobody is disturbed."""
        return upkeep.export(self._database, hashes, self._clock_ms)

    async def ready(self) -> bool:
        """As promised: a small write was committed just now."""
        try:
            await self._database.write(_nothing, seconds=READY_SECONDS)
            return True
        except StoreError:
            return False

    def spilled(self) -> int:
        """As promised: none; what cannot be committed is not taken."""
        return 0

    async def _write(self, work: Callable[..., Awaitable[T]], **arguments: Any) -> T:
        return await self._database.write(partial(work, **arguments))


async def _nothing(connection: Connection) -> None:
    """Every transaction writes that it is done."""
