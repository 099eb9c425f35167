"""The store of a running process: it starts without the database, and goes on without it.

While the database is away, or slower than `spill_seconds`, posts are committed to a local file (`spill.py`) and
answered; everything else says at once that the store is unavailable, and its callers try again. A keeper asks for the
database, brings it up to date when it is there, and then takes the file over. What had got there all the same is known
by its key.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, Self, TypeVar

import structlog

from relay.clock import steady_clock_ms
from relay.errors import StoreError, StoreFull, StoreUnavailable
from relay.event.outcome import Admission
from relay.event.records import OutboxEvent
from relay.settings import StoreSettings
from relay.store.postgres.clock import SharedClock
from relay.store.postgres.database import MISTAKEN, Unit
from relay.store.postgres.store import PostgresStore
from relay.store.postgres.writer import Post
from relay.store.spill import Kept, Spill

T = TypeVar("T")

LOOK_SECONDS: Final = 0.5  # how often an absent database is asked for
FOLLOW_SECONDS: Final = 10.0  # how often its clock is asked for
DRAIN_POSTS: Final = 200
LAST_SECONDS: Final = 5.0  # a stop tries for so long to take the file over

AWAY: Final = "The database is away. Look whether it runs and can be reached."

log = structlog.get_logger("relay.store")


class ServingStore(PostgresStore):
    """A `PostgresStore` that outlives its database: `await ServingStore.start(url, spill_path)`."""

    def __init__(
        self, url: str, spill: Spill | None, limits: StoreSettings, clock_ms: Callable[[], int]
    ) -> None:
        self.clock = SharedClock(clock_ms, steady_clock_ms)
        super().__init__(url, limits, self.clock)
        self._spill = spill
        self._is_away = True
        self.is_prepared = asyncio.Event()  # the database has been seen, and has its tables
        self._closing = False
        self._stirred = asyncio.Event()  # the keeper has something to do
        self._keeper = asyncio.create_task(self._keep())

    @classmethod
    async def start(
        cls, url: str, spill: Path | None, *, limits: StoreSettings, clock_ms: Callable[[], int]
    ) -> Self:
        """Open the file, and look for the database without waiting for it.

        Raises StoreError where the file cannot be used, or the database is there and cannot be.
        """
        store = cls(url, None if spill is None else await Spill.open(spill), limits, clock_ms)
        try:
            await store._find()
        except (StoreUnavailable, TimeoutError) as error:
            if isinstance(error.__cause__, MISTAKEN):
                await store.close()
                raise
            log.warning("store_away", reason=str(error) or AWAY)
        except BaseException:
            await store.close()
            raise
        return store

    @property
    def is_away(self) -> bool:
        """Whether the database was away when it was last needed."""
        return self._is_away

    def spilled(self) -> int:
        return 0 if self._spill is None else self._spill.waiting

    async def admit(self, events: Sequence[OutboxEvent]) -> list[Admission]:
        if self._spill is None:
            self._check_near()
            return await super().admit(events)
        if not self._is_away:
            try:
                return await self._writer.write(Post(events), seconds=self._limits.spill_seconds)
            except (StoreUnavailable, StoreFull) as error:
                self._lose(error)
        await self._spill.keep(events, reserve_mib=self._limits.disk_reserve_mib)
        return [Admission.ACCEPTED] * len(events)

    async def count_refused(self, site: str, reason: str, now_ms: int) -> None:
        self._check_near()
        await super().count_refused(site, reason, now_ms)

    async def ready(self) -> bool:
        """Whether a post would be committed now, here or there."""
        if not self._is_away and await super().ready():
            return True
        if self._spill is None:
            return False
        with suppress(StoreError, OSError):
            await self._spill.forget([])
            return True
        return False

    async def close(self) -> None:
        if self._closing:
            return
        self._closing = True
        self._stirred.set()
        await self._keeper
        if self._spill is not None and self._spill.waiting and not self._is_away:
            with suppress(StoreError, TimeoutError):
                async with asyncio.timeout(LAST_SECONDS):
                    await self._take_over(self._spill)
        await super().close()
        if self._spill is not None:
            if self._spill.waiting:
                log.warning("store_spilled_posts_left", posts=self._spill.waiting)
            await self._spill.close()

    async def _write(self, work: Callable[..., Awaitable[T]], **arguments: Any) -> T:
        self._check_near()
        try:
            return await super()._write(work, **arguments)
        except StoreUnavailable as error:
            self._lose(error)
            raise

    async def _read(self, query: Unit[T]) -> T:
        self._check_near()
        try:
            return await super()._read(query)
        except StoreUnavailable as error:
            self._lose(error)
            raise

    def _check_near(self) -> None:
        if self._is_away:
            raise StoreUnavailable(AWAY)

    def _lose(self, error: StoreError) -> None:
        if not self._is_away:
            self._is_away = True
            self._stirred.set()
            log.warning("store_away", reason=str(error))

    async def _find(self) -> None:
        """See whether the database is there, and up to date. Raises StoreError where it is not."""
        if not self.is_prepared.is_set():
            await self.prepare()
        await self.clock.follow(self._database)
        if self._is_away:
            async with asyncio.timeout(self._limits.spill_seconds):
                if not await super().ready():
                    raise StoreUnavailable(AWAY)
            self._is_away = False
            log.info("store_found", spilled=self.spilled())
        self.is_prepared.set()

    async def _keep(self) -> None:
        """Look for the database until the end; when it is there, take the file over."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_SECONDS if self._is_away else FOLLOW_SECONDS):
                    await self._stirred.wait()
            self._stirred.clear()
            if self._closing:
                return
            try:
                await self._find()
                if self._spill is not None and self._spill.waiting:
                    await self._take_over(self._spill)
            except (StoreUnavailable, TimeoutError) as error:
                self._lose(StoreUnavailable(str(error) or AWAY))
            except Exception as error:
                log.error("store_keeper_failed", error=type(error).__name__)

    async def _take_over(self, spill: Spill) -> None:
        """Admit what the file holds, oldest first; a post that was admitted before its answer was lost is no news."""
        after = 0
        while kept := await spill.oldest(after, DRAIN_POSTS):
            try:
                await self._admit_again(spill, kept)
            except StoreUnavailable:
                raise
            except StoreError as error:  # one of them cannot be admitted: it stays, and the others go on
                for each in kept if len(kept) > 1 else ():
                    with suppress(StoreError):
                        await self._admit_again(spill, [each])
                log.error("store_spilled_post_refused", reason=str(error))
            after = kept[-1].row_id

    async def _admit_again(self, spill: Spill, kept: Sequence[Kept]) -> None:
        """Behind what the writer has in hand: the first writing of one of them may still be under way there, and would
        count as a duplicate if it came second."""
        posts = (Post(each.events, again=True) for each in kept)
        await asyncio.gather(*(self._writer.write(post) for post in posts))
        await spill.forget([each.row_id for each in kept])
        log.info("store_took_over", posts=len(kept), left=spill.waiting)
