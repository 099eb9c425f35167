"""The moments that may explain a bend in a plot. A few rows a day at most."""

from typing import Final

from relay.store.postgres.database import Connection
from relay.store.protocol import Mark, MarkKind

# Two relays that start together have one token: the second must see what the first has marked.
IN_TURN: Final = "SELECT pg_advisory_xact_lock(4710003)"

LAST: Final = "SELECT detail FROM mark WHERE kind = $1 AND subject = $2 ORDER BY id DESC LIMIT 1"

ADD: Final = "INSERT INTO mark (at_ms, kind, subject, detail) VALUES ($1, $2, $3, $4)"

READ: Final = "SELECT at_ms, kind, subject, detail FROM mark WHERE at_ms >= $1 ORDER BY at_ms, id"


async def mark(connection: Connection, *, kind: MarkKind, subject: str, detail: str, now_ms: int) -> None:
    await connection.execute(IN_TURN)
    last = await connection.fetchval(LAST, kind.value, subject)
    if kind is MarkKind.STARTED or last != detail:
        await connection.execute(ADD, now_ms, kind.value, subject, detail)


async def marks(connection: Connection, *, since_ms: int) -> list[Mark]:
    return [
        Mark(at_ms=row["at_ms"], kind=MarkKind(row["kind"]), subject=row["subject"], detail=row["detail"])
        for row in await connection.fetch(READ, since_ms)
    ]
