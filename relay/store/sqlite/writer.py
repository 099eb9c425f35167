"""The one writer thread: whatever waits goes into one transaction, and one fsync serves all of it.

There is no timer. While one group is being committed the next one gathers, so a lone post is written at once
and a crowd shares. Each unit of work has its own savepoint: one that fails is undone alone. Neighbours that do the same
with things of their own are done in one go, and one by one where that fails.
"""

import asyncio
import queue
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain, groupby
from typing import Any, Final, TypeVar

from relay.errors import StoreError
from relay.store.sqlite.file import abandon, explain, is_full

T = TypeVar("T")
S = TypeVar("S")
Unit = Callable[[sqlite3.Connection], T]
SharedUnit = Callable[[sqlite3.Connection, Sequence[S]], Sequence[T]]  # an answer for each thing, in order

# A larger group would make its first caller wait longer without saving a noticeable share of an fsync.
GROUP_MAX: Final = 512


@dataclass(frozen=True, slots=True)
class _Waiting:
    unit: Unit[Any]
    future: asyncio.Future[Any]
    alone: bool = False  # outside of any transaction
    shared: tuple[SharedUnit[Any, Any], Any] | None = None  # what `unit` does, and with what


@dataclass(frozen=True, slots=True)
class _Failed:
    error: Exception


class Writer:
    """Takes units of work from the event loop; each is durable when its caller goes on."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._loop = asyncio.get_running_loop()
        self._inbox: queue.SimpleQueue[_Waiting | None] = queue.SimpleQueue()
        self._next: _Waiting | None = None  # taken out of the inbox, and not for the group that was gathered
        self._closed = False
        # A daemon: a program that ends without close() loses nothing that was acknowledged.
        self._thread = threading.Thread(target=self._run, name="store-writer", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """Units that no transaction has taken yet."""
        return self._inbox.qsize()

    async def write(self, unit: Unit[T]) -> T:
        """Run the unit and commit it. A caller that is cancelled does not stop its write."""
        return await self._put(unit)

    async def share(self, unit: SharedUnit[S, T], thing: S) -> T:
        """The same for `unit(connection, [thing])`; posts that wait behind each other share one call of the unit."""
        return await self._put(lambda connection: unit(connection, [thing])[0], shared=(unit, thing))

    async def alone(self, unit: Unit[T]) -> T:
        """Run what cannot be part of a transaction, while no other write is under way; those behind it wait."""
        return await self._put(unit, alone=True)

    async def _put(
        self, unit: Unit[T], *, alone: bool = False, shared: tuple[SharedUnit[Any, T], Any] | None = None
    ) -> T:
        if self._closed:
            raise StoreError("The store is closed.")
        future: asyncio.Future[T] = self._loop.create_future()
        self._inbox.put(_Waiting(unit, future, alone, shared))
        return await future

    async def close(self) -> None:
        """Commit everything that waits, then end the thread."""
        self._closed = True
        self._inbox.put(None)
        await asyncio.to_thread(self._thread.join)

    def _run(self) -> None:
        while group := self._gather():
            outcomes = [self._run_alone(group[0])] if group[0].alone else self._commit(group)
            with suppress(RuntimeError):  # the loop is closed: nobody waits for the answer any more
                self._loop.call_soon_threadsafe(_answer, group, outcomes)

    def _gather(self) -> list[_Waiting]:
        """Everything that waits now, at least one, or one that goes alone; nothing when the end has been called."""
        group: list[_Waiting] = []
        waiting, self._next = self._next or self._inbox.get(), None
        while waiting is not None:
            if waiting.alone and group:
                self._next = waiting
                return group
            group.append(waiting)
            if waiting.alone or len(group) == GROUP_MAX or self._inbox.empty():
                return group
            waiting = self._inbox.get()
        self._inbox.put(None)  # the end stays at the end, for the next round
        return group

    def _commit(self, group: Sequence[_Waiting]) -> list[Any]:
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            outcomes = list(chain.from_iterable(map(self._run_neighbours, _neighbours(group))))
            self._connection.execute("COMMIT")
        except (
            Exception
        ) as error:  # the thread must outlive whatever happens: its callers would wait for ever
            abandon(self._connection)
            if is_full(error) and len(group) > 1:
                # A full disk takes the whole transaction; alone, the small ones may still fit.
                return [self._commit([waiting])[0] for waiting in group]
            return [_failed(error) for _ in group]
        return outcomes

    def _run_alone(self, waiting: _Waiting) -> Any:
        try:
            return waiting.unit(self._connection)
        except Exception as error:  # the thread must outlive it
            abandon(self._connection)
            return _failed(error)

    def _run_neighbours(self, run: Sequence[_Waiting]) -> Sequence[Any]:
        """One outcome for each; they share a call of their unit, unless one of them is a reason for it to fail."""
        if len(run) > 1 and run[0].shared is not None:
            unit = run[0].shared[0]
            things = [each.shared[1] for each in run if each.shared]
            outcomes: Sequence[Any] | _Failed = self._run_unit(lambda connection: unit(connection, things))
            if not isinstance(outcomes, _Failed):
                return outcomes
        return [self._run_unit(waiting.unit) for waiting in run]

    def _run_unit(self, unit: Unit[Any]) -> Any:
        self._connection.execute("SAVEPOINT unit")
        try:
            outcome = unit(self._connection)
        except Exception as error:  # whatever it is, it is this caller's and not its neighbours'
            if not self._connection.in_transaction:
                raise
            self._connection.execute("ROLLBACK TO unit")
            outcome = _failed(error)
        self._connection.execute("RELEASE unit")
        return outcome


def _neighbours(group: Sequence[_Waiting]) -> Iterator[list[_Waiting]]:
    """Those that stand next to each other and share their unit; each of the others by itself."""
    for _, run in groupby(group, key=lambda waiting: waiting.shared[0] if waiting.shared else waiting):
        yield list(run)


def _failed(error: Exception) -> _Failed:
    if not isinstance(error, sqlite3.Error):
        return _Failed(error)
    explained = explain(error)
    explained.__cause__ = error
    return _Failed(explained)


def _answer(group: Sequence[_Waiting], outcomes: Sequence[Any]) -> None:
    for waiting, outcome in zip(group, outcomes, strict=True):
        if waiting.future.done():  # its caller was cancelled; the write stands
            continue
        if isinstance(outcome, _Failed):
            waiting.future.set_exception(outcome.error)
        else:
            waiting.future.set_result(outcome)
