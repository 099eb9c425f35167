"""The file: private, for one process, and only ever brought forward."""

import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from relay.errors import StoreError, StoreFull, StoreLocked
from relay.settings import StoreSettings
from relay.store.sqlite import SqliteStore, file
from relay.store.sqlite.file import (
    DATABASE_HEADER,
    connect_reader,
    connect_writer,
    make_private,
    migrate,
    migrations,
)
from tests.store.samples import end_all, event

HOLD_OPEN = """
import asyncio, sys
from pathlib import Path
from relay.settings import StoreSettings
from relay.store.sqlite import SqliteStore

async def main():
    async with await SqliteStore.open(Path(sys.argv[1])):
        print("open", flush=True)
        sys.stdin.read()

asyncio.run(main())
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "counterfoil.db"


@pytest.fixture
def other_process(path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process that has the store open until its standard input ends."""
    command = [sys.executable, "-c", HOLD_OPEN, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"open\n"
        yield process


def put(path: Path, content: bytes) -> None:
    path.parent.mkdir()
    path.write_bytes(content)
    path.chmod(0o644)


def content_of(path: Path) -> bytes:
    return path.read_bytes()


def version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


@pytest.mark.anyio
async def test_a_second_process_is_refused_with_the_next_step(
    path: Path, other_process: subprocess.Popen[bytes]
) -> None:
    with pytest.raises(StoreLocked, match=rf"process {other_process.pid}\). Stop that one, or"):
        await SqliteStore.open(path)
    other_process.communicate(timeout=30)
    assert other_process.returncode == 0
    async with await SqliteStore.open(path) as store:
        assert await store.ready()


@pytest.mark.anyio
async def test_a_disk_that_is_nearly_full_takes_no_more_posts_and_is_not_ready(path: Path) -> None:
    async with await SqliteStore.open(path) as store:
        assert await store.ready()
        await store.admit([event()])
    async with await SqliteStore.open(path, limits=StoreSettings(disk_reserve_mib=1e9)) as store:
        assert not await store.ready()
        with pytest.raises(StoreFull, match="Free disk space"):
            await store.admit([event("e2")])
        await end_all(store)  # what was accepted is delivered from the reserve
        assert (await store.totals()).fates == {"delivered": 1}


@pytest.mark.anyio
async def test_a_second_store_in_the_same_process_is_refused_too(path: Path) -> None:
    async with await SqliteStore.open(path):
        with pytest.raises(StoreLocked):
            await SqliteStore.open(path)


@pytest.mark.anyio
async def test_every_file_is_its_owners_alone(path: Path) -> None:
    put(path, b"")
    async with await SqliteStore.open(path) as store:
        await store.admit([event()])
        modes = {file.name: file.stat().st_mode & 0o777 for file in path.parent.iterdir()}
    assert modes == dict.fromkeys([path.name + end for end in ("", "-wal", "-shm", ".lock")], 0o600)


@pytest.mark.anyio
async def test_a_new_folder_is_its_owners_alone(path: Path) -> None:
    async with await SqliteStore.open(path):
        assert path.parent.stat().st_mode & 0o777 == 0o700


@pytest.mark.anyio
async def test_a_folder_that_cannot_be_is_said_so(path: Path) -> None:
    path.parent.write_text("a file where the folder should be")
    with pytest.raises(StoreError, match="Check \\[store\\] path"):
        await SqliteStore.open(path)


@pytest.mark.anyio
async def test_a_file_of_a_newer_program_is_refused_and_let_go(path: Path) -> None:
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 999")
    for _ in range(2):  # the second time shows that the lock was released
        with pytest.raises(StoreError, match=r"newer Counterfoil .* Start the newer program"):
            await SqliteStore.open(path)


@pytest.mark.anyio
async def test_a_file_that_is_no_database_is_refused(path: Path) -> None:
    put(path, b"not a database" * 400)
    with pytest.raises(StoreError, match="not a SQLite database"):
        await SqliteStore.open(path)


@pytest.mark.parametrize(("content", "mode"), [(b"", 0o600), (DATABASE_HEADER, 0o600), (b"root:x:0", 0o644)])
def test_only_a_database_is_made_private(path: Path, content: bytes, mode: int) -> None:
    put(path, content)
    path.chmod(0o644)
    make_private(path)
    assert (path.stat().st_mode & 0o777, path.read_bytes()) == (mode, content)


@pytest.mark.anyio
async def test_a_version_1_file_is_brought_forward_with_its_events(path: Path) -> None:
    first = migrations()[0]
    path.parent.mkdir()
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        migrate(connection, [first])
        assert version(connection) == 1
    async with await SqliteStore.open(path) as store:
        await store.admit([event()])
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        steps = [*migrations(), "ALTER TABLE event ADD COLUMN later TEXT"]
        migrate(connection, steps)
        assert version(connection) == len(steps)
        assert connection.execute("SELECT event_id, later FROM event").fetchall() == [("e1", None)]


@pytest.fixture
async def upgrading(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file with one event, written before a migration that the next start will run."""
    async with await SqliteStore.open(path) as store:
        await store.admit([event()])
    steps = [*migrations(), "ALTER TABLE event ADD COLUMN later TEXT"]
    monkeypatch.setattr(file, "migrations", lambda: steps)


@pytest.mark.anyio
async def test_a_migration_is_preceded_by_a_backup_that_the_older_program_can_open(
    path: Path, upgrading: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = len(migrations())
    async with await SqliteStore.open(path) as store:
        assert len(await store.find("e1")) == 1
    (backup,) = path.parent.glob("*.backup")
    assert backup.name == f"counterfoil.db.version-{before}.backup"
    assert backup.stat().st_mode & 0o777 == 0o600
    monkeypatch.setattr(file, "migrations", migrations)
    with pytest.raises(StoreError, match=f"version-{before}.backup"):
        await SqliteStore.open(path)
    backup.replace(path)
    async with await SqliteStore.open(path) as store:
        assert len(await store.find("e1")) == 1


@pytest.mark.anyio
async def test_without_room_for_a_backup_nothing_is_migrated(path: Path, upgrading: None) -> None:
    (path.parent / f"{path.name}.version-{len(migrations())}.backup").mkdir()
    content = content_of(path)
    with pytest.raises(StoreError, match="Nothing was changed"):
        await SqliteStore.open(path)
    assert content_of(path) == content


@pytest.mark.anyio
async def test_a_new_file_and_a_current_one_need_no_backup(path: Path) -> None:
    for _ in range(2):
        async with await SqliteStore.open(path):
            pass
    assert list(path.parent.glob("*.backup*")) == []


def test_a_migration_that_fails_leaves_the_version_before_it(path: Path) -> None:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        with pytest.raises(sqlite3.OperationalError):
            migrate(connection, ["CREATE TABLE a (x)", "CREATE TABLE b (x); CREATE TABLE a (x)"])
        assert version(connection) == 1
        assert not connection.in_transaction
        assert connection.execute("SELECT name FROM sqlite_schema").fetchall() == [("a",)]


def test_the_writer_commits_to_disk_and_wipes_what_it_deletes(tmp_path: Path) -> None:
    with closing(connect_writer(tmp_path / "a.db")) as connection:

        def pragma(name: str) -> object:
            return connection.execute(f"PRAGMA {name}").fetchone()[0]

        assert pragma("journal_mode") == "wal"
        assert pragma("synchronous") == 2  # FULL
        assert pragma("secure_delete") == 1
        assert pragma("foreign_keys") == 1
        assert pragma("wal_autocheckpoint") == 10_000
        assert pragma("busy_timeout") == 5_000


def test_a_reader_cannot_write(tmp_path: Path) -> None:
    connect_writer(tmp_path / "a.db").close()
    with (
        closing(connect_reader(tmp_path / "a.db")) as connection,
        pytest.raises(sqlite3.OperationalError, match="readonly"),
    ):
        connection.execute("DELETE FROM event")
