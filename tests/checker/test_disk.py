"""Faults of the disk under the whole relay: what cannot be kept is answered 503, and what was kept is delivered."""

import asyncio
import os
import sqlite3
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import httpx
import msgspec
import pytest
from starlette.applications import Starlette

from e2e.checker import GeneratorLog, check, read_generator, read_ledger
from e2e.lab import ENVIRON
from e2e.rig import shop_event
from e2e.story import Poster, drained, story_settings
from relay.errors import StoreError
from relay.settings import StoreSettings
from relay.store.sqlite import SqliteStore
from relay.twin.fixture import MetaTwin
from relay.web.app import create_app

pytestmark = pytest.mark.anyio

Act = Callable[[], object]


class Disk:
    """A folder whose disk can be full or read-only: a small tmpfs for root, the same by other means for others."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._is_tmpfs = os.geteuid() == 0
        if self._is_tmpfs:
            _run("mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder))

    def limit(self, app: Starlette) -> None:
        """Without a tmpfs: SQLite itself, told how large the file may become."""
        if not self._is_tmpfs:
            _writer(app).execute("PRAGMA max_page_count = 120")

    def grow(self, app: Starlette) -> None:
        if self._is_tmpfs:
            _run("mount", "-o", "remount,size=64m", str(self.folder))
        else:
            _writer(app).execute("PRAGMA max_page_count = 100000")

    def make_read_only(self) -> None:
        if self._is_tmpfs:
            _run("mount", "-o", "remount,ro", str(self.folder))
        else:
            for path in (*self.folder.iterdir(), self.folder):
                path.chmod(0o500 if path.is_dir() else 0o400)

    def make_writable(self) -> None:
        if self._is_tmpfs:
            _run("mount", "-o", "remount,rw", str(self.folder))
        else:
            for path in (self.folder, *self.folder.iterdir()):
                path.chmod(0o700 if path.is_dir() else 0o600)

    def close(self) -> None:
        if self._is_tmpfs:
            _run("umount", str(self.folder))
        else:
            self.make_writable()


def _run(*command: str) -> None:
    subprocess.run(command, check=True)


def _writer(app: Starlette) -> sqlite3.Connection:
    connection: sqlite3.Connection = app.state.store._file.connection
    return connection


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    folder = tmp_path / "disk"
    folder.mkdir()
    disk = Disk(folder)
    yield disk
    disk.close()


@pytest.fixture
def log(tmp_path: Path) -> Iterator[GeneratorLog]:
    log = GeneratorLog(tmp_path / "generator.jsonl")
    yield log
    log.close()


@asynccontextmanager
async def relay(folder: Path, twin: MetaTwin, log: GeneratorLog) -> AsyncIterator[tuple[Starlette, Poster]]:
    app = create_app(story_settings(folder, twin.url), environ=ENVIRON)
    poster = Poster(app, log)
    async with app.router.lifespan_context(app), poster.http:
        yield app, poster


def large_event(event_id: str) -> dict[str, object]:
    event = shop_event(event_id)
    event["custom_data"]["note"] = "x" * 20_000
    return event


async def test_a_full_disk_is_503_until_there_is_room_and_loses_nothing(
    disk: Disk, log: GeneratorLog, tmp_path: Path
) -> None:
    with MetaTwin() as twin:
        async with relay(disk.folder, twin, log) as (app, poster):
            disk.limit(app)
            answers: list[httpx.Response] = []
            while not answers or answers[-1].status_code == 202:
                answers.append(await poster.send(large_event(f"e{len(answers)}")))
            assert answers[-1].status_code == 503
            assert answers[-1].headers["retry-after"] == "5"
            assert len(answers) > 2
            disk.grow(app)
            assert (await poster.send(large_event(f"e{len(answers) - 1}"))).status_code == 202
            assert (await poster.http.get("/readyz")).status_code == 200
            app.state.courier.wake()
            await drained(app.state.store, seconds=20)
        state = twin.state()
    logs = (read_generator(tmp_path / "generator.jsonl"), read_ledger(disk.folder / "relay.db"), state)
    assert [str(violation) for violation in check(*logs)] == []
    assert {event["event_id"] for event in state["server"]} == {f"e{n}" for n in range(len(answers))}


async def test_a_disk_that_is_nearly_full_takes_no_posts_and_delivers_what_it_has(
    disk: Disk, log: GeneratorLog
) -> None:
    with MetaTwin() as twin:
        async with relay(disk.folder, twin, log) as (app, poster):
            assert (await poster.send(shop_event("before"))).status_code == 202
            app.state.store._limits = msgspec.structs.replace(app.state.store._limits, disk_reserve_mib=1e9)
            refused = await poster.send(shop_event("after"))
            assert (refused.status_code, refused.headers["retry-after"]) == (503, "5")
            assert (await poster.http.get("/readyz")).status_code == 503
            await drained(app.state.store, seconds=20)
        assert [event["event_id"] for event in twin.state()["server"]] == ["before"]


async def test_a_file_system_that_is_read_only_refuses_the_start_with_the_next_step(disk: Disk) -> None:
    async with await SqliteStore.open(disk.folder / "relay.db"):
        pass
    disk.make_read_only()
    with pytest.raises(StoreError, match="Check \\[store\\] path and its owner"):
        await SqliteStore.open(disk.folder / "relay.db")
    disk.make_writable()
    async with await SqliteStore.open(
        disk.folder / "relay.db", limits=StoreSettings(disk_reserve_mib=0)
    ) as store:
        assert await store.ready()


async def test_another_programs_write_lock_costs_time_or_a_503_and_nothing_else(
    tmp_path: Path, log: GeneratorLog
) -> None:
    with MetaTwin() as twin:
        async with relay(tmp_path, twin, log) as (app, poster):
            _writer(app).execute("PRAGMA busy_timeout = 100")
            with closing(sqlite3.connect(tmp_path / "relay.db", isolation_level=None)) as tool:
                tool.execute("BEGIN IMMEDIATE")
                assert (await poster.send(shop_event("e1"))).status_code == 503
                tool.execute("ROLLBACK")
            _writer(app).execute("PRAGMA busy_timeout = 20000")
            with closing(sqlite3.connect(tmp_path / "relay.db", isolation_level=None)) as tool:
                tool.execute("BEGIN IMMEDIATE")
                async with _meanwhile(tool.rollback):
                    assert (await poster.send(shop_event("e1"))).status_code == 202
            app.state.courier.wake()
            await drained(app.state.store, seconds=20)
        state = twin.state()
    logs = (read_generator(tmp_path / "generator.jsonl"), read_ledger(tmp_path / "relay.db"), state)
    assert [str(violation) for violation in check(*logs)] == []


@asynccontextmanager
async def _meanwhile(act: Act) -> AsyncIterator[None]:
    """Act a little later, while the body waits."""
    later = asyncio.get_running_loop().call_later(0.3, act)
    yield
    later.cancel()
