"""Couriers on several machines share what they learn of a pixel, and notice a clock that was set once."""

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest

from relay.delivery.courier import Courier
from relay.settings import Delivery
from relay.store.postgres import PostgresStore
from relay.store.protocol import Circuit
from tests.clock import Clock
from tests.delivery.lab import PIXEL, Gate, ScriptedMeta, access, purchase, running, settled, until
from tests.store.samples import LEASE_MS, NOW_MS, claim, event

pytestmark = pytest.mark.anyio


@pytest.fixture
async def stores(database: str) -> AsyncIterator[list[PostgresStore]]:
    """Two machines."""
    opened = [await PostgresStore.open(database) for _ in range(2)]
    yield opened
    for store in opened:
        await store.close()


def courier_on(store: PostgresStore, meta: ScriptedMeta, clock: Clock) -> Courier:
    return Courier(
        store, meta.graph(), access(PIXEL), Delivery(), clock, jitter=lambda: 0.0, circuits=store, look_ms=20
    )


async def test_a_pixel_in_trouble_rests_for_every_courier_and_is_probed_by_one(
    stores: list[PostgresStore],
) -> None:
    clock = Clock(NOW_MS)
    metas = [ScriptedMeta(httpx.Response(503)), ScriptedMeta(httpx.Response(503))]
    await stores[0].admit([purchase(f"e{number}", clock) for number in range(40)])
    async with (
        running(courier_on(stores[0], metas[0], clock)),
        running(courier_on(stores[1], metas[1], clock)),
    ):

        async def has_failed() -> bool:
            return bool(await stores[0].circuits())

        await until(has_failed)
        for meta in metas:
            meta.script.clear()  # from now on every call is taken
        await stores[0].admit([purchase("late", clock)])
        for _ in range(10):  # both look again, and find it resting
            await stores[1].circuits()
            await asyncio.sleep(0.02)
        (circuit,) = await stores[0].circuits()
        failed = [call for meta in metas for call in meta.sent()]
        assert "late" not in {event_id for call in failed for event_id in call}
        clock.now_ms = circuit.until_ms + 60_000
        await settled(stores[0])
    later = [call for meta in metas for call in meta.sent()]
    for call in failed:
        later.remove(call)
    assert [len(call) for call in later].count(1) == 1, "one event of one courier, then the rest"
    assert sum(map(len, later)) == 41
    assert await stores[0].circuits() == []


async def test_a_courier_whose_probe_was_taken_goes_on_at_once(
    stores: list[PostgresStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, probe, looks = Clock(NOW_MS), Gate(), 0
    look = stores[0].circuits

    async def counted() -> list[Circuit]:
        nonlocal looks
        looks += 1
        return await look()

    async def has_failed() -> bool:
        return bool(await look())

    monkeypatch.setattr(stores[0], "circuits", counted)
    meta = ScriptedMeta(httpx.Response(503), probe)
    await stores[0].admit([purchase(f"e{number}", clock) for number in range(3)])
    async with running(courier_on(stores[0], meta, clock)):
        await until(has_failed)
        clock.pass_seconds(60)
        await probe.arrived.wait()
        before = looks

        async def has_looked() -> bool:
            return looks > before + 1

        await until(has_looked)  # and has seen that the pixel rests while it is probed
        probe.open.set()
        await settled(stores[0])
    assert [len(call) for call in meta.sent()] == [3, 1, 2]


async def test_of_many_couriers_one_takes_the_probe(stores: list[PostgresStore]) -> None:
    await stores[0].open_circuit(Circuit(pixel="111", failures=3, until_ms=NOW_MS))
    early = await stores[1].take_probe("111", now_ms=NOW_MS - 1, until_ms=NOW_MS + 9)
    tries = [
        stores[number % 2].take_probe("111", now_ms=NOW_MS, until_ms=NOW_MS + LEASE_MS) for number in range(8)
    ]
    assert (early, sorted(await asyncio.gather(*tries))) == (False, [False] * 7 + [True])
    (circuit,) = await stores[1].circuits()
    assert (circuit.failures, circuit.until_ms) == (3, NOW_MS + LEASE_MS)
    await stores[1].close_circuit("111")
    assert await stores[0].circuits() == []


async def test_a_clock_that_was_set_is_followed_once_however_many_couriers_notice_it(
    stores: list[PostgresStore],
) -> None:
    hour_ms = 3_600_000
    await stores[0].admit([event("held", not_before_ms=NOW_MS + 20_000), event("leased", pixel="222")])
    await claim(stores[0], busy=frozenset({"111"}))
    for number, store in enumerate(stores):  # a few seconds apart, and not agreeing to the millisecond
        seen_ms = NOW_MS + number * 4_000
        await store.clock_stepped(expected_ms=seen_ms + number, now_ms=seen_ms + hour_ms)
    assert await stores[0].next_due_ms(busy=frozenset({"222"})) == NOW_MS + 20_000 + hour_ms
    assert await stores[0].next_due_ms(busy=frozenset({"111"})) == NOW_MS + LEASE_MS + hour_ms
    await stores[0].clock_stepped(expected_ms=NOW_MS + 2 * hour_ms, now_ms=NOW_MS)
    assert await stores[0].next_due_ms(busy=frozenset({"111"})) == NOW_MS + LEASE_MS - hour_ms
