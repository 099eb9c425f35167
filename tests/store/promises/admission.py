"""What is accepted, and what a second post of it changes."""

import asyncio

import pytest

from relay.event.outcome import Admission, BrowserState, Fate, FateReason
from relay.event.records import OutboxEvent
from relay.store.protocol import (
    Again,
    FamilyCount,
    Store,
)
from tests.store.promises.base import DAY_MS, OpenStore, Promises
from tests.store.samples import (
    CUT_OFF,
    NOW_MS,
    claim,
    end_all,
    event,
    leg,
    over_ipv4,
    seen,
    with_token,
)


class Admitting(Promises):
    async def test_a_new_event_is_accepted_and_found(self, store: Store) -> None:
        assert await store.admit([event()]) == [Admission.ACCEPTED]
        (receipt,) = await store.find("e1")
        assert receipt.row.site == "shop"
        assert receipt.row.pixel == "111"
        assert receipt.row.event_name == "Purchase"
        assert receipt.row.event_time_ms == NOW_MS - 500
        assert receipt.server_event == {"event_name": "Purchase", "event_id": "e1"}
        assert receipt.why == {"fbp": "cookie"}
        assert receipt.legs == (leg(),)
        assert (receipt.client_ip_address, receipt.client_user_agent) == ("2001:db8::7", "Browser/1")
        assert (receipt.fate, receipt.attempts, receipt.duplicates, receipt.ambiguous) == (None, (), 0, 0)

    async def test_the_same_key_is_accepted_once(self, store: Store) -> None:
        await store.admit([event()])
        assert await store.admit([event(), event()]) == [Admission.DUPLICATE, Admission.DUPLICATE]
        (receipt,) = await store.find("e1")
        assert receipt.duplicates == 2
        assert (await store.totals()).duplicates == 2

    async def test_one_post_may_hold_the_same_key_twice(self, store: Store) -> None:
        assert await store.admit([event(), event()]) == [Admission.ACCEPTED, Admission.DUPLICATE]

    async def test_answers_come_in_the_order_of_the_events(self, store: Store) -> None:
        await store.admit([event("b")])
        answers = await store.admit([event("a"), event("b"), event("c")])
        assert answers == [Admission.ACCEPTED, Admission.DUPLICATE, Admission.ACCEPTED]

    async def test_one_id_for_two_pixels_and_two_names_makes_three_receipts(self, store: Store) -> None:
        await store.admit([event(), event(pixel="222"), event(event_name="Lead")])
        found = [(receipt.row.pixel, receipt.row.event_name) for receipt in await store.find("e1")]
        assert found == [("111", "Purchase"), ("222", "Purchase"), ("111", "Lead")]

    async def test_concurrent_posts_of_one_key_are_accepted_once(self, store: Store) -> None:
        answers = await asyncio.gather(*(store.admit([event()]) for _ in range(50)))
        assert sorted(answer for (answer,) in answers) == [Admission.ACCEPTED] + [Admission.DUPLICATE] * 49

    async def test_a_better_leg_moves_the_hold_of_a_held_event(self, store: Store) -> None:
        await store.admit([event(leg=leg(BrowserState.PENDING), not_before_ms=NOW_MS + 20_000)])
        better = event(leg=leg(BrowserState.SENT), not_before_ms=NOW_MS + 5)
        assert await store.admit([better]) == [Admission.UPDATED]
        (receipt,) = await store.find("e1")
        assert [leg.state for leg in receipt.legs] == [BrowserState.PENDING, BrowserState.SENT]
        assert (receipt.not_before_ms, receipt.due_ms, receipt.row.state) == (NOW_MS + 5, NOW_MS + 5, "sent")

    @pytest.mark.parametrize("state", [BrowserState.SENT, BrowserState.BLOCKED])
    async def test_a_leg_that_knows_no_better_changes_nothing(
        self, store: Store, state: BrowserState
    ) -> None:
        await store.admit([event(not_before_ms=NOW_MS + 20_000)])
        assert await store.admit([event(leg=leg(state))]) == [Admission.DUPLICATE]
        (receipt,) = await store.find("e1")
        assert len(receipt.legs) == 1
        assert receipt.not_before_ms == NOW_MS + 20_000

    async def test_a_better_leg_after_the_first_call_is_kept_but_a_duplicate(self, store: Store) -> None:
        await store.admit([event(leg=leg(BrowserState.PENDING), not_before_ms=NOW_MS)])
        lease = await claim(store)
        key = lease.events[0].key
        attempt = await store.begin_attempt(lease, [key], NOW_MS)
        again = Again(key=key, due_ms=NOW_MS + 30_000)
        await store.settle(lease, [again], now_ms=NOW_MS, attempt=(attempt, CUT_OFF))
        assert await store.admit([event(not_before_ms=NOW_MS + 1)]) == [Admission.DUPLICATE]
        (receipt,) = await store.find("e1")
        assert receipt.row.state == "sent"
        assert (receipt.not_before_ms, receipt.due_ms) == (NOW_MS, NOW_MS + 30_000)

    async def test_a_better_leg_while_the_courier_has_the_event_is_a_duplicate(self, store: Store) -> None:
        await store.admit([event(leg=leg(BrowserState.PENDING))])
        await claim(store)
        assert await store.admit([event(not_before_ms=NOW_MS + 5)]) == [Admission.DUPLICATE]

    async def test_every_word_on_the_address_is_kept(self, store: Store) -> None:
        await store.admit([with_token()])
        (receipt,) = await store.find("e1")
        assert receipt.addresses == with_token().addresses
        assert receipt.client_ip_address == "2001:db8::9"

    async def test_a_token_that_comes_later_gives_a_held_event_its_address_and_hold(
        self, store: Store
    ) -> None:
        await store.admit([over_ipv4(not_before_ms=NOW_MS + 2_000)])
        assert await store.admit([with_token(not_before_ms=NOW_MS + 300)]) == [Admission.UPDATED]
        (receipt,) = await store.find("e1")
        assert receipt.client_ip_address == "2001:db8::9"
        assert receipt.addresses == with_token().addresses
        assert (receipt.due_ms, len(receipt.legs)) == (NOW_MS + 300, 1)
        assert receipt.why == {
            "fbp": "cookie",
            "client_ip_address": "by token",
            "client_ip_address_source": "token",
            "client_ip_address_connection": "by peer",
        }
        (leased,) = (await claim(store, now_ms=NOW_MS + 300)).events
        assert (leased.client_ip_address, leased.client_user_agent) == ("2001:db8::9", "Browser/1")

    async def test_an_event_without_an_address_takes_a_tokens(self, store: Store) -> None:
        hidden = event(client_ip_address=None, addresses=(seen(None, "none"),), not_before_ms=NOW_MS + 2_000)
        await store.admit([hidden])
        assert await store.admit([with_token(connection=None)]) == [Admission.UPDATED]

    async def test_a_token_and_a_better_leg_are_both_taken(self, store: Store) -> None:
        await store.admit([over_ipv4(leg=leg(BrowserState.PENDING), not_before_ms=NOW_MS + 20_000)])
        assert await store.admit([with_token(not_before_ms=NOW_MS + 5)]) == [Admission.UPDATED]
        (receipt,) = await store.find("e1")
        assert (receipt.client_ip_address, receipt.row.state) == ("2001:db8::9", "sent")
        assert receipt.due_ms == NOW_MS + 5

    async def test_a_token_with_a_worse_leg_changes_the_address_and_not_the_hold(self, store: Store) -> None:
        await store.admit([over_ipv4(not_before_ms=NOW_MS + 2_000)])
        late = with_token(leg=leg(BrowserState.PENDING), not_before_ms=NOW_MS + 20_000)
        assert await store.admit([late]) == [Admission.UPDATED]
        (receipt,) = await store.find("e1")
        assert (receipt.client_ip_address, receipt.due_ms) == ("2001:db8::9", NOW_MS + 2_000)

    @pytest.mark.parametrize(
        "post",
        [
            pytest.param(with_token(connection="198.51.100.66"), id="token over another connection"),
            pytest.param(over_ipv4("198.51.100.66"), id="another connection"),
            pytest.param(event(addresses=(seen("2001:db8::7", sent=True),)), id="an IPv6 connection"),
            pytest.param(over_ipv4(), id="the same again"),
        ],
    )
    async def test_nothing_else_changes_the_address_of_a_held_event(
        self, store: Store, post: OutboxEvent
    ) -> None:
        await store.admit([over_ipv4(not_before_ms=NOW_MS + 2_000)])
        assert await store.admit([post]) == [Admission.DUPLICATE]
        (receipt,) = await store.find("e1")
        assert (receipt.client_ip_address, receipt.due_ms) == ("192.0.2.7", NOW_MS + 2_000)
        assert receipt.addresses == over_ipv4().addresses

    async def test_the_way_of_each_address_is_counted_by_family(self, store: Store) -> None:
        hidden = event("e3", client_ip_address=None, addresses=(seen(None, "none"),))
        await store.admit([over_ipv4(), with_token(event_id="e2"), hidden, event("without any word")])
        assert set(await store.families(since_ms=NOW_MS)) == {
            FamilyCount(page="ipv4", token=None, sent="ipv4", events=1),
            FamilyCount(page="ipv4", token="ipv6", sent="ipv6", events=1),
            FamilyCount(page=None, token=None, sent=None, events=1),
        }

    async def test_an_event_that_takes_a_later_token_is_counted_where_it_went(self, store: Store) -> None:
        await store.admit([over_ipv4(not_before_ms=NOW_MS + 2_000)])
        await store.admit([with_token(received_ms=NOW_MS + 3_600_000)])
        went = FamilyCount(page="ipv4", token="ipv6", sent="ipv6", events=1)
        assert await store.families(since_ms=NOW_MS) == [went]
        assert await store.families(since_ms=NOW_MS + 3_600_000) == [], "in the hour of its acceptance"

    async def test_ways_are_counted_once_an_event_and_only_of_what_will_be_sent(self, store: Store) -> None:
        await store.admit([over_ipv4(), over_ipv4()])
        await store.admit([over_ipv4(event_id="bot", fate=Fate.FILTERED, fate_reason=FateReason.BOT)])
        assert [count.events for count in await store.families(since_ms=NOW_MS)] == [1]

    async def test_ways_are_read_by_site_and_period_and_forgotten_with_the_events(self, store: Store) -> None:
        await store.admit([over_ipv4(), over_ipv4(event_id="e2", site="other-shop")])
        assert [count.events for count in await store.families(since_ms=NOW_MS)] == [2]
        assert [count.events for count in await store.families(since_ms=NOW_MS, site="shop")] == [1]
        assert await store.families(since_ms=NOW_MS + 3_600_000) == []
        await store.prune(now_ms=NOW_MS + DAY_MS, retention_ms=DAY_MS, address_ms=0)
        assert await store.families(since_ms=0) == []

    async def test_a_token_is_too_late_once_the_courier_has_the_event(self, store: Store) -> None:
        await store.admit([over_ipv4()])
        await claim(store)
        assert await store.admit([with_token()]) == [Admission.DUPLICATE]
        assert (await store.find("e1"))[0].client_ip_address == "192.0.2.7"

    async def test_the_words_on_the_address_are_forgotten_with_it(self, store: Store) -> None:
        await store.admit([with_token()])
        await end_all(store)
        await store.prune(now_ms=NOW_MS + 1_000, retention_ms=DAY_MS, address_ms=1_000)
        assert (await store.find("e1"))[0].addresses == ()

    async def test_an_event_with_a_fate_is_recorded_and_never_sent(self, store: Store) -> None:
        await store.admit([event(fate=Fate.FILTERED, fate_reason=FateReason.BOT)])
        assert await store.claim(now_ms=NOW_MS, lease_ms=1, limit=10, busy=frozenset()) is None
        (receipt,) = await store.find("e1")
        assert receipt.fate is not None
        assert (receipt.fate.fate, receipt.fate.reason, receipt.fate.at_ms) == (
            Fate.FILTERED,
            FateReason.BOT,
            NOW_MS,
        )
        assert (receipt.row.status, receipt.due_ms) == ("ended", None)

    async def test_what_was_admitted_is_there_after_reopening(
        self, store: Store, open_store: OpenStore
    ) -> None:
        await store.admit([event()])
        await store.close()
        again = await open_store()
        assert await again.admit([event()]) == [Admission.DUPLICATE]
        await again.close()

    async def test_refusals_are_counted(self, store: Store) -> None:
        await store.count_refused("shop", "missing_value", NOW_MS)
        await store.count_refused("shop", "too_old", NOW_MS)
        assert (await store.totals()).refused == 2
