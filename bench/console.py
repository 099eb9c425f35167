"""Each page of the console over 1,000,000 receipts in SQLite: `python -m bench.console`.

The file is filled by SQL, as a month of a shop would have left it: events, legs, fates, attempts, and the
roll-ups that admission and settling would have written. Then each page is asked for over HTTP, signed in, and its
p95 is told beside that of a relay with 1,000 receipts. The claim is the ratio: a page's cost does not grow with the
events. `tests/store/sqlite/test_plans.py` holds the query plans.
"""

import argparse
import asyncio
import statistics
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Final, NamedTuple

import httpx

from relay.settings import Pixel, Server, Settings, Site, StoreSettings
from relay.store.protocol import STEPS_MS
from relay.store.sqlite.file import connect_writer
from relay.web.app import create_app
from relay.web.navigation import MENU
from relay.web.signin import make_sign_in_link

SITE: Final = "bench-shop"
PIXEL: Final = "1234567890"
MONTH_MS: Final = 30 * 86_400_000
ENVIRON: Final = {"BENCH_TOKEN": "EAAbench"}
EXTRA: Final = (
    "/?range=1h",
    "/?range=30d",
    "/receipts?fate=rejected",
    "/receipts/e-500",
    "/api/overview?range=30d",
)

FILL: Final = """
BEGIN;
CREATE TEMP TABLE n (i INTEGER PRIMARY KEY, at INTEGER, name TEXT, state TEXT, fate TEXT);
WITH RECURSIVE c (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < {rows})
INSERT INTO n SELECT i, {now} - {month} + CAST({month} * (i * 1.0 / {rows}) AS INTEGER) - 1000,
    CASE i % 24 WHEN 0 THEN 'Purchase' WHEN 1 THEN 'InitiateCheckout' WHEN 2 THEN 'AddToCart' WHEN 3 THEN 'AddToCart'
        WHEN 4 THEN 'ViewContent' WHEN 5 THEN 'ViewContent' WHEN 6 THEN 'ViewContent' ELSE 'PageView' END,
    CASE i % 17 WHEN 0 THEN 'blocked' WHEN 1 THEN 'pending' ELSE 'sent' END,
    CASE i % 500 WHEN 0 THEN 'rejected' ELSE 'delivered' END FROM c;
INSERT INTO event (id, key, site, pixel, event_name, event_id, event_time_ms, received_ms, server_event, why, crc)
    SELECT i, CAST(printf('%016d', i) AS BLOB), '{site}', '{pixel}', name, 'e-' || i, at, at + 200,
    CAST('{{"event_name":"' || name || '","event_id":"e-' || i || '","user_data":{{"fbp":"fb.1.1763859600000.7"}}}}'
    AS BLOB), x'7b7d', 0 FROM n;
INSERT INTO dedup (key, event, seen_ms) SELECT CAST(printf('%016d', i) AS BLOB), i, at FROM n;
INSERT INTO leg
    (event, seq, state, evidence, transport, dispatched_ms, settled_ms, reported_ms, seen, not_before_ms, crc)
    SELECT i, 0, state, 'load', 'image', at + 3, at + 90, at + 200, NULL, at + 200, 0 FROM n;
INSERT INTO fate (event, fate, reason, detail, at_ms)
    SELECT i, fate, CASE fate WHEN 'rejected' THEN 'rejected_by_meta' ELSE 'received' END, NULL, at + 400 FROM n;
INSERT INTO attempt (id, pixel, lease, events, started_ms, finished_ms, outcome, http_status, fbtrace_id)
    SELECT i, '{pixel}', '', 1, at + 300, at + 400, CASE fate WHEN 'rejected' THEN 'reject' ELSE 'receipt' END, 200, 'A'
    FROM n;
INSERT INTO attempt_event (attempt, event) SELECT i, i FROM n;
{roll_ups}
COMMIT;
"""

ROLL_UP: Final = """
INSERT INTO counter (step_ms, what, site, at_ms, event_name, name, n)
    SELECT {step}, '{what}', '{site}', at - at % {step}, {event_name}, {name}, count(*) FROM n
    WHERE at > {since} GROUP BY 4, 5, 6;
"""

COUNTED: Final[Mapping[str, Sequence[str]]] = {
    "accepted": ("''",),
    "fate": ("fate",),
    "outcome": (
        "CASE WHEN fate = 'rejected' THEN 'failed' WHEN state = 'sent' THEN 'paired' "
        "WHEN state = 'pending' THEN 'unsure' ELSE 'server_only' END",
    ),
    "leg": ("state",),
    "delay": (
        "CASE i % 5 WHEN 0 THEN '300' WHEN 1 THEN '500' WHEN 2 THEN '2000' WHEN 3 THEN '20000' ELSE '400' END",
    ),
    "key": ("'fbp'", "'client_ip_address'", "'client_user_agent'"),
}


class Taken(NamedTuple):
    """In milliseconds. The second is of the processor, and steadier where others work on the machine."""

    p95: float
    cpu: float


def fill(path: Path, rows: int, now_ms: int) -> None:
    """A month of a shop, and its roll-ups, with one transaction."""
    kept = dict(zip(STEPS_MS, (86_400_000, 8 * 86_400_000, 40 * 86_400_000), strict=True))
    roll_ups = "".join(
        ROLL_UP.format(
            step=step,
            what=what,
            site=SITE,
            name=name,
            event_name="'' " if what == "call" else "name",
            since=now_ms - kept[step],
        )
        for step in STEPS_MS
        for what, names in COUNTED.items()
        for name in names
    )
    with closing(connect_writer(path)) as connection:
        connection.execute("PRAGMA synchronous = OFF")
        connection.executescript(
            FILL.format(rows=rows, now=now_ms, month=MONTH_MS, site=SITE, pixel=PIXEL, roll_ups=roll_ups)
        )
        connection.execute("ANALYZE")


async def measure(folder: Path, paths: Sequence[str], rounds: int) -> dict[str, Taken]:
    """What each page takes, from the request to its last byte, in one process."""
    settings = Settings(
        server=Server(public_url="http://relay.example", graph_url="http://127.0.0.1:9"),
        store=StoreSettings(path=str(folder / "counterfoil.db")),
        site=(
            Site(
                key=SITE,
                origins=("https://shop.example",),
                pixels=(Pixel(id=PIXEL, token_env="BENCH_TOKEN"),),
            ),
        ),
    )
    app = create_app(settings, environ=ENVIRON)
    transport = httpx.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url=settings.server.public_url, timeout=120) as http,
    ):
        (await http.get(make_sign_in_link(settings, ENVIRON, time.time()))).raise_for_status()
        taken: dict[str, list[float]] = {path: [] for path in paths}
        cpu: dict[str, list[float]] = {path: [] for path in paths}
        for _ in range(rounds):
            for path in paths:
                began, began_cpu = time.perf_counter(), time.process_time()
                (await http.get(path, headers={"accept": "text/html"})).raise_for_status()
                cpu[path].append((time.process_time() - began_cpu) * 1_000)
                taken[path].append((time.perf_counter() - began) * 1_000)
    return {
        path: Taken(statistics.quantiles(taken[path], n=20)[-1], statistics.median(cpu[path]))
        for path in paths
    }


def run(rows: int, rounds: int) -> None:
    paths = [*(entry.path for group in MENU for entry in group.entries), *EXTRA]
    found: dict[int, dict[str, Taken]] = {}
    for number in (1_000, rows):
        with tempfile.TemporaryDirectory() as folder:
            began = time.perf_counter()
            fill(Path(folder) / "counterfoil.db", number, time.time_ns() // 1_000_000)
            size_mib = (Path(folder) / "counterfoil.db").stat().st_size >> 20
            print(f"{number:,} receipts: {size_mib} MiB, filled in {time.perf_counter() - began:.0f} s")
            found[number] = asyncio.run(measure(Path(folder), paths, rounds))
    print(f"\n{'':<28}{'p95 of 1,000':>16}{f'p95 of {rows:,}':>20}{'processor, median':>22}{'ratio':>8}")
    for path in paths:
        few, many = found[1_000][path], found[rows][path]
        told = f"{few.cpu:.1f} → {many.cpu:.1f} ms"
        print(f"{path:<28}{few.p95:>13.1f} ms{many.p95:>17.1f} ms{told:>22}{many.cpu / few.cpu:>8.1f}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--receipts", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=20)
    asked = parser.parse_args()
    run(asked.receipts, asked.rounds)


if __name__ == "__main__":
    main()
