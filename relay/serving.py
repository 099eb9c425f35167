"""Run ASGI apps in this process until a signal, then stop them in order.

Each app's lifespan is entered here and not by uvicorn: an app that cannot start raises its own error instead
of a logged traceback, and it is closed after its server has answered the last request.
"""

import asyncio
import math
import signal
import socket
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Final, TypeVar

import uvicorn
from starlette.applications import Starlette

from relay.connection import bounded
from relay.errors import RelayError
from relay.settings import Server

T = TypeVar("T")

BACKLOG: Final = 2048
UNREAD_MS: Final = 30_000  # an answer that its asker does not read for so long ends the connection


class _Server(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to `stop_signals`: uvicorn would raise them again before the app has been closed."""
        yield


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes a free one. Raises RelayError where the address cannot be had.

    `::` stands for every address of both families; its IPv4 peers are named ::ffff:192.0.2.7.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    both = host == "::" and socket.has_dualstack_ipv6()
    try:
        listener = socket.create_server((host, port), family=family, backlog=BACKLOG, dualstack_ipv6=both)
    except OSError as error:
        # create_server adds the address to the system's words, and it is in the sentence already.
        reason = (error.strerror or str(error)).partition(" (while")[0]
        raise RelayError(
            f"Cannot listen on {host} port {port}: {reason}. Stop what uses it, or choose another."
        ) from None
    if hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux; accepted connections inherit it
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNREAD_MS)
    return listener


@asynccontextmanager
async def serving(
    app: Starlette,
    listener: socket.socket,
    *,
    grace_seconds: int,
    limits: Server = Server(),  # noqa: B008 - frozen
) -> AsyncIterator[None]:
    """Inside the block `app` answers on `listener`; leaving it lets requests under way end within the grace.

    Of the settings only `receive_seconds` and `connections_max` are looked at.
    Connections that come before the server runs wait in the listener's backlog.
    """
    server = _Server(
        uvicorn.Config(
            app,
            http=bounded(limits.receive_seconds, limits.connections_max),
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,  # a visitor's address and page belong in no log
            server_header=False,
            proxy_headers=False,  # which forwarded address to believe is decided in relay.event.address
            timeout_keep_alive=math.ceil(limits.receive_seconds),
            timeout_graceful_shutdown=grace_seconds,
        )
    )
    with listener:
        async with app.router.lifespan_context(app):
            running = asyncio.create_task(server.serve(sockets=[listener]))
            try:
                yield
            finally:
                app.state.draining = True  # ends what would never end by itself, such as a stream
                server.should_exit = True
                await running


@contextmanager
def stop_signals() -> Iterator[asyncio.Event]:
    """Inside the block, Ctrl-C and SIGTERM set the event, once; a second one ends the process at once."""
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()

    def release() -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)

    def stop() -> None:
        stopped.set()
        release()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop)
    try:
        yield stopped
    finally:
        release()


def run(main: Coroutine[Any, Any, T]) -> T:
    """`asyncio.run` on the loop that uvicorn would choose: uvloop where it is installed."""
    loop_factory = uvicorn.Config("no app", loop="auto", log_config=None).get_loop_factory()
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        return runner.run(main)
