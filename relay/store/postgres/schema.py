"""Migrations: each once, in order, whichever of the machines that start together comes first."""

from importlib import resources
from typing import Final

from relay.errors import StoreError
from relay.store.postgres.database import Connection

POSTGRES_NEEDED: Final = 150_000
MIGRATING: Final = 4_710_001  # the advisory lock: two that create one table at once can wait for each other

LOCK: Final = "SELECT pg_advisory_xact_lock($1)"

MAKE_VERSION: Final = """
CREATE TABLE IF NOT EXISTS schema_version (version integer NOT NULL, at timestamptz NOT NULL DEFAULT now())
"""

VERSION: Final = "SELECT coalesce(max(version), 0) FROM schema_version"

ADD_VERSION: Final = "INSERT INTO schema_version (version) VALUES ($1)"


def migrations() -> list[str]:
    """The scripts of `migrations/`, oldest first; the nth leads to version n."""
    folder = resources.files("relay.store.postgres") / "migrations"
    scripts = sorted(
        (entry for entry in folder.iterdir() if entry.name.endswith(".sql")), key=lambda entry: entry.name
    )
    return [script.read_text("utf-8") for script in scripts]


async def migrate(connection: Connection) -> None:
    """Bring the database forward in one transaction. There is no way back."""
    number = int(await connection.fetchval("SELECT current_setting('server_version_num')"))
    if number < POSTGRES_NEEDED:
        raise StoreError(f"Counterfoil needs PostgreSQL 15 or newer; this one is {number // 10_000}.")
    scripts = migrations()
    async with connection.transaction():
        await connection.execute(LOCK, MIGRATING)
        await connection.execute(MAKE_VERSION)
        version = await connection.fetchval(VERSION)
        if version > len(scripts):
            raise StoreError(
                f"The database was written by a newer Counterfoil (version {version}, this one has {len(scripts)}). "
                "Start the newer program."
            )
        for at, script in enumerate(scripts[version:], start=version + 1):
            await connection.execute(script)
            await connection.execute(ADD_VERSION, at)
