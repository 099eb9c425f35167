"""What every store must do, whatever it is built on.

A store's own test module subclasses `StoreConformance` and gives the fixture `open_store`: each call opens
the same store again, as a new process would; its clock stands still at `NOW_MS`.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from msgspec.structs import replace

from relay.errors import LeaseLost, StoreError
from relay.event.issue import Finding, IssueKind
from relay.event.outcome import Admission, AttemptOutcome, BrowserState, Fate, FateReason
from relay.event.records import OutboxEvent
from relay.event.report import Sighting
from relay.event.tally import Topic
from relay.store.protocol import (
    STEPS_MS,
    Again,
    AttemptResult,
    Backlog,
    Counts,
    Erased,
    FamilyCount,
    Filters,
    Issue,
    IssueSeen,
    MarkKind,
    Store,
)
from tests.store.samples import (
    CUT_OFF,
    LEASE_MS,
    NOW_MS,
    RECEIPT,
    REFUSED,
    REVOKED,
    by_page,
    by_server,
    claim,
    end_all,
    ended,
    event,
    leg,
    over_ipv4,
    seen,
    with_token,
)

OpenStore = Callable[[], Awaitable[Store]]
DAY_MS = 24 * 60 * 60 * 1000
ADA, BOB = "ada0" * 16, "b0b0" * 16  # as hashes look
ORDER = b"0123456789abcdef"


class StoreConformance:
    pytestmark = pytest.mark.anyio

    @pytest.fixture
    async def store(self, open_store: OpenStore) -> AsyncIterator[Store]:
        store = await open_store()
        yield store
        await store.close()

    # Admission

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

    # Two sides: a page and a server post the same event

    async def test_a_servers_post_completes_the_pages_while_it_is_held(self, store: Store) -> None:
        await store.admit([by_page(not_before_ms=NOW_MS + 20_000)])
        assert await store.admit([by_server()]) == [Admission.UPDATED]
        (receipt,) = await store.find("e1")
        assert receipt.server_event["user_data"] == {"fbp": "fb.1.1.1", "em": ["ada"]}
        assert receipt.server_event["custom_data"] == {"value": 2}
        assert (receipt.client_user_agent, receipt.row.state) == ("Browser/1", "sent")
        assert (receipt.due_ms, receipt.not_before_ms) == (NOW_MS, NOW_MS)
        lease = await claim(store)
        assert b'"ada"' in lease.events[0].server_event

    async def test_the_pages_post_ends_the_wait_of_the_servers(self, store: Store) -> None:
        assert await store.admit([by_server()]) == [Admission.ACCEPTED]
        (receipt,) = await store.find("e1")
        assert (receipt.row.state, receipt.due_ms) == ("awaited", NOW_MS + 60_000)
        assert await store.admit([by_page(paired_ms=NOW_MS + 5)]) == [Admission.UPDATED]
        (receipt,) = await store.find("e1")
        assert (receipt.row.state, receipt.due_ms, receipt.not_before_ms) == ("sent", NOW_MS + 5, NOW_MS + 5)
        assert (receipt.client_ip_address, receipt.client_user_agent) == ("2001:db8::7", "Browser/1")
        assert receipt.server_event["event_source_url"] == "https://shop.example/"
        assert [leg.state for leg in receipt.legs] == [BrowserState.AWAITED, BrowserState.SENT]

    async def test_a_servers_post_again_is_a_duplicate_and_moves_nothing(self, store: Store) -> None:
        await store.admit([by_server()])
        assert await store.admit([by_server(not_before_ms=NOW_MS, paired_ms=0)]) == [Admission.DUPLICATE]
        (receipt,) = await store.find("e1")
        assert (receipt.due_ms, receipt.duplicates) == (NOW_MS + 60_000, 1)

    async def test_what_comes_after_the_send_changes_nothing_that_was_sent(self, store: Store) -> None:
        await store.admit([by_server(not_before_ms=NOW_MS)])
        await end_all(store)
        assert await store.admit([by_page(), by_server()]) == [Admission.DUPLICATE, Admission.DUPLICATE]
        (receipt,) = await store.find("e1")
        assert receipt.server_event["custom_data"] == {"value": 2}
        assert receipt.row.state == "sent"  # what the page knows of its half is kept all the same

    @pytest.mark.parametrize("first", ["page", "server"])
    async def test_an_event_sleeps_until_its_other_half_has_come(self, store: Store, first: str) -> None:
        asleep = {
            "page": by_page(fate=Fate.FILTERED, fate_reason=FateReason.BROWSER_ONLY),
            "server": by_server(fate=Fate.FILTERED, fate_reason=FateReason.INCOMPLETE),
        }
        second = "server" if first == "page" else "page"
        await store.admit([asleep[first]])
        assert await store.next_due_ms(busy=frozenset()) is None
        assert await store.admit([asleep[first]]) == [Admission.DUPLICATE]
        assert await store.admit([asleep[second]]) == [Admission.UPDATED]
        (receipt,) = await store.find("e1")
        assert (receipt.fate, receipt.row.status, receipt.due_ms) == (None, "due", NOW_MS)
        assert receipt.server_event["custom_data"] == {"value": 2}
        totals = await store.totals()
        assert (totals.fates, totals.waiting) == ({}, 1)

    async def test_an_order_that_only_the_server_names_counts_once_all_the_same(self, store: Store) -> None:
        await store.admit([by_page(not_before_ms=NOW_MS + 20_000)])
        await store.admit([by_server(order_key=ORDER)])
        await store.admit([event("e2", order_key=ORDER)])
        (receipt,) = await store.find("e2")
        assert receipt.fate is not None
        assert receipt.fate.reason is FateReason.REPEATED_ORDER

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

    # Crash and replay

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

    # Orders, quarantine and issues

    async def test_one_order_is_one_event_of_a_pixel_for_ninety_days(self, store: Store) -> None:
        await store.admit([event("first", order_key=ORDER)])
        await end_all(store)
        again = event("again", order_key=ORDER, received_ms=NOW_MS + 40 * DAY_MS)
        assert await store.admit([again]) == [Admission.ACCEPTED]
        assert await store.claim(now_ms=NOW_MS + 41 * DAY_MS, lease_ms=1, limit=9, busy=frozenset()) is None
        (receipt,) = await store.find("again")
        assert receipt.fate is not None
        assert (receipt.fate.fate, receipt.fate.reason) == (Fate.FILTERED, FateReason.REPEATED_ORDER)
        assert receipt.fate.detail == "The order came first under event_id first."
        assert (await store.totals()).fates == {Fate.DELIVERED: 1, Fate.FILTERED: 1}
        await store.prune(now_ms=NOW_MS + 90 * DAY_MS, retention_ms=DAY_MS, address_ms=0)
        assert await store.admit([event("later", order_key=ORDER)]) == [Admission.ACCEPTED]
        assert len((await claim(store)).events) == 1

    async def test_an_order_outlives_the_receipt_of_its_first_event(self, store: Store) -> None:
        await store.admit([event("first", order_key=ORDER)])
        await end_all(store)
        await store.prune(now_ms=NOW_MS + DAY_MS, retention_ms=DAY_MS, address_ms=0)
        await store.admit([event("again", order_key=ORDER)])
        (receipt,) = await store.find("again")
        assert receipt.fate is not None
        assert receipt.fate.reason is FateReason.REPEATED_ORDER

    async def test_one_order_twice_in_one_post_is_sent_once(self, store: Store) -> None:
        await store.admit([event("a", order_key=ORDER), event("b", order_key=ORDER)])
        assert [leased.event_id for leased in (await claim(store)).events] == ["a"]

    async def test_a_retry_of_the_same_event_is_no_repeated_order(self, store: Store) -> None:
        await store.admit([event(order_key=ORDER)])
        assert await store.admit([event(order_key=ORDER)]) == [Admission.DUPLICATE]
        assert await store.issues() == []

    async def test_a_quarantined_event_takes_no_orders_place(self, store: Store) -> None:
        await store.admit([event("forged", fate=Fate.QUARANTINED, fate_reason=FateReason.UNSIGNED)])
        await store.admit([event("genuine", order_key=ORDER)])
        assert [leased.event_id for leased in (await claim(store)).events] == ["genuine"]

    async def test_a_quarantined_event_is_replayed_only_by_its_fates_name(self, store: Store) -> None:
        await store.admit([event(fate=Fate.QUARANTINED, fate_reason=FateReason.ALTERED)])
        assert await store.replay(event_ids=["e1"], now_ms=NOW_MS) == 0
        assert await store.replay(since_ms=0, now_ms=NOW_MS) == 0
        assert await store.replay(fate=Fate.REJECTED, now_ms=NOW_MS) == 0
        assert await store.replay(fate=Fate.QUARANTINED, event_ids=["e1"], now_ms=NOW_MS) == 1
        assert await store.replay(fate=Fate.QUARANTINED, now_ms=NOW_MS) == 0
        assert [leased.event_id for leased in (await claim(store)).events] == ["e1"]

    async def test_findings_of_accepted_events_are_rolled_up(self, store: Store) -> None:
        finding = Finding(kind=IssueKind.PERSONAL_DATA, place="url.query.email")
        await store.admit([event("a", findings=(finding,)), event("a", pixel="222", findings=(finding,))])
        await store.admit([event("b", findings=(finding,), received_ms=NOW_MS + 5)])
        await store.admit([event("b", findings=(finding,))])
        assert await store.issues() == [
            Issue(
                kind=IssueKind.PERSONAL_DATA,
                site="shop",
                event_name="Purchase",
                place="url.query.email",
                event_id="b",
                first_ms=NOW_MS,
                last_ms=NOW_MS + 5,
                count=2,
            )
        ]

    async def test_an_id_that_a_third_visitor_sends_is_an_issue(self, store: Store) -> None:
        for visitor in (b"visitor1", b"visitor2", b"visitor1", None):
            await store.admit([event(visitor=visitor)])
        assert await store.issues() == []
        for number in range(3, 9):
            await store.admit([event(visitor=b"visitor%d" % number)])
        (issue,) = await store.issues()
        assert (issue.kind, issue.event_id, issue.count) == (IssueKind.SHARED_EVENT_ID, "e1", 6)

    async def test_a_value_that_changes_and_a_page_that_is_opened_again_are_issues(
        self, store: Store
    ) -> None:
        await store.admit([event(server_event=b'{"custom_data":{"value":5}}')])
        await store.admit([event(server_event=b'{"custom_data":{"value":6}}')])
        await store.admit([event(server_event=b'{"custom_data":{"value":5}}', event_time_ms=NOW_MS + DAY_MS)])
        assert {issue.kind for issue in await store.issues()} == {
            IssueKind.VALUE_CHANGED,
            IssueKind.RELOADED_PAGE,
        }

    async def test_a_repeated_order_is_an_issue(self, store: Store) -> None:
        await store.admit([event("a", order_key=ORDER), event("b", order_key=ORDER)])
        (issue,) = await store.issues()
        assert (issue.kind, issue.event_id, issue.count) == (IssueKind.REPEATED_ORDER, "b", 1)

    async def test_a_site_has_a_bounded_number_of_issues(self, store: Store) -> None:
        finding = Finding(kind=IssueKind.UNSIGNED)
        many = [event(event_name=f"Name{number}", findings=(finding,)) for number in range(1_000)]
        await store.admit(many)
        bound = len(await store.issues())
        assert 100 <= bound < 1_000
        await store.admit([event("e2", event_name="Name0", findings=(finding,))])
        await store.admit([event("e3", site="other", findings=(finding,))])
        found = await store.issues()
        assert len(found) == bound + 1
        assert [issue.count for issue in found if issue.event_name == "Name0"] == [2]

    async def test_issues_are_forgotten_as_receipts_are(self, store: Store) -> None:
        await store.admit([event(findings=(Finding(kind=IssueKind.UNSIGNED),))])
        await store.prune(now_ms=NOW_MS + DAY_MS - 1, retention_ms=DAY_MS, address_ms=0)
        assert len(await store.issues()) == 1
        await store.prune(now_ms=NOW_MS + DAY_MS, retention_ms=DAY_MS, address_ms=0)
        assert await store.issues() == []

    # Reading

    async def test_the_list_is_newest_first_and_goes_on_from_its_cursor(self, store: Store) -> None:
        for i in range(5):
            await store.admit([event(f"e{i}")])
        first = await store.recent(Filters(limit=2))
        assert [row.event_id for row in first] == ["e4", "e3"]
        rest = await store.recent(Filters(before_row_id=first[-1].row_id))
        assert [row.event_id for row in rest] == ["e2", "e1", "e0"]

    async def test_filters_narrow_the_list_together(self, store: Store) -> None:
        await store.admit([event("sent")])
        await end_all(store)
        await store.admit([event("held"), event("lead", event_name="Lead"), event("elsewhere", site="blog")])

        async def ids(filters: Filters) -> list[str]:
            return [row.event_id for row in await store.recent(filters)]

        assert await ids(Filters(site="shop")) == ["lead", "held", "sent"]
        assert await ids(Filters(event_name="Lead")) == ["lead"]
        assert await ids(Filters(fate=Fate.DELIVERED)) == ["sent"]
        assert await ids(Filters(waiting=True)) == ["elsewhere", "lead", "held"]
        assert await ids(Filters(waiting=True, site="shop", event_name="Purchase")) == ["held"]
        assert await ids(Filters(fate=Fate.DELIVERED, site="blog")) == []
        assert await ids(Filters(fate=Fate.DELIVERED, waiting=True)) == []

    async def test_the_status_tells_held_from_due_and_sending(self, store: Store) -> None:
        await store.admit(
            [event("held", not_before_ms=NOW_MS + 1), event("due"), event("sending", pixel="222")]
        )
        await claim(store, busy=frozenset({"111"}))
        statuses = {row.event_id: row.status for row in await store.recent(Filters())}
        assert statuses == {"held": "held", "due": "due", "sending": "sending"}

    async def test_an_unknown_event_id_has_no_receipt(self, store: Store) -> None:
        assert await store.find("' OR 1=1 --") == []

    async def test_event_names_are_listed_once(self, store: Store) -> None:
        assert await store.event_names() == []
        await store.admit([event("a"), event("b"), event("c", event_name="Lead")])
        assert await store.event_names() == ["Lead", "Purchase"]

    async def test_totals_tell_what_waits_since_when(self, store: Store) -> None:
        assert (await store.totals()).oldest_due_ms is None
        await store.admit([event(not_before_ms=NOW_MS + 9), event(pixel="222", not_before_ms=NOW_MS + 4)])
        totals = await store.totals()
        assert (totals.waiting, totals.oldest_due_ms, totals.fates) == (2, NOW_MS + 4, {})

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
        await store.prune(now_ms=NOW_MS + DAY_MS, retention_ms=DAY_MS, address_ms=0)
        assert await store.find("sent") == []
        assert (await store.find("waiting"))[0].client_ip_address == "2001:db8::7"

    async def test_a_pruned_event_stays_a_duplicate_for_seven_days(self, store: Store) -> None:
        await store.admit([event()])
        await end_all(store)
        await store.prune(now_ms=NOW_MS + DAY_MS, retention_ms=DAY_MS, address_ms=0)
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
        await store.prune(now_ms=NOW_MS + 1, retention_ms=1, address_ms=1)
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

    # Other senders

    async def test_what_pages_tell_of_a_sender_adds_up(self, store: Store) -> None:
        row = Sighting(sender="pixel", pixel="111", event_name="Lead", ids="none", count=2)
        await store.note_senders("shop", [row], NOW_MS)
        await store.note_senders("shop", [row, Sighting(sender="gtm")], NOW_MS + DAY_MS)
        gtm, pixel = await store.senders(since_ms=NOW_MS)
        assert (gtm.sender, gtm.pages, gtm.count, gtm.first_ms) == ("gtm", 1, 1, NOW_MS + DAY_MS)
        assert (pixel.site, pixel.sender, pixel.pixel, pixel.event_name, pixel.ids) == (
            "shop", "pixel", "111", "Lead", "none",
        )  # fmt: skip
        assert (pixel.first_ms, pixel.last_ms) == (NOW_MS, NOW_MS + DAY_MS)
        assert (pixel.pages, pixel.count) == (2, 4)

    async def test_senders_are_asked_for_by_site_and_day(self, store: Store) -> None:
        for site, now_ms in (("shop", NOW_MS - 2 * DAY_MS), ("shop", NOW_MS), ("other", NOW_MS)):
            await store.note_senders(site, [Sighting(sender="gtm")], now_ms)
        assert [row.site for row in await store.senders(since_ms=NOW_MS)] == ["other", "shop"]
        (shop,) = await store.senders(since_ms=NOW_MS, site="shop")
        assert shop.pages == 1
        (shop,) = await store.senders(since_ms=0, site="shop")
        assert shop.pages == 2

    async def test_a_site_has_a_bounded_number_of_senders_a_day(self, store: Store) -> None:
        made_up = [Sighting(sender="pixel", event_name=f"e{i}") for i in range(400)]
        for start in range(0, len(made_up), 50):
            await store.note_senders("shop", made_up[start : start + 50], NOW_MS)
        await store.note_senders("other", [Sighting(sender="gtm")], NOW_MS)
        assert len(await store.senders(since_ms=0, site="shop")) == 300
        assert len(await store.senders(since_ms=0, site="other")) == 1

    async def test_senders_are_forgotten_as_counts_are(self, store: Store) -> None:
        await store.note_senders("shop", [Sighting(sender="gtm")], NOW_MS)
        later = NOW_MS + 10 * DAY_MS
        for counter_days, left in ((11, 1), (9, 0)):
            await store.prune(
                now_ms=later, retention_ms=DAY_MS, address_ms=DAY_MS, counter_ms=counter_days * DAY_MS
            )
            assert len(await store.senders(since_ms=0)) == left

    # Opening and closing

    async def test_close_commits_what_still_waits(self, store: Store, open_store: OpenStore) -> None:
        posts = [asyncio.ensure_future(store.admit([event(f"e{i}")])) for i in range(100)]
        await asyncio.sleep(0)  # every post has reached the store; none has been answered
        await store.close()
        assert [await post for post in posts] == [[Admission.ACCEPTED]] * 100
        again = await open_store()
        assert (await again.totals()).waiting == 100
        await again.close()

    async def test_a_closed_store_says_so(self, store: Store) -> None:
        assert await store.ready()
        await store.close()
        await store.close()
        assert not await store.ready()
        with pytest.raises(StoreError, match="closed"):
            await store.admit([event()])
        with pytest.raises(StoreError, match="closed"):
            await store.totals()

    async def test_a_cancelled_caller_does_not_stop_its_write(self, store: Store) -> None:
        post = asyncio.ensure_future(store.admit([event()]))
        await asyncio.sleep(0)
        post.cancel()
        with pytest.raises(asyncio.CancelledError):
            await post
        assert await store.admit([event()]) == [Admission.DUPLICATE]

    # What the console reads

    async def outcomes(self, store: Store, **narrow: Any) -> dict[str, int]:
        asked = {"step_ms": STEPS_MS[0], "since_ms": NOW_MS - DAY_MS} | narrow
        counted = await store.counts(Topic.OUTCOME, **asked)
        return {each.name: each.n for each in counted}

    async def test_each_event_that_ended_has_one_outcome(self, store: Store) -> None:
        legs = {
            "paired": leg(),
            "reversed": leg(reported_ms=NOW_MS + 5, settled_ms=NOW_MS + 5),
            "unsure": leg(BrowserState.PENDING),
            "server_only": leg(BrowserState.BLOCKED),
        }
        await store.admit([event(name, leg=each) for name, each in legs.items()])
        await store.admit([event("bot", fate=Fate.FILTERED, fate_reason=FateReason.BOT)])
        await end_all(store)
        assert await self.outcomes(store) == dict.fromkeys([*legs, "held_back"], 1)

    @pytest.mark.parametrize("step_ms", STEPS_MS)
    async def test_counts_stand_in_their_step(self, store: Store, step_ms: int) -> None:
        await store.admit([event(), event("e2")])
        later_ms = NOW_MS + 3 * step_ms
        await store.admit([event("e3", received_ms=later_ms)])
        await store.admit([event("e4", site="other")])
        counted = await store.counts(Topic.ACCEPTED, step_ms=step_ms, since_ms=NOW_MS, site="shop")
        first_ms = NOW_MS - NOW_MS % step_ms
        assert counted == [
            Counts(at_ms=first_ms, event_name="Purchase", name="", n=2),
            Counts(at_ms=first_ms + 3 * step_ms, event_name="Purchase", name="", n=1),
        ]
        every = await store.counts(Topic.ACCEPTED, step_ms=step_ms, since_ms=NOW_MS)
        assert [each.n for each in every] == [3, 1]
        assert len(await store.counts(Topic.ACCEPTED, step_ms=step_ms, since_ms=later_ms)) == 1

    async def test_a_better_report_after_the_end_changes_the_outcome_and_adds_none(
        self, store: Store
    ) -> None:
        await store.admit([event(leg=leg(BrowserState.PENDING))])
        await end_all(store)
        assert await self.outcomes(store) == {"unsure": 1}
        assert await store.admit([event(received_ms=NOW_MS + 120_000)]) == [Admission.DUPLICATE]
        assert await self.outcomes(store) == {"paired": 1}
        states = await store.counts(Topic.LEG, step_ms=STEPS_MS[0], since_ms=NOW_MS)
        assert [(each.at_ms, each.name) for each in states] == [(NOW_MS - NOW_MS % STEPS_MS[0], "sent")]

    async def test_a_replay_takes_the_outcome_back(self, store: Store) -> None:
        await store.admit([event()])
        await end_all(store, Fate.REJECTED, FateReason.REJECTED_BY_META)
        assert await self.outcomes(store) == {"failed": 1}
        await store.replay(event_ids=["e1"], now_ms=NOW_MS + 60_000)
        assert await self.outcomes(store) == {}
        await end_all(store, now_ms=NOW_MS + 60_000)
        assert await self.outcomes(store) == {"paired": 1}

    async def test_delays_keys_and_calls_of_what_was_delivered_are_counted(self, store: Store) -> None:
        fbc = f"fb.1.{NOW_MS - 5 * DAY_MS}.click"
        await store.admit([event(user_data={"em": [ADA], "fbc": fbc}), event("e2", client_ip_address=None)])
        await end_all(store, now_ms=NOW_MS + 180)
        names: dict[Topic, dict[str, int]] = {}
        for topic in (Topic.DELAY, Topic.KEY, Topic.FBC_AGE, Topic.CALL, Topic.ERROR):
            counted = await store.counts(topic, step_ms=STEPS_MS[0], since_ms=NOW_MS, site="shop")
            names[topic] = {each.name: each.n for each in counted}
        assert names == {
            Topic.DELAY: {"200": 2},
            Topic.KEY: {"em": 1, "fbc": 1, "client_ip_address": 1, "client_user_agent": 2},
            Topic.FBC_AGE: {"7": 1},
            Topic.CALL: {"receipt": 1},
            Topic.ERROR: {},
        }

    async def test_calls_that_meta_did_not_take_are_counted_by_code(self, store: Store) -> None:
        await store.admit([event()])
        for result in (REFUSED, REVOKED, CUT_OFF):
            lease = await claim(store)
            attempt = await store.begin_attempt(lease, [event().key], NOW_MS)
            again = Again(key=event().key, due_ms=NOW_MS)
            assert await store.settle(lease, [again], now_ms=NOW_MS, attempt=(attempt, result)) == 1
        counted = await store.counts(Topic.ERROR, step_ms=STEPS_MS[0], since_ms=NOW_MS)
        assert {each.name: each.n for each in counted} == {"100": 1, "190": 1, "no answer": 1}
        latest = await store.attempts(limit=2)
        assert [(each.pixel, each.attempt.code) for each in latest] == [("111", None), ("111", 190)]

    async def test_counts_are_forgotten_the_fine_ones_first(self, store: Store) -> None:
        await store.admit([event()])
        for later_ms, left in ((2 * DAY_MS, 2), (9 * DAY_MS, 1), (91 * DAY_MS, 0)):
            await store.prune(
                now_ms=NOW_MS + later_ms, retention_ms=DAY_MS, address_ms=DAY_MS, counter_ms=90 * DAY_MS
            )
            found = [await store.counts(Topic.ACCEPTED, step_ms=step_ms, since_ms=0) for step_ms in STEPS_MS]
            assert sum(map(bool, found)) == left

    async def test_marks_are_made_of_what_changed_and_of_each_start(self, store: Store) -> None:
        for at_ms, detail in ((NOW_MS, "a"), (NOW_MS + 1, "a"), (NOW_MS + 2, "b")):
            await store.mark(MarkKind.STARTED, "", "1.0", now_ms=at_ms)
            await store.mark(MarkKind.TOKEN, "111", detail, now_ms=at_ms)
        marks = await store.marks(since_ms=NOW_MS)
        assert [each.at_ms - NOW_MS for each in marks if each.kind is MarkKind.STARTED] == [0, 1, 2]
        assert [(each.at_ms - NOW_MS, each.detail) for each in marks if each.kind is MarkKind.TOKEN] == [
            (0, "a"),
            (2, "b"),
        ]
        assert await store.marks(since_ms=NOW_MS + 3) == []

    async def test_the_latest_receipts_come_newest_first(self, store: Store) -> None:
        await store.admit([event("e1"), event("e2", site="other"), event("e3")])
        assert [each.row.event_id for each in await store.latest(limit=2)] == ["e3", "e2"]
        (newest, *_) = found = await store.latest(site="shop", limit=9)
        assert [each.row.event_id for each in found] == ["e3", "e1"]
        assert [newest] == await store.find("e3")

    async def test_an_order_is_found_by_its_hash(self, store: Store) -> None:
        await store.admit([event("e1", order_key=ORDER)])
        assert await store.orders([b"another order!!!", ORDER, ORDER]) == ["e1"]

    async def test_the_backlog_is_told_by_pixel(self, store: Store) -> None:
        assert await store.backlog() == []
        await store.admit([event(), event("e2", not_before_ms=NOW_MS + 9), event("e3", pixel="222")])
        lease = await claim(store, limit=1)
        await store.begin_attempt(lease, [each.key for each in lease.events], NOW_MS)
        assert await store.backlog() == [
            Backlog(pixel="111", waiting=2, oldest_due_ms=NOW_MS + 9, tried=1),
            Backlog(pixel="222", waiting=1, oldest_due_ms=NOW_MS, tried=0),
        ]

    async def test_an_issue_can_be_noted_without_an_event_and_resolved_until_it_is_seen_again(
        self, store: Store
    ) -> None:
        seen = IssueSeen("shop", IssueKind.PERSONAL_DATA, "", "https://evil.example", "", "x@x")
        await store.note(seen, now_ms=NOW_MS)
        (issue,) = await store.issues()
        assert (issue.place, issue.count, issue.sample, issue.resolved_ms) == (
            "https://evil.example",
            1,
            "x@x",
            None,
        )
        assert await store.resolve(issue, now_ms=NOW_MS + 1)
        await store.note(seen, now_ms=NOW_MS + 2)
        (again,) = await store.issues()
        assert (again.resolved_ms, again.last_ms, again.count) == (NOW_MS + 1, NOW_MS + 2, 2)
        assert not await store.resolve(replace(issue, place="elsewhere"), now_ms=NOW_MS)

    async def test_one_kind_of_issue_leaves_room_for_the_others(self, store: Store) -> None:
        for number in range(110):
            await store.note(IssueSeen("shop", IssueKind.RENAMED_EVENT, f"n{number}", "", ""), now_ms=NOW_MS)
        assert len(await store.issues()) == 100
        await store.note(IssueSeen("shop", IssueKind.UNSIGNED, "Purchase", "", ""), now_ms=NOW_MS)
        assert len(await store.issues()) == 101
