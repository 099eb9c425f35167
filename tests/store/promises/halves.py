"""Two sides: a page and a server post the same event."""

import pytest

from relay.event.outcome import Admission, BrowserState, Fate, FateReason
from relay.store.protocol import (
    Store,
)
from tests.store.promises.base import ORDER, Promises
from tests.store.samples import (
    NOW_MS,
    by_page,
    by_server,
    claim,
    end_all,
    event,
)


class Halves(Promises):
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
