"""Many machines on one PostgreSQL, at length: each fault of `e2e/test_machines.py` for a minute, and more often.

`python -m bench.machines` prints a row per fault: posts, those that nobody answered with 202, the time within which 99
of 100 were, events that came to Meta twice, and what the checker found. Exit code 1 if it found anything. It starts
clusters of its own; as root it pulls the cable too, in a namespace. `--only NAME`, `--seconds` and `--kills` do less.
"""

import argparse
import random
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final, NamedTuple

from e2e.machines import Farm, ProxyThread, both, cable, fail_over, pair, rolling_restart, why_no_cable
from e2e.postgres import Cluster, new_database, open_folder
from e2e.rig import Visitors

RATE: Final = 100.0


class Asked(NamedTuple):
    """How long a fault lasts, how many relays and how many couriers are killed, and where the dice begin."""

    seconds: float
    kills: int
    seed: int


Trial = Callable[[Path, ExitStack, Asked], tuple[Farm, Callable[[], None]]]


def rolling(folder: Path, stack: ExitStack, asked: Asked) -> tuple[Farm, Callable[[], None]]:
    farm = Farm(folder, stack.enter_context(new_database()), relays=3, couriers=3)
    return farm, lambda: for_a_while(asked, lambda: rolling_restart([*farm.relays, *farm.couriers]))


def killed(folder: Path, stack: ExitStack, asked: Asked) -> tuple[Farm, Callable[[], None]]:
    farm = Farm(folder, stack.enter_context(new_database()))
    rng = random.Random(asked.seed)

    def work() -> None:
        farm.fault(what="delay", seconds=0.05, count=None)  # so that kills hit calls under way
        for _ in range(asked.kills):
            for process in (rng.choice(farm.relays), rng.choice(farm.couriers)):
                time.sleep(rng.uniform(0.2, 2.0))
                process.kill()
                process.start()

    return farm, work


def failover(folder: Path, stack: ExitStack, asked: Asked) -> tuple[Farm, Callable[[], None]]:
    primary, standby = stack.enter_context(pair())
    farm = Farm(folder, both(primary, standby), watch=standby.url)

    def work() -> None:
        time.sleep(asked.seconds / 3)
        fail_over(primary, standby)
        time.sleep(asked.seconds / 3)

    return farm, work


def absent(folder: Path, stack: ExitStack, asked: Asked) -> tuple[Farm, Callable[[], None]]:
    cluster = Cluster(stack.enter_context(open_folder()) / "pg").make()
    stack.callback(cluster.kill)

    def work() -> None:
        time.sleep(asked.seconds)
        cluster.start()
        time.sleep(asked.seconds / 4)
        cluster.stop()
        time.sleep(asked.seconds)
        cluster.start()

    return Farm(folder, cluster.url), work


def broken(folder: Path, stack: ExitStack, asked: Asked) -> tuple[Farm, Callable[[], None]]:
    database = stack.enter_context(new_database())
    proxy = stack.enter_context(ProxyThread(database))

    def once() -> None:
        for _ in range(10):
            proxy.lose_the_answer_to(b"COMMIT")
            time.sleep(0.2)
        proxy.cut()
        time.sleep(1.0)
        proxy.mend()
        time.sleep(1.0)
        proxy.freeze()
        time.sleep(3.0)
        proxy.thaw()
        time.sleep(1.0)

    return Farm(folder, proxy.url, watch=database), lambda: for_a_while(asked, once)


def pulled(folder: Path, stack: ExitStack, asked: Asked) -> tuple[Farm, Callable[[], None]]:
    server = stack.enter_context(cable())

    def once() -> None:
        for way in ("input", "output"):
            server.pull(way)
            time.sleep(asked.seconds)
            server.plug()
            time.sleep(asked.seconds / 4)

    return Farm(folder, server.url), once


def frozen(couriers: int) -> Trial:
    def make(folder: Path, stack: ExitStack, asked: Asked) -> tuple[Farm, Callable[[], None]]:
        farm = Farm(folder, stack.enter_context(new_database()), relays=1, couriers=couriers)

        def once() -> None:
            for courier in farm.couriers[: couriers // 2]:
                courier.signal(signal.SIGSTOP)
                time.sleep(5.0)  # past its lease
                courier.signal(signal.SIGCONT)

        def work() -> None:
            farm.fault(what="delay", seconds=0.1, count=None)  # so that calls are under way when one freezes
            for_a_while(asked, once)

        return farm, work

    return make


TRIALS: Final[dict[str, Trial]] = {
    "rolling restart": rolling,
    "relays and couriers killed": killed,
    "primary killed": failover,
    "absent at the start, and later": absent,
    "broken, cut, frozen": broken,
    "cable pulled, each way": pulled,
    "one of two couriers frozen": frozen(2),
    "four of eight couriers frozen": frozen(8),
}


def for_a_while(asked: Asked, once: Callable[[], None]) -> None:
    end = time.monotonic() + asked.seconds
    while time.monotonic() < end:
        once()


@contextmanager
def trial(make: Trial, asked: Asked) -> Iterator[tuple[Farm, Callable[[], None]]]:
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        farm, work = make(Path(name), stack, asked)
        with farm:
            yield farm, work


def run(make: Trial, asked: Asked) -> tuple[str, list[str]]:
    """The figures of one trial, as its row has them, and what the checker found."""
    with trial(make, asked) as (farm, work):
        visitors = Visitors(farm, posts_per_second=RATE, seed=asked.seed)
        try:
            work()
        finally:
            visitors.stop()
        farm.drain(seconds=300)
        found, repeats = farm.verdict(), farm.repeats()
    other = visitors.posts - visitors.answers.get(202, 0)
    p99 = sorted(visitors.seconds)[len(visitors.seconds) * 99 // 100]
    return f"{visitors.posts:>8}{other:>9}{p99:>9.2f}{repeats:>9}{len(found):>7}", found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", choices=TRIALS)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--kills", type=int, default=20)
    asked = parser.parse_args()
    violations = 0
    print(f"{'fault':<34}{'posts':>8}{'not 202':>9}{'p99 s':>9}{'repeats':>9}{'found':>7}")
    for seed in range(asked.rounds):
        for name in [asked.only] if asked.only else TRIALS:
            if TRIALS[name] is pulled and (reason := why_no_cable()):
                print(f"{name:<34} not tried: {reason}")
                continue
            row, found = run(TRIALS[name], Asked(asked.seconds, asked.kills, seed))
            print(f"{name:<34}{row}", flush=True)
            for each in found[:5]:
                print(f"    {each}")
            violations += len(found)
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main())
