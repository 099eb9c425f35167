"""The radar's page and its JSON: who sends what, with whose ids, and what to do."""

from html import unescape
from typing import Any

import msgspec
import pytest

from tests.event.malformed import PIXEL_ID, SITE_KEY
from tests.web.lab import HEADERS, NOW_MS, Relay

pytestmark = pytest.mark.anyio

DAY_MS = 86_400_000


async def tell(relay: Relay, *seen: dict[str, Any]) -> None:
    body = msgspec.json.encode({"site": SITE_KEY, "seen": [{"sender": "page"}, *seen]})
    assert (await relay.http.post("/v1/report", content=body, headers=HEADERS)).status_code == 204


async def radar(relay: Relay, query: str = "") -> Any:
    return (await relay.http.get(f"/api/radar{query}")).raise_for_status().json()


def request(ids: str, event_name: str = "Purchase", pixel: str = PIXEL_ID, count: int = 1) -> dict[str, Any]:
    return {"sender": "pixel", "pixel_id": pixel, "event_name": event_name, "ids": ids, "count": count}


async def test_the_radar_needs_a_session(relay: Relay) -> None:
    assert (await relay.http.get("/api/radar")).status_code == 401


async def test_before_a_page_was_looked_at_the_way_to_it_is_told(console: Relay) -> None:
    report = await radar(console)
    assert (report["pages"], report["findings"]) == (0, [])
    page = (await console.http.get("/radar")).text
    assert "No page has been looked at yet" in page
    assert "counterfoil snippet" in page


async def test_pages_that_name_nobody_are_said_to(console: Relay) -> None:
    await tell(console, request("ours", count=3))
    report = await radar(console)
    assert (report["pages"], report["in_step"], report["findings"]) == (1, 3, [])
    assert "Nobody else in sight" in (await console.http.get("/radar")).text


async def test_a_gateway_comes_first_with_what_to_turn_off_and_how_to_verify(console: Relay) -> None:
    await tell(console, {"sender": "gtm"}, {"sender": "openbridge"})
    await tell(console, {"sender": "openbridge"})
    first, second = (await radar(console))["findings"]
    assert (first["sender"], first["verdict"], first["severity"]) == ("openbridge", "sends", "high")
    assert (first["pages"], first["first_ms"], first["last_ms"]) == (2, NOW_MS, NOW_MS)
    assert (second["sender"], second["verdict"], second["gone"]) == ("gtm", "may_send", False)
    page = unescape((await console.http.get("/radar")).text)
    assert all(text in page for text in (first["name"], first["fix"], first["verify"], second["fix"]))


async def test_requests_are_told_by_event_and_by_whose_id_they_carry(console: Relay) -> None:
    await tell(console, request("none", count=2), request("own"), request("none", "Lead"), request("ours"))
    found = {finding["verdict"]: finding["events"] for finding in (await radar(console))["findings"]}
    line = {"pixel": PIXEL_ID, "ours": 0, "own": 0, "none": 0}
    assert found["no_id"] == [
        line | {"event_name": "Lead", "none": 1},
        line | {"event_name": "Purchase", "none": 2},
    ]
    assert found["own_id"] == [line | {"event_name": "Purchase", "own": 1}]


async def test_a_pixel_that_is_not_the_sites_is_another_matter(console: Relay) -> None:
    await tell(console, request("ours", pixel="99"), {"sender": "second_init", "pixel_id": "99", "count": 2})
    assert {finding["verdict"] for finding in (await radar(console))["findings"]} == {
        "other_pixel",
        "second_init",
    }


async def test_a_sender_is_gone_when_pages_were_looked_at_for_a_day_and_none_named_it(console: Relay) -> None:
    await tell(console, {"sender": "openbridge"})
    console.clock.now_ms += DAY_MS - 1
    await tell(console, {"sender": "gtm"})
    await console.sign_in()  # the session of yesterday has ended
    assert [finding["gone"] for finding in (await radar(console, "?range=7d"))["findings"]] == [False, False]
    console.clock.now_ms += 1
    await tell(console, {"sender": "gtm"})
    gtm, openbridge = (await radar(console, "?range=7d"))["findings"]
    assert (gtm["gone"], openbridge["gone"]) == (False, True)
    assert "looks switched off" in (await console.http.get("/radar?range=7d")).text


async def test_another_site_is_not_shown(console: Relay) -> None:
    await tell(console, {"sender": "gtm"})
    assert (await radar(console, "?site=other-shop"))["findings"] == []


async def test_names_of_pages_are_shown_as_text(console: Relay) -> None:
    await tell(console, request("none", '<img src=x onerror="1">'))
    page = (await console.http.get("/radar")).text
    assert "&lt;img src=x" in page
    assert "<img src=x" not in page
