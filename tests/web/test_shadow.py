"""Shadow mode: nothing is sent, and both sides of each event are laid side by side."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from relay.delivery.graph import Graph
from relay.event.outcome import Fate
from relay.settings import Delivery
from relay.store.protocol import Filters
from tests.event.malformed import PIXEL_ID, good_event
from tests.event.malformed_server import good_server_event, good_user_data
from tests.web.lab import Relay, open_relay
from tests.web.test_server_events import ENVIRON, KEY, with_keys

pytestmark = pytest.mark.anyio

BOT = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Calls to Graph; there must be none."""
    made: list[str] = []

    async def send(self: Graph, *_: Any, **__: Any) -> Any:
        made.append("call")
        raise AssertionError("a call to Graph")

    monkeypatch.setattr(Graph, "send", send)
    yield made
    assert made == []


@asynccontextmanager
async def open_shadow(folder: Path) -> AsyncIterator[Relay]:
    settings = replace(with_keys(folder, shadow=True), delivery=Delivery(hold_awaited_seconds=0))
    async with open_relay(settings, environ=ENVIRON) as relay:
        await relay.sign_in()
        yield relay


@pytest.fixture
async def relay(tmp_path: Path, calls: list[str], anyio_backend: str) -> AsyncIterator[Relay]:
    async with open_shadow(tmp_path) as opened:
        yield opened


async def incumbent(relay: Relay, *events: dict[str, Any]) -> None:
    response = await relay.http.post(
        f"/graph/v26.0/{PIXEL_ID}/events", json={"data": events}, headers={"authorization": f"Bearer {KEY}"}
    )
    assert response.status_code == 200, response.text


async def report(relay: Relay, shadowed: int, query: str = "") -> Any:
    """The report, once so many events have ended; the test's own time-out ends the wait."""
    while (await relay.store.totals()).fates.get("shadowed", 0) < shadowed:  # noqa: ASYNC110 - the courier's own pace
        await asyncio.sleep(0.01)
    return (await relay.http.get(f"/api/shadow{query}")).raise_for_status().json()


async def test_what_is_due_ends_as_shadowed_and_nothing_is_sent(relay: Relay) -> None:
    await relay.post()
    seen = await report(relay, 1)
    assert seen["counts"]["ours only"] == 1
    (row,) = await relay.store.recent(Filters(fate=Fate.SHADOWED))
    assert (row.fate_reason, row.state) == ("shadow", "sent")
    assert (await relay.store.find("e-1"))[0].attempts == ()


async def test_a_copy_of_the_incumbents_event_is_laid_beside_ours(relay: Relay) -> None:
    await relay.post()
    await incumbent(relay, good_server_event(user_data=good_user_data(ph="+49 30 1234567")))
    seen = await report(relay, 2)
    (event,) = seen["events"]
    assert (event["standing"], event["event_id"]) == ("differs", "e-1")
    lacks = {each["path"]: each["lack"] for each in event["differences"]}
    assert lacks["user_data.ph"] == lacks["custom_data.order_id"] == "theirs only"
    assert lacks["user_data.fbp"] == lacks["user_data.client_ip_address"] == "ours only"
    assert lacks["user_data.em"] == "differs"
    assert {each["path"]: each["theirs_only"] for each in seen["fields"]}["user_data.ph"] == 1


async def test_events_of_one_side_only_are_told_apart(relay: Relay) -> None:
    await relay.post(good_event(event_id="ours"))
    await incumbent(relay, good_server_event(event_id="theirs"))
    seen = await report(relay, 2)
    assert {each["event_id"]: each["standing"] for each in seen["events"]} == {
        "ours": "ours only",
        "theirs": "theirs only",
    }


async def test_an_event_that_the_relay_would_not_send_says_why(relay: Relay) -> None:
    await relay.post(user_agent=BOT)
    await incumbent(relay, good_server_event())
    (event,) = (await report(relay, 1))["events"]
    assert event["standing"] == "not sent"
    assert "crawler" in event["sentence"]


async def test_an_incumbent_that_sends_before_the_browser_is_counted(relay: Relay) -> None:
    await incumbent(relay, good_server_event())
    relay.clock.now_ms += 5_000
    await relay.post(good_event(age_ms=412))
    seen = await report(relay, 2)
    assert seen["theirs_first"] == 1


async def test_a_copy_does_not_take_our_events_place(relay: Relay) -> None:
    await incumbent(relay, good_server_event(), good_server_event())
    assert (await relay.post()).json()["accepted"] == 1


async def test_lines_of_a_log_are_taken_as_the_incumbents(relay: Relay) -> None:
    lead = good_server_event(event_name="Lead", action_source="email", custom_data=...)
    lines = "\n".join(json.dumps(lead | {"event_id": f"l-{number}"}) for number in range(3))
    response = await relay.http.post(
        f"/graph/v26.0/{PIXEL_ID}/events", data={"data": lines}, headers={"authorization": f"Bearer {KEY}"}
    )
    assert response.json()["events_received"] == 3
    assert (await report(relay, 3))["counts"]["theirs only"] == 3


async def test_the_page_shows_both_sides_and_the_report_keeps_to_its_period(relay: Relay) -> None:
    await relay.post()
    await incumbent(relay, good_server_event())
    await report(relay, 2)
    page = (await relay.http.get("/shadow")).text
    assert "custom_data.order_id" in page
    assert "only there" in page
    relay.clock.now_ms += 2 * 3_600_000
    assert (await report(relay, 2, "?range=1h"))["events"] == []
    assert "Nothing to compare yet" in (await relay.http.get("/shadow?range=1h")).text


async def test_without_a_site_in_shadow_mode_the_page_says_how_to_begin(tmp_path: Path) -> None:
    async with open_relay(with_keys(tmp_path), environ=ENVIRON) as relay:
        await relay.sign_in()
        assert "No site is in shadow mode" in (await relay.http.get("/shadow")).text


async def test_the_report_needs_a_session(tmp_path: Path) -> None:
    async with open_relay(with_keys(tmp_path), environ=ENVIRON) as relay:
        assert (await relay.http.get("/api/shadow")).status_code == 401
