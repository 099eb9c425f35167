"""Days of the ledger: made when they are needed, dropped when nothing needs them."""

import pytest

from relay.event.outcome import Admission
from relay.store.postgres import PostgresStore
from relay.store.postgres.days import day_of, first_id
from tests.store.samples import NOW_MS, end_all, event

pytestmark = pytest.mark.anyio

DAY_MS = 86_400_000
PARTITIONS = "SELECT relname FROM pg_class WHERE relname ~ '^(event|visitor|leg|fate|attempt_event)_[0-9]+$'"


def test_an_id_is_under_its_day_and_stays_exact_in_a_browser() -> None:
    day = day_of(NOW_MS)
    assert first_id(day) + 2**38 == first_id(day + 1)
    assert first_id(day_of(2_540_000_000_000) + 1) < 2**53  # in 2050


async def test_ids_follow_the_order_of_a_post_and_not_that_of_its_keys(database: str) -> None:
    post = [event(f"e{number}") for number in range(20)]
    assert post != sorted(post, key=lambda each: each.key)
    ids = "SELECT key FROM event ORDER BY id"
    async with await PostgresStore.open(database) as store:
        await store.admit(post)
        rows = await store._database.read(lambda connection: connection.fetch(ids))
    assert [row["key"] for row in rows] == [each.key for each in post]


async def days(url: str) -> set[str]:
    store = await PostgresStore.open(url)
    rows = await store._database.read(lambda connection: connection.fetch(PARTITIONS))
    await store.close()
    return {row["relname"].rpartition("_")[2] for row in rows}


async def test_a_day_goes_as_a_whole_and_another_with_something_that_waits_does_not(database: str) -> None:
    async with await PostgresStore.open(database) as store:
        old_ms = NOW_MS - 5 * DAY_MS
        await store.admit([event("done", received_ms=old_ms, not_before_ms=old_ms)])
        await end_all(store, now_ms=old_ms)
        late_ms = NOW_MS - 4 * DAY_MS
        await store.admit([event("waits", pixel="222", received_ms=late_ms, not_before_ms=late_ms)])
        await store.admit([event("gone", received_ms=late_ms, not_before_ms=late_ms)])
        lease = await store.claim(now_ms=late_ms, lease_ms=1, limit=9, busy=frozenset({"222"}))
        assert lease is not None
        await store.prune(now_ms=NOW_MS, retention_ms=DAY_MS, address_ms=0)
        kept = await days(database)
        assert f"{day_of(old_ms)}" not in kept
        assert {f"{day_of(late_ms)}", f"{day_of(NOW_MS)}", f"{day_of(NOW_MS) + 1}"} <= kept
        assert await store.find("done") == []
        assert len(await store.find("waits")) == 1
        assert await store.admit([event("done", received_ms=NOW_MS)]) == [Admission.DUPLICATE]
