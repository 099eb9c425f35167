"""Two posts of one event become one: the page's word counts for the visitor, the server's for the order."""

from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from relay.event.outcome import BrowserState, FateReason
from relay.event.pairing import UNAUTHENTICATED, Known, complete, pairs, put_together
from relay.event.records import OutboxEvent
from tests.store.samples import NOW_MS, event, leg

PAGE = {
    "event_name": "Lead",
    "event_time": 1,
    "event_id": "e1",
    "event_source_url": "https://shop.example/",
    "action_source": "website",
    "user_data": {"fbp": "fb.1.1.1", "em": ["a"]},
    "custom_data": {"value": 1, "content_name": "x"},
}
SERVER = {
    "event_name": "Lead",
    "event_time": 2,
    "event_id": "e1",
    "action_source": "website",
    "user_data": {"fbp": "fb.1.2.2", "em": ["b"], "ph": ["c"]},
    "custom_data": {"value": 2},
}


def known(state: BrowserState = BrowserState.SENT, **changes: Any) -> Known:
    plain = Known(
        server_event=msgspec.json.encode(PAGE),
        why={"fbp": "cookie"},
        event_time_ms=NOW_MS,
        client_ip_address="2001:db8::7",
        client_user_agent="Browser/1",
        state=state,
        leg_hold_ms=NOW_MS,
        due_ms=NOW_MS + 30_000,
        asleep=None,
    )
    return msgspec.structs.replace(plain, **changes)


def from_server(**changes: Any) -> OutboxEvent:
    post: dict[str, Any] = {
        "leg": leg(BrowserState.AWAITED),
        "server_event": msgspec.json.encode(SERVER),
        "client_ip_address": None,
        "client_user_agent": None,
        "why": {"sender": "the backend", "fbp": "stated"},
        "not_before_ms": NOW_MS + 60_000,
        "paired_ms": NOW_MS + 1,
    }
    return event(event_name="Lead", **(post | changes))


def due_ms(before: Known, post: OutboxEvent) -> int | None:
    completed = complete(before, post)
    assert completed is not None
    return completed.due_ms


def test_the_page_tells_of_the_visitor_and_the_server_of_the_order() -> None:
    together = put_together(PAGE, SERVER)
    assert together["user_data"] == {"fbp": "fb.1.1.1", "em": ["b"], "ph": ["c"]}
    assert together["custom_data"] == {"value": 2, "content_name": "x"}
    assert (together["event_time"], together["event_source_url"]) == (1, "https://shop.example/")


@given(st.booleans(), st.booleans())
def test_a_restriction_of_either_side_holds(by_page: bool, by_server: bool) -> None:
    def side(event: dict[str, Any], asks: bool) -> dict[str, Any]:
        limited = {"data_processing_options": ["LDU"], "data_processing_options_country": 0, "opt_out": True}
        return event | (limited if asks else {"data_processing_options": []})

    together = put_together(side(PAGE, by_page), side(SERVER, by_server))
    assert together.get("opt_out", False) is (by_page or by_server)
    assert together["data_processing_options"] == (["LDU"] if by_page or by_server else [])


def test_a_completed_event_need_not_wait_for_the_backend_any_more() -> None:
    assert due_ms(known(), from_server()) == NOW_MS + 1


def test_an_open_browser_half_is_waited_for_all_the_same() -> None:
    assert due_ms(known(BrowserState.PENDING), from_server()) == NOW_MS + 30_000


def test_the_pages_post_ends_the_wait_of_a_servers_event_with_its_own_hold() -> None:
    page = event(server_event=msgspec.json.encode(PAGE), not_before_ms=NOW_MS + 9, paired_ms=NOW_MS + 5)
    completed = complete(known(BrowserState.AWAITED, server_event=msgspec.json.encode(SERVER)), page)
    assert completed is not None
    assert (completed.due_ms, completed.takes_addresses) == (NOW_MS + 5, True)
    assert msgspec.json.decode(completed.server_event) == put_together(PAGE, SERVER)


def test_a_second_post_of_a_server_does_not_shorten_the_wait() -> None:
    before = known(BrowserState.AWAITED, server_event=msgspec.json.encode(SERVER | {"custom_data": {}}))
    assert due_ms(before, from_server()) == NOW_MS + 30_000


def test_the_same_post_again_adds_nothing() -> None:
    before = known(server_event=msgspec.json.encode(put_together(PAGE, SERVER)))
    assert complete(before, from_server()) is None


def test_two_partial_events_do_not_make_a_whole_one() -> None:
    asleep = known(BrowserState.AWAITED, due_ms=None, asleep=FateReason.INCOMPLETE)
    assert due_ms(asleep, from_server(fate_reason=FateReason.INCOMPLETE)) is None


def test_a_split_event_wakes_when_the_backend_sends_its_half() -> None:
    asleep = known(due_ms=None, asleep=FateReason.BROWSER_ONLY)
    assert due_ms(asleep, from_server()) == NOW_MS + 1


def test_without_a_user_agent_a_website_event_sleeps_on() -> None:
    asleep = known(due_ms=None, asleep=FateReason.BROWSER_ONLY, client_user_agent=None)
    assert due_ms(asleep, from_server()) is None


def test_the_receipt_names_who_added_what() -> None:
    completed = complete(known(), from_server())
    assert completed is not None
    assert completed.why["completed"] == (
        "the backend added user_data.em, user_data.ph, custom_data.value, 0.5 s after the event"
    )
    assert (completed.why["fbp"], completed.why["sender"]) == ("cookie", "the backend")


def test_a_post_of_a_crawler_completes_nothing() -> None:
    assert not pairs(from_server(fate_reason=FateReason.BOT), BrowserState.SENT)
    assert not pairs(event(), BrowserState.SENT)


def test_what_a_page_sends_in_a_servers_place_only_fills_in() -> None:
    together = put_together(PAGE, SERVER, authenticated=False)
    assert together["user_data"] == {"fbp": "fb.1.1.1", "em": ["a"], "ph": ["c"]}
    assert together["custom_data"] == {"value": 1, "content_name": "x"}


def test_it_overrides_neither_the_page_nor_the_backend_and_both_override_it() -> None:
    unsure = from_server(why={"sender": "a page", UNAUTHENTICATED: "so"})
    for state in (BrowserState.SENT, BrowserState.AWAITED):
        completed = complete(known(state), unsure)
        assert completed is not None
        assert msgspec.json.decode(completed.server_event)["custom_data"]["value"] == 1
        assert UNAUTHENTICATED not in completed.why
    held = known(
        BrowserState.AWAITED,
        server_event=msgspec.json.encode(SERVER),
        why={"sender": "a page", UNAUTHENTICATED: "so"},
    )
    for later in (
        event(server_event=msgspec.json.encode(PAGE)),
        from_server(server_event=msgspec.json.encode(PAGE)),
    ):
        completed = complete(held, later)
        assert completed is not None
        assert msgspec.json.decode(completed.server_event)["custom_data"]["value"] == 1
        assert UNAUTHENTICATED not in completed.why
