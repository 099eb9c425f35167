"""Segment's and RudderStack's own clients, unmodified, deliver through the relay: each event once, its id kept."""

import json
import subprocess
import sysconfig
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import httpx
import pytest
import rudderstack.analytics as rudder
import segment.analytics as segment

from e2e.lab import ENVIRON, PIXEL, SITE, USER_AGENT, Json, Served, loopback_listener, wait_until
from e2e.lossy import LosesAnswers
from relay.settings import Delivery, Pixel, Server, Settings, Site, StoreSettings
from relay.twin.app import create_twin
from relay.web.app import create_app

WRITE_KEY: Final = "k" * 40
CLIENTS: Final = Path(__file__).parent / "clients"
NODE: Final = Path(sysconfig.get_path("scripts")) / "node"
PROPERTIES: Final[Json] = {
    "revenue": 25,
    "currency": "EUR",
    "product_id": "p-1",
    "price": 25,
    "query": "shoes",
}
CONTEXT: Final[Json] = {
    "ip": "203.0.113.9",
    "userAgent": USER_AGENT,
    "page": {"url": "https://shop.example/p"},
    "traits": {"email": "ada@shop.example"},
}
NAMES: Final = {"Order Completed": "Purchase", "Product Viewed": "ViewContent", "Products Searched": "Search"}


class Desk:
    """Relay and twin on plain loopback, for clients that are no browsers."""

    def __init__(self, folder: Path) -> None:
        relay, meta = loopback_listener(), loopback_listener()
        self.url = f"http://127.0.0.1:{relay.getsockname()[1]}"
        self.meta_url = f"http://127.0.0.1:{meta.getsockname()[1]}"
        settings = Settings(
            server=Server(public_url=self.url, graph_url=self.meta_url),
            store=StoreSettings(path=str(folder / "counterfoil.db")),
            delivery=Delivery(hold_awaited_seconds=0),
            site=(
                Site(
                    key=SITE,
                    origins=("https://shop.example",),
                    pixels=(Pixel(id=PIXEL, token_env="COUNTERFOIL_LAB_TOKEN"),),
                    write_key_env="LAB_WRITE_KEY",
                ),
            ),
        )
        self.door = LosesAnswers(create_app(settings, environ=ENVIRON | {"LAB_WRITE_KEY": WRITE_KEY}))
        self._served = [Served(create_twin(), plain=meta), Served(self.door, plain=relay)]

    def close(self) -> None:
        for served in reversed(self._served):
            served.close()

    def received(self, ids: set[str]) -> list[Json]:
        """The server events with these ids at the twin."""
        state = httpx.get(f"{self.meta_url}/twin/state").raise_for_status().json()
        return [event for event in state["server"] if event["event_id"] in ids]


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    opened = Desk(tmp_path_factory.mktemp("desk"))
    yield opened
    opened.close()


def segment_python(url: str, *, gzip: bool = False) -> list[str]:
    failures: list[Exception] = []
    client = segment.Client(
        WRITE_KEY,
        host=url,
        gzip=gzip,
        upload_size=2,
        on_error=lambda error, _: failures.append(error),
    )
    ids = [str(uuid.uuid4()) for _ in NAMES]
    for event, message_id in zip(NAMES, ids, strict=True):
        client.track("u-1", event, PROPERTIES, context=CONTEXT, message_id=message_id)
    client.shutdown()
    assert not failures
    return ids


def segment_python_gzip(url: str) -> list[str]:
    return segment_python(url, gzip=True)


def rudder_python(url: str) -> list[str]:
    failures: list[Exception] = []
    client = rudder.Client(WRITE_KEY, host=url, on_error=lambda error, _: failures.append(error))
    ids = [str(uuid.uuid4()) for _ in NAMES]
    for event, message_id in zip(NAMES, ids, strict=True):
        client.track("u-1", event, PROPERTIES, context=CONTEXT, message_id=message_id)
    client.flush()
    client.join()
    assert not failures
    return ids


def segment_node(url: str) -> list[str]:
    return _node("segment_node", url)


def rudder_node(url: str) -> list[str]:
    return _node("rudder_node", url)


def _node(script: str, url: str) -> list[str]:
    command = [
        str(NODE),
        str(CLIENTS / f"{script}.mjs"),
        url,
        WRITE_KEY,
        json.dumps(PROPERTIES),
        json.dumps(CONTEXT),
    ]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.split()


@pytest.mark.parametrize("lost", [0, 1], ids=["answered", "answer-lost"])
@pytest.mark.parametrize(
    "send", [segment_python, segment_python_gzip, rudder_python, segment_node, rudder_node]
)
def test_a_server_client_delivers_every_event_once_even_if_an_answer_is_lost(
    desk: Desk, send: Callable[[str], list[str]], lost: int
) -> None:
    desk.door.to_lose = lost
    ids = set(send(desk.url))
    wait_until(lambda: len(desk.received(ids)) >= len(ids), "every event is at Meta")
    received = desk.received(ids)
    assert desk.door.to_lose == 0
    assert {event["event_name"] for event in received} == set(NAMES.values())
    assert len(received) == len(ids) == len(NAMES)
    assert {event["ip"] for event in received} == {"203.0.113.9"}
