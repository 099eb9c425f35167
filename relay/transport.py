"""A connection's way out on which an answer leaves in one piece.

uvicorn writes the head of an answer and its body apart. Each write is a call of the system of its own, and wakes the
receiver once more; together they are a tenth of what a post costs.
"""

from asyncio import AbstractEventLoop, Transport
from typing import Any, Final

# An answer in many parts is not gathered without end: from here on the transport's own flow control has to see it.
GATHERED_MAX_BYTES: Final = 65_536


class OneWrite:
    """The transport, but that what is written in one turn of the loop goes out at its end, as one."""

    def __init__(self, transport: Transport, loop: AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._gathered = bytearray()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        if not self._gathered:
            self._loop.call_soon(self._flush)
        self._gathered += data
        if len(self._gathered) > GATHERED_MAX_BYTES:
            self._flush()

    def close(self) -> None:
        self._flush()
        self._transport.close()

    def abort(self) -> None:
        self._gathered.clear()
        self._transport.abort()

    def _flush(self) -> None:
        if self._gathered:
            gathered, self._gathered = self._gathered, bytearray()
            self._transport.write(gathered)
