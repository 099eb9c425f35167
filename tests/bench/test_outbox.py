"""What the benches put into a store is what ingest would: else their figures would be of something else."""

from pathlib import Path

import pytest

from bench.outbox import PURCHASES, SHOP, deliver, fill, made, opened
from relay.clock import wall_clock_ms

pytestmark = pytest.mark.anyio


async def test_all_that_was_filled_in_is_delivered(tmp_path: Path) -> None:
    async with opened(str(tmp_path), None) as store:
        await fill(store, range(1_200))
        assert await deliver(store) == 1_200
        assert (await store.totals()).fates == {"delivered": 1_200}


async def test_rows_of_other_numbers_are_other_events(tmp_path: Path) -> None:
    async with opened(str(tmp_path), None) as store:
        await fill(store, range(40))
        await fill(store, range(40, 60))
        assert (await store.totals()).waiting == 60


async def test_a_row_has_its_own_id_in_the_event_for_meta() -> None:
    first, second = made(range(2), PURCHASES)
    assert first.event_id != second.event_id
    assert first.event_id.encode() in first.server_event
    assert second.event_id.encode() in second.server_event


async def test_a_shops_rows_are_due_and_one_in_twenty_is_a_purchase() -> None:
    rows = list(made(range(40), SHOP))
    assert [row.event_name for row in rows].count("Purchase") == 2
    assert all(row.not_before_ms <= wall_clock_ms() for row in rows)
