"""The moments that may explain a bend in a plot. A few rows a day at most."""

import sqlite3
from typing import Final

from relay.store.protocol import Mark, MarkKind

LAST: Final = "SELECT detail FROM mark WHERE kind = ? AND subject = ? ORDER BY id DESC LIMIT 1"

ADD: Final = "INSERT INTO mark (at_ms, kind, subject, detail) VALUES (?, ?, ?, ?)"

READ: Final = "SELECT at_ms, kind, subject, detail FROM mark WHERE at_ms >= ? ORDER BY at_ms, id"


def mark(connection: sqlite3.Connection, *, kind: MarkKind, subject: str, detail: str, now_ms: int) -> None:
    last = connection.execute(LAST, (kind, subject)).fetchone()
    if kind is MarkKind.STARTED or last is None or last[0] != detail:
        connection.execute(ADD, (now_ms, kind, subject, detail))


def marks(connection: sqlite3.Connection, *, since_ms: int) -> list[Mark]:
    return [
        Mark(at_ms=at_ms, kind=MarkKind(kind), subject=subject, detail=detail)
        for at_ms, kind, subject, detail in connection.execute(READ, (since_ms,))
    ]
