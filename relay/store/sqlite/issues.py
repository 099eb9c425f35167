"""What looks wrong, rolled up: one row per site, kind, event name and place, however many events show it."""

import sqlite3
from collections.abc import Iterable
from typing import Final

from relay.store.protocol import Issue, IssueSeen
from relay.store.rules import ISSUES_MAX, OF_A_KIND_MAX, issue_of

SEEN_AGAIN: Final = """
UPDATE issue SET event_id = ?5, sample = ?6, last_ms = max(last_ms, ?7), n = n + 1
WHERE site = ?1 AND kind = ?2 AND event_name = ?3 AND place = ?4
"""

ADD_ISSUE: Final = """
INSERT INTO issue (site, kind, event_name, place, event_id, sample, first_ms, last_ms, n)
SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?7, 1
WHERE (SELECT count(*) FROM issue WHERE site = ?1) < ?8
AND (SELECT count(*) FROM issue WHERE site = ?1 AND kind = ?2) < ?9
"""

RESOLVE: Final = """
UPDATE issue SET resolved_ms = ? WHERE site = ? AND kind = ? AND event_name = ? AND place = ?
"""

NEWEST_FIRST: Final = """
SELECT kind, site, event_name, place, event_id, sample, first_ms, last_ms, n, resolved_ms FROM issue
ORDER BY last_ms DESC, site, kind, event_name, place
"""

FORGET_ISSUES: Final = "DELETE FROM issue WHERE last_ms <= ?"


def note(connection: sqlite3.Connection, seen: Iterable[IssueSeen], now_ms: int) -> None:
    """Count each issue once more; a new one beyond the site's bound is left out."""
    for sighting in dict.fromkeys(seen):
        if not connection.execute(SEEN_AGAIN, (*sighting, now_ms)).rowcount:
            connection.execute(ADD_ISSUE, (*sighting, now_ms, ISSUES_MAX, OF_A_KIND_MAX))


def issues(connection: sqlite3.Connection) -> list[Issue]:
    return [issue_of(row) for row in connection.execute(NEWEST_FIRST)]


def resolve(connection: sqlite3.Connection, issue: Issue, now_ms: int) -> bool:
    of = (issue.site, issue.kind, issue.event_name, issue.place)
    return connection.execute(RESOLVE, (now_ms, *of)).rowcount > 0


def forget_issues(connection: sqlite3.Connection, by_ms: int) -> int:
    connection.execute(FORGET_ISSUES, (by_ms,))
    return 0  # few rows: one bite takes them all
