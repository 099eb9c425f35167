"""One clock for all machines: the database's.

Holds, leases and retries are moments in rows that many machines compare with now. So their now is the database's,
asked every few seconds and carried on by a steady clock in between; a machine whose own clock is wrong, or is set,
changes nothing. Until the first answer it is the machine's own.
"""

from collections.abc import Callable
from typing import Final

from relay.store.postgres.database import Connection, Database

NOW: Final = "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint"

SLOW_MS: Final = 500  # an answer that took longer says too little about when it was given


class SharedClock:
    """Unix milliseconds by the database's clock; a function of no arguments, as any clock here."""

    def __init__(self, own_ms: Callable[[], int], steady_ms: Callable[[], int]) -> None:
        self._own_ms = own_ms
        self._steady_ms = steady_ms
        self._ahead_ms: int | None = None  # of the database's clock over the steady one

    def __call__(self) -> int:
        return self._own_ms() if self._ahead_ms is None else self._steady_ms() + self._ahead_ms

    async def follow(self, database: Database) -> None:
        """Ask the database. Raises StoreError where it does not answer."""
        before_ms = self._steady_ms()
        now_ms = await database.read(_now)
        after_ms = self._steady_ms()
        if after_ms - before_ms <= SLOW_MS or self._ahead_ms is None:
            self._ahead_ms = now_ms - (before_ms + after_ms) // 2


async def _now(connection: Connection) -> int:
    return int(await connection.fetchval(NOW))
