"""Meta's own SDKs, unmodified, over real sockets: through the relay to the twin, by changing one host."""

import asyncio
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
from facebook_business.adobjects.serverside.action_source import ActionSource
from facebook_business.adobjects.serverside.custom_data import CustomData
from facebook_business.adobjects.serverside.event import Event
from facebook_business.adobjects.serverside.event_request import EventRequest
from facebook_business.adobjects.serverside.event_request_async import EventRequestAsync
from facebook_business.adobjects.serverside.http_service_interface import HttpServiceInterface
from facebook_business.adobjects.serverside.user_data import UserData
from facebook_business.api import FacebookAdsApi
from facebook_business.exceptions import FacebookRequestError
from facebook_business.session import FacebookSession
from msgspec.structs import replace

from relay.clock import wall_clock_ms
from relay.serving import listen, serving
from relay.settings import Delivery
from relay.store.protocol import Store
from relay.twin.fixture import MetaTwin
from relay.web.app import create_app
from tests.event.malformed import PIXEL_ID, good_event, post
from tests.event.server_side import USER_AGENT
from tests.web.lab import HEADERS
from tests.web.test_graph_ingest import with_token
from tests.web.test_server_events import ENVIRON, KEY

pytestmark = pytest.mark.anyio

NODE = shutil.which("node", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}") or "node"


class Line(NamedTuple):
    """A relay that listens, and the twin that it sends to."""

    graph: str  # what takes the place of https://graph.facebook.com
    store: Store
    twin: MetaTwin

    async def arrived(self, event_id: str) -> list[dict[str, Any]]:
        """The server events of this id at the twin, once one is there; the test's own time-out ends the wait."""
        return await asyncio.to_thread(self._wait_for, event_id)

    def _wait_for(self, event_id: str) -> list[dict[str, Any]]:
        while not (events := self.twin.state(event_id)["server"]):
            time.sleep(0.02)
        return list(events)


@pytest.fixture
def twin() -> Iterator[MetaTwin]:
    with MetaTwin() as running:
        yield running


@asynccontextmanager
async def open_line(folder: Path, twin: MetaTwin, hold_awaited_seconds: float = 0) -> AsyncIterator[Line]:
    settings = with_token(folder)
    settings = replace(
        settings,
        server=replace(settings.server, graph_url=twin.url),
        delivery=Delivery(hold_awaited_seconds=hold_awaited_seconds),
    )
    app = create_app(settings, environ=ENVIRON | {"META_TOKEN": "EAABtestToken0123456789"})
    listener = listen("127.0.0.1", 0)
    async with serving(app, listener, grace_seconds=1):
        yield Line(f"http://127.0.0.1:{listener.getsockname()[1]}/graph", app.state.store, twin)


@pytest.fixture
async def line(tmp_path: Path, twin: MetaTwin, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Line]:
    async with open_line(tmp_path, twin) as opened:
        monkeypatch.setattr(FacebookSession, "GRAPH", opened.graph)
        FacebookAdsApi.init(access_token=KEY, crash_log=False)
        yield opened


def purchase(event_id: str, **changes: Any) -> Event:
    user_data = UserData(
        emails=["Ada@Example.com"],
        client_ip_address="2001:db8::7",
        client_user_agent=USER_AGENT,
        fbp="fb.1.1763859600000.1234567890",
    )
    members = {
        "event_name": "Purchase",
        "event_time": wall_clock_ms() // 1_000,
        "event_id": event_id,
        "event_source_url": "https://shop.example/thanks",
        "action_source": ActionSource.WEBSITE,
        "user_data": user_data,
        "custom_data": CustomData(value=49.9, currency="eur", order_id=event_id),
    }
    return Event(**(members | changes))


def received(event_id: str) -> Any:
    return EventRequest(PIXEL_ID, [purchase(event_id)]).execute()


async def test_the_python_sdk_delivers_through_the_relay(line: Line) -> None:
    response = await asyncio.to_thread(received, "py-1")
    assert (response.events_received, response.messages) == (1, [])
    (event,) = await line.arrived("py-1")
    assert event["params"]["custom_data"]["currency"] == "EUR"
    assert len(event["params"]["user_data"]["em"][0]) == 64


async def test_the_python_sdks_app_secret_proof_does_no_harm(line: Line) -> None:
    FacebookAdsApi.init(access_token=KEY, app_secret="secret", crash_log=False)
    assert (await asyncio.to_thread(received, "py-2")).events_received == 1


async def test_the_python_sdks_asynchronous_request_delivers(line: Line) -> None:
    response = await EventRequestAsync(PIXEL_ID, [purchase("py-3")]).execute()
    assert response.events_received == 1
    assert await line.arrived("py-3")


class OwnClient(HttpServiceInterface):  # type: ignore[misc] # the SDK has no types
    """A client that the SDK's user brings along."""

    def execute(self, url: str, method: Any, request_options: Any, headers: Any, params: Any) -> Any:  # noqa: ARG002
        answer = httpx.request(method, url, params={"access_token": KEY}, json=dict(params))
        assert answer.status_code == 200, answer.text
        return answer.json()


async def test_a_client_of_ones_own_in_the_python_sdk_delivers(line: Line) -> None:
    request = EventRequest(PIXEL_ID, [purchase("py-4")], http_client=OwnClient(), access_token=KEY)
    await asyncio.to_thread(request.execute)
    assert await line.arrived("py-4")


async def test_the_node_sdk_delivers_through_the_relay(line: Line) -> None:
    answer = await asyncio.to_thread(node, line.graph, KEY, "node-1")
    assert answer["received"] == 1
    (event,) = await line.arrived("node-1")
    assert event["params"]["custom_data"]["contents"] == [{"id": "sku-1", "quantity": 2}]


def node(graph: str, token: str, event_id: str) -> Any:
    script = Path(__file__).with_name("sdk.mjs")
    now = str(wall_clock_ms() // 1_000)
    done = subprocess.run(
        [NODE, script, graph, token, PIXEL_ID, event_id, now], capture_output=True, check=True, text=True
    )
    return json.loads(done.stdout.splitlines()[-1])


async def test_the_sdks_raise_their_own_error_for_a_wrong_token_and_a_bad_event(line: Line) -> None:
    assert "190" in str(await asyncio.to_thread(node, line.graph, "wrong", "node-2"))
    bad = EventRequest(PIXEL_ID, [purchase("py-5", custom_data=CustomData(currency="eur"))])
    with pytest.raises(FacebookRequestError) as raised:
        await asyncio.to_thread(bad.execute)
    assert raised.value.api_error_code() == 100
    assert "data[0]: A Purchase needs custom_data.value" in str(raised.value.body())


async def test_a_retry_of_the_sdk_is_delivered_once(line: Line) -> None:
    for _ in range(3):
        assert (await asyncio.to_thread(received, "py-6")).events_received == 1
    await asyncio.to_thread(received, "py-7")
    assert await line.arrived("py-7")
    assert len(await line.arrived("py-6")) == 1


async def test_the_sdks_event_waits_for_its_browser_half_and_one_counts(
    tmp_path: Path, twin: MetaTwin, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_line(tmp_path, twin, hold_awaited_seconds=3600) as line:
        monkeypatch.setattr(FacebookSession, "GRAPH", line.graph)
        FacebookAdsApi.init(access_token=KEY, crash_log=False)
        await asyncio.to_thread(received, "e-1")
        event = good_event()
        pixel = {"id": PIXEL_ID, "ev": "Purchase", "eid": "e-1", "fbp": event["fbp"]}
        async with httpx.AsyncClient() as browser:
            await browser.get(f"{twin.url}/tr/", params=pixel)
            assert twin.state("e-1")["server"] == [], "the browser's comes first"
            posted = await browser.post(
                line.graph.replace("/graph", "/v1/events"), content=post(event), headers=HEADERS
            )
        assert posted.json()["updated"] == 1
        await line.arrived("e-1")
        counted = twin.state("e-1")["counted"]
        assert counted == {profile: {"Purchase": 1} for profile in counted}
