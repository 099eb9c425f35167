"""What the console and the API read."""

from typing import Any

import pytest
from msgspec.structs import replace

from relay.event.alert import AlertKind, AlertState
from relay.event.issue import IssueKind
from relay.event.notice import Notice
from relay.event.outcome import Admission, BrowserState, Fate, FateReason
from relay.event.quality import QualityRecord
from relay.event.report import Sighting
from relay.event.tally import Topic
from relay.store.protocol import (
    STEPS_MS,
    Again,
    Backlog,
    Counts,
    Filters,
    IssueSeen,
    MarkKind,
    Store,
)
from tests.store.promises.base import ADA, DAY_MS, ORDER, Promises
from tests.store.samples import (
    CUT_OFF,
    NOW_MS,
    REFUSED,
    REVOKED,
    claim,
    end_all,
    event,
    leg,
)

NOTICE = Notice(id="msg_1", target="t", created_ms=NOW_MS, body=b"{}", due_ms=NOW_MS)
OTHER_NOTICE = replace(NOTICE, id="msg_2")


class Reading(Promises):
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

    # Quality

    async def test_of_a_day_the_last_word_of_meta_is_kept_by_pixel_and_scope(self, store: Store) -> None:
        first, later = (
            QualityRecord(pixel="111", scope="all", at_ms=NOW_MS + ms, problem=str(ms)) for ms in (0, 1)
        )
        ours = QualityRecord(pixel="111", scope="ours", at_ms=NOW_MS, problem=None)
        other = QualityRecord(pixel="222", scope="all", at_ms=NOW_MS, problem=None)
        await store.keep_quality([first, ours, other])
        await store.keep_quality([later])
        assert await store.quality(since_ms=NOW_MS) == [ours, other, later]

    async def test_quality_is_read_from_a_day_on_and_forgotten_as_counts_are(self, store: Store) -> None:
        days = [
            QualityRecord(pixel="111", scope="all", at_ms=NOW_MS + day * DAY_MS, problem=None)
            for day in range(3)
        ]
        await store.keep_quality(days)
        assert await store.quality(since_ms=NOW_MS + DAY_MS) == days[1:]
        await store.prune(
            now_ms=NOW_MS + 9 * DAY_MS, retention_ms=DAY_MS, address_ms=DAY_MS, counter_ms=8 * DAY_MS
        )
        assert await store.quality(since_ms=0) == days[2:]

    # Alerts

    async def test_an_alert_changes_once_and_its_notices_come_with_it(self, store: Store) -> None:
        raised = AlertState(
            kind=AlertKind.SILENCE, subject="shop", raised=True, since_ms=NOW_MS, detail="Nothing."
        )
        assert await store.change_alert(raised, [NOTICE]) is True
        assert await store.change_alert(replace(raised, since_ms=NOW_MS + 1), [OTHER_NOTICE]) is False
        assert (await store.alerts(), await store.notices(limit=9)) == ([raised], [NOTICE])
        resolved = replace(raised, raised=False, since_ms=NOW_MS + 2)
        assert await store.change_alert(resolved, []) is True
        assert await store.alerts() == [resolved]

    async def test_notices_are_due_in_their_order_and_shown_the_latest_first(self, store: Store) -> None:
        later = replace(OTHER_NOTICE, created_ms=NOW_MS + 1, due_ms=NOW_MS + 5)
        for notice in (later, NOTICE):
            await store.keep_notice(notice)
        assert await store.notices(due_by_ms=NOW_MS + 4, limit=9) == [NOTICE]
        assert await store.notices(due_by_ms=NOW_MS + 5, limit=9) == [NOTICE, later]
        assert await store.notices(due_by_ms=NOW_MS + 5, limit=1) == [NOTICE]
        assert await store.notices(limit=9) == [later, NOTICE]
        told = replace(NOTICE, due_ms=None, attempts=1, told_ms=NOW_MS + 6, problem=None)
        await store.keep_notice(told)
        assert await store.notices(due_by_ms=NOW_MS + 9, limit=9) == [later]
        assert await store.notices(limit=9) == [later, told]

    async def test_resolved_alerts_and_notices_are_forgotten_and_raised_ones_stay(self, store: Store) -> None:
        for subject, raised in (("a", True), ("b", True), ("b", False)):
            state = AlertState(
                kind=AlertKind.SILENCE, subject=subject, raised=raised, since_ms=NOW_MS, detail=""
            )
            await store.change_alert(state, [replace(NOTICE, id=f"{subject}{raised}")])
        await store.prune(
            now_ms=NOW_MS + 9 * DAY_MS, retention_ms=DAY_MS, address_ms=DAY_MS, counter_ms=8 * DAY_MS
        )
        assert [state.subject for state in await store.alerts()] == ["a"]
        assert await store.notices(limit=9) == []

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
