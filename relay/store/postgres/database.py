"""The connections: a few that write and a few that only read, each transaction once, and errors in plain words.

A commit whose answer was lost may have happened. So each transaction writes a uuid of its own into `done`, and the
same work tried again begins with the same uuid: where that is there already, the work is done. The row travels with
the transaction, so this holds over a failover too.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Final, Protocol, TypeVar
from uuid import uuid4

import asyncpg

from relay.errors import StoreError, StoreFull, StoreUnavailable

T = TypeVar("T")

WRITERS: Final = 4
READERS: Final = 3
CONNECT_SECONDS: Final = 5.0
READ_SECONDS: Final = 10.0

# What a session may take up. A transaction that stays open stops every vacuum, and the queue is vacuumed all the time.
WRITE_SETTINGS: Final = {
    "application_name": "counterfoil",
    "statement_timeout": "30s",
    "lock_timeout": "10s",
    "idle_in_transaction_session_timeout": "10s",
    "timezone": "UTC",
    "jit": "off",  # a call's rows are estimated as half a million: compiling takes ten times what reading takes
}
READ_SETTINGS: Final = WRITE_SETTINGS | {
    "application_name": "counterfoil-console",
    "statement_timeout": "5s",  # of the console: no page is worth the outbox
    "default_transaction_read_only": "on",
}

# A 202 is on the disk, whatever was set for this role or database.
DURABLE: Final = """
SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'
"""

UNAVAILABLE: Final = (
    OSError,  # TimeoutError too
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # a server that dies in the middle of an answer leaves the protocol out of step
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.CannotConnectNowError,
    asyncpg.TooManyConnectionsError,
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.ReadOnlySQLTransactionError,  # the primary that was
    asyncpg.UndefinedTableError,  # a backup is being restored
    asyncpg.exceptions.TargetServerAttributeNotMatched,
)
MISTAKEN: Final = (  # settings that will not mend themselves
    asyncpg.InvalidPasswordError,
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
)
IN_EACH_OTHERS_WAY: Final = (asyncpg.DeadlockDetectedError, asyncpg.SerializationError)
PAUSE_SECONDS: Final = 0.05


class Connection(Protocol):
    """What is used of asyncpg's, which has no types."""

    async def execute(self, query: str, *args: Any) -> str: ...
    async def executemany(self, query: str, args: Iterable[Sequence[Any]]) -> None: ...
    async def fetch(self, query: str, *args: Any) -> list[Any]: ...
    async def fetchrow(self, query: str, *args: Any) -> Any: ...
    async def fetchval(self, query: str, *args: Any) -> Any: ...
    def transaction(self) -> AbstractAsyncContextManager[None]: ...
    def terminate(self) -> None: ...


Unit = Callable[[Connection], Awaitable[T]]


class Database:
    """One database, by its address. The first connection is made when it is first needed."""

    def __init__(self, url: str) -> None:
        self._writers = _pool(url, WRITE_SETTINGS, WRITERS, "read-write")
        self._readers = _pool(url, READ_SETTINGS, READERS, "primary")
        self._closed = False

    async def open(self) -> None:
        """Make the pools ready; the database need not be there."""
        await self._writers
        await self._readers

    async def close(self) -> None:
        """Let every connection go; what is under way is waited for, a moment."""
        if self._closed:
            return
        self._closed = True
        for pool in (self._writers, self._readers):
            try:
                async with asyncio.timeout(CONNECT_SECONDS):
                    await pool.close()
            except (TimeoutError, *UNAVAILABLE):
                pool.terminate()

    async def write(self, unit: Unit[T], *, seconds: float = 10.0) -> T:
        """Run the unit in one transaction and commit it, once, whatever happens to connections meanwhile.

        Raises StoreUnavailable where that could not be done, or not be learnt, within the seconds.
        """
        number, last = uuid4(), _LastTry()
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        while True:
            self._check_open()
            try:
                async with asyncio.timeout_at(deadline):
                    return await self._try_once(unit, f"{number}", last)
            except IN_EACH_OTHERS_WAY:
                pass
            except UNAVAILABLE as error:
                if isinstance(error, asyncpg.ReadOnlySQLTransactionError):
                    await self._writers.expire_connections()
                if loop.time() + PAUSE_SECONDS >= deadline:
                    raise explain(error) from error
            except asyncpg.PostgresError as error:
                raise explain(error) from error
            await asyncio.sleep(PAUSE_SECONDS)

    async def _try_once(self, unit: Unit[T], number: str, last: "_LastTry") -> T:
        async with self._writers.acquire() as connection, _cleared(connection):
            try:
                await connection.execute(f"BEGIN; INSERT INTO done (id) VALUES ('{number}')")  # noqa: S608 - a uuid
            except asyncpg.UniqueViolationError:  # the try before this one was committed after all
                await connection.execute("ROLLBACK")
                return last.result  # type: ignore[no-any-return]
            result = await unit(connection)
            last.result = result
            await connection.execute("COMMIT")
            return result

    async def read(self, query: Unit[T]) -> T:
        """Run the query on one snapshot, where nothing can be written."""
        self._check_open()
        try:
            async with (
                asyncio.timeout(READ_SECONDS),
                self._readers.acquire() as connection,
                _cleared(connection),
            ):
                await connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
                result = await query(connection)
                await connection.execute("COMMIT")
                return result
        except (asyncpg.PostgresError, *UNAVAILABLE) as error:
            raise explain(error) from error

    @asynccontextmanager
    async def session(self) -> AsyncIterator[Connection]:
        """A connection that writes, outside any transaction: for what cannot be done in one."""
        self._check_open()
        try:
            async with self._writers.acquire(timeout=CONNECT_SECONDS) as connection:
                yield connection
        except (asyncpg.PostgresError, *UNAVAILABLE) as error:
            raise explain(error) from error

    def _check_open(self) -> None:
        if self._closed:
            raise StoreError("The store is closed.")


class _LastTry:
    """The result of the last try, in case that its commit is found to have taken place."""

    result: Any = None


@asynccontextmanager
async def _cleared(connection: Connection) -> AsyncIterator[None]:
    """Leave no open transaction behind. A connection that does not answer is cut: waiting for it has no end."""
    try:
        yield
    except (asyncio.CancelledError, *UNAVAILABLE):
        connection.terminate()
        raise
    except BaseException:
        try:
            async with asyncio.timeout(1):
                await connection.execute("ROLLBACK")
        except (asyncpg.PostgresError, *UNAVAILABLE):
            connection.terminate()
        raise


def _pool(url: str, settings: dict[str, str], size: int, server: str) -> Any:
    try:
        return asyncpg.create_pool(
            url,
            min_size=0,
            max_size=size,
            timeout=CONNECT_SECONDS,
            server_settings=settings,
            target_session_attrs=server,
            init=_make_durable,
            reset=_leave_as_it_is,
            max_inactive_connection_lifetime=300,
        )
    except (ValueError, asyncpg.InterfaceError):
        raise StoreError(
            "The address of the database cannot be read. Write [store] url as "
            "postgresql://user@host1,host2/database."
        ) from None


async def _make_durable(connection: Connection) -> None:
    await connection.execute(DURABLE)


async def _leave_as_it_is(connection: Connection) -> None:
    """Nothing is set in a session that would have to be taken back; asyncpg would ask the server each time."""


def explain(error: Exception) -> StoreError:
    """PostgreSQL's error in words for the person who has to act. Holds no address and no password."""
    match error:
        case asyncpg.UndefinedTableError():
            return StoreUnavailable(
                "The database has no tables. Finish restoring it; or where it is a new one, restart a relay."
            )
        case asyncpg.DiskFullError():
            return StoreFull(
                "No room is left on the database's disk, so nothing of this was kept. Free disk space there."
            )
        case asyncpg.InvalidPasswordError() | asyncpg.InvalidAuthorizationSpecificationError():
            return StoreUnavailable("The database refuses the user or the password of [store] url. Mend it.")
        case asyncpg.InvalidCatalogNameError():
            return StoreUnavailable("There is no such database. Make it with createdb, or mend [store] url.")
        case asyncpg.exceptions.TargetServerAttributeNotMatched() | asyncpg.ReadOnlySQLTransactionError():
            return StoreUnavailable(
                "No server of [store] url takes writes. Name every server of the cluster; one must be its primary."
            )
        case asyncpg.TooManyConnectionsError():
            return StoreUnavailable(
                "The database has no connection left. Raise its max_connections; each process takes up to "
                f"{WRITERS + READERS + 1}."
            )
        case asyncpg.InsufficientPrivilegeError():
            return StoreError(
                "The database's user may not do this. It must own the database, or its schema: "
                "ALTER DATABASE name OWNER TO user."
            )
        case asyncpg.QueryCanceledError():
            return StoreError(
                "The database took too long and was stopped. Narrow the question, or look for locks."
            )
        case _ if isinstance(error, UNAVAILABLE):
            return StoreUnavailable(
                f"The database does not answer ({type(error).__name__}). Look whether it runs and can be reached."
            )
        case _:
            return StoreError(f"The database failed: {type(error).__name__}.")
