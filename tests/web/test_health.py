"""`/healthz` and `/readyz`."""

import asyncio

import pytest

from relay.errors import StoreError
from relay.store.sqlite import SqliteStore
from tests.web.lab import Relay

pytestmark = pytest.mark.anyio


async def test_a_running_relay_is_healthy_and_ready(relay: Relay) -> None:
    for path, status in (("/healthz", "ok"), ("/readyz", "ready")):
        response = await relay.http.get(path)
        assert (response.status_code, response.json()) == (200, {"status": status})
        assert response.headers["cache-control"] == "no-store"


async def not_ready(relay: Relay) -> str:
    response = await relay.http.get("/readyz")
    assert response.status_code == 503
    assert "retry-after" in response.headers
    assert (await relay.http.get("/healthz")).status_code == 200
    return str(response.json()["error"]["reason"])


async def test_a_relay_that_is_stopping_is_not_ready(relay: Relay) -> None:
    relay.app.state.draining = True
    assert await not_ready(relay) == "draining"


async def test_a_relay_whose_courier_has_ended_is_not_ready(relay: Relay) -> None:
    await relay.app.state.courier.stop(1)
    await asyncio.wait([relay.app.state.courier_task])
    assert await not_ready(relay) == "courier_stopped"


@pytest.mark.parametrize("broken", [False, True])
async def test_a_store_that_cannot_commit_is_not_ready(
    relay: Relay, monkeypatch: pytest.MonkeyPatch, broken: bool
) -> None:
    async def no(self: SqliteStore) -> bool:
        if broken:
            raise StoreError("broken")
        return False

    monkeypatch.setattr(SqliteStore, "ready", no)
    assert await not_ready(relay) == "store_not_ready"
