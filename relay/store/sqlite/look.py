"""A look at the store from outside, whether a relay works on it or not: nothing is written, no lock is kept."""

import sqlite3
from contextlib import closing
from pathlib import Path

import msgspec

from relay.errors import StoreLocked
from relay.store.protocol import PixelState, Totals
from relay.store.sqlite import receipts
from relay.store.sqlite.file import FileLock, connect_reader, explain


class Look(msgspec.Struct, frozen=True, kw_only=True):
    """What `counterfoil status` tells."""

    running: bool  # a relay has the file
    totals: Totals
    parked: list[PixelState]


def look(path: Path) -> Look:
    """Read the counts of the file at `path`. Raises StoreError where it cannot be read."""
    try:
        with closing(connect_reader(path)) as connection:
            return Look(
                running=_is_held(path),
                totals=receipts.totals(connection),
                parked=receipts.parked(connection),
            )
    except sqlite3.DatabaseError as error:
        raise explain(error) from error


def _is_held(path: Path) -> bool:
    try:
        FileLock(path).release()
    except StoreLocked:
        return True
    return False
