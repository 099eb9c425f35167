"""A real store on disk, and a clock that a test moves."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from relay.store.sqlite import SqliteStore
from tests.clock import Clock


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def store(tmp_path: Path, clock: Clock) -> AsyncIterator[SqliteStore]:
    async with await SqliteStore.open(tmp_path / "c.db", clock_ms=clock) as opened:
        yield opened
