"""The rows beside an event's own: who its visitor was, and what was reported of its browser half."""

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from relay.store.checksum import checksum
from relay.store.postgres.database import Connection

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
    rows = []
    for event, address, agent, addresses in visitors:
        visitor, seen = (event, address, agent), (event, msgspec.json.encode(addresses))
        rows.append((*visitor, checksum(visitor), seen[1], checksum(seen)))
    await connection.execute(PUT_VISITORS, *zip(*rows, strict=True))


async def add_legs(connection: Connection, legs: Sequence[tuple[Any, ...]]) -> None:
    if legs:
        await connection.execute(ADD_LEGS, *zip(*((*leg, checksum(leg)) for leg in legs), strict=True))
