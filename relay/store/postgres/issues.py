"""What looks wrong, rolled up: one row per site, kind, event name and place, however many events show it."""

from collections.abc import Iterable
from typing import Final

from relay.store.postgres.database import Connection
from relay.store.protocol import Issue, IssueSeen
from relay.store.rules import ISSUES_MAX, OF_A_KIND_MAX, issue_of

SEEN_AGAIN: Final = """
UPDATE issue SET event_id = $5, sample = $6, last_ms = greatest(last_ms, $7), n = n + $8
WHERE site = $1 AND kind = $2 AND event_name = $3 AND place = $4
RETURNING 1
"""

ADD_ISSUE: Final = """
INSERT INTO issue AS kept (site, kind, event_name, place, event_id, sample, first_ms, last_ms, n)
SELECT $1, $2, $3, $4, $5, $6, $9, $7, $8
WHERE (SELECT count(*) FROM issue WHERE site = $1) < $10
AND (SELECT count(*) FROM issue WHERE site = $1 AND kind = $2) < $11
ON CONFLICT (site, kind, event_name, place) DO UPDATE SET
    event_id = excluded.event_id, sample = excluded.sample, last_ms = greatest(kept.last_ms, excluded.last_ms),
    n = kept.n + excluded.n
"""

RESOLVE: Final = """
UPDATE issue SET resolved_ms = $1 WHERE site = $2 AND kind = $3 AND event_name = $4 AND place = $5 RETURNING 1
"""

NEWEST_FIRST: Final = """
SELECT kind, site, event_name, place, event_id, sample, first_ms, last_ms, n, resolved_ms FROM issue
ORDER BY last_ms DESC, site COLLATE "C", kind COLLATE "C", event_name COLLATE "C", place COLLATE "C"
"""

FORGET_ISSUES: Final = "DELETE FROM issue WHERE last_ms <= $1"


async def note(connection: Connection, seen: Iterable[tuple[IssueSeen, int]]) -> None:
    """Count each issue once more for each post that shows it; a new one beyond the site's bound is left out.

    `seen` comes with the time of each post. Rows are written in one order, so that two machines never wait in a ring.
    """
    rolled_up: dict[tuple[str, str, str, str], list[tuple[IssueSeen, int]]] = {}
    for sighting, at_ms in seen:
        row = (sighting.site, sighting.kind.value, sighting.event_name, sighting.place)
        rolled_up.setdefault(row, []).append((sighting, at_ms))
    for row, shown in sorted(rolled_up.items()):
        latest, first_ms = shown[-1][0], shown[0][1]
        last_ms = max(at_ms for _, at_ms in shown)
        columns = (*row, latest.event_id, latest.sample, last_ms, len(shown))
        if await connection.fetchval(SEEN_AGAIN, *columns) is None:
            await connection.execute(ADD_ISSUE, *columns, first_ms, ISSUES_MAX, OF_A_KIND_MAX)


async def note_one(connection: Connection, seen: IssueSeen, now_ms: int) -> None:
    await note(connection, [(seen, now_ms)])


async def issues(connection: Connection) -> list[Issue]:
    return [issue_of(row) for row in await connection.fetch(NEWEST_FIRST)]


async def resolve(connection: Connection, issue: Issue, now_ms: int) -> bool:
    of = (issue.site, issue.kind.value, issue.event_name, issue.place)
    return await connection.fetchval(RESOLVE, now_ms, *of) is not None


async def forget_issues(connection: Connection, by_ms: int) -> int:
    await connection.execute(FORGET_ISSUES, by_ms)
    return 0  # few rows: one bite takes them all
