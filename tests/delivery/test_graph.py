"""The door to Meta: what goes out, and what every kind of trouble comes back as."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import httpx
import pytest

from relay.delivery.answer import Answer
from relay.delivery.graph import ANSWER_MAX_BYTES, Graph, PixelAccess, call_seconds, open_graph
from relay.event.outcome import AttemptOutcome
from relay.settings import GRAPH_URL, Delivery

pytestmark = pytest.mark.anyio

TOKEN = "EAABcanary0123456789"
ACCESS = PixelAccess("1234567890", TOKEN, "v26.0")
QUICK = Delivery(connect_timeout_seconds=0.5, read_timeout_seconds=0.5)
RECEIPT = b'{"events_received":1,"messages":[],"fbtrace_id":"A1"}'

Peer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def graph_over(handler: Callable[[httpx.Request], httpx.Response], url: str = GRAPH_URL) -> Graph:
    return Graph(httpx.AsyncClient(transport=httpx.MockTransport(handler)), url)


@asynccontextmanager
async def peer(behave: Peer) -> AsyncIterator[str]:
    """A socket that reads one whole request and then behaves."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
            await reader.readexactly(length)
            await behave(reader, writer)
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        host, port = server.sockets[0].getsockname()[:2]
        yield f"http://{host}:{port}"


async def send_to(url: str, delivery: Delivery = QUICK) -> Answer:
    graph = open_graph(url, delivery)
    try:
        return await graph.send(ACCESS, b'{"data":[{}]}', events=1)
    finally:
        await graph.aclose()


async def test_a_call_carries_the_token_in_its_header_and_nowhere_else() -> None:
    seen: list[httpx.Request] = []

    def handler(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, content=RECEIPT)

    answer = await graph_over(handler, GRAPH_URL + "/").send(ACCESS, b'{"data":[{}]}', events=1)

    (request,) = seen
    assert (request.method, str(request.url)) == (
        "POST",
        "https://graph.facebook.com/v26.0/1234567890/events",
    )
    assert request.headers["authorization"] == f"Bearer {TOKEN}"
    assert request.headers["content-type"] == "application/json"
    assert request.content == b'{"data":[{}]}'
    assert answer.result.outcome is AttemptOutcome.RECEIPT
    assert answer.result.fbtrace_id == "A1"


async def test_the_token_shows_in_no_log_and_no_repr(caplog: pytest.LogCaptureFixture) -> None:
    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(RECEIPT), RECEIPT))

    with caplog.at_level(logging.DEBUG):
        async with peer(answer) as url:
            assert (await send_to(url)).result.outcome is AttemptOutcome.RECEIPT

    assert TOKEN not in caplog.text
    assert not [record for record in caplog.records if record.name.startswith(("httpx", "httpcore"))]
    assert TOKEN not in repr(ACCESS)


async def test_a_redirect_is_not_followed() -> None:
    hosts: list[str] = []

    def handler(request: httpx.Request) -> httpx.Response:
        hosts.append(request.url.host)
        return httpx.Response(307, headers={"location": "https://elsewhere.example/"})

    answer = await graph_over(handler).send(ACCESS, b"{}", events=1)
    assert hosts == ["graph.facebook.com"]
    assert answer.result.outcome is AttemptOutcome.RETRY


async def test_metas_quote_of_the_token_is_not_kept() -> None:
    def handler(_: httpx.Request) -> httpx.Response:
        return httpx.Response(
            400, json={"error": {"message": f"Malformed access token {TOKEN}", "code": 190}}
        )

    answer = await graph_over(handler).send(ACCESS, b"{}", events=1)
    assert answer.result.message == "Malformed access token [token]"


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (httpx.ConnectError("refused"), AttemptOutcome.RETRY),
        (httpx.ConnectTimeout("slow"), AttemptOutcome.RETRY),
        (httpx.PoolTimeout("busy"), AttemptOutcome.RETRY),
        (httpx.ProxyError("403"), AttemptOutcome.RETRY),
        (httpx.UnsupportedProtocol("ftp"), AttemptOutcome.RETRY),
        (httpx.ReadTimeout("slow"), AttemptOutcome.UNKNOWN),
        (httpx.ReadError("reset"), AttemptOutcome.UNKNOWN),
        (httpx.WriteError("reset"), AttemptOutcome.UNKNOWN),
        (httpx.WriteTimeout("slow"), AttemptOutcome.UNKNOWN),
        (httpx.RemoteProtocolError("gone"), AttemptOutcome.UNKNOWN),
    ],
)
async def test_trouble_before_the_first_byte_is_transient_and_after_it_ambiguous(
    error: httpx.HTTPError, outcome: AttemptOutcome
) -> None:
    def handler(_: httpx.Request) -> httpx.Response:
        raise error

    answer = await graph_over(handler).send(ACCESS, b"{}", events=1)
    assert answer.result.outcome is outcome
    assert type(error).__name__ in (answer.result.message or "")


async def test_a_port_where_nobody_listens_took_nothing() -> None:
    async def never(_: asyncio.StreamReader, __: asyncio.StreamWriter) -> None:
        raise AssertionError

    async with peer(never) as url:
        pass
    assert (await send_to(url)).result.outcome is AttemptOutcome.RETRY


async def _hang(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    await reader.read()


async def _close(_: asyncio.StreamReader, __: asyncio.StreamWriter) -> None:
    return


async def _half_a_head(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-le")


async def _half_a_body(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b'HTTP/1.1 200 OK\r\ncontent-length: 500\r\n\r\n{"events_received":1,')


async def _no_http(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"220 mail.example ESMTP\r\n")


async def _drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 5000\r\n\r\n")
    gone = asyncio.ensure_future(reader.read())
    while not gone.done():
        writer.write(b" ")
        await asyncio.wait([gone], timeout=0.02)


@pytest.mark.parametrize("behave", [_hang, _close, _half_a_head, _half_a_body, _no_http, _drip])
async def test_a_peer_that_read_the_call_and_gave_no_whole_answer_may_have_taken_it(behave: Peer) -> None:
    async with peer(behave) as url:
        answer = await send_to(url)
    assert answer.result.outcome is AttemptOutcome.UNKNOWN


async def test_an_endless_answer_is_read_only_up_to_its_bound() -> None:
    written = 0

    async def flood(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal written
        writer.write(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 999999999\r\n\r\n")
        while not writer.is_closing():
            writer.write(b" " * 65_536)
            written += 65_536
            await writer.drain()

    async with peer(flood) as url:
        answer = await send_to(url, Delivery())
    assert answer.result.outcome is AttemptOutcome.RETRY
    assert written < 400 * ANSWER_MAX_BYTES  # what fits into both sockets' buffers, and not the rest


def test_a_call_may_take_its_connect_time_and_twice_its_read_time() -> None:
    assert call_seconds(Delivery()) == 35.0


async def test_a_twin_is_asked_what_it_saw_without_the_token() -> None:
    def handler(request: httpx.Request) -> httpx.Response:
        assert "authorization" not in request.headers
        assert str(request.url) == "http://twin.example/twin/state?event_id=a+b%26c"
        return httpx.Response(200, json={"browser": [], "server": []})

    assert await graph_over(handler, "http://twin.example").twin_arrivals("a b&c") == {
        "browser": [],
        "server": [],
    }


@pytest.mark.parametrize("url", [GRAPH_URL, "https://graph.facebook.com/", "https://facebook.com"])
async def test_meta_itself_is_never_asked_for_a_twins_state(url: str) -> None:
    def handler(request: httpx.Request) -> httpx.Response:
        raise AssertionError(request.url)

    assert await graph_over(handler, url).twin_arrivals("e1") is None


@pytest.mark.parametrize(
    "response",
    [
        httpx.Response(404, json={}),
        httpx.Response(200, content=b"<html>"),
        httpx.Response(200, json=[1]),
        httpx.Response(302, headers={"location": "https://elsewhere.example/"}),
    ],
)
async def test_an_other_end_that_is_no_twin_adds_nothing_to_a_receipt(response: httpx.Response) -> None:
    assert await graph_over(lambda _: response, "http://proxy.example").twin_arrivals("e1") is None


async def test_a_twin_that_is_gone_adds_nothing_to_a_receipt() -> None:
    def handler(_: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused")

    assert await graph_over(handler, "http://twin.example").twin_arrivals("e1") is None


async def test_a_twin_is_asked_how_addresses_agree_and_meta_never() -> None:
    def handler(request: httpx.Request) -> httpx.Response:
        assert str(request.url) == "http://twin.example/twin/addresses"
        return httpx.Response(200, json={"ways": []})

    assert await graph_over(handler, "http://twin.example").twin_addresses() == {"ways": []}
    assert await graph_over(handler, GRAPH_URL).twin_addresses() is None
