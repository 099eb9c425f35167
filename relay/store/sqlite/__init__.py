"""The embedded store: one SQLite file, one writer thread, readers beside it.

The way in: `store.py` is the door; `admit.py`, `accept.py`, `outbox.py`, `ended.py`, `receipts.py` and `prune.py` hold
the work and its SQL; `writer.py` and `readers.py` run it; `file.py` opens, locks and migrates the file;
`look.py` reads it from outside.
"""

from relay.store.sqlite.store import SqliteStore

__all__ = ["SqliteStore"]
