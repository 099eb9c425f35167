"""The SQLite store keeps every promise of the protocol."""

from pathlib import Path

import pytest

from relay.store.protocol import Store
from relay.store.sqlite import SqliteStore
from tests.store.conformance import OpenStore, StoreConformance
from tests.store.samples import NOW_MS


class TestSqlite(StoreConformance):
    @pytest.fixture
    def open_store(self, tmp_path: Path) -> OpenStore:
        async def open_store() -> Store:
            return await SqliteStore.open(tmp_path / "data" / "counterfoil.db", clock_ms=lambda: NOW_MS)

        return open_store
