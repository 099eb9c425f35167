"""The courier's side: claims, calls and their ends, parked pixels."""

import asyncio

import pytest

from relay.errors import LeaseLost
from relay.event.outcome import AttemptOutcome, Fate, FateReason
from relay.store.protocol import (
    Again,
    AttemptResult,
    Store,
)
from tests.store.promises.base import Promises
from tests.store.samples import (
    CUT_OFF,
    LEASE_MS,
    NOW_MS,
    RECEIPT,
    REVOKED,
    claim,
    end_all,
    ended,
    event,
)


class Delivery(Promises):
    # Claiming

    async def test_a_claim_carries_what_a_call_needs(self, store: Store) -> None:
        await store.admit([event()])
        lease = await claim(store)
        (leased,) = lease.events
        sent = event()
        assert lease.pixel == "111"
        assert (leased.key, leased.event_id, leased.event_name) == (sent.key, "e1", "Purchase")
        assert (leased.event_time_ms, leased.attempts) == (sent.event_time_ms, 0)
        assert leased.server_event == sent.server_event
        assert (leased.client_ip_address, leased.client_user_agent) == ("2001:db8::7", "Browser/1")
        assert leased.leg is not None
        assert leased.leg.state is sent.leg.state

    async def test_a_held_event_is_claimed_at_its_time_and_not_before(self, store: Store) -> None:
        await store.admit([event(not_before_ms=NOW_MS + 10)])
        assert await store.claim(now_ms=NOW_MS + 9, lease_ms=1, limit=10, busy=frozenset()) is None
        assert len((await claim(store, now_ms=NOW_MS + 10)).events) == 1

    async def test_a_claim_takes_the_oldest_due_of_one_pixel_up_to_the_limit(self, store: Store) -> None:
        await store.admit([event(f"new{i}", pixel="111", not_before_ms=NOW_MS - 5) for i in range(2)])
        await store.admit([event(f"old{i}", pixel="222", not_before_ms=NOW_MS - 9 + i) for i in range(3)])
        lease = await claim(store, limit=2)
        assert (lease.pixel, [leased.event_id for leased in lease.events]) == ("222", ["old0", "old1"])

    async def test_busy_pixels_are_passed_over(self, store: Store) -> None:
        await store.admit([event(), event(pixel="222", not_before_ms=NOW_MS - 9)])
        assert (await claim(store, busy=frozenset({"222"}))).pixel == "111"
        assert await store.claim(now_ms=NOW_MS, lease_ms=1, limit=1, busy=frozenset({"111", "222"})) is None

    async def test_interleaved_claims_never_overlap(self, store: Store) -> None:
        await store.admit([event(f"e{i}") for i in range(100)])
        leases = await asyncio.gather(*(claim(store, limit=10) for _ in range(10)))
        taken = [leased.event_id for lease in leases for leased in lease.events]
        assert sorted(taken) == sorted(f"e{i}" for i in range(100))
        assert len({lease.token for lease in leases}) == 10

    async def test_an_ended_lease_is_due_again_and_its_open_call_is_ambiguous(self, store: Store) -> None:
        await store.admit([event()])
        first = await claim(store)
        await store.begin_attempt(first, [event().key], NOW_MS)
        later = NOW_MS + LEASE_MS
        assert await store.claim(now_ms=later - 1, lease_ms=1, limit=1, busy=frozenset()) is None
        second = await claim(store, now_ms=later)
        assert second.token != first.token
        assert second.events[0].attempts == 1
        (receipt,) = await store.find("e1")
        assert (receipt.ambiguous, receipt.attempts[0].outcome) == (1, AttemptOutcome.UNKNOWN)
        assert receipt.attempts[0].finished_ms == later
        assert (await store.totals()).ambiguous_attempts == 1

    async def test_an_ended_lease_without_a_call_is_not_ambiguous(self, store: Store) -> None:
        await store.admit([event()])
        await claim(store)
        assert (await claim(store, now_ms=NOW_MS + LEASE_MS)).events[0].attempts == 0
        assert (await store.totals()).ambiguous_attempts == 0

    async def test_the_next_due_time_is_that_of_the_first_free_event(self, store: Store) -> None:
        assert await store.next_due_ms(busy=frozenset()) is None
        await store.admit([event(not_before_ms=NOW_MS + 7), event(pixel="222", not_before_ms=NOW_MS + 3)])
        assert await store.next_due_ms(busy=frozenset()) == NOW_MS + 3
        assert await store.next_due_ms(busy=frozenset({"222"})) == NOW_MS + 7
        assert await store.next_due_ms(busy=frozenset({"111", "222"})) is None

    async def test_a_leased_event_is_next_due_when_its_lease_ends(self, store: Store) -> None:
        await store.admit([event()])
        await claim(store)
        assert await store.next_due_ms(busy=frozenset()) == NOW_MS + LEASE_MS
        assert await store.next_due_ms(busy=frozenset({"111"})) is None

    # Calls and their ends

    async def test_a_delivered_event_leaves_the_outbox_with_one_fate(self, store: Store) -> None:
        await store.admit([event()])
        await end_all(store)
        (receipt,) = await store.find("e1")
        assert receipt.fate is not None
        assert (receipt.fate.fate, receipt.fate.at_ms) == (Fate.DELIVERED, NOW_MS)
        assert (receipt.row.status, receipt.row.ended_ms, receipt.due_ms) == ("ended", NOW_MS, None)
        (attempt,) = receipt.attempts
        assert (attempt.outcome, attempt.fbtrace_id, attempt.events) == (AttemptOutcome.RECEIPT, "AbC", 1)
        assert await store.next_due_ms(busy=frozenset()) is None

    async def test_an_event_to_be_sent_again_waits_until_its_time(self, store: Store) -> None:
        await store.admit([event()])
        lease = await claim(store)
        attempt = await store.begin_attempt(lease, [event().key], NOW_MS)
        retry = AttemptResult(outcome=AttemptOutcome.RETRY, http_status=503)
        again = Again(key=event().key, due_ms=NOW_MS + 5_000)
        assert await store.settle(lease, [again], now_ms=NOW_MS, attempt=(attempt, retry)) == 1
        assert await store.claim(now_ms=NOW_MS + 4_999, lease_ms=1, limit=1, busy=frozenset()) is None
        assert (await claim(store, now_ms=NOW_MS + 5_000)).events[0].attempts == 1

    async def test_a_bisected_batch_keeps_the_rest_leased(self, store: Store) -> None:
        await store.admit([event("good"), event("bad")])
        lease = await claim(store)
        good, bad = (leased.key for leased in lease.events)
        whole = await store.begin_attempt(lease, [good, bad], NOW_MS)
        refused = AttemptResult(outcome=AttemptOutcome.REJECT, http_status=400, code=100)
        assert await store.settle(lease, [], now_ms=NOW_MS, attempt=(whole, refused)) == 0
        assert (await store.find("good"))[0].row.status == "sending"
        half = await store.begin_attempt(lease, [good], NOW_MS)
        assert await store.settle(lease, [ended(good)], now_ms=NOW_MS, attempt=(half, RECEIPT)) == 1
        rest = [ended(bad, Fate.REJECTED, FateReason.REJECTED_BY_META)]
        assert await store.settle(lease, rest, now_ms=NOW_MS, attempt=None) == 1
        assert [len((await store.find(name))[0].attempts) for name in ("good", "bad")] == [2, 1]
        assert (await store.totals()).fates == {"delivered": 1, "rejected": 1}

    async def test_a_stale_lease_changes_nothing(self, store: Store) -> None:
        await store.admit([event()])
        stale = await claim(store)
        attempt = await store.begin_attempt(stale, [event().key], NOW_MS)
        fresh = await claim(store, now_ms=NOW_MS + LEASE_MS)
        late = NOW_MS + LEASE_MS + 1
        assert await store.settle(stale, [ended(event().key)], now_ms=late, attempt=(attempt, RECEIPT)) == 0
        await store.park(stale, now_ms=late, attempt=(attempt, REVOKED))
        with pytest.raises(LeaseLost):
            await store.begin_attempt(stale, [event().key], late)
        (receipt,) = await store.find("e1")
        assert (receipt.fate, receipt.row.status) == (None, "sending")
        assert [attempt.outcome for attempt in receipt.attempts] == [AttemptOutcome.UNKNOWN]
        assert await store.parked() == []
        assert await store.settle(fresh, [ended(event().key)], now_ms=late, attempt=None) == 1

    async def test_an_event_gets_its_fate_once(self, store: Store) -> None:
        await store.admit([event()])
        lease = await claim(store)
        twice = [ended(event().key), ended(event().key, Fate.REJECTED, FateReason.REJECTED_BY_META)]
        assert await store.settle(lease, twice, now_ms=NOW_MS, attempt=None) == 1
        assert await store.settle(lease, twice, now_ms=NOW_MS, attempt=None) == 0
        assert (await store.totals()).fates == {"delivered": 1}

    async def test_an_ambiguous_end_is_counted(self, store: Store) -> None:
        await store.admit([event()])
        lease = await claim(store)
        attempt = await store.begin_attempt(lease, [event().key], NOW_MS)
        unknown = [ended(event().key, Fate.UNKNOWN, FateReason.AMBIGUOUS_SEND)]
        await store.settle(lease, unknown, now_ms=NOW_MS, attempt=(attempt, CUT_OFF))
        assert (await store.find("e1"))[0].ambiguous == 1
        assert (await store.totals()).ambiguous_attempts == 1

    # Parking

    async def test_a_parked_pixel_keeps_its_events_until_it_is_unparked(self, store: Store) -> None:
        await store.admit([event(), event(pixel="222")])
        lease = await claim(store, busy=frozenset({"222"}))
        attempt = await store.begin_attempt(lease, [event().key], NOW_MS)
        await store.park(lease, now_ms=NOW_MS + 1, attempt=(attempt, REVOKED))
        (parked,) = await store.parked()
        assert (parked.pixel, parked.parked_ms, parked.code) == ("111", NOW_MS + 1, 190)
        assert parked.message == "Token expired."
        (receipt,) = (r for r in await store.find("e1") if r.row.pixel == "111")
        assert (receipt.row.status, receipt.parked) == ("parked", parked)
        assert receipt.attempts[0].outcome is AttemptOutcome.PARK
        assert (await claim(store)).pixel == "222"
        assert await store.next_due_ms(busy=frozenset({"222"})) is None
        await store.unpark("111")
        assert (await claim(store, busy=frozenset({"222"}))).events[0].attempts == 0
        assert await store.parked() == []
