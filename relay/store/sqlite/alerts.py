"""Alerts as they stand, and what is to be told of them: a change and its notices are one transaction."""

import sqlite3
from collections.abc import Sequence
from typing import Final

import msgspec

from relay.event.alert import AlertKind, AlertState
from relay.event.notice import Notice

READ_ALERTS: Final = "SELECT kind, subject, raised, since_ms, detail FROM alert ORDER BY kind, subject"

# Nothing where it stands so already: two that look at once raise it once.
CHANGE: Final = """
INSERT INTO alert (kind, subject, raised, since_ms, detail) VALUES (?, ?, ?, ?, ?)
ON CONFLICT (kind, subject) DO UPDATE SET
    raised = excluded.raised, since_ms = excluded.since_ms, detail = excluded.detail
WHERE alert.raised <> excluded.raised
"""

COLUMNS: Final = "id, target, created_ms, body, due_ms, attempts, told_ms, problem"

DUE: Final = f"SELECT {COLUMNS} FROM notice WHERE due_ms <= ? ORDER BY due_ms LIMIT ?"  # noqa: S608 - no input

LATEST: Final = f"SELECT {COLUMNS} FROM notice ORDER BY created_ms DESC LIMIT ?"  # noqa: S608 - no input

KEEP: Final = f"INSERT OR REPLACE INTO notice ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"  # noqa: S608 - no input

FORGET_NOTICES: Final = "DELETE FROM notice WHERE created_ms <= ?"

FORGET_ALERTS: Final = "DELETE FROM alert WHERE raised = 0 AND since_ms <= ?"


def alerts(connection: sqlite3.Connection) -> list[AlertState]:
    return [
        AlertState(
            kind=AlertKind(kind), subject=subject, raised=bool(raised), since_ms=since_ms, detail=detail
        )
        for kind, subject, raised, since_ms, detail in connection.execute(READ_ALERTS)
    ]


def change_alert(connection: sqlite3.Connection, state: AlertState, notices: Sequence[Notice]) -> bool:
    row = (state.kind, state.subject, int(state.raised), state.since_ms, state.detail)
    if not connection.execute(CHANGE, row).rowcount:
        return False
    for notice in notices:
        keep_notice(connection, notice)
    return True


def notices(connection: sqlite3.Connection, *, due_by_ms: int | None, limit: int) -> list[Notice]:
    query, values = (LATEST, (limit,)) if due_by_ms is None else (DUE, (due_by_ms, limit))
    return [msgspec.convert(dict(row), Notice) for row in connection.execute(query, values)]


def keep_notice(connection: sqlite3.Connection, notice: Notice) -> None:
    connection.execute(KEEP, msgspec.structs.astuple(notice))


def forget_alerts(connection: sqlite3.Connection, by_ms: int) -> int:
    """What was resolved long ago, and what was told of it."""
    connection.execute(FORGET_NOTICES, (by_ms,))
    connection.execute(FORGET_ALERTS, (by_ms,))
    return 0  # few rows: one bite takes them all
