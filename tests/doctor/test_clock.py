"""The relay's clock beside that of a real twin."""

from pathlib import Path

import pytest

from relay.clock import wall_clock_ms
from relay.doctor.clock import check_clock
from relay.doctor.finding import Finding, Status
from relay.twin.app import create_twin
from tests.doctor.lab import network_of, only, relay_on_loopback, served, settings_for, subject_of

pytestmark = pytest.mark.anyio


async def look(folder: Path, seconds_ahead: int) -> Finding:
    def clock_ms() -> int:
        return wall_clock_ms() + seconds_ahead * 1000

    async with (
        served(create_twin()) as port,
        relay_on_loopback(folder, clock_ms=clock_ms, graph_url=f"http://127.0.0.1:{port}") as subject,
        network_of() as network,
    ):
        return only(await check_clock(subject, network))


async def test_clocks_that_agree_are_well(tmp_path: Path) -> None:
    finding = await look(tmp_path, 0)
    assert (finding.status, finding.seen) == (
        Status.OK,
        "within 5 s of each other, by the relay's own clock",
    )


@pytest.mark.parametrize(
    ("seconds", "status", "said"),
    [
        (30, Status.WARN, "ahead of Graph"),
        (-30, Status.WARN, "behind Graph"),
        (90, Status.FAIL, "ahead of Graph"),
        (-90, Status.FAIL, "behind Graph"),
    ],
)
async def test_a_clock_that_is_off_is_told(tmp_path: Path, seconds: int, status: Status, said: str) -> None:
    finding = await look(tmp_path, seconds)
    assert (finding.status, said in finding.seen, "NTP" in (finding.fix or "")) == (status, True, True)


async def test_without_the_key_the_date_header_has_to_do(tmp_path: Path) -> None:
    async with (
        served(create_twin()) as port,
        relay_on_loopback(tmp_path / "relay", graph_url=f"http://127.0.0.1:{port}") as subject,
        network_of() as network,
    ):
        keyless = settings_for(tmp_path / "none", subject.relay, graph_url=f"http://127.0.0.1:{port}")
        finding = only(await check_clock(subject_of(keyless), network))
    assert (finding.status, finding.seen) == (Status.OK, "within 5 s of each other, by its Date header")


async def test_without_graph_there_is_nothing_to_compare_with(tmp_path: Path) -> None:
    async with relay_on_loopback(tmp_path) as subject, network_of() as network:
        assert only(await check_clock(subject, network)).status is Status.SKIPPED
