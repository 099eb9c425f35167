"""Readers beside the writer: own connections that cannot write, in their own threads.

WAL lets them read while a group is being committed; each read sees one snapshot from first row to last.
"""

import asyncio
import queue
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, TypeVar

from relay.errors import StoreError
from relay.store.sqlite.file import abandon, connect_reader, explain

T = TypeVar("T")

# The console and the courier's clock; ingest never reads.
READERS: Final = 2


class Readers:
    """A few threads, each query with a connection to itself."""

    def __init__(self, path: Path) -> None:
        self._idle: queue.SimpleQueue[sqlite3.Connection] = queue.SimpleQueue()
        for _ in range(READERS):
            self._idle.put(connect_reader(path))
        self._threads = ThreadPoolExecutor(READERS, thread_name_prefix="store-reader")
        self._closed = False

    async def read(self, query: Callable[[sqlite3.Connection], T]) -> T:
        """Run the query in a thread, inside one snapshot."""
        if self._closed:
            raise StoreError("The store is closed.")
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._run, query)

    async def close(self) -> None:
        self._closed = True
        await asyncio.to_thread(self._threads.shutdown)
        for _ in range(READERS):
            self._idle.get().close()

    def _run(self, query: Callable[[sqlite3.Connection], T]) -> T:
        # Taken and given back in the thread: a cancelled caller must not free a connection still in use.
        connection = self._idle.get()
        try:
            connection.execute("BEGIN")
            return query(connection)
        except sqlite3.Error as error:
            raise explain(error) from error
        finally:
            abandon(connection)
            self._idle.put(connection)
