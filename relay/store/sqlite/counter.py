"""Counts: per minute for plots, since the beginning for the status line.

They are written in the transaction of what they count.
"""

import sqlite3
from collections.abc import Mapping
from typing import Final, NamedTuple

from relay.event.outcome import Fate

MINUTE_MS: Final = 60_000

ADD_TO_MINUTE: Final = """
INSERT INTO counter (minute_ms, site, event_name, what, n) VALUES (?, ?, ?, ?, ?)
ON CONFLICT (minute_ms, site, event_name, what) DO UPDATE SET n = n + excluded.n
"""

ADD_TO_TOTAL: Final = """
INSERT INTO total (what, n) VALUES (?, ?) ON CONFLICT (what) DO UPDATE SET n = n + excluded.n
"""

AMBIGUOUS: Final = "ambiguous"
REFUSED: Final = "refused:"
FATE: Final = "fate:"


class Counted(NamedTuple):
    """What is counted: for attempts, which carry many events, site and event name are empty."""

    site: str
    event_name: str
    what: str


def of_fate(fate: Fate) -> str:
    return f"{FATE}{fate}"


def count(connection: sqlite3.Connection, counts: Mapping[Counted, int], now_ms: int) -> None:
    minute_ms = now_ms - now_ms % MINUTE_MS
    connection.executemany(ADD_TO_MINUTE, [(minute_ms, *counted, n) for counted, n in counts.items()])
    for counted, n in counts.items():
        add_to_total(connection, counted.what, n)


def add_to_total(connection: sqlite3.Connection, what: str, n: int) -> None:
    connection.execute(ADD_TO_TOTAL, (what, n))
