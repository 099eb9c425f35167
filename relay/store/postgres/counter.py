"""Counts: by the minute, the quarter of an hour and two hours for plots, since the beginning for the status line.

They are written in the transaction of what they count, at its end and in one order, each machine in its own shard.
"""

from collections import Counter
from collections.abc import Mapping
from typing import Final, TypeAlias

from relay.event.tally import Topic
from relay.store.postgres.database import Connection
from relay.store.postgres.families import Way
from relay.store.postgres.rows import columns
from relay.store.protocol import STEPS_MS, Counts
from relay.store.rules import Counted, totals_of

# All that is counted in a transaction. Each part waits for the one before it, so that rows are locked in one order.
ADD: Final = """
WITH ways AS (
    INSERT INTO address_family AS kept (hour_ms, site, page, token, sent, shard, n)
    SELECT hour_ms, site, page, token, sent, $1, n
    FROM unnest($2::bigint[], $3::text[], $4::text[], $5::text[], $6::text[], $7::bigint[])
        AS new (hour_ms, site, page, token, sent, n)
    ORDER BY 1, 2, 3, 4, 5
    ON CONFLICT (hour_ms, site, page, token, sent, shard) DO UPDATE SET n = kept.n + excluded.n
    RETURNING 1
),
steps AS (
    INSERT INTO counter AS kept (step_ms, what, site, at_ms, event_name, name, shard, n)
    SELECT step_ms, what, site, at_ms, event_name, name, $1, n
    FROM unnest($8::bigint[], $9::text[], $10::text[], $11::bigint[], $12::text[], $13::text[], $14::bigint[])
        AS new (step_ms, what, site, at_ms, event_name, name, n)
    WHERE (SELECT count(*) FROM ways) >= 0
    ORDER BY 1, 2, 3, 4, 5, 6
    ON CONFLICT (step_ms, what, site, at_ms, event_name, name, shard) DO UPDATE SET n = kept.n + excluded.n
    RETURNING 1
)
INSERT INTO total AS kept (what, shard, n)
SELECT what, $1, n FROM unnest($15::text[], $16::bigint[]) AS new (what, n)
WHERE (SELECT count(*) FROM steps) >= 0
ORDER BY 1
ON CONFLICT (what, shard) DO UPDATE SET n = kept.n + excluded.n
"""

ADD_TO_TOTAL: Final = """
INSERT INTO total AS kept (what, shard, n)
SELECT what, $3, n FROM unnest($1::text[], $2::bigint[]) AS new (what, n) ORDER BY 1
ON CONFLICT (what, shard) DO UPDATE SET n = kept.n + excluded.n
"""

# Steps from site to site through the key instead of reading the rows of other topics and times.
SITES: Final = """
WITH RECURSIVE each (site) AS (
    (SELECT min(site) FROM counter WHERE step_ms = $1 AND what = $2)
    UNION ALL
    SELECT (SELECT min(counter.site) FROM counter WHERE step_ms = $1 AND what = $2 AND counter.site > each.site)
    FROM each WHERE each.site IS NOT NULL
)
SELECT site FROM each WHERE site IS NOT NULL
"""

READ: Final = """
SELECT at_ms, event_name, name, sum(n)::bigint AS n FROM counter
WHERE step_ms = $1 AND what = $2 AND site = ANY($3::text[]) AND at_ms >= $4
GROUP BY at_ms, event_name, name HAVING sum(n) > 0
"""

NO_WAYS: Final[Mapping[Way, int]] = {}

At: TypeAlias = tuple[int, Counted]  # what is counted, and when


async def count(connection: Connection, counts: Mapping[Counted, int], now_ms: int, shard: int) -> None:
    await count_at(connection, {(now_ms, each): n for each, n in counts.items()}, shard)


async def count_at(
    connection: Connection, counts: Mapping[At, int], shard: int, ways: Mapping[Way, int] = NO_WAYS
) -> None:
    """Add to every step, and for what the status line tells to the total; a way's number may be negative.

    Rows are written in one order.
    """
    minutes: Counter[At] = Counter()
    whats: Counter[Counted] = Counter()
    for (at_ms, each), n in counts.items():
        minutes[at_ms - at_ms % STEPS_MS[0], each] += n
        whats[each] += n
    steps: Counter[tuple[int, str, str, int, str, str]] = Counter()
    for (at_ms, each), n in minutes.items():
        for step_ms in STEPS_MS:
            at = at_ms - at_ms % step_ms
            steps[step_ms, each.what.value, each.site, at, each.event_name, each.name] += n
    totals = totals_of(whats)
    way_rows = [(*way, n) for way, n in ways.items() if n]
    step_rows = [(*step, n) for step, n in steps.items() if n]
    if way_rows or step_rows or totals:
        of_totals = list(totals), list(totals.values())
        await connection.execute(ADD, shard, *columns(way_rows, 6), *columns(step_rows, 7), *of_totals)


async def add_to_totals(connection: Connection, totals: Mapping[str, int], shard: int) -> None:
    if totals:
        await connection.execute(ADD_TO_TOTAL, list(totals), list(totals.values()), shard)


async def counted_sites(connection: Connection, what: Topic, step_ms: int) -> list[str]:
    return [row["site"] for row in await connection.fetch(SITES, step_ms, what.value)]


async def counts(
    connection: Connection, what: Topic, *, step_ms: int, since_ms: int, site: str | None
) -> list[Counts]:
    sites = await counted_sites(connection, what, step_ms) if site is None else [site]
    rows = await connection.fetch(READ, step_ms, what.value, sites, since_ms - since_ms % step_ms)
    found = sorted((row["at_ms"], row["event_name"], row["name"], row["n"]) for row in rows)
    return [
        Counts(at_ms=at_ms, event_name=event_name, name=name, n=n) for at_ms, event_name, name, n in found
    ]
