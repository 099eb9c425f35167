"""Any sequence of what may happen leaves the store as the model has it."""

import tempfile
from pathlib import Path
from typing import Any

from relay.store.protocol import Store
from relay.store.sqlite import SqliteStore
from tests.store.machine import SEQUENCES, Outbox
from tests.store.samples import NOW_MS


class SqliteOutbox(Outbox):
    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory(prefix="counterfoil-")

    async def open_store(self) -> Store:
        return await SqliteStore.open(Path(self.folder.name) / "x.db", clock_ms=lambda: NOW_MS)

    def teardown(self) -> None:
        super().teardown()
        self.folder.cleanup()


TestSequences: Any = SqliteOutbox.TestCase
TestSequences.settings = SEQUENCES
