"""Bounded load with faults: nothing lost, nothing sent twice unseen, memory flat, queue drained.

`python -m bench.soak [--seconds 600] [--posts-per-second 40] [--kills 0] [--seed 1]` runs `counterfoil serve` as a
process of its own against the Meta twin. Visitors post all the while, some posts twice; the twin answers with one
fault after the other. `--kills` ends the relay with SIGKILL that often, at random instants, and starts it again; its
retries then come within seconds (`e2e/hurried.py`), or the queue would take hours to drain. At the end the faults stop,
the queue drains, and the checker (`e2e/checker.py`) compares the three logs key by key. Exit code 1 if anything is
lost, altered, or sent twice without having been counted, or if memory has grown.
"""

import argparse
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Final

import httpx
import msgspec

from e2e.checker import Ledger, Violation, read_ledger
from e2e.rig import HEADERS, Faults, Kills, Rig, Visitors, post, shop_event

SAMPLE_SECONDS: Final = 1.0
WARM_SHARE: Final = 0.2  # of the run
FILLED_MIB: Final = 64  # SQLite's page cache of 32 MiB is full by then, so that memory can be compared
GROWTH_MAX: Final = 1.10
DRAIN_SECONDS: Final = 900.0


class Sample(msgspec.Struct, frozen=True):
    """The relay at one moment."""

    memory_mib: float
    waiting: int
    log_mib: float  # the write-ahead log


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """All that the table shows."""

    seconds: float
    drain_seconds: float
    samples: list[Sample]
    visitors: Visitors
    faults: dict[str, int]
    kills: Kills | None
    ledger: Ledger
    sends: Counter[str]
    violations: list[Violation]

    def growth(self) -> float:
        """Memory at the end against that after warming up."""
        warm = [sample.memory_mib for sample in self.samples[int(len(self.samples) * WARM_SHARE) :]]
        fifth = max(1, len(warm) // 5)
        return (sum(warm[-fifth:]) / fifth) / (sum(warm[:fifth]) / fifth)

    def is_good(self) -> bool:
        grown = self.kills is None and self.growth() > GROWTH_MAX
        return not self.violations and not grown


def soak(folder: Path, *, seconds: float, posts_per_second: float, kills: int, seed: int) -> Outcome:
    with Rig(folder, program="e2e.hurried" if kills else "relay") as rig:
        if not kills:
            fill_cache(rig)
        began = time.monotonic()
        visitors = Visitors(rig, posts_per_second=posts_per_second, seed=seed)
        faults = Faults(rig, every_seconds=2.0, seed=seed)
        killing = Kills(rig, number=kills, seed=seed) if kills else None
        samples: list[Sample] = []
        if killing:
            killing.join()
        else:
            while time.monotonic() - began < seconds:
                time.sleep(SAMPLE_SECONDS)
                samples.append(sample(rig))
        visitors.stop()
        faults.stop()
        ended = time.monotonic()
        rig.drain(seconds=DRAIN_SECONDS)
        drained = time.monotonic()
        rig.relay.stop()
        return Outcome(
            seconds=ended - began,
            drain_seconds=drained - ended,
            samples=samples,
            visitors=visitors,
            faults=faults.tried,
            kills=killing,
            ledger=read_ledger(rig.relay.database),
            sends=Counter(event["event_id"] for event in rig.twin_state()["server"]),
            violations=rig.verdict(),
        )


def fill_cache(rig: Rig) -> None:
    """Post large events until the file is larger than the page cache; they are checked like all others."""
    number = 0
    with httpx.Client(headers=HEADERS, timeout=60) as client:
        while rig.relay.database.stat().st_size < FILLED_MIB << 20:
            events = [shop_event(f"large-{number}-{part}") for part in range(3)]
            for event in events:
                event["custom_data"]["note"] = "x" * 18_000
            post(client, rig, events)
            number += 1


def sample(rig: Rig) -> Sample:
    log = rig.relay.database.with_name(rig.relay.database.name + "-wal")
    return Sample(
        rig.relay.memory_mib(), rig.waiting(), log.stat().st_size / (1 << 20) if log.exists() else 0
    )


def table(outcome: Outcome) -> str:
    rows = outcome.ledger.rows
    fates = Counter(row.fate for row in rows)
    ambiguous = sum(any(call.outcome == "unknown" for call in row.calls) for row in rows)
    tried = ", ".join(f"{name} {n}" for name, n in sorted(outcome.faults.items()))
    lines = [
        ("seconds of load", f"{outcome.seconds:.0f}"),
        ("faults tried", f"{sum(outcome.faults.values())} ({tried})"),
        (
            "posts, by answer",
            ", ".join(f"{s or 'none'}: {n}" for s, n in sorted(outcome.visitors.answers.items())),
        ),
        ("accepted events", f"{len(rows)}"),
        *[(f"  {fate}", str(n)) for fate, n in sorted(fates.items(), key=str)],
        ("lost, or any other violation", str(len(outcome.violations))),
        ("with an ambiguous send", str(ambiguous)),
        ("  sent more than once", str(sum(times > 1 for times in outcome.sends.values()))),
        ("seconds to drain", f"{outcome.drain_seconds:.0f}"),
    ]
    if outcome.kills:
        lines += [
            ("kill -9", str(outcome.kills.done)),
            ("slowest start, seconds", f"{outcome.kills.slowest_start_seconds:.1f}"),
        ]
    else:
        lines += [
            ("memory, MiB", f"{outcome.samples[0].memory_mib:.0f} to {outcome.samples[-1].memory_mib:.0f}"),
            ("  growth after warming up", f"{(outcome.growth() - 1) * 100:+.1f} %"),
            ("longest queue", str(max(sample.waiting for sample in outcome.samples))),
            ("largest write-ahead log, MiB", f"{max(sample.log_mib for sample in outcome.samples):.0f}"),
        ]
    return "\n".join(f"{name:<32}{value}" for name, value in lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--posts-per-second", type=float, default=40)
    parser.add_argument("--kills", type=int, default=0)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        outcome = soak(
            Path(folder),
            seconds=asked.seconds,
            posts_per_second=asked.posts_per_second,
            kills=asked.kills,
            seed=asked.seed,
        )
    print(table(outcome))
    for violation in outcome.violations[:20]:
        print(violation)
    return 0 if outcome.is_good() else 1


if __name__ == "__main__":
    sys.exit(main())
