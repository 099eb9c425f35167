"""Many machines on one PostgreSQL: whatever happens to it and to them, the checker finds nothing lost or doubled.

Short forms; `python -m bench.machines` does the same for minutes.
"""

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from e2e.lab import wait_until
from e2e.machines import Farm, ProxyThread, both, cable, fail_over, pair, rolling_restart, why_no_cable
from e2e.postgres import Cluster, new_database, open_folder, run_sql
from e2e.rig import Visitors

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def database() -> Iterator[str]:
    with new_database() as url:
        yield url


def answered(visitors: Visitors, more: int) -> None:
    """Until so many more posts have been answered: a busy machine takes longer."""
    goal = visitors.answers.get(202, 0) + more
    wait_until(lambda: visitors.answers.get(202, 0) >= goal, "posts are answered", seconds=120)


def test_a_rolling_restart_loses_nothing(tmp_path: Path, database: str) -> None:
    with Farm(tmp_path, database) as farm:
        visitors = Visitors(farm, posts_per_second=60, seed=1)
        answered(visitors, 15)
        rolling_restart([*farm.relays, *farm.couriers])
        answered(visitors, 15)
        visitors.stop()
        farm.drain()
        assert farm.verdict() == []
        run_sql(database, "DELETE FROM fate WHERE event = (SELECT min(event) FROM fate)")
        assert farm.verdict() != [], "the checker sees what is missing"


def test_killed_relays_and_couriers_lose_nothing_that_was_answered(tmp_path: Path, database: str) -> None:
    with Farm(tmp_path, database) as farm:
        farm.fault(what="delay", seconds=0.05, count=None)  # so that kills hit calls under way
        visitors = Visitors(farm, posts_per_second=60, seed=8)
        for process in [*farm.relays, *farm.couriers]:
            answered(visitors, 15)
            process.kill()
            process.start(wait=False)
        for relay in farm.relays:
            relay.wait_until_ready()
        visitors.stop()
        farm.drain()
        assert farm.verdict() == []


def test_a_killed_primary_loses_nothing_that_was_answered(tmp_path: Path) -> None:
    with (
        pair() as (primary, standby),
        Farm(tmp_path, both(primary, standby), watch=standby.url) as farm,
    ):
        visitors = Visitors(farm, posts_per_second=60, seed=2)
        time.sleep(1.0)  # a second of normal life
        fail_over(primary, standby)
        time.sleep(1.0)
        visitors.stop()
        farm.drain()
        assert farm.verdict() == []
    assert visitors.answers.keys() == {202}, "the gap is bridged by the spill file"


def test_relays_start_without_the_database_and_hand_over_when_it_is_there(tmp_path: Path) -> None:
    with open_folder() as folder, Farm(tmp_path, (cluster := Cluster(folder / "pg").make()).url) as farm:
        visitors = Visitors(farm, posts_per_second=60, seed=3)
        time.sleep(1.0)
        visitors.stop()
        assert farm.spilled() > 0
        cluster.start()
        try:
            farm.drain()
            assert farm.verdict() == []
        finally:
            cluster.kill()
    assert visitors.answers.keys() == {202}


def test_connections_that_break_at_commit_lose_and_double_nothing(tmp_path: Path, database: str) -> None:
    with ProxyThread(database) as proxy, Farm(tmp_path, proxy.url, watch=database) as farm:
        visitors = Visitors(farm, posts_per_second=60, seed=4)
        for _ in range(8):
            proxy.lose_the_answer_to(b"COMMIT")
            time.sleep(0.2)
        proxy.cut()
        time.sleep(0.5)
        proxy.mend()
        proxy.freeze()
        time.sleep(2.0)
        proxy.thaw()
        visitors.stop()
        farm.drain()
        assert farm.verdict() == []
        assert proxy.lost > 3
    assert visitors.answers.keys() == {202}


def test_a_pulled_cable_loses_and_doubles_nothing(tmp_path: Path) -> None:
    if reason := why_no_cable():
        pytest.skip(reason)
    with cable() as server, Farm(tmp_path, server.url) as farm:
        visitors = Visitors(farm, posts_per_second=60, seed=6)
        time.sleep(1.0)
        for way in ("input", "output"):
            server.pull(way)
            time.sleep(3.0)
            server.plug()
            time.sleep(1.0)
        visitors.stop()
        farm.drain()
        assert farm.verdict() == []
    assert visitors.answers.keys() == {202}


@pytest.mark.parametrize("couriers", [2, 8])
def test_couriers_that_race_share_the_work_and_a_frozen_one_does_no_harm(
    tmp_path: Path, database: str, couriers: int
) -> None:
    with Farm(tmp_path, database, relays=1, couriers=couriers) as farm:
        farm.fault(what="delay", seconds=0.1, count=None)  # so that calls are under way when one freezes
        visitors = Visitors(farm, posts_per_second=80, seed=5)
        time.sleep(1.0)
        farm.couriers[0].signal(signal.SIGSTOP)
        time.sleep(5.0)  # past its lease
        farm.couriers[0].signal(signal.SIGCONT)
        visitors.stop()
        farm.drain()
        assert farm.verdict() == []
