"""The loop and its rounds, over a real store and a scripted Meta."""

import asyncio
from collections.abc import Iterator, Sequence
from typing import Any

import httpx
import pytest
from structlog.testing import capture_logs

from relay.delivery.batch import EXPIRY_MARGIN_MS
from relay.delivery.courier import Courier
from relay.delivery.graph import PixelAccess
from relay.errors import SettingsError, StoreError
from relay.event.outcome import AttemptOutcome, Fate, FateReason
from relay.settings import Delivery
from relay.store.sqlite import SqliteStore
from tests.clock import Clock
from tests.delivery.lab import (
    DAY_MS,
    OTHER_PIXEL,
    PIXEL,
    TOKEN,
    Gate,
    ScriptedMeta,
    access,
    attempts_ended,
    courier_for,
    error,
    pixel_of,
    purchase,
    receipt,
    running,
    sent,
    settled,
    the_receipt,
    until,
)

pytestmark = pytest.mark.anyio


@pytest.fixture
def log() -> Iterator[list[Any]]:
    """Every entry that is logged meanwhile."""
    with capture_logs() as entries:
        yield entries


async def test_due_events_go_out_together_and_end_as_delivered(store: SqliteStore, clock: Clock) -> None:
    meta = ScriptedMeta()
    await store.admit([purchase(f"e{n}", clock) for n in range(3)])
    async with running(courier_for(store, meta.graph(), clock)):
        await settled(store)

    assert meta.sent() == [["e0", "e1", "e2"]]
    stored = await the_receipt(store, "e1")
    assert stored.fate is not None
    assert (stored.fate.fate, stored.fate.reason) == (Fate.DELIVERED, FateReason.RECEIVED)
    (attempt,) = stored.attempts
    assert (attempt.outcome, attempt.events, attempt.fbtrace_id) == (AttemptOutcome.RECEIPT, 3, "A1")


async def test_a_batch_is_no_larger_than_the_setting(store: SqliteStore, clock: Clock) -> None:
    meta = ScriptedMeta()
    await store.admit([purchase(f"e{n}", clock) for n in range(5)])
    async with running(courier_for(store, meta.graph(), clock, delivery=Delivery(batch_max=2))):
        await settled(store)
    assert [len(call) for call in meta.sent()] == [2, 2, 1]


async def test_a_held_event_goes_when_its_hold_ends_and_not_before(store: SqliteStore, clock: Clock) -> None:
    meta = ScriptedMeta()
    await store.admit([purchase("held", clock, held_ms=20_000), purchase("due", clock)])
    courier = courier_for(store, meta.graph(), clock)
    async with running(courier):
        await attempts_ended(store, "due")
        clock.pass_seconds(19.999)
        courier.wake()
        await store.admit([purchase("witness", clock)])
        courier.wake()
        await attempts_ended(store, "witness")
        assert meta.sent() == [["due"], ["witness"]]
        clock.pass_seconds(0.001)
        courier.wake()
        await settled(store)
    assert meta.sent()[-1] == ["held"]


async def test_an_event_admitted_while_the_courier_sleeps_goes_when_it_is_woken(
    store: SqliteStore, clock: Clock
) -> None:
    meta = ScriptedMeta()
    courier = courier_for(store, meta.graph(), clock)
    async with running(courier):
        await store.admit([purchase("e1", clock)])
        courier.wake()
        await settled(store)
    assert meta.sent() == [["e1"]]


async def test_the_courier_sleeps_on_where_what_was_admitted_is_due_later_than_it_wakes(
    store: SqliteStore, clock: Clock
) -> None:
    await store.admit([purchase("held", clock, held_ms=20_000)])
    courier = courier_for(store, ScriptedMeta().graph(), clock)

    async def sleeps() -> bool:
        return courier.sleeps_until_ms == clock() + 20_000

    async with running(courier):
        await until(sleeps)
        courier.wake(clock() + 20_001)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert await sleeps()
        courier.wake(clock() + 19_999)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert not await sleeps()


@pytest.mark.parametrize(
    "trouble",
    [error(2, 503), error(1, 400), httpx.Response(500, text="<html>"), httpx.ConnectError("refused")],
)
async def test_after_transient_trouble_the_same_event_goes_again_later(
    store: SqliteStore, clock: Clock, trouble: httpx.Response | Exception
) -> None:
    meta = ScriptedMeta(trouble)
    await store.admit([purchase("e1", clock)])
    courier = courier_for(store, meta.graph(), clock)
    async with running(courier):
        waiting = await attempts_ended(store, "e1")
        assert waiting.due_ms == clock() + 1_000
        clock.pass_seconds(1)
        courier.wake()
        await settled(store)

    assert meta.sent() == [["e1"], ["e1"]]
    stored = await the_receipt(store, "e1")
    assert [a.outcome for a in stored.attempts] == [AttemptOutcome.RETRY, AttemptOutcome.RECEIPT]
    assert stored.ambiguous == 0


async def test_a_pixel_in_trouble_rests_with_all_its_events(store: SqliteStore, clock: Clock) -> None:
    meta = ScriptedMeta(error(4, headers={"retry-after": "120"}))
    await store.admit([purchase("first", clock)])
    courier = courier_for(store, meta.graph(), clock)
    async with running(courier):
        assert (await attempts_ended(store, "first")).due_ms == clock() + 120_000
        await store.admit([purchase("second", clock), purchase("other", clock, pixel=OTHER_PIXEL)])
        courier.wake()
        await attempts_ended(store, "other")
        assert meta.sent() == [["first"], ["other"]]
        clock.pass_seconds(120)
        courier.wake()
        await settled(store)
    assert meta.sent()[2:] == [["second"], ["first"]]  # the oldest due one probes


async def test_a_pixel_that_fails_is_probed_with_one_event_until_it_answers(
    store: SqliteStore, clock: Clock, log: list[Any]
) -> None:
    meta = ScriptedMeta(*[httpx.ReadError("reset")] * 3)
    await store.admit([purchase(f"e{n}", clock) for n in range(100)])
    courier = courier_for(store, meta.graph(), clock)

    async def nothing_waits() -> bool:
        clock.pass_seconds(1)
        courier.wake()
        return (await store.totals()).waiting == 0

    async with running(courier):
        await until(nothing_waits)
    assert [len(call) for call in meta.sent()] == [100, 1, 1, 1, 99]
    assert [entry["event"] for entry in log if "circuit" in entry["event"]] == [
        "delivery.circuit_opened",
        "delivery.circuit_closed",
    ]


async def test_a_bad_event_is_found_and_the_good_ones_are_delivered(store: SqliteStore, clock: Clock) -> None:
    def strict(request: httpx.Request) -> httpx.Response:
        if "bad" in sent(request):
            return error(100, error_subcode=2804009, error_user_title="Missing Value")
        return receipt(request)

    meta = ScriptedMeta(*[strict] * 50)
    await store.admit([purchase(name, clock) for name in ("a", "b", "bad", "c", "d", "e", "f")])
    async with running(courier_for(store, meta.graph(), clock)):
        await settled(store)

    totals = await store.totals()
    assert totals.fates == {Fate.DELIVERED: 6, Fate.REJECTED: 1}
    bad = await the_receipt(store, "bad")
    assert bad.fate is not None
    assert (bad.fate.reason, bad.fate.detail) == (
        FateReason.REJECTED_BY_META,
        "Words of Meta: Missing Value",
    )
    assert bad.attempts[-1].subcode == 2804009
    assert len(meta.calls) <= 6


async def test_trouble_in_the_midst_of_bisecting_loses_nobody(store: SqliteStore, clock: Clock) -> None:
    meta = ScriptedMeta(error(100), receipt, error(2, 503))
    await store.admit([purchase(f"e{n}", clock) for n in range(8)])
    courier = courier_for(store, meta.graph(), clock)
    async with running(courier):
        await attempts_ended(store, "e4", 2)
        clock.pass_seconds(60)
        courier.wake()
        await settled(store)
    assert (await store.totals()).fates == {Fate.DELIVERED: 8}
    assert meta.sent()[:3] == [[f"e{n}" for n in range(8)], [f"e{n}" for n in range(4)], ["e4", "e5"]]
    assert meta.sent()[3:] == [["e4"], ["e5", "e6", "e7"]]  # a probe, then the rest


async def test_a_dead_token_parks_the_pixel_until_it_is_let_go(
    store: SqliteStore, clock: Clock, log: list[Any]
) -> None:
    meta = ScriptedMeta(error(190, error_subcode=463))
    await store.admit([purchase("e1", clock), purchase("e2", clock)])
    courier = courier_for(store, meta.graph(), clock)
    async with running(courier):
        await attempts_ended(store, "e1")
        (parked,) = await store.parked()
        assert (parked.pixel, parked.code, parked.message) == (PIXEL, 190, "Words of Meta")
        await store.admit([purchase("e3", clock), purchase("other", clock, pixel=OTHER_PIXEL)])
        courier.wake()
        await attempts_ended(store, "other")
        assert [pixel_of(call) for call in meta.calls] == [PIXEL, OTHER_PIXEL]
        await store.unpark(PIXEL)
        courier.wake()
        await settled(store)
    assert meta.sent()[-1] == ["e1", "e2", "e3"]
    assert (await store.totals()).fates == {Fate.DELIVERED: 4}
    assert "lease_lost" not in str(log)


async def test_a_parked_pixel_goes_on_when_its_token_has_been_replaced_without_a_restart(
    store: SqliteStore, clock: Clock
) -> None:
    def strict(request: httpx.Request) -> httpx.Response:
        return receipt(request) if request.headers["authorization"] == "Bearer EAABnew" else error(190)

    meta = ScriptedMeta(*[strict] * 9)
    in_place = access(PIXEL, token="EAABold")
    await store.admit([purchase("e1", clock)])
    courier = Courier(
        store, meta.graph(), {**in_place}, Delivery(), clock, lambda: 0.0, read_pixels=lambda: {**in_place}
    )

    async def a_minute_later() -> None:
        clock.pass_seconds(60)
        await store.admit([purchase(f"witness-{clock()}", clock)])
        courier.wake()

    async with running(courier):
        await attempts_ended(store, "e1")
        await a_minute_later()
        assert (await store.totals()).waiting == 2
        in_place |= access(PIXEL, token="EAABnew")
        await a_minute_later()
        await settled(store)
    assert await store.parked() == []
    assert [call.headers["authorization"] for call in meta.calls] == ["Bearer EAABold", "Bearer EAABnew"]


@pytest.mark.parametrize(
    ("pixels", "words"),
    [
        (access(PIXEL, token=None), "token_env"),
        (access(PIXEL, token=""), "token_file"),
        (access(PIXEL, token="two words"), "token_env"),
        (access(PIXEL, token="EAAB\n"), "token_env"),
        (access(PIXEL, token="EAABé"), "token_env"),
        (access(OTHER_PIXEL), "relay.toml"),
    ],
)
async def test_a_pixel_without_a_usable_token_is_parked_with_the_next_step_and_no_call(
    store: SqliteStore, clock: Clock, pixels: dict[str, PixelAccess], words: str
) -> None:
    meta = ScriptedMeta()
    await store.admit([purchase("e1", clock)])

    async def is_parked() -> bool:
        return bool(await store.parked())

    async with running(courier_for(store, meta.graph(), clock, pixels=pixels)):
        await until(is_parked)
    (parked,) = await store.parked()
    assert PIXEL in parked.message
    assert words in parked.message
    assert (await the_receipt(store, "e1")).attempts == ()
    assert meta.calls == []


async def test_a_restart_tries_a_parked_pixel_again(store: SqliteStore, clock: Clock) -> None:
    await store.admit([purchase("e1", clock)])
    dead, alive = ScriptedMeta(error(190)), ScriptedMeta()
    async with running(courier_for(store, dead.graph(), clock)):
        await attempts_ended(store, "e1")
    async with running(courier_for(store, alive.graph(), clock)):
        await settled(store)
    assert (dead.sent(), alive.sent()) == ([["e1"]], [["e1"]])
    assert await store.parked() == []


@pytest.mark.parametrize(
    "trouble",
    [
        httpx.ReadTimeout("no answer"),
        httpx.ReadError("reset"),
        httpx.Response(200, json={}),
        httpx.Response(504),
    ],
)
async def test_an_ambiguous_send_is_counted_and_goes_again_by_policy_resend(
    store: SqliteStore, clock: Clock, trouble: httpx.Response | Exception
) -> None:
    meta = ScriptedMeta(trouble)
    await store.admit([purchase("e1", clock)])
    courier = courier_for(store, meta.graph(), clock)
    async with running(courier):
        assert (await attempts_ended(store, "e1")).ambiguous == 1
        clock.pass_seconds(6)
        courier.wake()
        await settled(store)
    stored = await the_receipt(store, "e1")
    assert [a.outcome for a in stored.attempts] == [AttemptOutcome.UNKNOWN, AttemptOutcome.RECEIPT]
    assert (await store.totals()).ambiguous_attempts == 1
    assert meta.sent() == [["e1"], ["e1"]]


async def test_an_ambiguous_send_ends_as_unknown_by_policy_hold(store: SqliteStore, clock: Clock) -> None:
    meta = ScriptedMeta(httpx.ReadTimeout("no answer"))
    await store.admit([purchase("e1", clock)])
    async with running(courier_for(store, meta.graph(), clock, delivery=Delivery(on_unknown="hold"))):
        await settled(store)
    stored = await the_receipt(store, "e1")
    assert stored.fate is not None
    assert (stored.fate.fate, stored.fate.reason) == (Fate.UNKNOWN, FateReason.AMBIGUOUS_SEND)
    assert meta.sent() == [["e1"]]


async def test_an_ambiguous_send_of_a_courier_that_is_gone_ends_as_unknown_by_policy_hold(
    store: SqliteStore, clock: Clock
) -> None:
    meta = ScriptedMeta()
    await store.admit([purchase("called", clock), purchase("only leased", clock)])
    lease = await store.claim(now_ms=clock(), lease_ms=60_000, limit=2, busy=frozenset())  # and then: gone
    assert lease is not None
    await store.begin_attempt(lease, [lease.events[0].key], clock())
    clock.pass_seconds(60)
    async with running(courier_for(store, meta.graph(), clock, delivery=Delivery(on_unknown="hold"))):
        await settled(store)
    assert meta.sent() == [["only leased"]]
    called = await the_receipt(store, "called")
    assert called.fate is not None
    assert (called.fate.fate, called.fate.reason) == (Fate.UNKNOWN, FateReason.AMBIGUOUS_SEND)


async def test_an_event_whose_sends_stay_ambiguous_ends_as_unknown_and_a_replay_tries_again(
    store: SqliteStore, clock: Clock
) -> None:
    meta = ScriptedMeta(*[httpx.ReadError("reset")] * 3)
    await store.admit([purchase("e1", clock)])
    courier = courier_for(store, meta.graph(), clock, delivery=Delivery(resend_max=2))

    async def nothing_waits() -> bool:
        clock.pass_seconds(10)
        courier.wake()
        return (await store.totals()).waiting == 0

    async with running(courier):
        await until(nothing_waits)
        assert (await store.totals()).fates == {Fate.UNKNOWN: 1}
        assert meta.sent() == [["e1"]] * 3
        assert await store.replay(event_ids=["e1"], now_ms=clock()) == 1
        await until(nothing_waits)
    assert (await store.totals()).fates == {Fate.DELIVERED: 1}


class SetClock(Clock):
    """A wall clock that can be set, and beside it a count that cannot."""

    set_by_ms = 0

    def __call__(self) -> int:
        return self.now_ms + self.set_by_ms

    def steady(self) -> int:
        return self.now_ms


@pytest.mark.parametrize("step_ms", [DAY_MS, -DAY_MS])
async def test_a_clock_that_is_set_sends_nothing_early_late_or_twice(
    store: SqliteStore, step_ms: int
) -> None:
    clock, gate = SetClock(), Gate()
    meta = ScriptedMeta(gate)
    await store.admit([purchase("under way", clock)])
    courier = Courier(
        store, meta.graph(), access(PIXEL, OTHER_PIXEL), Delivery(), clock, lambda: 0.0, clock.steady
    )
    async with running(courier):
        await gate.arrived.wait()
        await store.admit([purchase("held", clock, pixel=OTHER_PIXEL, held_ms=20_000)])
        clock.set_by_ms = step_ms
        await store.admit([purchase("witness", clock, pixel=OTHER_PIXEL)])
        courier.wake()
        await attempts_ended(store, "witness")
        assert meta.sent() == [["under way"], ["witness"]]
        gate.open.set()
        await attempts_ended(store, "under way")
        clock.pass_seconds(20)
        courier.wake()
        await settled(store)
    assert meta.sent() == [["under way"], ["witness"], ["held"]]
    totals = await store.totals()
    assert (totals.fates, totals.ambiguous_attempts) == ({Fate.DELIVERED: 3}, 0)


async def test_two_couriers_never_send_the_same_event(store: SqliteStore, clock: Clock) -> None:
    metas = [ScriptedMeta(), ScriptedMeta()]
    await store.admit(
        [purchase(f"{pixel}-{n}", clock, pixel=pixel) for pixel in (PIXEL, OTHER_PIXEL) for n in range(300)]
    )
    delivery = Delivery(batch_max=7)
    async with (
        running(courier_for(store, metas[0].graph(), clock, delivery=delivery)),
        running(courier_for(store, metas[1].graph(), clock, delivery=delivery)),
    ):
        await settled(store)
    sends = [event_id for meta in metas for call in meta.sent() for event_id in call]
    assert all(meta.calls for meta in metas)
    assert len(sends) == len(set(sends)) == 600


async def test_an_event_near_metas_limit_expires_without_a_call(store: SqliteStore, clock: Clock) -> None:
    meta = ScriptedMeta()
    age_ms = 7 * DAY_MS - EXPIRY_MARGIN_MS
    await store.admit([purchase("old", clock, age_ms=age_ms), purchase("young", clock, age_ms=age_ms - 1)])
    async with running(courier_for(store, meta.graph(), clock)):
        await settled(store)
    assert meta.sent() == [["young"]]
    old = await the_receipt(store, "old")
    assert old.fate is not None
    assert (old.fate.fate, old.fate.reason) == (Fate.EXPIRED, FateReason.TOO_OLD)
    assert old.attempts == ()


async def test_one_pixel_has_one_call_under_way_and_others_do_not_wait_for_it(
    store: SqliteStore, clock: Clock
) -> None:
    gate = Gate()
    meta = ScriptedMeta(gate)
    await store.admit([purchase("slow", clock)])
    courier = courier_for(store, meta.graph(), clock)
    async with running(courier):
        await gate.arrived.wait()
        await store.admit([purchase("next", clock), purchase("other", clock, pixel=OTHER_PIXEL)])
        courier.wake()
        await attempts_ended(store, "other")
        assert meta.sent() == [["slow"], ["other"]]
        gate.open.set()
        await settled(store)
    assert meta.sent() == [["slow"], ["other"], ["next"]]


async def test_no_more_calls_are_under_way_than_the_setting_allows(store: SqliteStore, clock: Clock) -> None:
    gates = [Gate() for _ in range(3)]
    meta = ScriptedMeta(*gates)
    pixels = ["31", "32", "33"]
    await store.admit([purchase(pixel, clock, pixel=pixel) for pixel in pixels])
    courier = courier_for(
        store, meta.graph(), clock, pixels=access(*pixels), delivery=Delivery(concurrency=2)
    )
    async with running(courier):
        await asyncio.gather(gates[0].arrived.wait(), gates[1].arrived.wait())
        courier.wake()
        await gates[2].stays_unasked()
        gates[0].open.set()
        await gates[2].arrived.wait()
        gates[1].open.set()
        gates[2].open.set()
        await settled(store)


async def test_a_stop_lets_the_call_under_way_end_and_begins_no_other(
    store: SqliteStore, clock: Clock
) -> None:
    gate = Gate()
    meta = ScriptedMeta(gate)
    await store.admit([purchase(f"e{n}", clock) for n in range(4)])
    courier = courier_for(store, meta.graph(), clock, delivery=Delivery(batch_max=2))
    async with running(courier) as task:
        await gate.arrived.wait()
        stopping = asyncio.create_task(courier.stop(20))
        await asyncio.sleep(0)
        gate.open.set()
        await stopping
        await task
    assert meta.sent() == [["e0", "e1"]]
    totals = await store.totals()
    assert (totals.fates, totals.waiting, totals.ambiguous_attempts) == ({Fate.DELIVERED: 2}, 2, 0)


async def test_a_stop_that_runs_out_of_time_cuts_the_call_and_gives_its_events_back(
    store: SqliteStore, clock: Clock
) -> None:
    gate = Gate()
    meta = ScriptedMeta(gate)
    await store.admit([purchase("e1", clock)])
    courier = courier_for(store, meta.graph(), clock)
    async with running(courier):
        await gate.arrived.wait()
        await courier.stop(0)
    stored = await the_receipt(store, "e1")
    assert [a.outcome for a in stored.attempts] == [AttemptOutcome.UNKNOWN]
    assert stored.attempts[0].message == "The relay stopped while the call was under way."
    assert stored.row.status == "held"  # due again in a second
    assert (await store.totals()).ambiguous_attempts == 1

    clock.pass_seconds(6)
    async with running(courier_for(store, ScriptedMeta().graph(), clock)):
        await settled(store)


async def test_a_stop_in_the_midst_of_bisecting_gives_the_rest_back_at_once(
    store: SqliteStore, clock: Clock
) -> None:
    gate = Gate(lambda _: error(100))
    meta = ScriptedMeta(gate)
    await store.admit([purchase(f"e{n}", clock) for n in range(4)])
    courier = courier_for(store, meta.graph(), clock)
    async with running(courier):
        await gate.arrived.wait()
        stopping = asyncio.create_task(courier.stop(20))
        await asyncio.sleep(0)
        gate.open.set()
        await stopping
    assert len(meta.calls) == 1
    assert (await the_receipt(store, "e0")).row.status == "due"

    async with running(courier_for(store, ScriptedMeta().graph(), clock)):
        await settled(store)
    assert (await store.totals()).fates == {Fate.DELIVERED: 4}


async def test_a_cancelled_courier_still_writes_down_what_happened(store: SqliteStore, clock: Clock) -> None:
    gate = Gate()
    meta = ScriptedMeta(gate)
    await store.admit([purchase("e1", clock)])
    courier = courier_for(store, meta.graph(), clock)
    async with running(courier) as task:
        await gate.arrived.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    (attempt,) = (await the_receipt(store, "e1")).attempts
    assert attempt.outcome is AttemptOutcome.UNKNOWN
    assert attempt.message == "The relay stopped while the call was under way."


async def test_a_courier_that_was_never_started_stops_at_once(store: SqliteStore, clock: Clock) -> None:
    await courier_for(store, ScriptedMeta().graph(), clock).stop(60)


async def test_a_lease_lost_in_mid_flight_changes_nothing(store: SqliteStore, clock: Clock) -> None:
    gate = Gate()
    meta, thief = ScriptedMeta(gate), ScriptedMeta()
    await store.admit([purchase("e1", clock)])
    async with running(courier_for(store, meta.graph(), clock)):
        await gate.arrived.wait()
        clock.pass_seconds(Delivery().lease_seconds)
        async with running(courier_for(store, thief.graph(), clock)):
            await settled(store)
        delivered = await the_receipt(store, "e1")
        gate.open.set()
    assert await the_receipt(store, "e1") == delivered
    assert thief.sent() == [["e1"]]
    assert [a.outcome for a in delivered.attempts] == [AttemptOutcome.UNKNOWN, AttemptOutcome.RECEIPT]
    assert delivered.ambiguous == 1


async def test_a_lease_lost_between_two_calls_ends_the_round_without_another_call(
    store: SqliteStore, clock: Clock, log: list[Any]
) -> None:
    async def lose(_: httpx.Request) -> httpx.Response:
        await store.recover(now_ms=clock(), on_unknown="resend")
        return error(100)

    meta = ScriptedMeta(lose)
    await store.admit([purchase("e1", clock), purchase("e2", clock)])
    async with running(courier_for(store, meta.graph(), clock)):
        await settled(store)
    assert meta.sent() == [["e1", "e2"], ["e1", "e2"]]
    assert "delivery.lease_lost" in str(log)


async def test_a_courier_frozen_past_its_lease_begins_no_call(store: SqliteStore, clock: Clock) -> None:
    frozen = Delivery()

    def freeze(request: httpx.Request) -> httpx.Response:
        clock.pass_seconds(frozen.lease_seconds)
        return error(100)

    meta = ScriptedMeta(freeze)
    await store.admit([purchase("e1", clock), purchase("e2", clock)])
    async with running(courier_for(store, meta.graph(), clock, delivery=frozen)):
        await settled(store)
    first, second = meta.sent()
    assert first == second == ["e1", "e2"]  # not bisected on: claimed anew


async def test_the_log_names_pixels_and_counts_and_nothing_of_the_visitor(
    store: SqliteStore, clock: Clock, log: list[Any]
) -> None:
    script = (
        httpx.ReadTimeout("no answer"),
        error(190, message=f"Malformed access token {TOKEN}"),
        error(100),
    )
    meta = ScriptedMeta(*script)
    await store.admit([purchase("e1", clock)])
    for outcomes in range(1, 4):
        clock.pass_seconds(60)
        async with running(courier_for(store, meta.graph(), clock)):
            await attempts_ended(store, "e1", outcomes)
    assert [entry["event"] for entry in log].count("delivery.answered") == 3
    assert PIXEL in str(log)
    for secret in (TOKEN, "2001:db8::1", "Mozilla", "fb.1.", "shop.example", "Words of Meta"):
        assert secret not in str(log)


async def test_a_lease_that_could_end_before_its_call_is_refused_at_start(
    store: SqliteStore, clock: Clock
) -> None:
    with pytest.raises(SettingsError, match="lease_seconds must be more than 35"):
        courier_for(store, ScriptedMeta().graph(), clock, delivery=Delivery(lease_seconds=35))


class Failing(SqliteStore):
    """A store of which one method fails as often as a test says."""

    failing: str = ""
    failures: int = 0
    failure: type[Exception] = StoreError

    def _may_fail(self, method: str) -> None:
        if method == self.failing and self.failures:
            self.failures -= 1
            raise self.failure(f"secret words {self.failing}")

    async def claim(self, **given: Any) -> Any:
        self._may_fail("claim")
        return await super().claim(**given)

    async def begin_attempt(self, lease: Any, keys: Sequence[bytes], now_ms: int) -> int:
        self._may_fail("begin_attempt")
        return await super().begin_attempt(lease, keys, now_ms)

    async def settle(self, *given: Any, **named: Any) -> int:
        self._may_fail("settle")
        return await super().settle(*given, **named)


@pytest.mark.parametrize("method", ["claim", "begin_attempt", "settle"])
async def test_a_store_that_fails_for_a_moment_loses_nothing_and_sends_nothing_twice(
    tmp_path: Any, clock: Clock, method: str, log: list[Any]
) -> None:
    meta = ScriptedMeta()
    async with await Failing.open(tmp_path / "f.db", clock_ms=clock) as store:
        store.failing, store.failures = method, 1
        await store.admit([purchase("e1", clock)])
        courier = courier_for(store, meta.graph(), clock)

        async def delivered() -> bool:
            return (await store.totals()).waiting == 0

        async with running(courier):
            await until(delivered)
        assert (await store.totals()).ambiguous_attempts == 0
    assert meta.sent() == [["e1"]]
    assert "StoreError" in str(log)
    assert f"secret words {method}" not in str(log)


async def test_a_round_that_breaks_lets_its_pixel_rest_instead_of_breaking_again_at_once(
    tmp_path: Any, clock: Clock
) -> None:
    gate = Gate()
    meta = ScriptedMeta(gate)
    async with await Failing.open(tmp_path / "f.db", clock_ms=clock) as store:
        store.failing, store.failures, store.failure = "begin_attempt", 1, RuntimeError
        await store.admit([purchase("e1", clock), purchase("e2", clock)])
        courier = courier_for(store, meta.graph(), clock, delivery=Delivery(batch_max=1))
        async with running(courier):
            await gate.stays_unasked()
            assert store.failures == 0
            clock.pass_seconds(1)
            courier.wake()
            await gate.arrived.wait()
            gate.open.set()
    assert meta.sent() == [["e2"]]
