"""Many rows by few statements."""

import sqlite3

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.store.sqlite.rows import find, insert

ADD = "INSERT INTO kept (key, doubled) VALUES (?, 2 * ?)"
FIND = "SELECT key FROM kept WHERE key IN (?)"


def table() -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.execute("CREATE TABLE kept (key BLOB PRIMARY KEY, doubled INTEGER) STRICT")
    return connection


def key(number: int) -> bytes:
    return number.to_bytes(2, "big")


@given(st.sets(st.integers(0, 400), max_size=200), st.lists(st.integers(0, 400), max_size=200, unique=True))
def test_what_is_inserted_is_found_and_nothing_else(stored: set[int], asked: list[int]) -> None:
    connection = table()
    insert(connection, ADD, [(key(number), number) for number in stored])
    assert {int.from_bytes(row[0], "big") for row in find(connection, FIND, [*map(key, asked)])} == stored & {
        *asked
    }
    assert dict(connection.execute("SELECT key, doubled FROM kept")) == {key(n): 2 * n for n in stored}
    connection.close()


@pytest.mark.parametrize(("rows", "steps"), [(0, 0), (1, 1), (4, 1), (5, 2), (64, 1), (85, 4), (128, 2)])
def test_a_group_of_rows_takes_a_few_statements(rows: int, steps: int) -> None:
    connection = table()
    seen: list[str] = []
    connection.set_trace_callback(seen.append)
    insert(connection, ADD, [(key(number), number) for number in range(rows)])
    assert len(seen) == steps
    connection.close()
