"""The way out for alerts, on real sockets: what arrives, what is never reached, and whose certificate counts."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import httpx
import pytest
import trustme
from standardwebhooks import Webhook

from relay.delivery.webhook import Webhooks
from relay.event.notice import Notice, read_secret_bytes
from tests.event.test_notice import SECRET, now

pytestmark = pytest.mark.anyio

NOTICE = Notice(id="msg_1", target="t", created_ms=0, body=b'{"type":"alert.test"}', due_ms=0)
HOST = "hooks.shop.example"


class Receiver:
    """A server that keeps what it is sent and answers with one status."""

    def __init__(self, status: int, extra: bytes = b"") -> None:
        self.requests: list[tuple[str, dict[str, str], bytes]] = []
        self._answer = b"HTTP/1.1 %d X\r\n%bcontent-length: 0\r\nconnection: close\r\n\r\n" % (status, extra)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        line, *fields = head.strip().split("\r\n")
        headers = {name.lower(): value.strip() for name, value in (field.split(":", 1) for field in fields)}
        body = await reader.readexactly(int(headers["content-length"]))
        self.requests.append((line, headers, body))
        writer.write(self._answer)
        await writer.drain()
        writer.close()


@asynccontextmanager
async def receiving(
    status: int = 204, *, extra: bytes = b"", tls: ssl.SSLContext | None = None
) -> AsyncIterator[tuple[Receiver, int]]:
    receiver = Receiver(status, extra)
    server = await asyncio.start_server(receiver.serve, "127.0.0.1", 0, ssl=tls)
    async with server:
        yield receiver, server.sockets[0].getsockname()[1]


@asynccontextmanager
async def webhooks(
    *, allow_private: bool = True, trusting: ssl.SSLContext | None = None
) -> AsyncIterator[Webhooks]:
    client = httpx.AsyncClient(verify=trusting, trust_env=False) if trusting else None
    opened = Webhooks(read_secret_bytes(SECRET), allow_private=allow_private, client=client)
    yield opened
    await opened.aclose()


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """What names resolve to, for this test; each name must be here."""
    known: dict[str, list[str]] = {}

    async def look_up(host: str, port: int, **_: Any) -> list[Any]:
        family = {True: socket.AF_INET6, False: socket.AF_INET}
        return [
            (family[":" in address], socket.SOCK_STREAM, 6, "", (address, port)) for address in known[host]
        ]

    monkeypatch.setattr("relay.delivery.webhook.resolve", look_up)
    return known


async def test_a_notice_arrives_signed_under_its_name_with_its_path() -> None:
    async with receiving() as (receiver, port), webhooks() as out:
        told = await out.post(f"http://localhost:{port}/relay?key=k", NOTICE, now())
    assert told.problem is None
    ((line, headers, body),) = receiver.requests
    assert line == "POST /relay?key=k HTTP/1.1"
    assert headers["host"] == f"localhost:{port}"
    assert Webhook(SECRET).verify(body, headers) == {"type": "alert.test"}


@pytest.mark.parametrize(("status", "gone"), [(500, False), (404, False), (429, False), (410, True)])
async def test_another_status_is_a_problem_and_410_the_end(status: int, gone: bool) -> None:
    async with receiving(status) as (_, port), webhooks() as out:
        told = await out.post(f"http://127.0.0.1:{port}/", NOTICE, now())
    assert (told.problem, told.gone) == (f"HTTP {status}.", gone)


async def test_a_redirect_is_not_followed() -> None:
    async with receiving() as (secret, inner), webhooks() as out:
        extra = b"location: http://127.0.0.1:%d/\r\n" % inner
        async with receiving(307, extra=extra) as (_, port):
            told = await out.post(f"http://127.0.0.1:{port}/", NOTICE, now())
    assert told.problem == "HTTP 307."
    assert secret.requests == []


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.1.2.3",
        "192.168.0.9",
        "172.16.0.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",
        "::1",
        "fe80::1",
        "fd00::1",
        "::ffff:127.0.0.1",
        "224.0.0.1",
    ],
)
async def test_no_private_address_is_reached_by_whatever_name(
    names: dict[str, list[str]], address: str
) -> None:
    async with receiving() as (receiver, port), webhooks(allow_private=False) as out:
        for addresses in ([address], ["203.0.113.7", address]):  # one of them is enough
            names[HOST] = addresses
            told = await out.post(f"https://{HOST}:{port}/", NOTICE, now())
            assert "private network, so nothing was sent" in (told.problem or "")
    assert receiver.requests == []


async def test_plain_http_is_for_laboratories() -> None:
    async with receiving() as (receiver, port), webhooks(allow_private=False) as out:
        told = await out.post(f"http://127.0.0.1:{port}/", NOTICE, now())
    assert "https only" in (told.problem or "")
    assert receiver.requests == []


@contextmanager
def authority(*certified: str) -> Iterator[tuple[ssl.SSLContext, ssl.SSLContext]]:
    ca = trustme.CA()
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert(*certified).configure_cert(server)
    client = ssl.create_default_context()
    ca.configure_trust(client)
    yield server, client


@pytest.mark.parametrize(("certified", "arrives"), [(HOST, True), ("other.example", False)])
async def test_the_call_goes_to_the_address_that_was_looked_at_with_the_names_certificate(
    names: dict[str, list[str]], certified: str, arrives: bool
) -> None:
    names[HOST] = ["127.0.0.1"]
    with authority(certified) as (server, trusting):
        async with receiving(tls=server) as (receiver, port), webhooks(trusting=trusting) as out:
            told = await out.post(f"https://{HOST}:{port}/", NOTICE, now())
    assert (told.problem is None, len(receiver.requests)) == (arrives, int(arrives))


async def test_nobody_there_is_a_problem(names: dict[str, list[str]]) -> None:
    names["away.example"] = ["127.0.0.1"]
    async with webhooks() as out:
        assert "connection failed" in (
            (await out.post("http://away.example:9/", NOTICE, now())).problem or ""
        )


async def test_a_receiver_that_says_nothing_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("relay.delivery.webhook.CALL_SECONDS", 0.2)
    ended = asyncio.Event()

    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()  # until the other end has hung up
        writer.close()
        await writer.wait_closed()
        ended.set()

    async with await asyncio.start_server(say_nothing, "127.0.0.1", 0) as silent, webhooks() as out:
        port = silent.sockets[0].getsockname()[1]
        told = await out.post(f"http://127.0.0.1:{port}/", NOTICE, now())
        await ended.wait()
    assert "No answer within" in (told.problem or "")
