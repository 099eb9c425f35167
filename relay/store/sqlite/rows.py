"""Many rows by few statements.

Each step of a statement lets go of the interpreter, and comes by it again when the event loop pauses: a group of posts
takes as many turns as it has steps, and not as it has rows.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import chain
from typing import Any, Final, TypeVar

T = TypeVar("T")

# A statement is prepared once for each of them; what does not fit is put together from several.
SIZES: Final = (64, 16, 4, 1)


def insert(connection: sqlite3.Connection, statement: str, rows: Sequence[tuple[Any, ...]]) -> None:
    """`executemany` of an INSERT for one row."""
    for some in _portions(rows):
        connection.execute(_for_rows(statement, len(some)), tuple(chain.from_iterable(some)))


def find(connection: sqlite3.Connection, query: str, keys: Sequence[bytes]) -> Iterator[Any]:
    """The rows of a query that ends with `IN (?)`, for any of the keys."""
    for some in _portions(keys):
        yield from connection.execute(_for_rows(query, len(some)), some)


def _portions(of: Sequence[T]) -> Iterator[Sequence[T]]:
    done = 0
    for size in SIZES:
        while len(of) - done >= size:
            yield of[done : done + size]
            done += size


@cache
def _for_rows(statement: str, n: int) -> str:
    """The statement with its last parentheses as often as there are rows, or with as many marks in them as keys."""
    head, opening, last = statement.rpartition("(")
    if head.endswith("IN "):
        return head + opening + ", ".join("?" * n) + ")"
    return head + ", ".join([opening + last.rstrip()] * n)
