"""The curl lines of the documentation, run as they stand there against a relay on a real socket."""

import asyncio
import json
import os
import re
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from relay.clock import wall_clock_ms
from relay.serving import listen, serving
from relay.store.protocol import Store
from relay.web.app import create_app
from tests.web.test_server_events import ENVIRON, KEY, with_keys

pytestmark = pytest.mark.anyio

DOCS = Path(__file__).parent.parent.parent / "docs"
DOCUMENTED = "https://relay.shop.example"


def recipes() -> list[tuple[str, str]]:
    """Every shell block with a call of curl to the relay, with its page."""
    return [
        (page.stem, block)
        for page in sorted(DOCS.glob("*.md"))
        for block in re.findall(r"```sh\n(.*?)```", page.read_text(), re.DOTALL)
        if ("curl" in block and f"{DOCUMENTED}/v1/server-events" in block) or f"{DOCUMENTED}/graph/" in block
    ]


@pytest.fixture
async def relay(tmp_path: Path, anyio_backend: str) -> AsyncIterator[tuple[str, Store]]:
    app = create_app(with_keys(tmp_path), environ=ENVIRON, clock_ms=wall_clock_ms)
    listener = listen("127.0.0.1", 0)
    async with serving(app, listener, grace_seconds=1):
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", app.state.store


def run(block: str, url: str, folder: Path) -> dict[str, object]:
    environ = {**os.environ, "SHOP_WRITE_KEY": KEY}
    command = ["bash", "-c", block.replace(DOCUMENTED, url)]
    done = subprocess.run(command, capture_output=True, check=True, text=True, env=environ, cwd=folder)
    answer: dict[str, object] = json.loads(done.stdout)
    return answer


def test_the_pages_have_recipes() -> None:
    assert {page for page, _ in recipes()} >= {"server-events", "graph-sdk"}


@pytest.mark.parametrize(("page", "block"), recipes())
async def test_every_curl_recipe_is_accepted(
    relay: tuple[str, Store], tmp_path: Path, page: str, block: str
) -> None:
    url, store = relay
    answer = await asyncio.to_thread(run, block, url, tmp_path)
    if "/graph/" in block:
        assert (answer["events_received"], answer["messages"]) == (1, [])
    else:
        assert answer == {"accepted": 1, "updated": 0, "duplicates": 0, "refused": []}
    (event_id,) = re.findall(r'"event_id": ?"([^"]+)"', block)
    assert len(await store.find(event_id)) == 1
