"""The way of each event's address, as families, by the hour; `counter.py` writes them with the other counts."""

from typing import Final, NamedTuple

import msgspec

from relay.event.families import FamilyPath
from relay.store.postgres.database import Connection
from relay.store.protocol import FamilyCount
from relay.store.rules import HOUR_MS, NO_FAMILY

READ: Final = """
SELECT page, token, sent, sum(n)::bigint AS n FROM address_family
WHERE hour_ms >= $1 AND ($2::text IS NULL OR site = $2)
GROUP BY page, token, sent HAVING sum(n) > 0
"""


class Way(NamedTuple):
    hour_ms: int
    site: str
    page: str
    token: str
    sent: str


def way(path: FamilyPath, site: str, received_ms: int) -> Way:
    page, token, sent = (family or NO_FAMILY for family in path)
    return Way(received_ms - received_ms % HOUR_MS, site, page, token, sent)


async def families(connection: Connection, *, since_ms: int, site: str | None) -> list[FamilyCount]:
    rows = await connection.fetch(READ, since_ms - since_ms % HOUR_MS, site)
    return [
        msgspec.convert(
            {
                "page": _family(row["page"]),
                "token": _family(row["token"]),
                "sent": _family(row["sent"]),
                "events": row["n"],
            },
            FamilyCount,
        )
        for row in rows
    ]


def _family(text: str) -> str | None:
    return None if text == NO_FAMILY else text
