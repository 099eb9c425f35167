"""Slow and oversized clients on real sockets: the server ends the connection, and others are served meanwhile."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from unittest import mock

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from relay.connection import GATHERED_MAX_BYTES, HEAD_MAX_BYTES, BoundedConnection
from relay.serving import UNREAD_MS, listen, serving
from relay.settings import Server

pytestmark = pytest.mark.anyio

SHORT = Server(receive_seconds=0.2)
GET = b"GET / HTTP/1.1\r\nhost: x\r\n"
POST = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\n"
CHUNKED = b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n3e8\r\n"
LARGE = b"POST /early HTTP/1.1\r\nhost: x\r\ncontent-length: 1000000\r\n\r\n" + b"x" * (
    GATHERED_MAX_BYTES + 1
)


async def echo(request: Request) -> Response:
    return PlainTextResponse(str(len(await request.body())))


async def early(_request: Request) -> Response:
    return PlainTextResponse("too much", 413)


APP = Starlette(routes=[Route("/", echo, methods=["GET", "POST"]), Route("/early", early, methods=["POST"])])


def noting(reached: list[int]) -> Starlette:
    """Notes each part of a body that comes to the app, by its size."""

    async def note(request: Request) -> Response:
        async for part in request.stream():
            reached.extend([len(part)] if part else [])
        return Response()

    return Starlette(routes=[Route("/", note, methods=["POST"])])


@asynccontextmanager
async def server(limits: Server = SHORT, app: Starlette = APP) -> AsyncIterator[int]:
    listener = listen("127.0.0.1", 0)
    async with serving(app, listener, grace_seconds=1, limits=limits):
        yield listener.getsockname()[1]


async def until_closed(port: int, first: bytes, trickle: bytes = b"") -> bytes:
    """What the server says until it ends the connection; `trickle` is sent byte by byte without an end."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(first)
    drip = asyncio.create_task(trickling(writer, trickle))
    try:
        return await reader.read()
    except ConnectionResetError:
        return b""
    finally:
        drip.cancel()
        writer.close()


async def trickling(writer: asyncio.StreamWriter, trickle: bytes) -> None:
    while trickle and not writer.is_closing():
        writer.write(trickle)
        await asyncio.sleep(0.02)  # less than the deadline: only a total one ends this


SLOW = {
    "silent": (b"", b"", None),
    "empty lines without an end": (b"\r\n", b"\r\n", 408),
    "a head that trickles": (GET, b"x", 408),
    "a request line that trickles": (b"GET /", b"x", 408),
    "a head without an end": (GET, b"", 408),
    "a body that never comes": (POST, b"", 408),
    "a body that trickles": (POST, b"x", 408),
    "a chunk that trickles": (
        b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nfff\r\n",
        b"x",
        408,
    ),
}


@pytest.mark.parametrize(("first", "trickle", "status"), SLOW.values(), ids=SLOW.keys())
async def test_a_slow_client_is_let_go_while_others_are_served(
    first: bytes, trickle: bytes, status: int | None
) -> None:
    async with server() as port, httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as good:
        slow = [asyncio.create_task(until_closed(port, first, trickle)) for _ in range(20)]
        answers = [(await good.post("/", content=b"12345")).text for _ in range(10)]
        said = await asyncio.gather(*slow)
    assert answers == ["5"] * 10
    for answer in said:
        # Where bytes were still on their way, the reset that follows may overtake the answer.
        assert (
            answer == b""
            if status is None
            else answer.startswith(b"HTTP/1.1 %d " % status) or (trickle and not answer)
        )


async def test_the_refusal_of_a_slow_client_has_the_one_error_shape() -> None:
    async with server() as port:
        head, _, body = (await until_closed(port, POST)).partition(b"\r\n\r\n")
    assert b"content-type: application/json" in head
    assert json.loads(body)["error"]["reason"] == "request_too_slow"


async def test_a_body_that_trickles_on_after_its_refusal_does_not_hold_the_connection() -> None:
    async with server() as port:
        answer = await until_closed(port, LARGE, b"x")
    assert answer == b"" or answer.startswith(b"HTTP/1.1 413 ")


async def test_who_never_sends_the_whole_body_does_not_reach_the_app() -> None:
    reached: list[int] = []
    async with server(app=noting(reached)) as port:
        answers = [await until_closed(port, head + b"x") for head in (POST, CHUNKED)]
    assert [answer.partition(b" ")[2][:3] for answer in answers] == [b"408"] * 2
    assert reached == []


@pytest.mark.parametrize(
    "pieces",
    [(POST, b"x" * 999, b"x"), (CHUNKED, b"x" * 999, b"x\r\n0\r\n\r\n")],
    ids=["by its length", "in chunks"],
)
async def test_a_body_that_comes_in_pieces_reaches_the_app_in_one(pieces: Sequence[bytes]) -> None:
    reached: list[int] = []
    async with server(Server(), noting(reached)) as port:
        assert (await in_pieces(port, pieces)).startswith(b"HTTP/1.1 200 ")
    assert reached == [1_000]


async def test_a_large_body_is_refused_before_it_is_whole() -> None:
    async with server(Server()) as port:
        assert (await in_pieces(port, [LARGE])).startswith(b"HTTP/1.1 413 ")


async def test_who_asks_whether_to_send_the_body_is_told_by_the_app() -> None:
    asking = POST.replace(b"\r\n\r\n", b"\r\nexpect: 100-continue\r\n\r\n")
    async with server(Server()) as port:
        assert (await in_pieces(port, [asking])).startswith(b"HTTP/1.1 100 ")
        refused = await in_pieces(port, [asking.replace(b"POST /", b"POST /early")])
    assert refused.startswith(b"HTTP/1.1 413 ")


async def test_a_request_behind_another_waits_for_its_own_body() -> None:
    reached: list[int] = []
    both = POST + b"x" * 1_000 + POST.replace(b"host", b"connection: close\r\nhost") + b"y"
    async with server(Server(), noting(reached)) as port:
        answers = await in_pieces(port, [both, b"y" * 998, b"y"], until=b"close")
    assert answers.count(b"HTTP/1.1 200 ") == 2
    assert reached == [1_000, 1_000]


@pytest.mark.parametrize("body", [b"", b"x" * 1_000], ids=["without a body", "with a body"])
async def test_who_offers_another_protocol_is_answered_in_this_one(body: bytes) -> None:
    offer = b"connection: upgrade\r\nupgrade: h2c\r\ncontent-length: %d\r\n\r\n" % len(body)
    async with server(Server()) as port:
        answer = await in_pieces(port, [b"POST / HTTP/1.1\r\nhost: x\r\n" + offer + body])
    assert answer.startswith(b"HTTP/1.1 200 ")


async def in_pieces(port: int, pieces: Sequence[bytes], until: bytes = b"\r\n\r\n") -> bytes:
    """What is answered, as far as `until`, to a request that comes in pieces: each is sent once the last has come."""
    come, data_received = asyncio.Queue[int](), BoundedConnection.data_received

    def hear(self: BoundedConnection, data: bytes) -> None:
        data_received(self, data)
        come.put_nowait(len(data))

    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    with mock.patch.object(BoundedConnection, "data_received", hear):
        for piece in pieces[:-1]:
            writer.write(piece)
            heard = 0
            while heard < len(piece):
                heard += await come.get()
        writer.write(pieces[-1])
        answer = await reader.readuntil(until)
    writer.close()
    return answer


async def test_an_idle_connection_is_ended_after_its_answer() -> None:
    async with server() as port:
        assert (await until_closed(port, GET + b"\r\n")).endswith(b"\r\n\r\n0")


async def test_a_kept_connection_takes_one_request_after_the_other() -> None:
    async with server() as port, httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as good:
        assert [(await good.post("/", content=b"x" * size)).text for size in range(30)] == [
            str(size) for size in range(30)
        ]


async def test_two_requests_in_one_packet_are_both_answered() -> None:
    close = b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"
    async with server(Server()) as port:
        assert (await until_closed(port, GET + b"\r\n" + close)).count(b"HTTP/1.1 200 ") == 2


async def test_the_second_request_of_a_packet_has_a_deadline_too() -> None:
    async with server() as port:
        answer = await until_closed(port, GET + b"\r\n" + GET, b"x")
    assert answer.count(b"HTTP/1.1 ") == 2


HEADS = {
    "one long header": GET + b"cookie: " + b"x" * HEAD_MAX_BYTES + b"\r\n\r\n",
    "many headers": GET
    + b"".join(b"x-%d: y\r\n" % number for number in range(HEAD_MAX_BYTES // 8))
    + b"\r\n",
    "a long address": b"GET /" + b"x" * HEAD_MAX_BYTES + b" HTTP/1.1\r\n\r\n",
}


@pytest.mark.parametrize("head", HEADS.values(), ids=HEADS.keys())
async def test_a_head_that_is_too_large_is_refused_in_the_one_error_shape(head: bytes) -> None:
    async with server(Server()) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for start in range(0, len(head), 4_096):
            writer.write(head[start : start + 4_096])
            await asyncio.sleep(0)
        answer = await reader.readuntil(b"}}")
        writer.close()
    assert answer.startswith(b"HTTP/1.1 431 ")
    assert b'"reason":"head_too_large"' in answer


async def test_a_header_without_an_end_is_not_collected() -> None:
    async with server(Server()) as port:
        _reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(GET + b"cookie: ")
        with pytest.raises(ConnectionError):
            await pour(writer, megabytes=32)


async def pour(writer: asyncio.StreamWriter, *, megabytes: int) -> None:
    for _ in range(16 * megabytes):
        writer.write(b"x" * 65_536)
        await writer.drain()
        await asyncio.sleep(0)


async def test_a_large_body_that_comes_with_its_head_is_no_head() -> None:
    size = 2 * HEAD_MAX_BYTES
    whole = (
        b"POST / HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: %d\r\n\r\n" % size + b"x" * size
    )
    async with server(Server()) as port:
        answer = await until_closed(port, whole)
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert answer.endswith(b"\r\n\r\n%d" % size)


async def test_a_head_just_below_the_limit_is_taken_in_any_pieces() -> None:
    head = GET + b"connection: close\r\ncookie: " + b"x" * (HEAD_MAX_BYTES - 200) + b"\r\n\r\n"
    async with server(Server()) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for start in range(0, len(head), 1_000):
            writer.write(head[start : start + 1_000])
            await writer.drain()
            await asyncio.sleep(0.001)  # in pieces of their own
        assert (await reader.read()).startswith(b"HTTP/1.1 200 ")
        writer.close()


async def test_what_is_no_http_gets_the_one_error_shape() -> None:
    async with server(Server()) as port:
        answer = await until_closed(port, b"\x16\x03\x01\x02\x00\x01\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b'"reason":"not_http"' in answer


async def test_connections_beyond_the_limit_are_told_to_come_back() -> None:
    async with server(Server(connections_max=2)) as port:
        _reader, idle = await asyncio.open_connection("127.0.0.1", port)
        answer = await until_closed(port, GET + b"\r\n")
        idle.close()
    assert answer.startswith(b"HTTP/1.1 503 ")
    assert b"\r\nretry-after: " in answer
    assert b'"reason":"too_many_connections"' in answer


async def test_an_answer_that_nobody_reads_does_not_hold_the_connection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("relay.serving.UNREAD_MS", 200)
    ended = asyncio.Event()

    async def endless(_request: Request) -> Response:
        async def body() -> AsyncIterator[bytes]:
            try:
                while True:
                    yield b"x" * 1_000_000
                    await asyncio.sleep(0)  # what is sent after the end returns at once
            finally:
                ended.set()

        return StreamingResponse(body())

    listener = listen("127.0.0.1", 0)
    async with serving(Starlette(routes=[Route("/", endless)]), listener, grace_seconds=1):
        with socket.create_connection(listener.getsockname()) as asker:
            asker.sendall(GET + b"\r\n")
            await ended.wait()


def test_accepted_connections_inherit_the_bound_on_unread_answers() -> None:
    with (
        listen("127.0.0.1", 0) as listener,
        socket.create_connection(listener.getsockname()),
        listener.accept()[0] as accepted,
    ):
        assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == UNREAD_MS
