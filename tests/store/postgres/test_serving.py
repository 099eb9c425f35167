"""A running process starts without its database, and goes on without it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from e2e.lossy_postgres import Proxy
from relay.clock import wall_clock_ms
from relay.errors import StoreError, StoreFull, StoreLocked, StoreUnavailable
from relay.event.outcome import Admission
from relay.settings import StoreSettings
from relay.store.postgres import PostgresStore, admit
from relay.store.postgres.serving import ServingStore
from relay.store.spill import Spill
from tests.delivery import lab
from tests.store.samples import event

pytestmark = pytest.mark.anyio

LIMITS = StoreSettings(spill_seconds=0.3)


@pytest.fixture
async def proxy(database: str) -> AsyncIterator[Proxy]:
    async with Proxy.before(database) as proxy:
        yield proxy


async def start(proxy: Proxy, folder: Path, limits: StoreSettings = LIMITS) -> ServingStore:
    return await ServingStore.start(proxy.url, folder / "x.spill.db", limits=limits, clock_ms=wall_clock_ms)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 - what is waited for is a fact about the store
            await asyncio.sleep(0.02)


async def test_posts_are_taken_while_the_database_is_away_and_are_there_when_it_is_back(
    proxy: Proxy, tmp_path: Path
) -> None:
    store = await start(proxy, tmp_path)
    assert await store.admit([event("before")]) == [Admission.ACCEPTED]
    await until(lambda: not store.is_away and store.spilled() == 0)  # a busy machine may have been too slow
    await proxy.cut()
    assert await store.admit([event("during"), event("before")]) == [Admission.ACCEPTED] * 2
    assert (store.is_away, store.spilled()) == (True, 1)
    assert await store.ready()
    with pytest.raises(StoreUnavailable):
        await store.totals()
    proxy.mend()
    await until(lambda: not store.is_away and store.spilled() == 0)
    assert len(await store.find("during")) == 1
    assert (await store.totals()).waiting == 2
    await store.close()


async def test_a_server_that_dies_in_the_middle_of_an_answer_is_a_database_that_is_away(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    deaths = iter([asyncpg.InternalClientError("got result for unknown protocol state")])
    admit_now = admit.admit

    async def dying(*given: Any) -> Any:
        for death in deaths:
            raise death
        return await admit_now(*given)

    monkeypatch.setattr(admit, "admit", dying)
    store = await PostgresStore.open(database)
    assert await store.admit([event()]) == [Admission.ACCEPTED]
    assert (await store.totals()).waiting == 1
    await store.close()


async def test_a_process_starts_without_its_database(proxy: Proxy, tmp_path: Path) -> None:
    await proxy.cut()
    store = await start(proxy, tmp_path)
    assert not store.is_prepared.is_set()
    assert await store.admit([event()]) == [Admission.ACCEPTED]
    proxy.mend()
    await until(lambda: store.spilled() == 0)
    assert (await store.totals()).waiting == 1
    await store.close()


async def test_what_a_process_could_not_hand_over_is_handed_over_by_the_next(
    proxy: Proxy, tmp_path: Path
) -> None:
    await proxy.cut()
    store = await start(proxy, tmp_path)
    await store.admit([event()])
    await store.close()
    proxy.mend()
    again = await start(proxy, tmp_path)
    await until(lambda: again.spilled() == 0)
    assert (await again.totals()).waiting == 1
    await again.close()


async def test_a_database_that_does_not_answer_in_time_counts_as_away(proxy: Proxy, tmp_path: Path) -> None:
    store = await start(proxy, tmp_path)
    await until(lambda: not store.is_away)
    proxy.freeze()
    assert await store.admit([event()]) == [Admission.ACCEPTED]
    assert store.spilled() == 1
    proxy.thaw()
    await until(lambda: not store.is_away and store.spilled() == 0)
    totals = await store.totals()
    assert (totals.waiting, totals.duplicates) == (1, 0), "the double write is no duplicate"
    await store.close()


async def test_a_post_is_taken_over_behind_its_own_first_commit(
    proxy: Proxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The commit that took too long comes through after all; were it the second one, it would be a duplicate."""
    go_on = asyncio.Event()
    slow = iter([go_on])
    admit_now = admit.admit

    async def slowly(*given: Any) -> Any:
        for first in slow:
            await first.wait()
        return await admit_now(*given)

    store = await start(proxy, tmp_path)
    await until(lambda: not store.is_away)
    monkeypatch.setattr(admit, "admit", slowly)
    assert await store.admit([event()]) == [Admission.ACCEPTED]
    assert store.spilled() == 1
    await until(lambda: not store.is_away)
    await until(lambda: store._writer.waiting == 1)  # what the file holds stands behind the first commit
    go_on.set()
    await until(lambda: store.spilled() == 0)
    await store.close()  # with all that it has in hand
    async with await PostgresStore.open(proxy.url) as again:
        totals = await again.totals()
    assert (totals.waiting, totals.duplicates) == (1, 0)


async def test_a_commit_whose_answer_is_lost_is_done_once(proxy: Proxy, tmp_path: Path) -> None:
    store = await PostgresStore.open(proxy.url)
    await store.admit([event("first")])  # its day is made, its statements are prepared
    for number in range(5):
        proxy.lose_the_answer_to(b"COMMIT")
        assert await store.admit([event(f"e{number}"), event("first")]) == [
            Admission.ACCEPTED,
            Admission.DUPLICATE,
        ]
    totals = await store.totals()
    assert (totals.waiting, totals.duplicates, proxy.lost) == (6, 5, 5)
    await store.close()


async def test_two_processes_cannot_share_a_spill_file(proxy: Proxy, tmp_path: Path) -> None:
    store = await start(proxy, tmp_path)
    with pytest.raises(StoreLocked):
        await start(proxy, tmp_path)
    await store.close()


async def test_a_full_disk_beside_an_absent_database_is_said(proxy: Proxy, tmp_path: Path) -> None:
    await proxy.cut()
    store = await start(proxy, tmp_path, StoreSettings(spill_seconds=0.3, disk_reserve_mib=1e9))
    with pytest.raises(StoreFull, match="disk_reserve_mib"):
        await store.admit([event()])
    await store.close()


async def test_a_process_that_takes_no_posts_has_no_spill_file(proxy: Proxy, tmp_path: Path) -> None:
    store = await ServingStore.start(proxy.url, None, limits=LIMITS, clock_ms=wall_clock_ms)
    await lab.until(store.ready)  # a busy machine may be too slow for the store's own time
    await proxy.cut()
    assert not await store.ready()
    with pytest.raises(StoreUnavailable):
        await store.admit([event()])
    await store.close()


async def test_a_database_that_does_not_exist_is_an_error_and_no_absence(
    database: str, tmp_path: Path
) -> None:
    wrong = database.rpartition("/")[0] + "/no_such_database"
    with pytest.raises(StoreError, match="no such database"):
        await ServingStore.start(wrong, tmp_path / "x.db", limits=LIMITS, clock_ms=wall_clock_ms)


async def test_a_spilled_post_is_whole(tmp_path: Path) -> None:
    spill = await Spill.open(tmp_path / "x.db")
    whole = event(order_key=b"0123456789abcdef", visitor=b"visitor1")
    await spill.keep([whole, event("e2")], reserve_mib=0)
    await spill.close()
    spill = await Spill.open(tmp_path / "x.db")
    assert spill.waiting == 1
    ((row_id, events),) = await spill.oldest(0, 9)
    assert events == [whole, event("e2")]
    await spill.forget([row_id])
    assert (await spill.oldest(0, 9), spill.waiting) == ([], 0)
    await spill.close()
