"""Scripted faults, over real sockets: what the client gets, and what becomes of its events."""

import json
import socket
import ssl
import threading
from typing import Any

import httpx
import pytest
import trustme
import uvicorn

from relay.twin.app import create_twin
from relay.twin.faults import TAKES_IN, FaultKind
from relay.twin.fixture import MetaTwin
from tests.twin.samples import purchase, send_browser, send_server, state


def script(twin: httpx.Client, what: str, **fields: Any) -> None:
    twin.post("/twin/faults", json={"what": what, **fields}).raise_for_status()


def waiting(twin: httpx.Client) -> list[dict[str, Any]]:
    faults: list[dict[str, Any]] = twin.get("/twin/faults").json()["waiting"]
    return faults


@pytest.mark.parametrize("what", ["reset", "accept_then_reset"])
def test_a_reset_cuts_the_connection_without_an_answer(twin: httpx.Client, what: str) -> None:
    script(twin, what)
    with pytest.raises((httpx.ReadError, httpx.RemoteProtocolError)):
        send_server(twin, purchase())
    assert len(state(twin)["server"]) == (what == "accept_then_reset")


@pytest.mark.parametrize("what", ["hang", "accept_then_timeout"])
def test_silence_lasts_until_the_client_gives_up(twin: httpx.Client, what: str) -> None:
    script(twin, what)
    headers = {"authorization": "Bearer EAAtest"}
    with pytest.raises(httpx.ReadTimeout):
        twin.post("/v26.0/1/events", json={"data": [purchase()]}, headers=headers, timeout=0.2)
    assert len(state(twin)["server"]) == (what == "accept_then_timeout")


def test_silence_ends_with_a_cut_when_its_time_is_up(twin: httpx.Client) -> None:
    script(twin, "hang", seconds=0.05)
    with pytest.raises((httpx.ReadError, httpx.RemoteProtocolError)):
        send_server(twin, purchase())


def test_clearing_the_script_cuts_what_hangs(meta_twin: MetaTwin) -> None:
    meta_twin.fault("accept_then_timeout", path="/tr/")
    ended: list[str] = []

    def ask() -> None:
        try:
            httpx.get(f"{meta_twin.url}/tr/?id=1&ev=Lead", timeout=30)
        except httpx.TransportError as error:
            ended.append(type(error).__name__)

    asking = threading.Thread(target=ask)
    asking.start()
    while not meta_twin.state()["browser"]:
        pass
    meta_twin.reset()
    asking.join(30)
    assert len(ended) == 1


def test_a_delayed_answer_is_whole_and_its_event_was_received_on_arrival(meta_twin: MetaTwin) -> None:
    meta_twin.fault("delay", path="/tr/", seconds=600)
    answers: list[int] = []
    asking = threading.Thread(
        target=lambda: answers.append(httpx.get(f"{meta_twin.url}/tr/?id=1&ev=Lead", timeout=30).status_code)
    )
    asking.start()
    while not meta_twin.state()["browser"]:
        pass
    assert answers == []
    meta_twin._call("DELETE", "/twin/faults")
    asking.join(30)
    assert answers == [200]


def test_a_late_request_is_received_only_when_its_time_has_come(meta_twin: MetaTwin) -> None:
    meta_twin.fault("late", path="/tr/", seconds=600)
    asking = threading.Thread(target=lambda: httpx.get(f"{meta_twin.url}/tr/?id=1&ev=Lead", timeout=30))
    asking.start()
    while meta_twin._call("GET", "/twin/faults")["waiting"]:
        pass
    httpx.get(f"{meta_twin.url}/tr/?id=1&ev=Purchase")
    assert [event["event_name"] for event in meta_twin.state()["browser"]] == ["Purchase"]
    meta_twin._call("DELETE", "/twin/faults")
    asking.join(30)
    assert [event["event_name"] for event in meta_twin.state()["browser"]] == ["Purchase", "Lead"]


def test_a_rate_limit_is_a_429_with_retry_after(twin: httpx.Client) -> None:
    script(twin, "rate_limit", retry_after_seconds=7)
    answer = send_server(twin, purchase())
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "7")
    assert answer.json()["error"]["is_transient"] is True
    assert state(twin)["server"] == []


def test_a_throttle_carries_the_usage_headers(twin: httpx.Client) -> None:
    script(twin, "throttle", code=80004, retry_after_seconds=61)
    answer = send_server(twin, purchase())
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, 80004)
    assert json.loads(answer.headers["x-app-usage"])["call_count"] == 100
    (usage,) = json.loads(answer.headers["x-business-use-case-usage"])["123321"]
    assert usage["estimated_time_to_regain_access"] == 2


def test_a_token_fault_is_190_and_passes_when_used_up(twin: httpx.Client) -> None:
    script(twin, "token", count=2)
    codes = [send_server(twin, purchase()).json().get("error", {}).get("code") for _ in range(3)]
    assert codes == [190, 190, None]
    assert len(state(twin)["server"]) == 1


def test_any_graph_error_can_be_scripted(twin: httpx.Client) -> None:
    script(twin, "graph_error", status=500, code=1, subcode=99)
    answer = send_server(twin, purchase())
    assert answer.status_code == 500
    assert (answer.json()["error"]["code"], answer.json()["error"]["error_subcode"]) == (1, 99)


def test_an_html_page_can_stand_where_json_should(twin: httpx.Client) -> None:
    script(twin, "html")
    answer = send_server(twin, purchase())
    assert (answer.status_code, answer.headers["content-type"].split(";")[0]) == (502, "text/html")


def test_a_partial_body_is_a_whole_answer_with_half_a_json(twin: httpx.Client) -> None:
    script(twin, "partial_json")
    answer = send_server(twin, purchase())
    assert answer.status_code == 200
    with pytest.raises(json.JSONDecodeError):
        answer.json()
    assert len(state(twin)["server"]) == 1


def test_a_200_can_lack_events_received(twin: httpx.Client) -> None:
    script(twin, "no_events_received")
    answer = send_server(twin, purchase())
    assert (answer.status_code, answer.json()) == (200, {"messages": []})
    assert state(twin)["server"] == []


@pytest.mark.parametrize(("status", "taken"), [(204, 1), (404, 0), (503, 0)])
def test_a_status_fault_takes_the_event_in_only_where_it_says_success(
    twin: httpx.Client, status: int, taken: int
) -> None:
    script(twin, "status", path="/tr/", status=status)
    answer = send_browser(twin)
    assert (answer.status_code, answer.content) == (status, b"")
    assert len(state(twin)["browser"]) == taken


def test_whether_the_events_are_taken_in_can_be_said(twin: httpx.Client) -> None:
    script(twin, "status", status=500, accept=True)
    assert send_server(twin, purchase()).status_code == 500
    assert len(state(twin)["server"]) == 1


@pytest.mark.parametrize("path", ["/signals/config/1", "/en_US/fbevents.js", "/tr/"])
def test_each_address_of_the_pixel_can_fail(twin: httpx.Client, path: str) -> None:
    script(twin, "status", path=path, status=404)
    script(twin, "reset", path=path)
    assert twin.get(path).status_code == 404
    with pytest.raises((httpx.ReadError, httpx.RemoteProtocolError)):
        twin.get(path)
    assert twin.get(path).status_code == 200


def test_faults_wait_for_their_path_and_method_and_follow_one_another(twin: httpx.Client) -> None:
    faults = [
        {"what": "status", "status": 500},
        {"what": "status", "status": 404, "path": "/tr/", "method": "GET"},
        {"what": "status", "status": 503},
    ]
    assert twin.post("/twin/faults", json=faults).status_code == 201
    assert twin.head("/tr/?id=1&ev=Lead").status_code == 200
    assert [send_server(twin, purchase()).status_code for _ in range(3)] == [500, 503, 200]
    assert send_browser(twin).status_code == 404
    assert twin.get("/twin/faults").json() == {"waiting": [], "served": 3}


def test_a_fault_without_a_count_lasts_until_it_is_cleared(twin: httpx.Client) -> None:
    script(twin, "status", status=500, count=None)
    assert {send_server(twin, purchase()).status_code for _ in range(5)} == {500}
    twin.delete("/twin/faults")
    assert send_server(twin, purchase()).status_code == 200


def test_the_twin_s_own_pages_never_fail(twin: httpx.Client) -> None:
    script(twin, "status", path="/", status=500, count=None)
    assert {twin.get(path).status_code for path in ("/", "/twin/state", "/test-events")} == {200}


@pytest.mark.parametrize("what", list(FaultKind))
def test_every_kind_of_fault_does_with_the_events_what_it_says(meta_twin: MetaTwin, what: FaultKind) -> None:
    meta_twin.fault(what, path="/tr/", seconds=0.01)
    with httpx.Client() as client:
        try:
            client.get(f"{meta_twin.url}/tr/?id=1&ev=Lead")
        except httpx.TransportError:
            assert what in {"reset", "hang", "accept_then_reset", "accept_then_timeout"}
    assert len(meta_twin.state()["browser"]) == (what in TAKES_IN)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"{}",
        b'{"what": "unknown"}',
        b'{"what": "reset", "count": 0}',
        b'{"what": "reset", "extra": 1}',
        b'{"what": "delay", "seconds": -1}',
        b'{"what": "status", "status": 99}',
        b"[1]",
        b"[" * 100_000,
        b'{"what": "\x9d"}',
    ],
    ids=lambda body: body[:40].decode("latin-1"),
)
def test_what_is_no_fault_is_refused_with_a_reason(twin: httpx.Client, body: bytes) -> None:
    answer = twin.post("/twin/faults", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 400
    assert answer.json()["error"].startswith("Not a fault: ")
    assert waiting(twin) == []


def test_a_form_of_another_site_cannot_script_faults(twin: httpx.Client) -> None:
    answer = twin.post("/twin/faults", content=b'{"what":"reset"}', headers={"content-type": "text/plain"})
    assert answer.status_code == 415
    assert waiting(twin) == []


def test_a_script_that_is_too_long_is_refused_whole(twin: httpx.Client) -> None:
    answer = twin.post("/twin/faults", json=[{"what": "reset"}] * 1001)
    assert answer.status_code == 400
    assert waiting(twin) == []


@pytest.mark.parametrize("http_protocol", ["h11", "httptools"])
@pytest.mark.parametrize("with_tls", [False, True])
def test_a_reset_works_under_every_protocol_that_uvicorn_has(http_protocol: Any, with_tls: bool) -> None:
    authority = trustme.CA()
    config = uvicorn.Config(create_twin(), http=http_protocol, lifespan="off", log_config=None)
    config.load()
    if with_tls:
        config.ssl = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("127.0.0.1").configure_cert(config.ssl)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        url = f"http{'s' if with_tls else ''}://127.0.0.1:{listener.getsockname()[1]}"
        with httpx.Client(base_url=url, verify=False) as client:
            script(client, "reset", path="/tr/")
            with pytest.raises((httpx.ReadError, httpx.RemoteProtocolError)):
                send_browser(client)
            client.get("/tr/?id=1&ev=Lead", headers={"x-forwarded-for": "192.0.2.1"})
            # Unlike the scope, which uvicorn lets a header from loopback rewrite, the socket tells the truth.
            assert [event["ip"] for event in state(client)["browser"]] == ["127.0.0.1"]
        server.should_exit = True
        thread.join(30)
