"""What every test shares."""

import logging
import os
from collections.abc import Iterator

import hypothesis
import pytest
import structlog

from e2e.postgres import empty, is_there, new_database

# A deadline is a wall-clock assert: on a busy machine it fails a property that holds.
hypothesis.settings.register_profile("counterfoil", deadline=None)
hypothesis.settings.load_profile("counterfoil")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def untouched_logging() -> Iterator[None]:
    """For tests that set logging up as the command line does: gives it back as it was."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    structlog.reset_defaults()
    root.handlers[:], root.level = handlers, level
    logging.getLogger("relay").setLevel(logging.NOTSET)


@pytest.fixture(scope="session")
def worker_database() -> Iterator[str]:
    if not is_there() and "CI" not in os.environ:
        pytest.skip("no PostgreSQL: `python -m e2e.postgres` says what to do")
    with new_database() as url:
        yield url


@pytest.fixture
def database(worker_database: str) -> str:
    """A database of this worker's own, without a row."""
    empty(worker_database)
    return worker_database
