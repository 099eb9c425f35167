"""The twin's state: its shape as outside checks read it, its filter, its bounds."""

import httpx
import pytest

from relay.twin import state as state_module
from relay.twin.state import TwinState
from tests.clock import Clock
from tests.twin.samples import purchase, send_browser, send_server, state

EVENT_KEYS = {"pixel", "event_name", "event_id", "received_ms", "ip", "params"}


def test_every_event_carries_the_agreed_members(twin: httpx.Client) -> None:
    send_browser(twin)
    send_server(twin, purchase())
    send_server(twin, purchase(event_name=""))
    seen = state(twin)
    assert {"browser", "server", "rejected", "counted"} <= seen.keys()
    for half in ("browser", "server", "rejected"):
        (event,) = seen[half]
        assert event.keys() >= EVENT_KEYS
    assert seen["counted"].keys() == {"segment-strict", "event-id", "meta-5min", "fbp-external-id"}


def test_the_order_of_receipt_runs_over_both_halves(twin: httpx.Client) -> None:
    send_browser(twin, eid="a")
    send_server(twin, purchase(event_id="b"))
    send_browser(twin, eid="c")
    seen = state(twin)
    assert [event["sequence"] for event in seen["browser"]] == [1, 3]
    assert [event["sequence"] for event in seen["server"]] == [2]


def test_the_filter_shows_one_event_id_but_judges_it_among_all(twin: httpx.Client, clock: Clock) -> None:
    send_browser(twin, eid="first")
    clock.pass_seconds(1)
    send_server(twin, purchase(event_id="second"))
    seen = state(twin, "second")
    assert (seen["browser"], [event["event_id"] for event in seen["server"]]) == ([], ["second"])
    assert seen["counted"]["event-id"] == {"Purchase": 1}
    # The browser event of the same visitor came first: under this rule the server's is its duplicate.
    assert seen["counted"]["fbp-external-id"] == {"Purchase": 0}


def test_clearing_forgets_every_event_and_starts_the_order_anew(twin: httpx.Client) -> None:
    send_browser(twin)
    send_server(twin, purchase(event_name=""))
    assert twin.delete("/twin/state").status_code == 204
    assert state(twin)["browser"] == state(twin)["rejected"] == []
    send_browser(twin)
    assert state(twin)["browser"][0]["sequence"] == 1


def test_the_oldest_events_go_when_there_are_too_many(
    twin: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(state_module, "MAX_EVENTS", 3)
    for number in range(5):
        send_browser(twin, eid=str(number))
    seen = state(twin)
    assert [event["event_id"] for event in seen["browser"]] == ["2", "3", "4"]
    assert seen["dropped"] == 2


def test_the_oldest_events_go_when_they_are_too_large(
    twin: httpx.Client, twin_state: TwinState, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(state_module, "MAX_BYTES", 1_000)
    for number in range(20):
        send_browser(twin, eid=str(number))
    kept = twin_state.events
    assert 0 < len(kept) < 20
    assert sum(len(event.params) for event in kept) <= 1_000
    assert kept[-1].event_id == "19"


def test_rejected_events_are_bounded(twin: httpx.Client) -> None:
    bad = [purchase(event_id=str(number), event_time=1) for number in range(900)]
    for _ in range(3):
        send_server(twin, *bad)
    assert len(state(twin)["rejected"]) == state_module.MAX_REJECTED


def test_the_address_of_both_halves_is_counted_at_an_address_of_its_own(twin: httpx.Client) -> None:
    send_browser(twin, eid="order-1")
    send_server(twin, purchase())
    (way,) = twin.get("/twin/addresses").raise_for_status().json()["ways"]
    assert (way["server"], way["pairs"], way["same"]) == ("ipv6", 1, 0)
