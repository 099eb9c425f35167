"""One twin on a real socket for all tests of a worker, emptied for each, on a clock that the tests set."""

from collections.abc import Iterator

import httpx
import pytest

from relay.twin.app import create_twin
from relay.twin.fixture import MetaTwin, meta_twin
from relay.twin.state import TwinState
from tests.clock import Clock
from tests.twin.samples import NOW_SECONDS

__all__ = ["meta_twin"]


@pytest.fixture(scope="session")
def shared_clock() -> Clock:
    return Clock(NOW_SECONDS * 1_000)


@pytest.fixture(scope="session")
def shared_twin(shared_clock: Clock) -> Iterator[tuple[MetaTwin, httpx.Client, TwinState]]:
    app = create_twin(clock_ms=shared_clock)
    with MetaTwin(app) as twin, httpx.Client(base_url=twin.url) as client:
        yield twin, client, app.state.twin.state


@pytest.fixture
def clock(shared_clock: Clock) -> Clock:
    shared_clock.now_ms = NOW_SECONDS * 1_000
    return shared_clock


@pytest.fixture
def twin(shared_twin: tuple[MetaTwin, httpx.Client, TwinState], clock: Clock) -> httpx.Client:
    server, client, _ = shared_twin
    server.reset()
    return client


@pytest.fixture
def twin_state(shared_twin: tuple[MetaTwin, httpx.Client, TwinState]) -> TwinState:
    return shared_twin[2]
