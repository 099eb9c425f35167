"""Which store the settings ask for, opened. The one place that knows every kind."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from relay.errors import SettingsError
from relay.loading import read_store_url
from relay.settings import Settings
from relay.store.protocol import SharedCircuits, Store
from relay.store.sqlite import SqliteStore

if TYPE_CHECKING:
    from relay.store.postgres import PostgresStore

# Roles that take posts: they keep what the database cannot take in a file of their own.
TAKING = ("all", "relay")


class Opened(NamedTuple):
    """The store of a running process, and the clock that its rows go by."""

    store: Store
    clock_ms: Callable[[], int]
    circuits: SharedCircuits | None  # where other couriers may work on the store
    found: asyncio.Event | None  # of a database that may be away at first: set once it has been there


async def open_store(settings: Settings, environ: Mapping[str, str], clock_ms: Callable[[], int]) -> Opened:
    """Open what the settings ask for. A database need not be there yet.

    Raises StoreError where it cannot be used, SettingsError where its address is none.
    """
    url = read_store_url(settings.store, environ)
    if url is None:
        path = Path(settings.store.path)
        store = await SqliteStore.open(path, limits=settings.store, clock_ms=clock_ms)
        return Opened(store, clock_ms, None, None)
    _check_installed()
    from relay.store.postgres.serving import ServingStore

    path = Path(settings.store.path)
    spill = path.with_name(f"{path.stem}.spill.db") if settings.server.role in TAKING else None
    serving = await ServingStore.start(url, spill, limits=settings.store, clock_ms=clock_ms)
    return Opened(serving, serving.clock, serving, serving.is_prepared)


@asynccontextmanager
async def open_database(url: str, clock_ms: Callable[[], int]) -> "AsyncIterator[PostgresStore]":
    """A database for a command, which needs it now. Raises StoreError where it cannot be used."""
    _check_installed()
    from relay.store.postgres import PostgresStore

    async with await PostgresStore.open(url, clock_ms=clock_ms) as store:
        yield store


def _check_installed() -> None:
    """asyncpg comes with an extra; who stays with a file need not have it."""
    try:
        import asyncpg  # noqa: F401
    except ImportError:
        raise SettingsError(
            "[store] url needs asyncpg. Install it: pip install 'counterfoil[postgres]'."
        ) from None
