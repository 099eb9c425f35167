"""A TCP proxy before PostgreSQL that breaks connections where it hurts."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Self
from urllib.parse import urlsplit, urlunsplit


class Proxy:
    """Hands bytes to a server and back: until it is cut, frozen, or told to lose an answer."""

    def __init__(self, server: str) -> None:
        parts = urlsplit(server)
        self._target = (parts.hostname or "127.0.0.1", parts.port or 5432)
        self._server = server
        self._writers: set[asyncio.StreamWriter] = set()
        self._open = True
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._doomed = b""
        self.lost = 0  # answers that were not handed back
        self.port = 0

    @classmethod
    @asynccontextmanager
    async def before(cls, server: str, port: int = 0) -> AsyncIterator[Self]:
        proxy = cls(server)
        listener = await asyncio.start_server(proxy._serve, "127.0.0.1", port)
        proxy.port = listener.sockets[0].getsockname()[1]
        try:
            yield proxy
        finally:
            listener.close()
            await proxy.cut()

    @property
    def url(self) -> str:
        parts = urlsplit(self._server)
        user = f"{parts.username}@" if parts.username else ""
        return urlunsplit(parts._replace(netloc=f"{user}127.0.0.1:{self.port}"))

    async def cut(self) -> None:
        """Break every connection, and refuse new ones."""
        self._open = False
        self._break()
        await asyncio.sleep(0)

    def mend(self) -> None:
        self._open = True

    def freeze(self) -> None:
        """Let nothing through, and break nothing: as a cable that was pulled."""
        self._flowing.clear()

    def thaw(self) -> None:
        self._flowing.set()

    def lose_the_answer_to(self, query: bytes) -> None:
        """The next time that a client sends this, hand it on, and break off when the server has answered."""
        self._doomed = query

    def _break(self) -> None:
        for writer in self._writers:
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self._open:
            writer.transport.abort()
            return
        try:
            server_reader, server_writer = await asyncio.open_connection(*self._target)
        except OSError:
            writer.transport.abort()
            return
        doomed = asyncio.Event()
        ends = (writer, server_writer)
        self._writers.update(ends)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._copy(reader, server_writer, ends, doomed, from_client=True))
                group.create_task(self._copy(server_reader, writer, ends, doomed, from_client=False))
        except* OSError:
            pass
        finally:
            self._writers.difference_update(ends)

    async def _copy(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        ends: tuple[asyncio.StreamWriter, asyncio.StreamWriter],
        doomed: asyncio.Event,
        *,
        from_client: bool,
    ) -> None:
        with suppress(ConnectionError):
            while data := await reader.read(65_536):
                await self._flowing.wait()
                if from_client and self._doomed and self._doomed in data:
                    self._doomed = b""
                    doomed.set()
                elif not from_client and doomed.is_set():
                    self.lost += 1
                    break
                writer.write(data)
                await writer.drain()
        for end in ends:
            end.transport.abort()
