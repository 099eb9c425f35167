"""The fixtures of the web floor's tests."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.web.lab import Relay, lab_settings, open_relay


@pytest.fixture
async def relay(tmp_path: Path, anyio_backend: str) -> AsyncIterator[Relay]:
    async with open_relay(lab_settings(tmp_path)) as opened:
        yield opened


@pytest.fixture
async def console(relay: Relay) -> Relay:
    """Signed in, and with the courier stopped, so that only the test moves events."""
    await relay.app.state.courier.stop(0)
    await asyncio.wait([relay.app.state.courier_task])
    await relay.sign_in()
    return relay
