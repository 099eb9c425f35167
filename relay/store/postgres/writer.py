"""Group commit: whatever posts wait go into one transaction, and one commit serves all of them.

There is no timer. While one group is being committed the next one gathers, so a lone post is written at once
and a crowd shares. A group that fails for what is in it is tried again post by post, so that a bad one fails alone.
"""

import asyncio
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final

from relay.errors import StoreError, StoreUnavailable
from relay.event.outcome import Admission
from relay.event.records import OutboxEvent
from relay.store.postgres.counter import At

# A larger group would make its first caller wait longer without saving a noticeable share of a commit.
GROUP_MAX: Final = 512


@dataclass(frozen=True, slots=True)
class Post:
    """What one caller wants written: events of a post, or a count of something refused."""

    events: Sequence[OutboxEvent]
    again: bool = False  # it may have been admitted before, and then is no duplicate
    refused: At | None = None


@dataclass(slots=True)
class _Waiting:
    post: Post
    answer: asyncio.Future[list[Admission]]
    is_withdrawn: bool = False  # its caller went elsewhere with it

    def withdraw(self) -> None:
        if not self.answer.done():
            self.is_withdrawn = True
            self.answer.set_exception(
                StoreUnavailable(
                    "The database takes too long. Look for locks, a slow disk or a lost standby."
                )
            )


Commit = Callable[[Sequence[Post]], Awaitable[list[list[Admission]]]]


class Writer:
    """Takes posts; each is durable when its caller goes on."""

    def __init__(self, commit: Commit) -> None:
        self._commit = commit
        self._loop = asyncio.get_running_loop()  # asked once: each time is a system call
        self._inbox: deque[_Waiting] = deque()
        self._filled = asyncio.Event()
        self._closed = False
        self._task = asyncio.create_task(self._run())

    @property
    def waiting(self) -> int:
        """Posts that no transaction has taken yet."""
        return len(self._inbox)

    async def write(self, post: Post, *, seconds: float | None = None) -> list[Admission]:
        """Write and commit the post. A caller that is cancelled does not stop its write.

        Raises StoreUnavailable after the seconds; the post may be committed all the same.
        """
        if self._closed:
            raise StoreError("The store is closed.")
        waiting = _Waiting(post, self._loop.create_future())
        self._inbox.append(waiting)
        self._filled.set()
        if seconds is None:
            return await waiting.answer
        late = self._loop.call_later(seconds, waiting.withdraw)
        try:
            return await waiting.answer
        finally:
            late.cancel()

    async def close(self) -> None:
        """Commit everything that waits, then end."""
        self._closed = True
        self._filled.set()
        await asyncio.shield(self._task)

    async def _run(self) -> None:
        while True:
            await self._filled.wait()
            while group := self._gather():
                await self._write(group)
            if self._closed:
                return
            self._filled.clear()

    def _gather(self) -> list[_Waiting]:
        """What waits now, up to a bound of events; nothing when nothing waits."""
        group: list[_Waiting] = []
        events = 0
        while self._inbox and events < GROUP_MAX:
            waiting = self._inbox.popleft()
            if not waiting.is_withdrawn:
                group.append(waiting)
                events += max(1, len(waiting.post.events))
        return group

    async def _write(self, group: Sequence[_Waiting]) -> None:
        try:
            answers = await self._commit([waiting.post for waiting in group])
        except Exception as error:  # whatever it is: the task must outlive it, or its callers wait for ever
            if len(group) > 1 and not isinstance(error, StoreUnavailable):
                for waiting in group:
                    await self._write([waiting])
                return
            for waiting in group:
                if not waiting.answer.done():
                    waiting.answer.set_exception(error)
        else:
            for waiting, answer in zip(group, answers, strict=True):
                if not waiting.answer.done():  # its caller was cancelled; the write stands
                    waiting.answer.set_result(answer)


def refusals(posts: Sequence[Post]) -> Counter[At]:
    return Counter(post.refused for post in posts if post.refused is not None)
