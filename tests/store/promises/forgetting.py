"""Retention, and the erasure of one person."""

import asyncio

import pytest

from relay.errors import LeaseLost
from relay.event.outcome import Admission, AttemptOutcome, BrowserState, Fate, FateReason
from relay.store.protocol import (
    AttemptResult,
    Ended,
    Erased,
    Filters,
    Store,
)
from tests.store.promises.base import ADA, BOB, DAY_MS, Promises
from tests.store.samples import (
    LEASE_MS,
    NOW_MS,
    claim,
    end_all,
    event,
    leg,
)


class Forgetting(Promises):
    # Forgetting

    async def test_address_and_agent_are_forgotten_after_their_time(self, store: Store) -> None:
        await store.admit([event()])
        await end_all(store)
        await store.prune(now_ms=NOW_MS + 999, retention_ms=DAY_MS, address_ms=1_000)
        assert (await store.find("e1"))[0].client_ip_address == "2001:db8::7"
        await store.prune(now_ms=NOW_MS + 1_000, retention_ms=DAY_MS, address_ms=1_000)
        (receipt,) = await store.find("e1")
        assert (receipt.client_ip_address, receipt.client_user_agent) == (None, None)
        assert receipt.why == {"fbp": "cookie"}

    async def test_events_are_forgotten_after_their_retention_and_waiting_ones_never(
        self, store: Store
    ) -> None:
        await store.admit([event("sent")])
        await end_all(store)
        await store.admit([event("waiting")])
        await store.prune(now_ms=NOW_MS + DAY_MS - 1, retention_ms=DAY_MS, address_ms=0)
        assert len(await store.find("sent")) == 1
        await store.prune(now_ms=NOW_MS + DAY_MS + self.late_ms, retention_ms=DAY_MS, address_ms=0)
        assert await store.find("sent") == []
        assert (await store.find("waiting"))[0].client_ip_address == "2001:db8::7"

    async def test_a_pruned_event_stays_a_duplicate_for_seven_days(self, store: Store) -> None:
        await store.admit([event()])
        await end_all(store)
        await store.prune(now_ms=NOW_MS + DAY_MS + self.late_ms, retention_ms=DAY_MS, address_ms=0)
        assert await store.find("e1") == []
        await store.prune(now_ms=NOW_MS + 7 * DAY_MS - 1, retention_ms=DAY_MS, address_ms=0)
        better = event(leg=leg(BrowserState.SENT))
        assert await store.admit([better]) == [Admission.DUPLICATE]
        await store.prune(now_ms=NOW_MS + 7 * DAY_MS, retention_ms=DAY_MS, address_ms=0)
        assert await store.admit([event()]) == [Admission.ACCEPTED]

    async def test_an_event_whose_address_is_forgotten_can_still_be_claimed(self, store: Store) -> None:
        await store.admit([event()])
        await end_all(store, Fate.UNKNOWN, FateReason.AMBIGUOUS_SEND)
        await store.prune(now_ms=NOW_MS + 1, retention_ms=DAY_MS, address_ms=1)
        await store.replay(event_ids=["e1"], now_ms=NOW_MS + 1)
        (leased,) = (await claim(store, now_ms=NOW_MS + 1)).events
        assert (leased.client_ip_address, leased.client_user_agent) == (None, None)

    async def test_the_row_id_of_a_pruned_event_is_not_given_again(self, store: Store) -> None:
        await store.admit([event("old", fate=Fate.FILTERED, fate_reason=FateReason.BOT)])
        (old,) = await store.recent(Filters())
        await store.prune(now_ms=NOW_MS + 1 + self.late_ms, retention_ms=1, address_ms=1)
        await store.admit([event("new")])
        (new,) = await store.recent(Filters())
        assert new.row_id > old.row_id

    # Erasing one person

    async def test_erasing_removes_one_person_s_events_and_no_other(self, store: Store) -> None:
        await store.admit([event("mine", user_data={"em": [ADA]}), event("theirs", user_data={"em": [BOB]})])
        assert await store.erase([ADA]) == [Erased(site="shop", pixel="111", was="waiting", events=1)]
        assert await store.find("mine") == []
        assert len(await store.find("theirs")) == 1
        assert await store.erase([ADA]) == []

    async def test_what_is_erased_is_not_sent(self, store: Store) -> None:
        await store.admit([event("mine", user_data={"external_id": [ADA]})])
        await store.erase([ADA])
        assert await store.claim(now_ms=NOW_MS, lease_ms=LEASE_MS, limit=9, busy=frozenset()) is None
        assert (await store.totals()).waiting == 0

    async def test_what_is_erased_in_a_couriers_hands_is_told_apart_and_its_lease_is_lost(
        self, store: Store
    ) -> None:
        await store.admit([event("mine", user_data={"em": [ADA]}), event("theirs")])
        lease = await store.claim(now_ms=NOW_MS, lease_ms=LEASE_MS, limit=9, busy=frozenset())
        assert lease is not None
        assert await store.erase([ADA]) == [Erased(site="shop", pixel="111", was="sending", events=1)]
        with pytest.raises(LeaseLost):
            await store.begin_attempt(lease, [each.key for each in lease.events], NOW_MS)

    async def test_what_is_erased_under_way_changes_nothing_when_its_answer_comes(self, store: Store) -> None:
        await store.admit([event("mine", user_data={"em": [ADA]})])
        lease = await store.claim(now_ms=NOW_MS, lease_ms=LEASE_MS, limit=9, busy=frozenset())
        assert lease is not None
        (mine,) = lease.events
        number = await store.begin_attempt(lease, [mine.key], NOW_MS)
        await store.erase([ADA])
        ended = Ended(key=mine.key, fate=Fate.DELIVERED, reason=FateReason.RECEIVED)
        answer = (number, AttemptResult(outcome=AttemptOutcome.RECEIPT, http_status=200))
        assert await store.settle(lease, [ended], now_ms=NOW_MS, attempt=answer) == 0
        assert (await store.totals()).fates == {}

    async def test_the_store_takes_events_while_it_is_written_anew(self, store: Store) -> None:
        await store.admit([event("before")])
        admissions, _ = await asyncio.gather(store.admit([event("meanwhile")]), store.rewrite())
        assert admissions == [Admission.ACCEPTED]
        assert len(await store.find("before")) == len(await store.find("meanwhile")) == 1

    async def test_a_late_copy_of_an_erased_event_is_a_duplicate(self, store: Store) -> None:
        mine = event("mine", user_data={"em": [ADA]})
        await store.admit([mine])
        await store.erase([ADA])
        assert await store.admit([mine]) == [Admission.DUPLICATE]
        assert await store.find("mine") == []

    async def test_the_report_of_an_erasure_says_what_became_of_the_events(self, store: Store) -> None:
        await store.admit(
            [event("sent", user_data={"em": [ADA]}), event("too", user_data={"em": [BOB, ADA]})]
        )
        await end_all(store)
        await store.admit([event("waits", pixel="222", user_data={"em": [ADA.upper()]})])
        gone = sorted((each.pixel, each.was, each.events) for each in await store.erase([ADA]))
        assert gone == [("111", "delivered", 2), ("222", "waiting", 1)]

    async def test_a_call_that_carried_only_erased_events_goes_with_them(self, store: Store) -> None:
        await store.admit([event("mine", user_data={"em": [ADA]}), event("theirs")])
        await end_all(store)
        await store.erase([ADA])
        (receipt,) = await store.find("theirs")
        assert len(receipt.attempts) == 1

    async def test_erasing_goes_through_any_number_of_events(self, store: Store) -> None:
        await store.admit([event(f"e{i}", user_data={"em": [ADA if i % 2 else BOB]}) for i in range(1_300)])
        assert sum(each.events for each in await store.erase([ADA])) == 650
        assert (await store.totals()).waiting == 650
