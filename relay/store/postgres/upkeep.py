"""What takes many transactions: forgetting, one person's events, days written anew, and the export.

Bite after bite, with room between them for the posts that wait.
"""

from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from functools import partial
from typing import Final

from relay.store.postgres import alerts, days, issues, person, prune, quality, receipts, senders
from relay.store.postgres.database import Connection, Database
from relay.store.protocol import STEP_KEPT_MS, STEPS_MS, Erased, StoredReceipt
from relay.store.rules import DAY_MS

Forget = Callable[[Connection], Awaitable[int]]  # how many it forgot

PAGE: Final = 200


async def forget_visitors(database: Database, ended_by_ms: int) -> None:
    after = 0
    while row_ids := await database.read(partial(prune.old_visitors, after=after, ended_by_ms=ended_by_ms)):
        await database.write(partial(prune.forget_visitors, row_ids=row_ids, ended_by_ms=ended_by_ms))
        after = row_ids[-1]


async def forget_days(database: Database, known: set[int], ended_by_ms: int) -> None:
    """Let go of days that are over; those are no longer known to have a place."""
    for day in await database.read(days.kept_days):
        if DAY_MS * (day + 1) > ended_by_ms:
            return  # this one and all after it are younger
        if await database.read(partial(prune.is_needed, day=day, ended_by_ms=ended_by_ms)):
            late_ms = ended_by_ms - prune.GRACE_MS
            await _repeat(database, partial(prune.forget_events, day=day, ended_by_ms=late_ms))
            continue
        known.discard(day)
        await database.write(partial(prune.forget_replays, day=day))
        await days.drop_days(database, [day])


async def forget_rows(
    database: Database, *, now_ms: int, retention_ms: int, counted_by_ms: int, ordered_by_ms: int
) -> None:
    """What does not go with a day."""
    forgetting: tuple[Forget, ...] = (
        partial(prune.forget_attempts, by_ms=now_ms - retention_ms - prune.ATTEMPT_MS),
        partial(prune.forget_keys, now_ms=now_ms, retention_ms=retention_ms),
        *(
            partial(
                prune.forget_counters,
                step_ms=step_ms,
                by_ms=max(counted_by_ms, now_ms - STEP_KEPT_MS.get(step_ms, now_ms)),
            )
            for step_ms in STEPS_MS
        ),
        partial(prune.forget_marks, by_ms=counted_by_ms),
        partial(prune.forget_families, by_ms=counted_by_ms),
        partial(senders.forget_senders, by_ms=counted_by_ms, limit=prune.BITE),
        partial(quality.forget_quality, by_ms=counted_by_ms),
        partial(alerts.forget_alerts, by_ms=counted_by_ms),
        partial(prune.forget_orders, by_ms=ordered_by_ms),
        partial(issues.forget_issues, by_ms=counted_by_ms),
        prune.forget_done,
    )
    for forget in forgetting:
        await _repeat(database, forget)


async def _repeat(database: Database, forget: Forget) -> None:
    while await database.write(forget):
        pass


async def erase(database: Database, hashes: Sequence[str]) -> list[Erased]:
    wanted = sorted(set(hashes))
    were: Counter[tuple[str, str, str]] = Counter()
    touched: set[int] = set()
    after = 0
    while row_ids := await database.read(
        partial(person.mentions, hashes=wanted, after=after, limit=prune.BITE)
    ):
        for each in await database.write(partial(person.erase, row_ids=row_ids)):
            were[each.site, each.pixel, each.was] += each.events
        touched |= {row_id >> days.SEQUENCE_BITS for row_id in row_ids}
        after = row_ids[-1]
    if touched:
        await rewrite(database, touched)
    return [Erased(site=site, pixel=pixel, was=was, events=n) for (site, pixel, was), n in were.items()]


async def rewrite(database: Database, touched: Iterable[int]) -> None:
    """A deleted row stands in its page until somebody writes there."""
    async with database.session() as connection:
        await connection.execute("SET statement_timeout = 0")
        for day in sorted(touched):
            for table in days.DAILY:
                await connection.execute(f"VACUUM FULL {table}_{day}")
        await connection.execute("RESET statement_timeout")


async def export(
    database: Database, hashes: Sequence[str] | None, clock_ms: Callable[[], int]
) -> AsyncIterator[StoredReceipt]:
    after = 0
    while True:
        chosen = person.every_id if hashes is None else partial(person.mentions, hashes=hashes)
        row_ids = await database.read(partial(chosen, after=after, limit=PAGE))
        page = partial(receipts.of_rows, row_ids=row_ids, now_ms=clock_ms())
        for receipt in await database.read(page):
            yield receipt
        if len(row_ids) < PAGE:
            return
        after = row_ids[-1]
