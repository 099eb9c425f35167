"""The connections: what a session of the store asks of the server."""

import pytest

from relay.store.postgres.database import Connection, Database

pytestmark = pytest.mark.anyio


async def test_no_question_is_compiled_first(database: str) -> None:
    """PostgreSQL takes a call's thousand rows for half a million, and would compile for longer than it reads."""
    opened = Database(database)
    await opened.open()

    async def jit(connection: Connection) -> str:
        told: str = await connection.fetchval("SHOW jit")
        return told

    assert await opened.read(jit) == "off"
    async with opened.session() as connection:
        assert await jit(connection) == "off"
    await opened.close()
