"""From the post to the receipt, with a Meta twin at the other end of real sockets."""

import asyncio
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from relay.store.protocol import Decision, Lease
from relay.store.sqlite import SqliteStore
from relay.twin.app import create_twin
from relay.twin.fixture import MetaTwin
from tests.event.malformed import PIXEL_ID, good_event
from tests.web.lab import NOW_MS, lab_settings, open_relay

pytestmark = pytest.mark.anyio


@pytest.fixture
def twin() -> Iterator[MetaTwin]:
    with MetaTwin(create_twin(clock_ms=lambda: NOW_MS)) as running:
        yield running


@pytest.fixture
def settled(monkeypatch: pytest.MonkeyPatch) -> asyncio.Event:
    """Set once the courier has written down how a call ended."""
    happened = asyncio.Event()
    settle = SqliteStore.settle

    async def told(self: SqliteStore, lease: Lease, decisions: Sequence[Decision], **rest: Any) -> int:
        count = await settle(self, lease, decisions, **rest)
        happened.set()
        return count

    monkeypatch.setattr(SqliteStore, "settle", told)
    return happened


async def test_one_purchase_is_one_pair_and_its_receipt_says_so(
    tmp_path: Path, twin: MetaTwin, settled: asyncio.Event
) -> None:
    settings = lab_settings(tmp_path)
    server = msgspec.structs.replace(settings.server, graph_url=twin.url)
    site = msgspec.structs.replace(
        settings.site[0], pixels=(msgspec.structs.replace(settings.site[0].pixels[0], token_env="TOKEN"),)
    )
    settings = msgspec.structs.replace(settings, server=server, site=(site,))
    async with open_relay(settings, environ={"TOKEN": "EAABtestToken0123456789"}) as relay:
        event = good_event()
        async with httpx.AsyncClient() as browser:
            params = {
                "id": PIXEL_ID,
                "ev": "Purchase",
                "eid": "e-1",
                "fbp": event["fbp"],
                "cd[value]": "49.90",
            }
            await browser.get(f"{twin.url}/tr/", params=params)
        await relay.post(event)
        await settled.wait()
        await relay.sign_in()
        view = (await relay.http.get("/api/receipts/e-1")).json()
        page = await relay.http.get("/receipts/e-1", headers={"accept": "text/html"})
    [receipt] = view["receipts"]
    assert receipt["fate"]["fate"] == "delivered"
    assert receipt["order"]["first"] == "browser"
    assert {each["counted"] for each in receipt["verdicts"]} == {1}
    assert receipt["answer"]["fbtrace_id"]
    assert len(receipt["twin"]["browser"]) == len(receipt["twin"]["server"]) == 1
    assert view["twin_counted"] == {profile: {"Purchase": 1} for profile in view["twin_counted"]}
    assert {each["field"]: each["mark"] for each in receipt["compared"]}["value"] == "same"
    assert "What the twin saw" in page.text
