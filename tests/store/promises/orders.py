"""Orders, quarantine and issues."""

from relay.event.issue import Finding, IssueKind
from relay.event.outcome import Admission, Fate, FateReason
from relay.store.protocol import (
    Issue,
    Store,
)
from tests.store.promises.base import DAY_MS, ORDER, Promises
from tests.store.samples import (
    NOW_MS,
    claim,
    end_all,
    event,
)


class Orders(Promises):
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
        await store.prune(now_ms=NOW_MS + DAY_MS + self.late_ms, retention_ms=DAY_MS, address_ms=0)
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
