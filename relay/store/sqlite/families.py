"""The way of each event's address, as families, by the hour; written in the transaction of what it counts."""

import sqlite3
from collections.abc import Iterable
from typing import Final

import msgspec

from relay.event.families import FamilyPath
from relay.store.protocol import FamilyCount
from relay.store.rules import HOUR_MS, NO_FAMILY

ADD: Final = """
INSERT INTO address_family (hour_ms, site, page, token, sent, n) VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT (hour_ms, site, page, token, sent) DO UPDATE SET n = n + excluded.n
"""

READ: Final = """
SELECT page, token, sent, sum(n) FROM address_family WHERE hour_ms >= ? GROUP BY page, token, sent HAVING sum(n) > 0
"""

READ_SITE: Final = """
SELECT page, token, sent, sum(n) FROM address_family
WHERE hour_ms >= ? AND site = ? GROUP BY page, token, sent HAVING sum(n) > 0
"""


def count_path(
    connection: sqlite3.Connection, path: FamilyPath, site: str, received_ms: int, n: int = 1
) -> None:
    """`n` is -1 where an event has been counted and now goes another way."""
    hour_ms = received_ms - received_ms % HOUR_MS
    connection.execute(ADD, (hour_ms, site, *(family or NO_FAMILY for family in path), n))


def families(connection: sqlite3.Connection, *, since_ms: int, site: str | None) -> list[FamilyCount]:
    from_hour_ms = since_ms - since_ms % HOUR_MS
    if site is None:
        return _counts(connection.execute(READ, (from_hour_ms,)))
    return _counts(connection.execute(READ_SITE, (from_hour_ms, site)))


def _counts(rows: Iterable[sqlite3.Row]) -> list[FamilyCount]:
    return [
        msgspec.convert(
            {"page": _family(page), "token": _family(token), "sent": _family(sent), "events": n}, FamilyCount
        )
        for page, token, sent, n in rows
    ]


def _family(text: str) -> str | None:
    return None if text == NO_FAMILY else text
