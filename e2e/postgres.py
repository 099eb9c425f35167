"""PostgreSQL for the tests: one that is there, or clusters of their own, and databases of their own names.

`COUNTERFOIL_TEST_POSTGRES` names a server to use, such as postgresql://postgres@127.0.0.1/postgres; its user must be
allowed to make databases. Left out: the server on the default local port, where it lets us in; else an own cluster, of
installed binaries, which `python -m e2e.postgres` (a part of `make check`) installs where apt is.
"""

import asyncio
import atexit
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import asyncpg

from e2e.browser import apt_install, has_apt

VARIABLE: Final = "COUNTERFOIL_TEST_POSTGRES"
DEFAULT: Final = "postgresql://postgres@127.0.0.1:5432/postgres"

LOOPBACK: Final = "127.0.0.1"
TEST_NETWORK: Final = "198.18.0.0/15"  # for benchmarks and tests of devices (RFC 2544)
PROGRAMS: Final = ("initdb", "postgres", "pg_ctl", "pg_basebackup", "pg_dump", "pg_restore")

# Small, and safe: a killed cluster must have what it had acknowledged.
CONF: Final = """
listen_addresses = '{address}'
port = {port}
unix_socket_directories = '{folder}'
shared_buffers = 16MB
max_connections = 60
fsync = on
wal_level = replica
max_wal_senders = 4
hot_standby = on
wal_receiver_timeout = 5s
wal_sender_timeout = 5s
wal_retrieve_retry_interval = 200ms
restart_after_crash = off
logging_collector = off
"""

# Rows are deleted and not truncated: a TRUNCATE makes each of a hundred files anew.
EMPTY: Final = """
DO $$ DECLARE name text; BEGIN
    FOR name IN SELECT tablename FROM pg_tables
        WHERE schemaname = 'public' AND tablename <> 'schema_version' AND tablename !~ '_\\d+$'
    LOOP EXECUTE 'DELETE FROM ' || quote_ident(name); END LOOP;
END $$
"""


def find_binaries() -> Path | None:
    """The folder with a server's programs: Debian keeps them off the path."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda folder: int(folder.parent.name))
    if found := shutil.which("initdb"):
        folders.append(Path(found).resolve().parent)
    return next((folder for folder in reversed(folders) if _is_whole(folder)), None)


def _is_whole(folder: Path) -> bool:
    return all((folder / name).exists() for name in PROGRAMS)


class Cluster:
    """One PostgreSQL server of our own, on a loopback port and in a folder of its own."""

    def __init__(
        self, folder: Path, port: int | None = None, *, address: str = LOOPBACK, prefix: Sequence[str] = ()
    ) -> None:
        """`prefix` stands before the server's command line, where it runs in a network of its own."""
        self._address, self._prefix = address, list(prefix)
        self.folder = folder
        self.port = port or free_port()
        self.user = _user()
        self._process: subprocess.Popen[bytes] | None = None
        self._binaries = find_binaries()

    @property
    def url(self) -> str:
        return f"postgresql://postgres@{self._address}:{self.port}/postgres"

    def make(self) -> "Cluster":
        """A new, empty one."""
        self._own_folder()
        self._run("initdb", "-D", f"{self._data}", "-U", "postgres", "-A", "trust", "-E", "UTF8", "-N")
        with (self._data / "pg_hba.conf").open("a") as file:
            file.write(f"host all all {TEST_NETWORK} trust\n")
        self._configure(CONF.format(port=self.port, folder=self.folder, address=self._address))
        return self

    def make_standby_of(self, primary: "Cluster", name: str) -> "Cluster":
        """A copy that follows the primary, by this name."""
        self._own_folder()
        self._run(
            "pg_basebackup", "-D", f"{self._data}", "-R", "-c", "fast", "-N",
            "-d", f"host=127.0.0.1 port={primary.port} user=postgres application_name={name}",
        )  # fmt: skip
        self._configure(CONF.format(port=self.port, folder=self.folder, address=self._address))
        return self

    def start(self) -> None:
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [*self._prefix, self._binary("postgres"), "-D", f"{self._data}"],
                stdout=log, stderr=log, start_new_session=True, **({} if self._prefix else self.user),  # type: ignore[call-overload]
            )  # fmt: skip
        self._wait_until_it_answers()

    def stop(self) -> None:
        self._end(signal.SIGINT)  # fast

    def kill(self) -> None:
        """As a machine that loses its power, all but the disk."""
        if self._process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            for child in _children(self._process.pid):
                with suppress(ProcessLookupError):
                    os.kill(child, signal.SIGKILL)
            self._process.wait()
            self._process = None
            (self._data / "postmaster.pid").unlink(missing_ok=True)

    def promote(self) -> None:
        self._run("pg_ctl", "promote", "-D", f"{self._data}", "-w", "-t", "30")

    def sql(self, *statements: str) -> list[asyncpg.Record]:
        return run_sql(self.url, *statements)

    @property
    def _data(self) -> Path:
        return self.folder / "data"

    def _own_folder(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        if self.user:
            account = pwd.getpwnam("postgres")
            os.chown(self.folder, account.pw_uid, account.pw_gid)

    def _configure(self, text: str) -> None:
        with (self._data / "postgresql.auto.conf").open("a") as file:
            file.write(text)

    def _wait_until_it_answers(self) -> None:
        for _ in range(300):
            assert self._process is not None
            if self._process.poll() is not None:
                break
            try:
                self.sql("SELECT 1")
                return
            except (OSError, asyncpg.PostgresError):
                self._process_pause()
        raise RuntimeError(f"PostgreSQL did not start: {(self.folder / 'log').read_text()[-2_000:]}")

    def _process_pause(self) -> None:
        assert self._process is not None
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(0.1)

    def _end(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(number)
            try:
                self._process.wait(20)
            except subprocess.TimeoutExpired:
                self.kill()
            self._process = None

    def _binary(self, name: str) -> str:
        if self._binaries is None:
            raise RuntimeError(
                f"No PostgreSQL was found. Install Debian's postgresql, or set {VARIABLE} to a server's address."
            )
        return f"{self._binaries / name}"

    def _run(self, name: str, *arguments: str) -> None:
        done = subprocess.run(
            [self._binary(name), *arguments], capture_output=True, text=True, cwd=self.folder, check=False,
            **self.user,  # type: ignore[call-overload]
        )  # fmt: skip
        if done.returncode:
            raise RuntimeError(f"{name} failed: {done.stderr}")


def _user() -> dict[str, object]:
    """PostgreSQL does not run as root."""
    return {"user": "postgres", "group": "postgres", "extra_groups": []} if os.geteuid() == 0 else {}


def _children(parent: int) -> list[int]:
    """Backends have sessions of their own; they must end with their postmaster."""
    found = Path(f"/proc/{parent}/task/{parent}/children")
    return [int(child) for child in found.read_text().split()] if found.exists() else []


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def run_sql(url: str, *statements: str) -> list[asyncpg.Record]:
    """The rows of the last statement, from a thread of its own: Playwright's loop may be running in this one."""

    async def work() -> list[asyncpg.Record]:
        connection = await asyncpg.connect(url, timeout=5, command_timeout=30)
        try:
            rows: list[asyncpg.Record] = []
            for statement in statements:
                rows = await connection.fetch(statement)
            return rows
        finally:
            await connection.close(timeout=5)

    with ThreadPoolExecutor(max_workers=1) as apart:
        return apart.submit(lambda: asyncio.run(work())).result()


@cache
def find_server() -> str:
    """The address of a server in which databases can be made."""
    if named := os.environ.get(VARIABLE):
        return named
    try:
        run_sql(DEFAULT, "SELECT 1")
        return DEFAULT
    except (OSError, asyncpg.PostgresError):
        return _own_server()


@contextmanager
def open_folder() -> Iterator[Path]:
    """A temporary folder into which PostgreSQL's own user may go."""
    with tempfile.TemporaryDirectory(prefix="counterfoil-postgres-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


def _own_server() -> str:
    folder = Path(tempfile.mkdtemp(prefix="counterfoil-postgres-"))
    folder.chmod(0o755)
    cluster = Cluster(folder / "cluster").make()
    cluster.start()

    @atexit.register
    def end() -> None:
        cluster.stop()
        shutil.rmtree(folder, ignore_errors=True)

    return cluster.url


def is_there() -> bool:
    """Whether `find_server` would find one."""
    if VARIABLE in os.environ or find_binaries() is not None:
        return True
    try:
        return bool(run_sql(DEFAULT, "SELECT 1"))
    except (OSError, asyncpg.PostgresError):
        return False


@contextmanager
def new_database(server: str | None = None) -> Iterator[str]:
    """The address of an empty database, which goes at the end."""
    server = server or find_server()
    name = f"counterfoil_test_{uuid4().hex[:12]}"
    run_sql(server, f"CREATE DATABASE {name}")
    try:
        yield in_database(server, name)
    finally:
        run_sql(server, f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


def empty(url: str) -> None:
    """Remove every row, and leave the tables."""
    run_sql(url, EMPTY)


def in_database(server: str, name: str) -> str:
    return urlunsplit(urlsplit(server)._replace(path=f"/{name}"))


def main() -> int:
    if not is_there() and has_apt():
        apt_install("postgresql")
    if not is_there():
        print(
            "No PostgreSQL was found, so its tests will be skipped. "
            f"Install one, or set {VARIABLE} to a server's address."
        )
        return 1 if "CI" in os.environ else 0
    print("A PostgreSQL was found for the tests.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
