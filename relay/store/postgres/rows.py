"""Rows beside an event's own: who its visitor was, and what was reported of its browser half; and rows as columns."""

from collections.abc import Sequence
from typing import Any, Final

from relay.store.checksum import Column
from relay.store.postgres.database import Connection
from relay.store.rules import visitor_row

PUT_VISITORS: Final = """
INSERT INTO visitor (event, client_ip_address, client_user_agent, crc, addresses, addresses_crc)
SELECT * FROM unnest($1::bigint[], $2::text[], $3::text[], $4::bigint[], $5::bytea[], $6::bigint[])
ON CONFLICT (event) DO UPDATE SET
    client_ip_address = excluded.client_ip_address, client_user_agent = excluded.client_user_agent,
    crc = excluded.crc, addresses = excluded.addresses, addresses_crc = excluded.addresses_crc
"""

ADD_LEGS: Final = """
INSERT INTO leg
    (event, seq, state, evidence, transport, dispatched_ms, settled_ms, reported_ms, seen, not_before_ms, crc)
SELECT * FROM unnest(
    $1::bigint[], $2::integer[], $3::text[], $4::text[], $5::text[], $6::bigint[], $7::bigint[], $8::bigint[],
    $9::bytea[], $10::bigint[], $11::bigint[])
"""


async def put_visitors(connection: Connection, visitors: Sequence[tuple[Any, ...]]) -> None:
    rows = [visitor_row(*visitor) for visitor in visitors]
    await connection.execute(PUT_VISITORS, *zip(*rows, strict=True))


async def add_legs(connection: Connection, legs: Sequence[tuple[Column, ...]]) -> None:
    """`legs` are of `leg_row`."""
    if legs:
        await connection.execute(ADD_LEGS, *zip(*legs, strict=True))


def columns(rows: Sequence[tuple[Any, ...]], width: int) -> list[Any]:
    """The rows turned by a quarter, as a statement takes them; as many empty columns where there are none."""
    return list(zip(*rows, strict=True)) if rows else [()] * width
