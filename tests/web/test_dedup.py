"""The Dedup page: pairs as points, and what keeps them apart."""

from html import unescape
from typing import Any

import pytest

from relay.event.issue import Finding, IssueKind
from relay.event.outcome import BrowserState
from relay.web.dedup import OFFENDERS, WINDOW_MS, Pair, place, points
from tests.store.samples import NOW_MS, end_all, event, leg
from tests.web.lab import Relay

pytestmark = pytest.mark.anyio


async def read(console: Relay, query: str = "") -> Any:
    response = await console.http.get(f"/api/dedup{query}")
    assert (response.status_code, response.headers["cache-control"]) == (200, "no-store")
    return response.json()


async def test_each_pair_is_told_with_its_delay_and_nothing_else_is_a_pair(console: Relay) -> None:
    halves = {"first": leg(), "alone": leg(BrowserState.BLOCKED), "unsure": leg(BrowserState.PENDING)}
    await console.store.admit([event(name, leg=half) for name, half in halves.items()])
    await end_all(console.store)
    report = await read(console)
    assert [(pair["event_id"], pair["delay_ms"]) for pair in report["pairs"]] == [("first", 100)]
    assert {each["state"]: each["events"] for each in report["legs"]} == {
        "sent": 1,
        "blocked": 1,
        "pending": 1,
    }
    html = unescape((await console.http.get("/dedup")).text)
    assert 'href="/receipts/first"' in html
    assert "Purchase, 100 ms" in html


async def test_a_server_that_was_first_is_counted(console: Relay) -> None:
    await console.store.admit([event(leg=leg(settled_ms=NOW_MS + 9, reported_ms=NOW_MS + 9))])
    await end_all(console.store)
    assert (await read(console))["server_first"] == 1


async def test_what_keeps_pairs_apart_leads_to_its_issue(console: Relay) -> None:
    found = (Finding(kind=IssueKind.DIFFERENT_EVENT_ID),)
    await console.store.admit([event("e1", findings=found), event("e2", event_name="Lead", findings=found)])
    report = await read(console)
    told = {each["kind"]: each for each in report["offenders"]}
    assert tuple(told) == OFFENDERS
    worst = told["different_event_id"]
    assert (worst["count"], worst["severity"]) == (2, "high")
    assert [each["kind"] for each in report["offenders"] if each["count"]] == ["different_event_id"]
    assert f'href="/issues#issue-{worst["issue"]}"' in (await console.http.get("/dedup")).text
    assert not any(each["count"] for each in (await read(console, "?site=other-shop"))["offenders"])


def test_a_later_server_is_higher_and_an_earlier_one_below_zero() -> None:
    heights = [place(ms) for ms in (-WINDOW_MS, -10, 0, 1, 1_000, WINDOW_MS, 10 * WINDOW_MS)]
    assert heights == sorted(heights)
    assert heights[0] >= 0
    assert heights[5] < 1


def test_points_stand_in_the_order_of_their_events_within_the_drawing() -> None:
    pairs = [
        Pair(event_id=f"e{n}", event_name="x", pixel="1", event_time_ms=n, delay_ms=10) for n in (3, 1, 2)
    ]
    drawn = points(pairs)
    assert [point.pair.event_id for point in drawn] == ["e1", "e2", "e3"]
    assert all(0 < point.x < 960 and 0 <= point.y <= 180 for point in drawn)


@pytest.mark.parametrize("path", ["/dedup", "/api/dedup"])
async def test_nobody_reads_it_without_a_session(relay: Relay, path: str) -> None:
    assert (await relay.http.get(path)).status_code == 401
