"""What every test shares."""

import hypothesis
import pytest

# A deadline is a wall-clock assert: on a busy machine it fails a property that holds.
hypothesis.settings.register_profile("counterfoil", deadline=None)
hypothesis.settings.load_profile("counterfoil")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"
