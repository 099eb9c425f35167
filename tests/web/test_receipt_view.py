"""What a receipt says: order, verdicts, and what is not known."""

from typing import Any

import msgspec
import pytest

from relay.event.enrich_server import STATES_NONE
from relay.event.outcome import FATE_SENTENCES, AttemptOutcome, BrowserState, Fate, FateReason
from relay.event.records import BrowserLeg, PixelSeen
from relay.event.verdict import Profile
from relay.store.protocol import Attempt, FateRecord
from relay.web.receipt_view import BROWSER_SENTENCES, Receipt, receipt, receipts_of_event
from tests.web.stored import DELIVERED, EVENT_MS, attempt, leg, row, stored_receipt

SENT, CONFIRMED = leg(), attempt()


def view(
    browser: BrowserLeg | None = SENT, *, attempts: tuple[Attempt, ...] = (CONFIRMED,), **changes: Any
) -> Receipt:
    """The receipt of a delivered event."""
    legs = (browser,) if browser else ()
    changes = {"row": row(status="ended", fate=Fate.DELIVERED), "fate": DELIVERED} | changes
    return receipt(stored_receipt(legs=legs, attempts=attempts, **changes), None)


def counts(shown: Receipt) -> set[tuple[int, int]]:
    return {(verdict.counted_at_least, verdict.counted) for verdict in shown.verdicts}


def test_a_pair_that_went_browser_first_counts_once_under_every_profile() -> None:
    shown = view()
    assert (shown.order.first, shown.order.delay_ms) == ("browser", 382)
    assert shown.headline == "Browser first, server 382 ms later. One event counts under every dedup profile."
    assert [verdict.profile for verdict in shown.verdicts] == list(Profile)
    assert counts(shown) == {(1, 1)}


def test_a_pair_that_went_server_first_says_where_it_counts_twice() -> None:
    late = leg(BrowserState.LATE, dispatched_ms=EVENT_MS + 900, settled_ms=EVENT_MS + 1_000)
    shown = view(late)
    assert (shown.order.first, shown.order.delay_ms) == ("server", -400)
    assert shown.headline == (
        "Server first, browser 400 ms later. It may count twice under segment-strict, fbp-external-id."
    )


def test_halves_that_were_under_way_at_once_leave_the_order_open() -> None:
    shown = view(leg(settled_ms=EVENT_MS + 600))
    assert shown.order.first == "together"


@pytest.mark.parametrize("state", [BrowserState.BLOCKED, BrowserState.OFF])
def test_a_browser_half_that_never_left_leaves_the_server_s_alone(state: BrowserState) -> None:
    shown = view(leg(state))
    assert shown.order.first == "server_alone"
    assert counts(shown) == {(1, 1)}


def test_a_pending_browser_half_is_told_with_the_time_it_was_given() -> None:
    shown = view(leg(BrowserState.PENDING, settled_ms=None))
    assert shown.order.first == "unknown"
    assert "The server's event waited until 497 ms after it had left." in shown.headline
    assert counts(shown) == {(1, 1)}


def test_an_undispatched_browser_half_may_still_come_and_count() -> None:
    shown = view(leg(BrowserState.UNDISPATCHED, dispatched_ms=None, settled_ms=None))
    assert shown.order.first == "server_alone"
    assert "It may count twice under" in shown.headline


def test_a_receipt_without_any_report_claims_nothing_of_the_browser_half() -> None:
    shown = view(None)
    assert (shown.browser, shown.order.first) == (None, "server_alone")


@pytest.mark.parametrize("state", BrowserState)
def test_every_browser_state_has_a_sentence_and_an_order_before_anything_was_sent(
    state: BrowserState,
) -> None:
    shown = view(leg(state), attempts=(), fate=None, row=row())
    assert shown.browser is not None
    assert shown.browser.sentence == BROWSER_SENTENCES[state]
    assert "held until the browser half" in shown.headline


@pytest.mark.parametrize("status", ["held", "due", "sending", "parked"])
def test_a_waiting_event_says_what_it_waits_for(status: str) -> None:
    shown = view(attempts=(), fate=None, row=row(status=status))
    assert "The server half" in shown.headline


def test_an_event_that_was_never_sent_says_why() -> None:
    bot = FateRecord(fate=Fate.FILTERED, reason=FateReason.BOT, detail=None, at_ms=EVENT_MS)
    shown = view(attempts=(), fate=bot)
    assert shown.headline.endswith("crawlers run no Pixel, so nothing was sent.")


def test_calls_that_meta_refused_are_no_sends() -> None:
    shown = view(
        attempts=(attempt(AttemptOutcome.REJECT), attempt(AttemptOutcome.RETRY)), fate=None, row=row()
    )
    assert shown.order.first == "browser_alone"


def test_the_receipt_rests_on_the_call_that_meta_confirmed() -> None:
    retry = attempt(AttemptOutcome.RETRY, started_ms=EVENT_MS + 450, finished_ms=EVENT_MS + 460)
    shown = view(attempts=(retry, attempt()))
    assert shown.answer is not None
    assert (shown.answer.fbtrace_id, shown.server.sent_ms) == ("AbC", EVENT_MS + 500)


@pytest.mark.parametrize("outcome", [AttemptOutcome.UNKNOWN, None])
def test_a_call_without_an_answer_leaves_a_doubt(outcome: AttemptOutcome | None) -> None:
    cut_short = attempt(outcome, finished_ms=None)
    shown = view(leg(BrowserState.BLOCKED), attempts=(cut_short, attempt(started_ms=EVENT_MS + 9_000)))
    assert counts(shown) == {(1, 2)}


def test_another_id_in_the_pixel_s_request_breaks_the_pair() -> None:
    seen = PixelSeen(event_name="Purchase", event_id="something-else", fbp="fb.1.2.3")
    assert {v.profile: v.counted for v in view(leg(seen=seen)).verdicts}[Profile.EVENT_ID] == 2


@pytest.mark.parametrize(
    ("browser", "server", "counted"),
    [("fb.1.2.3", "fb.1.2.3", 1), (None, "fb.1.2.3", 1), ("fb.1.2.9", "fb.1.2.3", 2), (None, None, 2)],
)
def test_the_person_decides_under_fbp_external_id(
    browser: str | None, server: str | None, counted: int
) -> None:
    event = {"event_name": "Purchase", "event_id": "e1", "user_data": {"fbp": server} if server else {}}
    shown = view(leg(seen=PixelSeen(event_id="e1", fbp=browser)), server_event=event)
    assert {v.profile: v.counted for v in shown.verdicts}[Profile.FBP_EXTERNAL_ID] == counted


def test_the_latest_look_at_the_pixel_s_request_is_kept_through_later_reports() -> None:
    first = leg(BrowserState.PENDING, seen=PixelSeen(event_id="e1"))
    shown = receipt(stored_receipt(legs=(first, leg())), None)
    assert {each.field: each.browser for each in shown.compared}["event_id"] == "e1"
    assert shown.browser is not None
    assert [report.state for report in shown.browser.reports] == ["pending", "sent"]


def test_a_pruned_address_is_said_to_be_forgotten() -> None:
    assert view(client_ip_address=None, client_user_agent=None).server.forgotten
    assert not view(client_ip_address=None).server.forgotten, "there never was an address to keep"


def test_a_twin_s_sight_stands_beside_the_snippet_s_report() -> None:
    seen = {"pixel": "111", "event_name": "Purchase", "event_id": "e1", "received_ms": 1, "ip": "192.0.2.1"}
    state = {"browser": [seen], "server": [], "counted": {"event-id": {"Purchase": 1}}}
    shown = receipts_of_event("e1", [stored_receipt()], state)
    assert shown.twin_counted == {"event-id": {"Purchase": 1}}
    assert shown.receipts[0].twin is not None
    assert {each.field: each.mark for each in shown.receipts[0].compared}["address family"] == "differs"


def test_a_receipt_serialises_with_everything_in_it() -> None:
    shown = receipts_of_event("e1", [stored_receipt(fate=DELIVERED, attempts=(attempt(),))], None)
    body = msgspec.json.decode(msgspec.json.encode(shown))
    assert body["twin_counted"] is None
    assert body["receipts"][0]["browser"]["state"] == "sent"
    assert body["receipts"][0]["fate"] == {
        "fate": "delivered",
        "reason": "received",
        "sentence": "Meta confirmed that it received the event.",
        "detail": None,
        "at_ms": EVENT_MS + 700,
    }


@pytest.mark.parametrize(
    ("fate", "reason"),
    [(Fate.QUARANTINED, FateReason.UNSIGNED), (Fate.FILTERED, FateReason.REPEATED_ORDER)],
)
def test_an_event_that_is_held_back_says_why(fate: Fate, reason: FateReason) -> None:
    shown = view(attempts=(), fate=FateRecord(fate=fate, reason=reason, detail=None, at_ms=EVENT_MS))
    assert shown.headline.endswith(FATE_SENTENCES[reason])


def test_a_servers_event_without_a_user_agent_never_had_one_and_is_not_said_to_be_forgotten() -> None:
    of_a_call = stored_receipt(client_user_agent=None, why={"client_user_agent": STATES_NONE})
    assert not receipt(of_a_call, None).server.forgotten
    assert receipt(stored_receipt(client_user_agent=None), None).server.forgotten
