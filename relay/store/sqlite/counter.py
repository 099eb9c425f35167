"""Counts: by the minute, the quarter of an hour and two hours for plots, since the beginning for the status line.

They are written in the transaction of what they count.
"""

import sqlite3
from collections import Counter
from collections.abc import Mapping
from typing import Final

from relay.event.tally import Topic
from relay.store.protocol import STEPS_MS, Counts
from relay.store.rules import Counted, totals_of

ADD_TO_STEP: Final = """
INSERT INTO counter (step_ms, what, site, at_ms, event_name, name, n) VALUES (?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (step_ms, what, site, at_ms, event_name, name) DO UPDATE SET n = n + excluded.n
"""

ADD_TO_TOTAL: Final = """
INSERT INTO total (what, n) VALUES (?, ?) ON CONFLICT (what) DO UPDATE SET n = n + excluded.n
"""

# Steps from site to site through the key instead of reading the rows of other topics and times.
SITES: Final = """
WITH RECURSIVE each (site) AS (
    SELECT min(site) FROM counter WHERE step_ms = :step_ms AND what = :what
    UNION ALL
    SELECT (SELECT min(site) FROM counter WHERE step_ms = :step_ms AND what = :what AND site > each.site)
    FROM each WHERE each.site IS NOT NULL
)
SELECT site FROM each WHERE site IS NOT NULL
"""

READ: Final = """
SELECT at_ms, event_name, name, n FROM counter
WHERE step_ms = :step_ms AND what = :what AND site = :site AND at_ms >= :since_ms
"""


def count(connection: sqlite3.Connection, counts: Mapping[Counted, int], now_ms: int) -> None:
    """Add to every step, and for what the status line tells to the total."""
    connection.executemany(
        ADD_TO_STEP,
        [
            (step_ms, each.what, each.site, now_ms - now_ms % step_ms, each.event_name, each.name, n)
            for each, n in counts.items()
            if n
            for step_ms in STEPS_MS
        ],
    )
    for what, n in totals_of(counts).items():
        add_to_total(connection, what, n)


def add_to_total(connection: sqlite3.Connection, what: str, n: int) -> None:
    connection.execute(ADD_TO_TOTAL, (what, n))


def counted_sites(connection: sqlite3.Connection, what: Topic, step_ms: int) -> list[str]:
    return [site for (site,) in connection.execute(SITES, {"step_ms": step_ms, "what": what})]


def counts(
    connection: sqlite3.Connection, what: Topic, *, step_ms: int, since_ms: int, site: str | None
) -> list[Counts]:
    asked = {"step_ms": step_ms, "what": what, "since_ms": since_ms - since_ms % step_ms}
    sites = counted_sites(connection, what, step_ms) if site is None else [site]
    sums: Counter[tuple[int, str, str]] = Counter()
    for each in sites:
        for at_ms, event_name, name, n in connection.execute(READ, asked | {"site": each}):
            sums[at_ms, event_name, name] += n
    return [
        Counts(at_ms=at_ms, event_name=event_name, name=name, n=n)
        for (at_ms, event_name, name), n in sorted(sums.items())
        if n > 0
    ]
