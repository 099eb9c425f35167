"""The relay behind a real socket: bodies without or with a lying length, senders that hang up, odd bytes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from relay.serving import listen, serving
from relay.store.protocol import Filters, Store
from relay.web.app import create_app
from tests.event.malformed import good_event, post
from tests.web.lab import HEADERS, lab_settings

pytestmark = pytest.mark.anyio

BODY = post(good_event())


class Door:
    """Raw bytes in, the answer's bytes out."""

    def __init__(self, port: int, store: Store) -> None:
        self._port, self.store = port, store

    async def send(self, request: bytes, *, hang_up: bool = False) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        writer.write(request)
        await writer.drain()
        if not hang_up:
            answer = await reader.read()
        writer.close()
        await writer.wait_closed()
        return b"" if hang_up else answer


@pytest.fixture
async def door(tmp_path: Path, anyio_backend: str) -> AsyncIterator[Door]:
    async with open_door(tmp_path) as opened:
        yield opened


@asynccontextmanager
async def open_door(folder: Path) -> AsyncIterator[Door]:
    app = create_app(lab_settings(folder), environ={})
    listener = listen("127.0.0.1", 0)
    async with serving(app, listener, grace_seconds=1):
        yield Door(listener.getsockname()[1], app.state.store)


def request(body: bytes, *extra: str) -> bytes:
    lines = ["POST /v1/events HTTP/1.1", "host: relay.shop.example", "connection: close", *extra]
    lines += [f"{name}: {value}" for name, value in HEADERS.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


def status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


def chunked(*chunks: bytes) -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in (*chunks, b""))


async def test_a_chunked_post_without_a_length_is_taken(door: Door) -> None:
    answer = await door.send(request(chunked(BODY[:50], BODY[50:]), "transfer-encoding: chunked"))
    assert status(answer) == 202
    assert len(await door.store.recent(Filters())) == 1


async def test_a_chunked_post_is_counted_as_it_arrives(door: Door) -> None:
    answer = await door.send(request(chunked(*[b" " * 16_384] * 5), "transfer-encoding: chunked"))
    assert status(answer) == 413


async def test_a_length_that_promises_too_much_is_not_waited_for(door: Door) -> None:
    answer = await door.send(request(b" " * 65_537, "content-length: 999999999"))
    assert status(answer) == 413


@pytest.mark.parametrize(
    "extra",
    [
        ("content-length: 5",),  # what follows is another, broken request
        ("content-length: -1",),
        ("content-length: 5, 6",),
        ("content-length: x",),
        ("content-length: 5", "transfer-encoding: chunked"),
        ("transfer-encoding: chunked, gzip",),
        ("content-length: 5", "content-length: 6"),
    ],
)
async def test_a_length_that_makes_no_sense_is_a_4xx_and_stores_nothing(
    door: Door, extra: tuple[str, ...]
) -> None:
    assert 400 <= status(await door.send(request(BODY, *extra))) < 500
    assert await door.store.recent(Filters()) == []


async def test_a_sender_that_hangs_up_leaves_nothing_behind(door: Door) -> None:
    await door.send(request(BODY[:100], f"content-length: {len(BODY)}"), hang_up=True)
    assert status(await door.send(request(BODY, f"content-length: {len(BODY)}"))) == 202
    assert len(await door.store.recent(Filters())) == 1


@pytest.mark.parametrize(
    "line",
    [
        b"GET /\xff\xfe HTTP/1.1",
        b"GET /receipts/%ff%00 HTTP/1.1",
        b"GET /sign-in?code=\xc3\x28 HTTP/1.1",
        b"GET /sign-in?code=%c3%28&code=2 HTTP/1.1",
        b"GET http://elsewhere.example/receipts HTTP/1.1",
        b"OPTIONS * HTTP/1.1",
        b"GET /receipts HTTP/1.0",
        b"TRACE / HTTP/1.1",
        b"BREW /receipts HTTP/1.1",
        b"garbage",
    ],
)
async def test_odd_request_lines_never_make_a_5xx(door: Door, line: bytes) -> None:
    answer = await door.send(line + b"\r\nhost: relay.shop.example\r\nconnection: close\r\n\r\n")
    assert status(answer) < 500


@pytest.mark.parametrize(
    "header",
    [b"cookie: \xff=\xfe; a", b"user-agent: \xff\xfe", b"x-forwarded-for: \xff", b'forwarded: for="'],
)
async def test_odd_bytes_in_headers_never_make_a_5xx(door: Door, header: bytes) -> None:
    start, _, rest = request(BODY, f"content-length: {len(BODY)}").partition(b"\r\n")
    assert status(await door.send(start + b"\r\n" + header + b"\r\n" + rest)) < 500


async def test_the_server_does_not_name_itself(door: Door) -> None:
    answer = await door.send(b"GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
    assert b"\r\nserver:" not in answer.lower()
