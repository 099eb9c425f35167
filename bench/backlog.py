"""A million held rows: what the relay's memory, start, posts and claims make of them.

`python -m bench.backlog [--rows 1000000]` fills a file behind SQLite's back, opens it in a process of its own and
compares with an empty one: seconds to open, resident memory, the slowest of 200 posts and of 20 claims. Exit code 1
where the backlog costs more than 64 MiB or makes the relay's start slower than three seconds.
"""

import argparse
import asyncio
import hashlib
import sqlite3
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import Final

import msgspec

from relay.clock import wall_clock_ms
from relay.event.outcome import BrowserState, Transport
from relay.event.records import BrowserLeg, OutboxEvent
from relay.store.sqlite import SqliteStore

MEMORY_MAX_MIB: Final = 64
START_MAX_SECONDS: Final = 3.0
HOUR_MS: Final = 3_600_000

# Rows as admission writes them, but for their checksums: nothing of them is due, so nobody looks at those.
FILL: Final = """
WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :rows)
INSERT INTO event
    (key, site, pixel, event_name, event_id, event_time_ms, received_ms, server_event, why, crc)
SELECT randomblob(16), 'shop', '111', 'Purchase', 'old-' || i, :now, :now, randomblob(600), x'7b7d', 0 FROM n
"""
FILL_QUEUE: Final = """
INSERT INTO queue (event, pixel, due_ms, attempts) SELECT id, pixel, :due, 0 FROM event
"""
FILL_DEDUP: Final = "INSERT INTO dedup (key, event, seen_ms) SELECT key, id, received_ms FROM event"


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    start_seconds: float
    memory_mib: float
    post_ms: float
    claim_ms: float


def fill(path: Path, rows: int) -> None:
    now_ms = wall_clock_ms()
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(FILL, {"rows": rows, "now": now_ms})
        connection.execute(FILL_QUEUE, {"due": now_ms + HOUR_MS})
        connection.execute(FILL_DEDUP)


async def measure(path: Path) -> Measured:
    began = time.monotonic()
    store = await SqliteStore.open(path)
    await store.recover(now_ms=wall_clock_ms(), on_unknown="resend")
    await store.next_due_ms(busy=frozenset())
    start = time.monotonic() - began
    posts, claims = [], []
    for number in range(200):
        began = time.monotonic()
        await store.admit([new_event(number)])
        posts.append(time.monotonic() - began)
    for _ in range(20):
        began = time.monotonic()
        await store.claim(now_ms=wall_clock_ms(), lease_ms=60_000, limit=10, busy=frozenset())
        claims.append(time.monotonic() - began)
    await store.totals()
    memory = int(Path("/proc/self/status").read_text().partition("VmRSS:")[2].split()[0]) / 1024  # noqa: ASYNC240 - a file of the kernel
    await store.close()
    return Measured(
        start_seconds=start, memory_mib=memory, post_ms=max(posts) * 1_000, claim_ms=max(claims) * 1_000
    )


def new_event(number: int) -> OutboxEvent:
    now_ms = wall_clock_ms()
    leg = BrowserLeg(
        state=BrowserState.SENT,
        evidence="load",
        transport=Transport.IMAGE,
        dispatched_ms=now_ms,
        settled_ms=now_ms,
        reported_ms=now_ms,
    )
    return OutboxEvent(
        key=hashlib.blake2b(f"new-{number}".encode(), digest_size=16).digest(),
        site="shop",
        pixel="111",
        event_name="Purchase",
        event_id=f"new-{number}",
        event_time_ms=now_ms,
        received_ms=now_ms,
        not_before_ms=now_ms,
        leg=leg,
        server_event=b"{}",
        client_ip_address=None,
        client_user_agent=None,
        why={},
    )


async def create(path: Path) -> None:
    async with await SqliteStore.open(path):
        pass


def measured_apart(path: Path) -> Measured:
    """In a process of its own, so that the memory is the store's."""
    command = [sys.executable, "-m", "bench.backlog", "--measure", str(path)]
    said = subprocess.run(command, check=True, capture_output=True).stdout
    return msgspec.json.decode(said, type=Measured)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.measure:
        sys.stdout.buffer.write(msgspec.json.encode(asyncio.run(measure(asked.measure))))
        return 0
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for rows in (0, asked.rows):
            path = Path(folder) / f"{rows}.db"
            asyncio.run(create(path))
            if rows:
                fill(path, rows)
            found[rows] = measured_apart(path)
    print(
        f"{'held rows':<12}{'start, s':>10}{'memory, MiB':>13}{'slowest post, ms':>18}{'slowest claim, ms':>19}"
    )
    for rows, each in found.items():
        print(
            f"{rows:<12,}{each.start_seconds:>10.2f}{each.memory_mib:>13.0f}{each.post_ms:>18.1f}{each.claim_ms:>19.1f}"
        )
    empty, full = found[0], found[asked.rows]
    is_good = full.memory_mib - empty.memory_mib < MEMORY_MAX_MIB and full.start_seconds < START_MAX_SECONDS
    return 0 if is_good else 1


if __name__ == "__main__":
    sys.exit(main())
