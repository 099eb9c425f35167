"""The fixtures of the web floor's tests."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.web.lab import Relay, lab_settings, open_relay


@pytest.fixture
async def relay(tmp_path: Path, anyio_backend: str) -> AsyncIterator[Relay]:
    async with open_relay(lab_settings(tmp_path)) as opened:
        yield opened
