"""One clock for all machines: the database's.

Holds, leases and retries are moments in rows that many machines compare with now. So their now is the database's,
asked every few seconds and carried on by a steady clock in between; a machine whose own clock is wrong, or is set,
changes nothing. Until the first answer it is the machine's own.
"""

from collections.abc import Callable
from typing import Final

from relay.store.postgres.database import Connection, Database

NOW: Final = "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint"

TRIES: Final = 5
GOOD_MS: Final = 5  # an answer within this says when it was given as exactly as anybody needs
WORSE_EACH_MS: Final = 10_000  # two clocks drift apart by less than a millisecond in so long


class SharedClock:
    """Unix milliseconds by the database's clock; a function of no arguments, as any clock here."""

    def __init__(self, own_ms: Callable[[], int], steady_ms: Callable[[], int]) -> None:
        self._own_ms = own_ms
        self._steady_ms = steady_ms
        self._ahead_ms: int | None = None  # of the database's clock over the steady one
        self._error_ms = 0  # by how much that may be wrong
        self._asked_ms = 0  # when that was learnt, by the steady clock

    def __call__(self) -> int:
        return self._own_ms() if self._ahead_ms is None else self._steady_ms() + self._ahead_ms

    async def follow(self, database: Database) -> None:
        """Ask the database, a few times where its answers are slow. Raises StoreError where it does not answer."""
        for _ in range(TRIES):
            before_ms = self._steady_ms()
            now_ms = await database.read(_now)
            after_ms = self._steady_ms()
            self.learn(now_ms, before_ms, after_ms)
            if after_ms - before_ms <= GOOD_MS:
                return

    def learn(self, now_ms: int, before_ms: int, after_ms: int) -> None:
        """The database's clock showed `now_ms` at some moment between the two of the steady clock.

        What is known better already stays, unless the two cannot both be true: then the clock was set.
        """
        error_ms = (after_ms - before_ms + 1) // 2
        ahead_ms = now_ms - (before_ms + after_ms) // 2
        known_ms = self._error_ms + (after_ms - self._asked_ms) // WORSE_EACH_MS
        if (
            self._ahead_ms is None
            or error_ms <= known_ms
            or abs(ahead_ms - self._ahead_ms) > error_ms + known_ms + GOOD_MS
        ):
            self._ahead_ms, self._error_ms, self._asked_ms = ahead_ms, error_ms, after_ms


async def _now(connection: Connection) -> int:
    return int(await connection.fetchval(NOW))
