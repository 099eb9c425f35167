"""The process dies in the middle of its work; what it had acknowledged is there."""

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from relay.event.outcome import Admission
from relay.store.sqlite import SqliteStore
from tests.store.samples import event

ADMIT_FOR_EVER = """
import asyncio, itertools, sys
from pathlib import Path
from relay.store.sqlite import SqliteStore
from tests.store.samples import event

async def client(store, numbers):
    for number in numbers:
        await store.admit([event(f"e{number}")])
        print(number, flush=True)

async def main():
    store = await SqliteStore.open(Path(sys.argv[1]))
    numbers = itertools.count()
    await asyncio.gather(*(client(store, numbers) for _ in range(32)))

asyncio.run(main())
"""


def admit_until_killed(path: Path, acknowledged: int) -> list[int]:
    """The numbers of the events that a process acknowledged before it was killed, at least so many."""
    command = [sys.executable, "-c", ADMIT_FOR_EVER, str(path)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[3]
    ) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(acknowledged)]
        process.kill()
        lines += process.stdout
    return [int(line) for line in lines if line.endswith("\n")]


@pytest.mark.anyio
@pytest.mark.parametrize("acknowledged", [1, 200, 1_500])
async def test_every_acknowledged_event_survives_a_kill(tmp_path: Path, acknowledged: int) -> None:
    path = tmp_path / "counterfoil.db"
    numbers = admit_until_killed(path, acknowledged)
    assert len(numbers) >= acknowledged
    async with await SqliteStore.open(path) as store:
        answers = [await store.admit([event(f"e{number}")]) for number in numbers]
        assert answers == [[Admission.DUPLICATE]] * len(numbers)
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
