"""The PostgreSQL store keeps every promise of the protocol."""

import pytest

from relay.store.postgres import PostgresStore
from relay.store.postgres.prune import GRACE_MS
from relay.store.protocol import Store
from tests.store.conformance import OpenStore, StoreConformance
from tests.store.samples import NOW_MS


class TestPostgres(StoreConformance):
    late_ms = GRACE_MS  # a day of events goes as a whole

    @pytest.fixture
    def open_store(self, database: str) -> OpenStore:
        async def open_store() -> Store:
            return await PostgresStore.open(database, clock_ms=lambda: NOW_MS)

        return open_store
