"""Opening and closing."""

import asyncio

import pytest

from relay.errors import StoreError
from relay.event.outcome import Admission
from relay.store.protocol import (
    Store,
)
from tests.store.promises.base import OpenStore, Promises
from tests.store.samples import (
    event,
)


class Lifecycle(Promises):
    async def test_close_commits_what_still_waits(self, store: Store, open_store: OpenStore) -> None:
        posts = [asyncio.ensure_future(store.admit([event(f"e{i}")])) for i in range(100)]
        await asyncio.sleep(0)  # every post has reached the store; none has been answered
        await store.close()
        assert [await post for post in posts] == [[Admission.ACCEPTED]] * 100
        again = await open_store()
        assert (await again.totals()).waiting == 100
        await again.close()

    async def test_a_closed_store_says_so(self, store: Store) -> None:
        assert await store.ready()
        await store.close()
        await store.close()
        assert not await store.ready()
        with pytest.raises(StoreError, match="closed"):
            await store.admit([event()])
        with pytest.raises(StoreError, match="closed"):
            await store.totals()

    async def test_a_cancelled_caller_does_not_stop_its_write(self, store: Store) -> None:
        post = asyncio.ensure_future(store.admit([event()]))
        await asyncio.sleep(0)
        post.cancel()
        with pytest.raises(asyncio.CancelledError):
            await post
        assert await store.admit([event()]) == [Admission.DUPLICATE]
