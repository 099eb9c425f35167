"""A small file beside a database: what the database cannot take now is on this disk before it is acknowledged.

Whole posts, as they would be admitted, in the order of their coming. They leave as the database takes them; who comes
twice is known there by its key.
"""

import asyncio
import sqlite3
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple, Self

import msgspec

from relay.errors import StoreError, StoreFull
from relay.event.records import OutboxEvent
from relay.store.sqlite.file import FileLock, connect_plain, free_bytes, make_private
from relay.store.sqlite.writer import Writer

MIB: Final = 1 << 20

TABLE: Final = (
    "CREATE TABLE IF NOT EXISTS post (id INTEGER PRIMARY KEY AUTOINCREMENT, events BLOB NOT NULL) STRICT"
)

KEEP: Final = "INSERT INTO post (events) VALUES (?)"

OLDEST: Final = "SELECT id, events FROM post WHERE id > ? ORDER BY id LIMIT ?"

FORGET: Final = "DELETE FROM post WHERE id = ?"

COUNT: Final = "SELECT count(*) FROM post"

_decoder: Final = msgspec.msgpack.Decoder(list[OutboxEvent])
_encoder: Final = msgspec.msgpack.Encoder()


class Kept(NamedTuple):
    row_id: int
    events: list[OutboxEvent]


class Spill:
    """The file, open and locked: `await Spill.open(path)`."""

    def __init__(self, path: Path, lock: FileLock, connection: sqlite3.Connection) -> None:
        self._path = path
        self._lock = lock
        self._connection = connection
        self._writer = Writer(connection)
        self.waiting: int = connection.execute(COUNT).fetchone()[0]  # posts that the database has not got

    @classmethod
    async def open(cls, path: Path) -> Self:
        """Open the file, or create it with its folder.

        Raises StoreLocked where another process has the file, StoreError where it cannot be used.
        """
        return cls(path, *await asyncio.to_thread(_open, path))

    async def keep(self, events: Sequence[OutboxEvent], *, reserve_mib: float) -> None:
        """Commit the post. Raises StoreFull where there is no room for it."""
        if free_bytes(self._path) < reserve_mib * MIB:
            raise StoreFull(
                "The database is away, and the disk has less room than [store] disk_reserve_mib. Free disk space."
            )
        await self._writer.write(partial(_keep, events=_encoder.encode(events)))
        self.waiting += 1

    async def oldest(self, after: int, limit: int) -> list[Kept]:
        """The first posts after one, oldest first."""
        rows = await self._writer.write(partial(_oldest, after=after, limit=limit))
        return [Kept(row_id, _decoder.decode(events)) for row_id, events in rows]

    async def forget(self, row_ids: Sequence[int]) -> None:
        """Let posts go that the database has."""
        await self._writer.write(partial(_forget, row_ids=row_ids))
        self.waiting -= len(row_ids)

    async def close(self) -> None:
        await self._writer.close()
        self._connection.close()
        self._lock.release()


def _open(path: Path) -> tuple[FileLock, sqlite3.Connection]:
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = FileLock(path)
    except OSError as error:
        raise StoreError(
            f"{path} cannot be opened: {error.strerror}. Check [store] path and its owner."
        ) from error
    try:
        make_private(path)
        connection = connect_plain(path)
        connection.execute(TABLE)
    except BaseException:
        lock.release()
        raise
    return lock, connection


def _keep(connection: sqlite3.Connection, events: bytes) -> None:
    connection.execute(KEEP, (events,))


def _oldest(connection: sqlite3.Connection, after: int, limit: int) -> list[tuple[int, bytes]]:
    return [(row[0], row[1]) for row in connection.execute(OLDEST, (after, limit))]


def _forget(connection: sqlite3.Connection, row_ids: Sequence[int]) -> None:
    connection.executemany(FORGET, [(row_id,) for row_id in row_ids])
