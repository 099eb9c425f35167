"""Days of the ledger: made when they are needed, dropped when nothing needs them."""

import pytest

from relay.event.outcome import Admission
from relay.store.postgres import PostgresStore
from relay.store.postgres.days import day_of, row_id
from tests.store.samples import NOW_MS, end_all, event

pytestmark = pytest.mark.anyio

DAY_MS = 86_400_000
PARTITIONS = "SELECT relname FROM pg_class WHERE relname ~ '^(event|visitor|leg|fate|attempt_event)_[0-9]+$'"


def test_a_row_id_grows_with_its_day_first_and_stays_exact_in_a_browser() -> None:
    assert row_id(NOW_MS, 2**38 - 1) < row_id(NOW_MS + DAY_MS, 1)
    assert row_id(NOW_MS, 1) < row_id(NOW_MS, 2)
    in_2050_ms = 2_540_000_000_000
    assert row_id(in_2050_ms, 2**38 - 1) < 2**53


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
