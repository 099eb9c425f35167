"""/tr/: images, forms and beacons become browser events."""

import httpx
import pytest

from tests.clock import Clock
from tests.twin.samples import FBP, PIXEL, open_twin, send_browser, state

FIELDS = {
    "id": PIXEL,
    "ev": "Purchase",
    "eid": "order-1",
    "fbp": FBP,
    "cd[value]": "49.9",
    "dl": "https://shop.example/ü",
}


def test_an_image_request_becomes_a_browser_event_with_its_raw_parameters(
    twin: httpx.Client, clock: Clock
) -> None:
    answer = twin.get("/tr/", params=FIELDS, headers={"user-agent": "Mozilla/5.0 X"})
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/gif")
    assert answer.content.startswith(b"GIF89a")
    (event,) = state(twin)["browser"]
    assert event["params"] == FIELDS
    assert (event["pixel"], event["event_name"], event["event_id"]) == (PIXEL, "Purchase", "order-1")
    assert (event["fbp"], event["value"], event["user_agent"]) == (FBP, "49.9", "Mozilla/5.0 X")
    assert (event["received_ms"], event["via"]) == (clock.now_ms, "GET")


@pytest.mark.parametrize("path", ["/tr", "/tr/"])
def test_the_noscript_image_works_with_and_without_the_slash(twin: httpx.Client, path: str) -> None:
    assert twin.get(f"{path}?id={PIXEL}&ev=PageView&noscript=1", follow_redirects=False).status_code == 200
    assert len(state(twin)["browser"]) == 1


def test_a_form_and_a_beacon_body_are_read_like_a_query(twin: httpx.Client) -> None:
    twin.post("/tr/", data=FIELDS)
    twin.post("/tr/", files={name: (None, value) for name, value in FIELDS.items()})
    twin.post(f"/tr/?id={PIXEL}&ev=Lead", data={"ev": "Purchase"})
    form, beacon, both = state(twin)["browser"]
    assert form["params"] == beacon["params"] == FIELDS
    assert (form["via"], beacon["via"]) == ("POST urlencoded", "POST multipart")
    assert both["event_name"] == "Purchase"


def test_head_is_answered_and_counts_as_nothing(twin: httpx.Client) -> None:
    answer = twin.head("/tr/", params=FIELDS)
    assert (answer.status_code, answer.content) == (200, b"")
    assert state(twin)["browser"] == []


def test_an_empty_eid_is_no_event_id(twin: httpx.Client) -> None:
    send_browser(twin, eid="")
    send_browser(twin, eid=None)
    assert [event["event_id"] for event in state(twin)["browser"]] == [None, None]


@pytest.mark.parametrize("query", ["", "ev=Purchase", "id=12a&ev=Purchase", "id=123", "id=²&ev=Purchase"])
def test_a_request_without_pixel_or_name_is_answered_and_listed_as_rejected(
    twin: httpx.Client, query: str
) -> None:
    assert twin.get(f"/tr/?{query}").status_code == 200
    assert state(twin)["browser"] == []
    assert len(state(twin)["rejected"]) == 1


def test_a_body_that_cannot_be_read_gets_a_4xx(twin: httpx.Client) -> None:
    too_large = twin.post("/tr/", content=b"x" * (1024 * 1024 + 1))
    too_many = twin.post("/tr/", data={f"cd[{number}]": "1" for number in range(10_001)})
    broken = twin.post("/tr/", content=b"--x", headers={"content-type": "multipart/form-data; boundary=y"})
    assert [answer.status_code for answer in (too_large, too_many, broken)] == [400, 400, 400]


def test_bytes_that_are_no_utf8_are_taken_with_a_replacement(twin: httpx.Client) -> None:
    assert twin.get(f"/tr/?id={PIXEL}&ev=Lead&cd[q]=%ff%fe").status_code == 200
    assert state(twin)["browser"][0]["params"]["cd[q]"] == "\ufffd\ufffd"


def test_a_page_of_another_site_can_read_nothing(twin: httpx.Client) -> None:
    headers = {"origin": "https://shop.example"}
    for answer in (
        twin.get("/tr/", params=FIELDS, headers=headers),
        twin.get("/twin/state", headers=headers),
    ):
        assert not {"access-control-allow-origin", "timing-allow-origin"} & set(answer.headers)


def test_a_forwarding_header_is_believed_only_where_the_twin_was_told_to(
    twin: httpx.Client, clock: Clock
) -> None:
    headers = {"x-forwarded-for": "198.51.100.9, 2001:DB8:0:0::7"}
    twin.get("/tr/", params=FIELDS, headers=headers)
    with open_twin(clock_ms=clock, trust_forwarded_for=True) as told:
        told.get("/tr/", params=FIELDS, headers=headers)
        told.get("/tr/", params=FIELDS, headers={"x-forwarded-for": "::ffff:192.0.2.4"})
        assert [event["ip"] for event in state(told)["browser"]] == ["2001:db8::7", "192.0.2.4"]
    assert state(twin)["browser"][0]["ip"] == "127.0.0.1"


def test_the_config_script_unlocks_exactly_its_pixel(twin: httpx.Client) -> None:
    answer = twin.get("/signals/config/123321?v=2.9.1&r=stable")
    assert answer.headers["content-type"].startswith("text/javascript")
    assert 'configLoaded("123321")' in answer.text
    assert twin.get('/signals/config/1")+alert("').status_code == 404


def test_the_stand_in_is_served_for_every_locale(twin: httpx.Client) -> None:
    answer = twin.get("/de_DE/fbevents.js?hooks=0")
    assert answer.headers["content-type"].startswith("text/javascript")
    assert "signals/config" in answer.text
