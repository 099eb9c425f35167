"""What docs/scale.md says of backups: SQLite's own copy of a file in use is whole, and a store opens on it."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from relay.event.outcome import Admission
from relay.store.sqlite import SqliteStore
from tests.store.samples import claim, end_all, event

pytestmark = pytest.mark.anyio


async def test_a_copy_of_a_file_in_use_has_what_waits_what_is_in_hand_and_what_has_ended(
    tmp_path: Path,
) -> None:
    async with await SqliteStore.open(tmp_path / "relay.db") as store:
        await store.admit([event("ended")])
        await end_all(store)
        await store.admit([event("in hand", pixel="222"), event("waits", pixel="333")])
        await claim(store, busy=frozenset({"333"}))
        with (
            closing(sqlite3.connect(tmp_path / "relay.db")) as source,
            closing(sqlite3.connect(tmp_path / "copy.db")) as copy,
        ):
            source.backup(copy)  # as `.backup` in the shell does
        before = await store.totals()
    async with await SqliteStore.open(tmp_path / "copy.db") as again:
        assert await again.totals() == before
        assert await again.admit([event("ended"), event("new")]) == [Admission.DUPLICATE, Admission.ACCEPTED]
        assert (await again.totals()).waiting == 3
