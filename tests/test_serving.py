"""Apps on real sockets: started, stopped in order, and refused in a sentence."""

import asyncio
import os
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from relay.errors import RelayError
from relay.serving import listen, run, serving, stop_signals

pytestmark = pytest.mark.anyio


def app_that_notes(notes: list[str], asked: asyncio.Event) -> Starlette:
    async def slow(_request: Request) -> Response:
        notes.append("asked")
        asked.set()
        await asyncio.sleep(0.05)
        notes.append("answered")
        return PlainTextResponse("done")

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        notes.append("opened")
        yield
        notes.append("closed")

    return Starlette(routes=[Route("/", slow)], lifespan=lifespan)


async def test_a_request_under_way_is_answered_before_the_app_is_closed() -> None:
    notes: list[str] = []
    asked = asyncio.Event()
    listener = listen("127.0.0.1", 0)
    url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
    async with httpx.AsyncClient() as client:
        async with serving(app_that_notes(notes, asked), listener, grace_seconds=5):
            asking = asyncio.create_task(client.get(url))
            await asked.wait()
        answer = await asking
    assert answer.text == "done"
    assert notes == ["opened", "asked", "answered", "closed"]


async def test_answers_do_not_name_the_server() -> None:
    listener = listen("127.0.0.1", 0)
    async with (
        serving(app_that_notes([], asyncio.Event()), listener, grace_seconds=1),
        httpx.AsyncClient() as client,
    ):
        answer = await client.get(f"http://127.0.0.1:{listener.getsockname()[1]}/")
    assert "server" not in answer.headers


async def test_an_app_that_cannot_start_raises_its_own_error_and_frees_the_port() -> None:
    def open_store() -> None:
        raise RelayError("no room")

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        open_store()
        yield

    listener = listen("127.0.0.1", 0)
    port = listener.getsockname()[1]
    with pytest.raises(RelayError, match="no room"):
        async with serving(Starlette(lifespan=lifespan), listener, grace_seconds=1):
            pass
    listen("127.0.0.1", port).close()


def test_an_address_in_use_is_refused_with_the_next_step() -> None:
    with listen("127.0.0.1", 0) as first:
        port = first.getsockname()[1]
        with pytest.raises(
            RelayError, match=rf"127\.0\.0\.1 port {port}: Address already in use\. Stop what"
        ):
            listen("127.0.0.1", port)


def test_a_host_that_does_not_exist_is_refused_in_a_sentence() -> None:
    with pytest.raises(RelayError, match=r"Cannot listen on no\.such\.host\.invalid"):
        listen("no.such.host.invalid", 0)


def test_an_ipv6_address_can_be_listened_on() -> None:
    with listen("::1", 0) as listener:
        assert listener.getsockname()[0] == "::1"


def test_the_unspecified_ipv6_address_takes_both_families() -> None:
    with listen("::", 0) as listener:
        port = listener.getsockname()[1]
        for host in ("127.0.0.1", "::1"):
            socket.create_connection((host, port)).close()
        peers = []
        for _ in range(2):
            connection, peer = listener.accept()
            connection.close()
            peers.append(peer[0])
    assert peers == ["::ffff:127.0.0.1", "::1"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_wait_and_the_next_one_is_no_longer_caught(number: signal.Signals) -> None:
    before = signal.getsignal(number)

    async def wait() -> None:
        with stop_signals() as stopped:
            os.kill(os.getpid(), number)
            await stopped.wait()
            assert signal.getsignal(number) == before

    run(wait())
