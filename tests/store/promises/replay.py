"""Crashes, clocks and replays."""

import pytest

from relay.event.outcome import Fate, FateReason
from relay.store.protocol import (
    Again,
    Store,
)
from tests.store.promises.base import DAY_MS, OpenStore, Promises
from tests.store.samples import (
    CUT_OFF,
    LEASE_MS,
    NOW_MS,
    REFUSED,
    claim,
    end_all,
    ended,
    event,
)


class Replay(Promises):
    async def test_recovery_frees_every_lease_and_resends(self, store: Store, open_store: OpenStore) -> None:
        await store.admit([event("called"), event("only leased")])
        lease = await claim(store)
        await store.begin_attempt(lease, [event("called").key], NOW_MS)
        await store.close()
        again = await open_store()
        assert await again.recover(now_ms=NOW_MS + 1, on_unknown="resend") == 1
        freed = await claim(again, now_ms=NOW_MS + 1)
        assert [leased.event_id for leased in freed.events] == ["called", "only leased"]
        assert (await again.find("called"))[0].ambiguous == 1
        assert (await again.find("only leased"))[0].ambiguous == 0
        assert await again.recover(now_ms=NOW_MS + 2, on_unknown="resend") == 0
        await again.close()

    async def test_recovery_with_hold_ends_the_ambiguous_ones_as_unknown(self, store: Store) -> None:
        await store.admit([event("called"), event("only leased"), event("settled")])
        lease = await claim(store)
        await store.begin_attempt(lease, [event("called").key, event("settled").key], NOW_MS)
        await store.settle(lease, [ended(event("settled").key)], now_ms=NOW_MS, attempt=None)
        assert await store.recover(now_ms=NOW_MS + 1, on_unknown="hold") == 1
        called = (await store.find("called"))[0].fate
        assert called is not None
        assert (called.fate, called.reason) == (Fate.UNKNOWN, FateReason.AMBIGUOUS_SEND)
        freed = await claim(store, now_ms=NOW_MS + 1)
        assert [leased.event_id for leased in freed.events] == ["only leased"]

    async def test_replay_puts_rejected_events_back_due_now(self, store: Store) -> None:
        await store.admit([event()])
        await end_all(store, Fate.REJECTED, FateReason.REJECTED_BY_META)
        assert await store.replay(fate=Fate.REJECTED, now_ms=NOW_MS + 50) == 1
        (receipt,) = await store.find("e1")
        assert (receipt.fate, receipt.due_ms, len(receipt.attempts)) == (None, NOW_MS + 50, 1)
        assert (await store.totals()).fates == {}
        assert (await claim(store, now_ms=NOW_MS + 50)).events[0].attempts == 1

    async def test_replay_by_id_leaves_other_events_and_takes_every_pixel(self, store: Store) -> None:
        await store.admit([event(), event(event_name="Lead"), event("other")])
        await end_all(store, Fate.EXPIRED, FateReason.TOO_OLD)
        assert await store.replay(event_ids=["e1", "e1", "unheard of"], now_ms=NOW_MS) == 2
        assert await store.replay(event_ids=["other"], fate=Fate.UNKNOWN, now_ms=NOW_MS) == 0
        assert (await store.totals()).waiting == 2

    async def test_replay_never_touches_delivered_filtered_or_waiting_events(self, store: Store) -> None:
        await store.admit([event("delivered")])
        await end_all(store)
        await store.admit(
            [event("filtered", fate=Fate.FILTERED, fate_reason=FateReason.BOT), event("waiting")]
        )
        ids = ["delivered", "filtered", "waiting"]
        assert await store.replay(event_ids=ids, now_ms=NOW_MS) == 0
        assert await store.replay(fate=Fate.DELIVERED, now_ms=NOW_MS) == 0
        assert await store.replay(fate=Fate.FILTERED, now_ms=NOW_MS) == 0
        assert await store.replay(now_ms=NOW_MS) == 0

    async def test_replay_by_time_takes_what_ended_then_and_only_once(self, store: Store) -> None:
        for hour, (fate, reason) in enumerate(
            [
                (Fate.REJECTED, FateReason.REJECTED_BY_META),
                (Fate.EXPIRED, FateReason.TOO_OLD),
                (Fate.DELIVERED, FateReason.RECEIVED),
                (Fate.UNKNOWN, FateReason.AMBIGUOUS_SEND),
            ]
        ):
            await store.admit([event(f"e{hour}")])
            await end_all(store, fate, reason, now_ms=NOW_MS + hour)
        first, last, now_ms = NOW_MS + 1, NOW_MS + 4, NOW_MS + 10
        assert await store.replay(fate=Fate.REJECTED, since_ms=first, until_ms=last, now_ms=now_ms) == 0
        assert await store.replay(event_ids=["e1", "e3"], until_ms=last - 1, now_ms=now_ms) == 1
        assert await store.replay(since_ms=first, until_ms=last, now_ms=now_ms) == 1
        assert await store.replay(since_ms=first, until_ms=last, now_ms=now_ms) == 0
        assert [leased.event_id for leased in (await claim(store, now_ms=now_ms)).events] == ["e1", "e3"]

    async def test_replay_leaves_what_ends_after_it_was_asked(self, store: Store) -> None:
        await store.admit([event()])
        await end_all(store, Fate.REJECTED, FateReason.REJECTED_BY_META, now_ms=NOW_MS + 5)
        assert await store.replay(since_ms=NOW_MS, until_ms=NOW_MS + 9, now_ms=NOW_MS + 4) == 0

    async def test_a_call_that_says_nothing_about_the_event_is_not_counted_against_it(
        self, store: Store
    ) -> None:
        await store.admit([event("good"), event("bad")])
        lease = await claim(store)
        keys = [leased.key for leased in lease.events]
        refused = await store.begin_attempt(lease, keys, NOW_MS)
        await store.settle(lease, [], now_ms=NOW_MS, attempt=(refused, REFUSED))
        failed = await store.begin_attempt(lease, keys[:1], NOW_MS)
        again = [Again(key=keys[0], due_ms=NOW_MS)]
        await store.settle(lease, again, now_ms=NOW_MS, attempt=(failed, CUT_OFF))
        await store.settle(lease, [Again(key=keys[1], due_ms=NOW_MS)], now_ms=NOW_MS, attempt=None)
        claimed = {leased.event_id: leased for leased in (await claim(store)).events}
        assert (claimed["good"].attempts, claimed["good"].ambiguous) == (1, 1)
        assert (claimed["bad"].attempts, claimed["bad"].ambiguous) == (0, 0)

    async def test_an_ambiguous_send_is_remembered_until_a_replay(self, store: Store) -> None:
        await store.admit([event()])
        lease = await claim(store)
        await store.begin_attempt(lease, [event().key], NOW_MS)
        late = NOW_MS + LEASE_MS  # the courier is gone
        lease = await claim(store, now_ms=late)
        assert (lease.events[0].attempts, lease.events[0].ambiguous) == (1, 1)
        unknown = ended(event().key, Fate.UNKNOWN, FateReason.AMBIGUOUS_SEND)
        await store.settle(lease, [unknown], now_ms=late, attempt=None)
        await store.replay(event_ids=["e1"], now_ms=late)
        assert (await claim(store, now_ms=late)).events[0].ambiguous == 0

    @pytest.mark.parametrize("step_ms", [DAY_MS, -DAY_MS])
    async def test_a_clock_that_is_set_ends_no_hold_and_no_lease_early_or_late(
        self, store: Store, step_ms: int
    ) -> None:
        await store.admit([event("leased"), event("held", not_before_ms=NOW_MS + 20_000)])
        await claim(store)
        await store.admit([event("overdue", pixel="333")])
        now_ms = NOW_MS + 5_000 + step_ms
        new = event("new", pixel="222", received_ms=now_ms, not_before_ms=now_ms + 20_000)
        await store.admit([new])  # before the courier has noticed
        await store.clock_stepped(expected_ms=NOW_MS + 5_000, now_ms=now_ms)
        assert (await claim(store, now_ms=now_ms)).pixel == "333"
        assert await store.next_due_ms(busy=frozenset({"222"})) == now_ms + 15_000
        assert await store.next_due_ms(busy=frozenset({"111", "333"})) == now_ms + 20_000
        lease = await claim(store, now_ms=now_ms + 15_000, busy=frozenset({"222"}))
        assert [leased.event_id for leased in lease.events] == ["held"]
        lease = await claim(store, now_ms=now_ms + LEASE_MS - 5_000, busy=frozenset({"222"}))
        assert [leased.event_id for leased in lease.events] == ["leased"]

    async def test_replay_takes_more_events_than_one_transaction_does(self, store: Store) -> None:
        await store.admit([event(f"e{i}") for i in range(1_000)])
        await end_all(store, Fate.UNKNOWN, FateReason.AMBIGUOUS_SEND)
        assert await store.replay(fate=Fate.UNKNOWN, now_ms=NOW_MS) == 1_000
        assert (await store.totals()).waiting == 1_000
