"""The Live page, its JSON and its stream."""

import asyncio
from html import unescape
from typing import Any

import msgspec
import pytest
from starlette.requests import Request

from relay.event.outcome import BrowserState
from relay.web import live
from tests.store.samples import end_all, event, leg, over_ipv4, with_token
from tests.web.lab import Relay

pytestmark = pytest.mark.anyio

ADA = "a" * 64


async def rows(console: Relay, query: str = "") -> Any:
    response = await console.http.get(f"/api/live{query}")
    assert (response.status_code, response.headers["cache-control"]) == (200, "no-store")
    return response.json()["rows"]


async def test_a_row_tells_both_halves_the_address_and_which_keys_there_are(console: Relay) -> None:
    await console.store.admit([with_token(user_data={"em": [ADA], "fbp": "fb.1.2.3"})])
    await end_all(console.store)
    (row,) = await rows(console)
    assert (row["state"], row["first"], row["delay_ms"], row["fate"]) == ("sent", "browser", 100, "delivered")
    assert (row["page_family"], row["sent_family"]) == ("ipv4", "ipv6")
    assert row["keys"] == ["em", "fbp", "client_ip_address", "client_user_agent"]
    html = unescape((await console.http.get("/live")).text)
    assert 'title="em"' in html
    assert 'title="ph: missing"' in html
    assert ADA not in html, "which keys, never their values"


async def test_of_a_site_only_its_own_rows_are_shown(console: Relay) -> None:
    await console.store.admit([event("e1", site="other-shop"), event("e2", site="gone")])
    assert [row["event_id"] for row in await rows(console, "?site=other-shop")] == ["e1"]
    assert await rows(console, "?site=nobody") == []


async def next_row(stream: Any) -> Any:
    text = await asyncio.wait_for(anext(stream), 60)
    assert text.startswith("data: ")
    assert text.endswith("\n\n")
    return msgspec.json.decode(text.removeprefix("data: "))


def asked(console: Relay) -> Request:
    scope = {"type": "http", "query_string": b"", "app": console.app, "path": "/live/stream", "headers": []}
    return Request(scope)


async def test_the_stream_sends_what_is_there_then_what_is_new_then_what_has_changed(
    console: Relay, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "LOOK_SECONDS", 0.0)
    await console.store.admit([event("old", leg=leg(BrowserState.BLOCKED))])
    stream = live.stream(asked(console), None)
    first = await next_row(stream)
    assert "blocked" in first["html"]
    await console.store.admit([over_ipv4(event_id="new", event_name="<b>")])
    second = await next_row(stream)
    assert second["id"] > first["id"]
    assert "&lt;b&gt;" in second["html"]
    await end_all(console.store)
    changed = [await next_row(stream), await next_row(stream)]
    assert [each["id"] for each in changed] == [first["id"], second["id"]]
    assert all("delivered" in each["html"] for each in changed)
    await stream.aclose()
    assert console.app.state.feed.listeners == 0


async def test_a_stream_ends_when_the_relay_stops(console: Relay, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "LOOK_SECONDS", 0.0)
    await console.store.admit([event()])
    stream = live.stream(asked(console), None)
    await next_row(stream)
    console.app.state.draining = True
    with pytest.raises(StopAsyncIteration):
        await anext(stream)


async def test_no_more_than_twenty_listen(console: Relay) -> None:
    console.app.state.feed.listeners = live.LISTENERS_MAX
    response = await console.http.get("/live/stream")
    assert (response.status_code, response.json()["error"]["reason"]) == (503, "too_many_listeners")


async def test_all_who_look_within_a_second_share_one_look(
    console: Relay, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = []

    async def latest(**asked: Any) -> list[Any]:
        looks.append(asked)
        return []

    monkeypatch.setattr(console.store, "latest", latest)
    await asyncio.gather(*(rows(console) for _ in range(5)))
    assert len(looks) <= 2


@pytest.mark.parametrize("path", ["/live", "/api/live", "/live/stream"])
async def test_nobody_looks_without_a_session(relay: Relay, path: str) -> None:
    assert (await relay.http.get(path)).status_code == 401
