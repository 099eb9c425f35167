"""The circuits of pixels, for all couriers: a pixel in trouble rests for everybody, and is probed by one."""

from typing import Final

from relay.store.postgres.database import Connection
from relay.store.protocol import Circuit

READ: Final = "SELECT pixel, failures, until_ms FROM pixel_circuit"

OPEN: Final = """
INSERT INTO pixel_circuit (pixel, failures, until_ms) VALUES ($1, $2, $3)
ON CONFLICT (pixel) DO UPDATE SET failures = excluded.failures, until_ms = excluded.until_ms
"""

CLOSE: Final = "DELETE FROM pixel_circuit WHERE pixel = $1"

# Whoever moves the end of the rest may call; for the others the pixel rests on.
TAKE_PROBE: Final = "UPDATE pixel_circuit SET until_ms = $3 WHERE pixel = $1 AND until_ms <= $2 RETURNING 1"


async def circuits(connection: Connection) -> list[Circuit]:
    return [
        Circuit(pixel=row["pixel"], failures=row["failures"], until_ms=row["until_ms"])
        for row in await connection.fetch(READ)
    ]


async def open_circuit(connection: Connection, circuit: Circuit) -> None:
    await connection.execute(OPEN, circuit.pixel, circuit.failures, circuit.until_ms)


async def close_circuit(connection: Connection, pixel: str) -> None:
    await connection.execute(CLOSE, pixel)


async def take_probe(connection: Connection, pixel: str, now_ms: int, until_ms: int) -> bool:
    return await connection.fetchval(TAKE_PROBE, pixel, now_ms, until_ms) is not None
