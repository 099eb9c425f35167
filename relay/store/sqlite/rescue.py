"""Saving what can still be read of a damaged file, into a new one that takes its place."""

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Final

from relay.errors import StoreError
from relay.store.sqlite.file import (
    DATABASE_HEADER,
    FileLock,
    connect_reader,
    connect_writer,
    explain,
    make_private,
)

HEADER: Final = 100  # bytes; the rest of the first page is the schema

TABLES: Final = (
    "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY rowid"
)

# The key of an event that is lost must stay known, or a late post of it would be sent a second time.
FORGET_LOST_EVENTS: Final = "UPDATE dedup SET event = NULL WHERE event NOT IN (SELECT id FROM event)"


def rescue(path: Path) -> dict[str, int]:
    """Rows saved, by table. The damaged file stays beside the new one as `<file>.damaged`.

    Raises StoreLocked where a relay has the file, StoreError where not even its schema can be read. What was
    written to the write-ahead log and not yet moved into the file is read too.
    """
    lock = FileLock(path)
    try:
        copy, new = (path.with_name(path.name + end) for end in (".copy", ".rescued"))
        try:
            saved = _save(path, copy, new)
            damaged = path.with_name(path.name + ".damaged")
            _move(path, damaged)
            _move(new, path)
        finally:
            for each in (copy, new):
                _remove(each)
    except (OSError, sqlite3.Error) as error:
        reason = explain(error) if isinstance(error, sqlite3.Error) else error
        raise StoreError(f"Nothing of {path} could be saved: {reason} Put a backup in its place.") from error
    finally:
        lock.release()
    return saved


def _save(path: Path, copy: Path, new: Path) -> dict[str, int]:
    for each in (copy, new):
        _remove(each)
        make_private(each)
    with closing(connect_writer(new)) as into:
        into.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        _copy(path, copy, new)
        with closing(connect_reader(copy)) as damaged:
            damaged.row_factory = None
            into.execute("PRAGMA foreign_keys = OFF")
            into.execute("BEGIN")
            into.execute("PRAGMA defer_foreign_keys = ON")
            for (table,) in into.execute(TABLES).fetchall():
                _save_table(damaged, into, table)
            _drop_orphans(into)
            into.execute("COMMIT")
        return {table: _count(into, table) for (table,) in into.execute(TABLES).fetchall()}


def _copy(path: Path, copy: Path, whole: Path) -> None:
    """The damaged file with its log, for reading; a lost header is taken from a whole file."""
    shutil.copyfile(path, copy)
    wal = path.with_name(path.name + "-wal")
    if wal.exists():
        shutil.copyfile(wal, copy.with_name(copy.name + "-wal"))
    with copy.open("r+b") as file:
        if file.read(len(DATABASE_HEADER)) != DATABASE_HEADER:
            file.seek(0)
            file.write(whole.read_bytes()[:28] + bytes(8))  # no page count: it is taken from the file's size
            file.seek(36)
            file.write(whole.read_bytes()[36:HEADER])


def _save_table(damaged: sqlite3.Connection, into: sqlite3.Connection, table: str) -> None:
    """Forward until the damage, then backward until the damage: the two meet where there is none."""
    names = [name for _, name, *_ in damaged.execute(f"PRAGMA table_info({table})")]
    known = {name for _, name, *_ in into.execute(f"PRAGMA table_info({table})")}
    columns = [name for name in names if name in known]
    if not columns:
        return
    key = ", ".join(name for _, name, _, _, _, place in _info(damaged, table) if place)
    backwards = ", ".join(f"{name} DESC" for name in key.split(", "))
    add = f"INSERT OR IGNORE INTO {table} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"  # noqa: S608 - names of our own schema
    for order in (key, backwards):
        read = f"SELECT {', '.join(columns)} FROM {table} ORDER BY {order}"  # noqa: S608 - names of our own schema
        for row in _until_damage(damaged, read):
            with suppress(sqlite3.IntegrityError):  # a row with a value that it cannot have
                into.execute(add, row)


def _info(connection: sqlite3.Connection, table: str) -> list[tuple[int, str, str, int, object, int]]:
    return connection.execute(f"PRAGMA table_info({table})").fetchall()


def _until_damage(damaged: sqlite3.Connection, read: str) -> Iterator[tuple[object, ...]]:
    with suppress(sqlite3.DatabaseError):
        yield from damaged.execute(read)


def _drop_orphans(connection: sqlite3.Connection) -> None:
    """What belongs to an event or a call that is lost has no place to go."""
    connection.execute(FORGET_LOST_EVENTS)
    for (table,) in connection.execute(TABLES).fetchall():
        for _, _, parent, child, parent_column, *_ in connection.execute(
            f"PRAGMA foreign_key_list({table})"
        ).fetchall():
            connection.execute(
                f"DELETE FROM {table} WHERE {child} NOT IN (SELECT {parent_column} FROM {parent})"  # noqa: S608 - names of our own schema
            )


def _count(connection: sqlite3.Connection, table: str) -> int:
    return int(connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0])  # noqa: S608 - a name of our own schema


def _move(path: Path, to: Path) -> None:
    for end in ("", "-wal", "-shm"):
        with suppress(FileNotFoundError):
            path.with_name(path.name + end).replace(to.with_name(to.name + end))


def _remove(path: Path) -> None:
    for end in ("", "-wal", "-shm"):
        path.with_name(path.name + end).unlink(missing_ok=True)
