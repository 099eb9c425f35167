"""What every test shares."""

import logging
from collections.abc import Iterator

import hypothesis
import pytest
import structlog

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
