"""What docs/scale.md says of backups: a dump that is made while events wait is whole, and a store opens on it."""

import asyncio
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from e2e.postgres import find_binaries, new_database
from relay.event.outcome import Admission
from relay.store.postgres import PostgresStore
from tests.store.samples import NOW_MS, claim, end_all, event

pytestmark = pytest.mark.anyio


@pytest.fixture
def restored() -> Iterator[str]:
    """An empty database beside the first."""
    with new_database() as url:
        yield url


async def run(program: Path, *arguments: str, given: bytes = b"") -> bytes:
    def work() -> bytes:
        return subprocess.run([program, *arguments], input=given, capture_output=True, check=True).stdout

    return await asyncio.to_thread(work)


async def test_a_dump_restores_what_waits_what_is_in_hand_and_what_has_ended(
    database: str, restored: str
) -> None:
    binaries = find_binaries()
    assert binaries is not None, "pg_dump comes with the server's programs"
    async with await PostgresStore.open(database) as store:
        await store.admit([event("ended")])
        await end_all(store)
        await store.admit([event("in hand", pixel="222"), event("waits", pixel="333")])
        await claim(store, busy=frozenset({"333"}))
        dump = await run(binaries / "pg_dump", "--format=custom", database)
        before = await store.totals()
    await run(binaries / "pg_restore", "--no-owner", f"--dbname={restored}", given=dump)
    async with await PostgresStore.open(restored, clock_ms=lambda: NOW_MS) as again:
        assert await again.totals() == before
        assert [len((await again.find(name))[0].attempts) for name in ("ended", "waits")] == [1, 0]
        assert await again.admit([event("ended"), event("new")]) == [
            Admission.DUPLICATE,
            Admission.ACCEPTED,
        ]
        await again.recover(now_ms=NOW_MS, on_unknown="resend")
        assert (await again.totals()).waiting == 3
        await again.prune(now_ms=NOW_MS + 3 * 86_400_000, retention_ms=86_400_000, address_ms=0)
        assert await again.find("ended") == []
