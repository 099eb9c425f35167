"""A database for each worker, emptied before each test."""

import os
from collections.abc import Iterator

import pytest

from e2e.postgres import is_there, new_database, run_sql

# Rows are deleted and not truncated: a TRUNCATE makes each of a hundred files anew.
EMPTY = """
DO $$ DECLARE name text; BEGIN
    FOR name IN SELECT tablename FROM pg_tables
        WHERE schemaname = 'public' AND tablename <> 'schema_version' AND tablename !~ '_\\d+$'
    LOOP EXECUTE 'DELETE FROM ' || quote_ident(name); END LOOP;
END $$
"""


@pytest.fixture(scope="session")
def worker_database() -> Iterator[str]:
    if not is_there() and "CI" not in os.environ:
        pytest.skip("no PostgreSQL: `python -m e2e.postgres` says what to do")
    with new_database() as url:
        yield url


@pytest.fixture
def database(worker_database: str) -> str:
    run_sql(worker_database, EMPTY)
    return worker_database
