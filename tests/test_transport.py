"""What is written in one turn of the loop leaves as one."""

import asyncio
from typing import cast

import pytest

from relay.transport import GATHERED_MAX_BYTES, OneWrite

pytestmark = pytest.mark.anyio


class Out:
    """What reaches the system, in order."""

    def __init__(self) -> None:
        self.calls: list[bytes | str] = []

    def write(self, data: bytes) -> None:
        self.calls.append(bytes(data))

    def close(self) -> None:
        self.calls.append("close")

    def abort(self) -> None:
        self.calls.append("abort")

    def is_closing(self) -> bool:
        return "close" in self.calls


@pytest.fixture
def out() -> Out:
    return Out()


@pytest.fixture
async def way(out: Out) -> OneWrite:
    return OneWrite(cast(asyncio.Transport, out), asyncio.get_running_loop())


async def test_head_and_body_leave_together_at_the_end_of_the_turn(out: Out, way: OneWrite) -> None:
    way.write(b"head ")
    way.write(b"body")
    assert out.calls == []
    await asyncio.sleep(0)
    assert out.calls == [b"head body"]


async def test_what_is_written_in_two_turns_leaves_in_order(out: Out, way: OneWrite) -> None:
    for part in (b"first", b"second"):
        way.write(part)
        await asyncio.sleep(0)
    assert out.calls == [b"first", b"second"]


async def test_a_long_answer_does_not_gather_without_end(out: Out, way: OneWrite) -> None:
    way.write(b"a" * GATHERED_MAX_BYTES)
    way.write(b"b")
    way.write(b"c")
    assert out.calls == [b"a" * GATHERED_MAX_BYTES + b"b"]
    await asyncio.sleep(0)
    assert out.calls[1:] == [b"c"]


async def test_what_was_written_before_the_end_still_leaves(out: Out, way: OneWrite) -> None:
    way.write(b"last words")
    way.close()
    await asyncio.sleep(0)
    assert out.calls == [b"last words", "close"]
    assert way.is_closing()


async def test_nothing_leaves_a_connection_that_is_cut(out: Out, way: OneWrite) -> None:
    way.write(b"unheard")
    way.abort()
    await asyncio.sleep(0)
    assert out.calls == ["abort"]
