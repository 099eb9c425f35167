"""Each fault of `e2e/faults.py` against the whole relay, and what became of every event.

`python -m bench.faults` prints a table: accepted, delivered, rejected (one poisoned event a run), lost, sent twice, and
sends of which nobody knows. Exit code 1 if an event is lost, or sent twice without having been counted.
"""

import logging
import sys
import tempfile
from collections import Counter
from pathlib import Path

from e2e.faults import TROUBLES, Trouble
from e2e.story import Logs, play
from relay.logs import configure_logs

HEADS = ("accepted", "delivered", "rejected", "lost", "twice", "ambiguous", "violations")


def numbers(logs: Logs) -> list[int]:
    fates = Counter(row.fate for row in logs.ledger.rows)
    sends = Counter(event["event_id"] for event in logs.twin["server"])
    return [
        len(logs.ledger.rows),
        fates["delivered"],
        fates["rejected"],
        sum(violation.invariant == "I1" for violation in logs.violations()),
        sum(times > 1 for times in sends.values()),
        sum(any(call.outcome == "unknown" for call in row.calls) for row in logs.ledger.rows),
        len(logs.violations()),
    ]


def try_one(trouble: Trouble) -> list[int]:
    with tempfile.TemporaryDirectory() as folder:
        return numbers(play(Path(folder), trouble.twin, transport=trouble.way))


def main() -> int:
    configure_logs("text", level=logging.CRITICAL)
    rows = []
    print(f"{'fault':<32}" + "".join(f"{head:>11}" for head in HEADS))
    for trouble in TROUBLES:
        rows.append(try_one(trouble))
        print(f"{trouble.name:<32}" + "".join(f"{number:>11}" for number in rows[-1]), flush=True)
    totals = [sum(column) for column in zip(*rows, strict=True)]
    print(f"{'all':<32}" + "".join(f"{number:>11}" for number in totals))
    return 1 if totals[-1] else 0


if __name__ == "__main__":
    sys.exit(main())
