"""Many machines on one PostgreSQL, at length: each fault of `e2e/test_machines.py` for a minute, and in every round.

`python -m bench.machines [rounds]` prints a row per fault: posts, answers other than 202, what the checker found.
Exit code 1 if it found anything. It starts clusters of its own; as root it pulls the cable too, in a namespace.
"""

import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

from e2e.machines import Farm, ProxyThread, both, cable, fail_over, pair, rolling_restart, why_no_cable
from e2e.postgres import Cluster, new_database, open_folder
from e2e.rig import Visitors

SECONDS: Final = 60.0
RATE: Final = 100.0

Trial = Callable[[Path, ExitStack], tuple[Farm, Callable[[], None]]]


def rolling(folder: Path, stack: ExitStack) -> tuple[Farm, Callable[[], None]]:
    farm = Farm(folder, stack.enter_context(new_database()), relays=3, couriers=3)
    return farm, lambda: for_a_while(lambda: rolling_restart([*farm.relays, *farm.couriers]))


def failover(folder: Path, stack: ExitStack) -> tuple[Farm, Callable[[], None]]:
    primary, standby = stack.enter_context(pair())
    farm = Farm(folder, both(primary, standby), watch=standby.url)

    def work() -> None:
        time.sleep(SECONDS / 3)
        fail_over(primary, standby)
        time.sleep(SECONDS / 3)

    return farm, work


def absent(folder: Path, stack: ExitStack) -> tuple[Farm, Callable[[], None]]:
    cluster = Cluster(stack.enter_context(open_folder()) / "pg").make()
    stack.callback(cluster.kill)

    def work() -> None:
        time.sleep(SECONDS)
        cluster.start()

    return Farm(folder, cluster.url), work


def broken(folder: Path, stack: ExitStack) -> tuple[Farm, Callable[[], None]]:
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

    return Farm(folder, proxy.url, watch=database), lambda: for_a_while(once)


def pulled(folder: Path, stack: ExitStack) -> tuple[Farm, Callable[[], None]]:
    server = stack.enter_context(cable())

    def once() -> None:
        for way in ("input", "output"):
            server.pull(way)
            time.sleep(SECONDS / 4)
            server.plug()
            time.sleep(SECONDS / 8)

    return Farm(folder, server.url), once


def frozen(folder: Path, stack: ExitStack) -> tuple[Farm, Callable[[], None]]:
    farm = Farm(folder, stack.enter_context(new_database()), relays=1, couriers=8)

    def once() -> None:
        for courier in farm.couriers[:4]:
            courier.signal(signal.SIGSTOP)
            time.sleep(5.0)
            courier.signal(signal.SIGCONT)

    return farm, lambda: for_a_while(once)


TRIALS: Final[dict[str, Trial]] = {
    "rolling restart": rolling,
    "primary killed": failover,
    "absent at the start": absent,
    "broken, cut, frozen": broken,
    "cable pulled, each way": pulled,
    "couriers frozen past their lease": frozen,
}


def for_a_while(once: Callable[[], None]) -> None:
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        once()


@contextmanager
def trial(make: Trial) -> Iterator[tuple[Farm, Callable[[], None]]]:
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        farm, work = make(Path(name), stack)
        with farm:
            yield farm, work


def main() -> int:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 1
    violations = 0
    print(f"{'fault':<34}{'posts':>8}{'not 202':>9}{'found':>7}")
    for number in range(rounds):
        for name, make in TRIALS.items():
            if make is pulled and (reason := why_no_cable()):
                print(f"{name:<34} not tried: {reason}")
                continue
            with trial(make) as (farm, work):
                visitors = Visitors(farm, posts_per_second=RATE, seed=number)
                work()
                visitors.stop()
                farm.drain(seconds=300)
                found = farm.verdict()
            other = sum(n for status, n in visitors.answers.items() if status != 202)
            print(f"{name:<34}{visitors.posts:>8}{other:>9}{len(found):>7}", flush=True)
            for each in found[:5]:
                print(f"    {each}")
            violations += len(found)
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main())
