"""Any sequence of what may happen leaves the store as the model has it; the same model as for SQLite."""

from typing import Any, ClassVar

import pytest

from e2e.postgres import empty
from relay.store.postgres import PostgresStore
from relay.store.protocol import Store
from relay.store.rules import DAY_MS
from tests.store.machine import SEQUENCES, Modelled, Outbox
from tests.store.samples import NOW_MS


class PostgresOutbox(Outbox):
    url: ClassVar[str]

    def __init__(self) -> None:
        super().__init__()
        empty(self.url)

    def place(self, known: Modelled) -> tuple[int, ...]:
        """An id begins with the day: a clock that is set back by a day files what comes next under that day."""
        return (known.received_ms // DAY_MS, known.order)

    async def open_store(self) -> Store:
        return await PostgresStore.open(self.url, clock_ms=lambda: NOW_MS)


@pytest.fixture(autouse=True)
def use_database(worker_database: str) -> None:
    PostgresOutbox.url = worker_database


TestSequences: Any = PostgresOutbox.TestCase
TestSequences.settings = SEQUENCES
