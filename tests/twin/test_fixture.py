"""The fixture that users import."""

import threading

import httpx
import pytest

from relay.twin.fixture import MetaTwin


def test_the_fixture_serves_a_twin_of_its_own_on_loopback(meta_twin: MetaTwin) -> None:
    assert meta_twin.url.startswith("http://127.0.0.1:")
    httpx.get(f"{meta_twin.url}/tr/?id=1&ev=Lead&eid=a/b c")
    assert meta_twin.state()["counted"]["event-id"] == {"Lead": 1}
    assert [event["ip"] for event in meta_twin.state("a/b c")["browser"]] == ["127.0.0.1"]
    assert meta_twin.state("other")["browser"] == []


def test_a_forwarding_header_does_not_hide_the_socket_s_peer(meta_twin: MetaTwin) -> None:
    httpx.get(f"{meta_twin.url}/tr/?id=1&ev=Lead", headers={"x-forwarded-for": "192.0.2.1"})
    assert meta_twin.state()["browser"][0]["ip"] == "127.0.0.1"


def test_reset_forgets_events_and_faults(meta_twin: MetaTwin) -> None:
    httpx.get(f"{meta_twin.url}/tr/?id=1&ev=Lead")
    meta_twin.fault("status", path="/tr/", status=500)
    meta_twin.reset()
    assert meta_twin.state()["browser"] == []
    assert httpx.get(f"{meta_twin.url}/tr/?id=1&ev=Lead").status_code == 200


def test_a_misspelt_fault_is_an_error_that_says_so(meta_twin: MetaTwin) -> None:
    with pytest.raises(ValueError, match="exploding"):
        meta_twin.fault("exploding")


def test_closing_ends_the_thread_even_while_a_request_hangs() -> None:
    before = threading.active_count()
    with MetaTwin() as twin:
        twin.fault("accept_then_timeout", path="/tr/", seconds=600)
        asking = threading.Thread(target=ask_and_be_cut, args=(f"{twin.url}/tr/?id=1&ev=Lead",))
        asking.start()
        while not twin.state()["browser"]:
            pass
    asking.join(30)
    assert threading.active_count() == before


def ask_and_be_cut(url: str) -> None:
    with pytest.raises(httpx.TransportError):
        httpx.get(url, timeout=30)
