"""What the promises of every subject stand on."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import ClassVar

import pytest

from relay.store.protocol import Store

OpenStore = Callable[[], Awaitable[Store]]
DAY_MS = 24 * 60 * 60 * 1000
ADA, BOB = "ada0" * 16, "b0b0" * 16  # as hashes look
ORDER = b"0123456789abcdef"


class Promises:
    """`open_store` comes from the store's own test module: each call opens the same store again."""

    pytestmark = pytest.mark.anyio

    late_ms: ClassVar[int] = 0  # how much later than promised a store may forget an event

    @pytest.fixture
    async def store(self, open_store: OpenStore) -> AsyncIterator[Store]:
        store = await open_store()
        yield store
        await store.close()
