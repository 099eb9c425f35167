"""The write-ahead log moves into the file beside the writer.

By itself SQLite does it in the commit that fills the log: thousands of pages, at random places of the file, for which
every post waits that waits for that commit. A passive checkpoint of another connection stops nobody, and leaves that
commit a small rest, after which the log begins anew (sqlite.org/wal.html, "Avoiding Excessively Large WAL Files").
"""

import sqlite3
import threading
from contextlib import closing, suppress
from pathlib import Path
from typing import Final

from relay.store.sqlite.file import connect_plain

ROWS: Final = 4_000  # that were changed, about 500 posts: some 5 MB of log


class Checkpoints:
    """A thread of its own, with a connection of its own, that works when enough has changed."""

    def __init__(self, path: Path) -> None:
        self._connection = connect_plain(path)
        self._rows = 0
        self._due = threading.Event()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="store-checkpoints", daemon=True)
        self._thread.start()

    def committed(self, rows: int) -> None:
        """Told by the writer after each commit: how many rows its connection has changed in all."""
        if rows - self._rows >= ROWS:
            self._rows = rows
            self._due.set()

    def close(self) -> None:
        self._closed = True
        self._due.set()
        self._thread.join()

    def _run(self) -> None:
        with closing(self._connection):
            while self._due.wait() and not self._closed:
                self._due.clear()
                with suppress(sqlite3.Error):  # a disk that fails here fails a commit, too, which is answered
                    self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)")
