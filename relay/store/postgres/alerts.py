"""Alerts as they stand, and what is to be told of them: a change and its notices are one transaction."""

from collections.abc import Sequence
from typing import Final

import msgspec

from relay.event.alert import AlertKind, AlertState
from relay.event.notice import Notice
from relay.store.postgres.database import Connection

READ_ALERTS: Final = """
SELECT kind, subject, raised, since_ms, detail FROM alert ORDER BY kind COLLATE "C", subject COLLATE "C"
"""

# Nothing where it stands so already: two that look at once raise it once.
CHANGE: Final = """
INSERT INTO alert (kind, subject, raised, since_ms, detail) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (kind, subject) DO UPDATE SET
    raised = excluded.raised, since_ms = excluded.since_ms, detail = excluded.detail
WHERE alert.raised <> excluded.raised
RETURNING 1
"""

COLUMNS: Final = "id, target, created_ms, body, due_ms, attempts, told_ms, problem"

DUE: Final = f"SELECT {COLUMNS} FROM notice WHERE due_ms <= $1 ORDER BY due_ms LIMIT $2"  # noqa: S608 - no input

LATEST: Final = f"SELECT {COLUMNS} FROM notice ORDER BY created_ms DESC LIMIT $1"  # noqa: S608 - no input

KEEP: Final = f"""
INSERT INTO notice ({COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
ON CONFLICT (id) DO UPDATE SET
    due_ms = excluded.due_ms, attempts = excluded.attempts, told_ms = excluded.told_ms, problem = excluded.problem
"""  # noqa: S608 - no input

FORGET_NOTICES: Final = "DELETE FROM notice WHERE created_ms <= $1"

FORGET_ALERTS: Final = "DELETE FROM alert WHERE NOT raised AND since_ms <= $1"


async def alerts(connection: Connection) -> list[AlertState]:
    return [
        AlertState(
            kind=AlertKind(row["kind"]),
            subject=row["subject"],
            raised=row["raised"],
            since_ms=row["since_ms"],
            detail=row["detail"],
        )
        for row in await connection.fetch(READ_ALERTS)
    ]


async def change_alert(connection: Connection, state: AlertState, notices: Sequence[Notice]) -> bool:
    row = (state.kind.value, state.subject, state.raised, state.since_ms, state.detail)
    if await connection.fetchval(CHANGE, *row) is None:
        return False
    for notice in notices:
        await keep_notice(connection, notice)
    return True


async def notices(connection: Connection, *, due_by_ms: int | None, limit: int) -> list[Notice]:
    query, values = (LATEST, (limit,)) if due_by_ms is None else (DUE, (due_by_ms, limit))
    return [msgspec.convert(dict(row), Notice) for row in await connection.fetch(query, *values)]


async def keep_notice(connection: Connection, notice: Notice) -> None:
    await connection.execute(KEEP, *msgspec.structs.astuple(notice))


async def forget_alerts(connection: Connection, by_ms: int) -> int:
    """What was resolved long ago, and what was told of it."""
    await connection.execute(FORGET_NOTICES, by_ms)
    await connection.execute(FORGET_ALERTS, by_ms)
    return 0  # few rows: one bite takes them all
