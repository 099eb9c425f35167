"""The file: private, locked to one process, opened with its pragmas, brought to the newest version."""

import fcntl
import os
import sqlite3
from collections.abc import Sequence
from contextlib import closing, suppress
from functools import partial
from importlib import resources
from pathlib import Path
from typing import Final

from relay.errors import StoreError, StoreFull, StoreLocked

# STRICT tables came with 3.37; RETURNING and partial indexes are older.
SQLITE_NEEDED: Final = (3, 37, 0)
BUSY_SECONDS: Final = 5.0
DATABASE_HEADER: Final = b"SQLite format 3\0"  # the first bytes of every SQLite file but an empty one

RECOVERY: Final = (
    "Stop the relay and run `counterfoil rescue`: it saves what can be read into a new file and keeps the damaged "
    "one beside it. Or put a backup in its place."
)

PRAGMAS: Final = (
    "PRAGMA busy_timeout = 5000",  # a person with a sqlite3 shell open costs latency, not an error
    "PRAGMA foreign_keys = ON",  # nothing of an event outlives it
    "PRAGMA temp_store = MEMORY",  # no visitor's data in a temporary file elsewhere
)
WRITER_PRAGMAS: Final = (
    "PRAGMA synchronous = FULL",  # WAL's NORMAL loses the last commits at a power cut, after their 202
    "PRAGMA wal_autocheckpoint = 10000",  # about 40 MB: fewer, longer pauses than the default 1,000 pages
    "PRAGMA journal_size_limit = 67108864",  # a WAL that a slow reader let grow shrinks again
    "PRAGMA secure_delete = ON",  # a forgotten address is overwritten with zeros, not just unlinked
    "PRAGMA cache_size = -32768",  # 32 MiB; keys are hashes, so admission touches pages at random
)


class FileLock:
    """One process per database file: a lock on `<file>.lock` that the kernel drops when the process dies."""

    def __init__(self, database: Path) -> None:
        path = database.with_name(database.name + ".lock")
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(self._descriptor, 32).decode("ascii", "replace").strip() or "unknown"
            os.close(self._descriptor)
            raise StoreLocked(
                f"{database} is in use by another Counterfoil (process {holder}). "
                "Stop that one, or give this one its own file in [store] path; one process serves one file."
            ) from None
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, f"{os.getpid()}\n".encode("ascii"), 0)

    def release(self) -> None:
        os.close(self._descriptor)


def make_private(path: Path) -> None:
    """Create the file, readable by its owner only; SQLite gives its -wal and -shm the same mode.

    A file that is no database keeps its mode: the path in the settings may be a slip, and it somebody else's.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        if os.pread(descriptor, len(DATABASE_HEADER), 0) in (b"", DATABASE_HEADER):
            os.fchmod(descriptor, 0o600)
    finally:
        os.close(descriptor)


def connect_writer(path: Path) -> sqlite3.Connection:
    """The one connection that writes: WAL, synchronous, newest schema."""
    if sqlite3.sqlite_version_info < SQLITE_NEEDED:
        raise StoreError(
            f"Counterfoil needs SQLite 3.37 or newer; this Python brings {sqlite3.sqlite_version}. "
            "Use another build of Python."
        )
    connection = connect_plain(path)
    try:
        scripts = migrations()
        if 0 < version_of(connection) < len(scripts):
            back_up(connection, path)
        migrate(connection, scripts)
    except sqlite3.DatabaseError as error:
        connection.close()
        raise explain(error) from error
    except StoreError:
        connection.close()
        raise
    return connection


def connect_plain(path: Path) -> sqlite3.Connection:
    """A connection that writes durably, to whatever tables there are."""
    connection = _connect(path)
    try:
        _use_wal(connection, path)
        for pragma in WRITER_PRAGMAS:
            connection.execute(pragma)
    except sqlite3.DatabaseError as error:
        connection.close()
        raise explain(error) from error
    except StoreError:
        connection.close()
        raise
    return connection


def connect_reader(path: Path) -> sqlite3.Connection:
    """A connection that cannot write, whatever is asked of it."""
    connection = _connect(path)
    connection.row_factory = sqlite3.Row
    connection.execute("PRAGMA query_only = ON")
    return connection


def _connect(path: Path) -> sqlite3.Connection:
    # isolation_level=None: transactions are begun and ended by our own words only.
    connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    # A damaged byte must reach the checksum as text, not stop the fetch of its neighbours.
    connection.text_factory = partial(str, encoding="utf-8", errors="replace")
    for pragma in PRAGMAS:
        connection.execute(pragma)
    return connection


def _use_wal(connection: sqlite3.Connection, path: Path) -> None:
    (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
    if mode != "wal":
        raise StoreError(
            f"{path} cannot use SQLite's write-ahead log on this file system. Put it on a local disk."
        )


def migrations() -> list[str]:
    """The scripts of `migrations/`, oldest first; the nth leads to version n."""
    folder = resources.files("relay.store.sqlite") / "migrations"
    scripts = sorted(
        (entry for entry in folder.iterdir() if entry.name.endswith(".sql")), key=lambda entry: entry.name
    )
    return [script.read_text("utf-8") for script in scripts]


def version_of(connection: sqlite3.Connection) -> int:
    """How many migrations have made the file what it is; 0 for an empty one."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    return int(version)


def back_up(connection: sqlite3.Connection, path: Path) -> Path:
    """Copy the whole database beside it, as it is before a migration: `<file>.version-<n>.backup`.

    Complete and on the disk before it gets its name, so that what has the name can be restored.
    """
    backup = path.with_name(f"{path.name}.version-{version_of(connection)}.backup")
    unfinished = backup.with_name(f"{backup.name}.unfinished")
    try:
        unfinished.unlink(missing_ok=True)
        make_private(unfinished)
        with closing(sqlite3.connect(unfinished)) as copy:
            connection.backup(copy)
        unfinished.replace(backup)
    except (OSError, sqlite3.Error) as error:
        unfinished.unlink(missing_ok=True)
        raise StoreError(
            f"The upgrade of {path} needs a copy of it first, and {backup.name} could not be written: {error}. "
            "Nothing was changed. Make room for a second file of this size, then start again."
        ) from error
    return backup


def migrate(connection: sqlite3.Connection, scripts: Sequence[str]) -> None:
    """Bring the file forward, one transaction per version. There is no way back."""
    version = version_of(connection)
    if version > len(scripts):
        raise StoreError(
            f"The store was written by a newer Counterfoil (version {version}, this one has {len(scripts)}). "
            "Start the newer program, or stop and put back the backup that the upgrade made, "
            f"*.version-{len(scripts)}.backup in the same folder."
        )
    for number, script in enumerate(scripts[version:], start=version + 1):
        try:
            connection.executescript(f"BEGIN IMMEDIATE;\n{script}\n;PRAGMA user_version = {number};\nCOMMIT;")
        finally:
            abandon(connection)


def abandon(connection: sqlite3.Connection) -> None:
    """Roll back what is still open. After a full disk SQLite has done so itself, and ROLLBACK would raise."""
    if connection.in_transaction:
        with suppress(sqlite3.Error):  # a disk that fails here fails the next BEGIN too, which is answered
            connection.execute("ROLLBACK")


def free_bytes(path: Path) -> int:
    """What the disk that holds the file has left for us."""
    disk = os.statvfs(path)
    return disk.f_bavail * disk.f_frsize


def empty_wal(path: Path) -> None:
    """Move the write-ahead log into the file and cut it: it holds old copies of what was forgotten.

    Gives up after half a second beside a long reader, since writers wait meanwhile; the next time does it.
    """
    with closing(_connect(path)) as connection:
        connection.execute("PRAGMA busy_timeout = 500")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def rewrite(path: Path) -> None:
    """Write the whole file anew. secure_delete zeroes a row where it stands and not where it once stood: when
    neighbours go, rows move within their pages and leave copies in the unused part.

    Needs room for two more files of this size for a while, one of them a temporary file without a name.
    """
    try:
        with closing(_connect(path)) as connection:
            connection.execute("PRAGMA temp_store = FILE")  # in memory it could be more than there is
            connection.execute("VACUUM")
            (is_busy, *_) = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    except sqlite3.DatabaseError as error:
        raise explain(error) from error
    if is_busy:
        raise StoreError(
            "Another program reads the store's file, so copies of what was forgotten are still in its write-ahead log. "
            "Close database tools that have it open, then run `counterfoil prune`."
        )


def is_full(error: Exception) -> bool:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_FULL


def explain(error: sqlite3.Error) -> StoreError:
    """SQLite's error in words for the person who has to act."""
    match getattr(error, "sqlite_errorcode", 0) & 0xFF:
        case sqlite3.SQLITE_FULL:
            return StoreFull(
                "No room is left for the store's file, so nothing of this was kept. Free disk space."
            )
        case sqlite3.SQLITE_BUSY:
            return StoreError(
                "Another program keeps the store's file locked. Close database tools that have it open."
            )
        case sqlite3.SQLITE_NOTADB:
            return StoreError(
                f"The store's file is not a SQLite database, or its header is damaged. {RECOVERY}"
            )
        case sqlite3.SQLITE_CORRUPT:
            return StoreError(f"The store's file is damaged. {RECOVERY}")
        case sqlite3.SQLITE_READONLY | sqlite3.SQLITE_PERM | sqlite3.SQLITE_CANTOPEN:
            return StoreError(
                "The store's file or its folder is read-only. Make both writable for the relay's user: "
                "chown -R counterfoil FOLDER && chmod -R u+rwX FOLDER."
            )
        case _:
            return StoreError(f"The store failed: {error}.")
