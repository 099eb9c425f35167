"""The store for many machines: PostgreSQL, with the same promises, and files named as those of SQLite.

The way in: `store.py` is the door; `admit.py`, `outbox.py`, `ended.py`, `receipts.py` and `prune.py` hold the work and
its SQL; `writer.py` gathers posts into groups; `database.py` connects, tries again and explains; `schema.py` migrates,
and `days.py` cuts the ledger into days.
"""

from relay.store.postgres.store import PostgresStore

__all__ = ["PostgresStore"]
