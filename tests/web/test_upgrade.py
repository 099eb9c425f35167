"""A relay of today starts on the store that the first version has written, and nothing of it is lost."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import anyio
import httpx
import msgspec
import pytest

from relay.settings import Delivery, Pixel, Settings
from relay.store.sqlite.file import migrations
from relay.twin.app import create_twin
from relay.twin.fixture import MetaTwin
from relay.web.app import create_app
from tests.clock import Clock
from tests.event.malformed import good_event
from tests.web.lab import HEADERS, Relay, lab_settings

pytestmark = pytest.mark.anyio

DUMP = (Path(__file__).parent / "data" / "store_version_1.sql").read_text("utf-8")
WHEN_IT_WAS_DUE_MS = 1_795_881_724_000


@pytest.fixture
def twin() -> Iterator[MetaTwin]:
    with MetaTwin(create_twin(clock_ms=lambda: WHEN_IT_WAS_DUE_MS)) as running:
        yield running


@pytest.fixture
def settings(tmp_path: Path, twin: MetaTwin) -> Settings:
    base = lab_settings(tmp_path)
    site = msgspec.structs.replace(base.site[0], pixels=(Pixel(id="1234567890", token_env="TOKEN"),))
    with closing(sqlite3.connect(base.store.path)) as store:
        store.executescript(DUMP)
    return msgspec.structs.replace(
        base,
        server=msgspec.structs.replace(base.server, graph_url=twin.url),
        site=(site, base.site[1]),
        delivery=Delivery(),
    )


async def test_events_receipts_counts_and_keys_of_the_first_version_are_there_and_go_on(
    settings: Settings, twin: MetaTwin
) -> None:
    clock = Clock(WHEN_IT_WAS_DUE_MS)
    app = create_app(settings, environ={"TOKEN": "EAAx"}, clock_ms=clock, steady_ms=clock)
    transport = httpx.ASGITransport(app, client=("198.51.100.7", 50_000))
    url = settings.server.public_url
    async with app.router.lifespan_context(app), httpx.AsyncClient(transport=transport, base_url=url) as http:
        relay = Relay(app, http, clock, settings)
        # What waited is sent, once.
        with anyio.fail_after(30):
            while (await relay.store.totals()).waiting:  # noqa: ASYNC110 - a store has no event to wait for
                await anyio.sleep(0.02)
        assert [event["event_id"] for event in twin.state()["server"]] == ["waiting"]

        # What was known stays known.
        again = good_event(event_id="delivered", event_name="Purchase")
        body = msgspec.json.encode({"site": settings.site[0].key, "events": [again]})
        answer = await http.post("/v1/events", content=body, headers=HEADERS)
        assert answer.json()["duplicates"] == 1

        # What was done is shown.
        await relay.sign_in()
        receipts = (await http.get("/api/receipts")).json()["receipts"]
        assert {receipt["event_id"] for receipt in receipts} == {"delivered", "rejected", "waiting"}
        for event_id, fate in (
            ("delivered", "delivered"),
            ("rejected", "rejected"),
            ("waiting", "delivered"),
        ):
            (receipt,) = (await http.get(f"/api/receipts/{event_id}")).json()["receipts"]
            assert receipt["fate"]["fate"] == fate
        totals = await relay.store.totals()
        assert (totals.refused, totals.fates) == (1, {"delivered": 2, "rejected": 1})
    with closing(sqlite3.connect(settings.store.path)) as store:
        assert store.execute("PRAGMA user_version").fetchone() == (len(migrations()),)
    assert [*Path(settings.store.path).parent.glob("*.version-1.backup")]
