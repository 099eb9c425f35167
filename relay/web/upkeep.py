"""Replay, forgetting and erasure beside a running relay: the console's button, and the commands of the same names.

A command brings a token that only who may read the relay's key can sign, good once and for five minutes. No page has
one, and none can be told to send it.
"""

from collections.abc import Awaitable, Callable
from typing import Annotated, Final, TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from relay.errors import StoreError
from relay.event.outcome import BODY_SENTENCES, BODY_STATUS, Fate
from relay.event.wire import WireError
from relay.settings import Settings
from relay.store.protocol import Erased, Store
from relay.web.errors import JsonResponse, error
from relay.web.headers import NO_STORE
from relay.web.ingest import read_post
from relay.web.retention import prune_once
from relay.web.waking import wake

RETRY_AFTER_SECONDS: Final = "5"

A = TypeVar("A", bound=msgspec.Struct)


class ReplayAsked(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which ended events to put back. What is given narrows together; nothing at all names no event."""

    event_ids: tuple[str, ...] = ()
    fate: Fate | None = None
    since_ms: int | None = None  # when they ended; the second is not included
    until_ms: int | None = None


class Replayed(msgspec.Struct, frozen=True, kw_only=True):
    replayed: int  # events, each pixel's for itself


class PruneAsked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The settings say what goes: an empty object."""


class Pruned(msgspec.Struct, frozen=True, kw_only=True):
    """What was kept long enough at this moment is gone, from the disk too."""

    at_ms: int


class EraseAsked(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Hashes of customer data; every event that carries one of them goes."""

    hashes: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)]


class ErasedEvents(msgspec.Struct, frozen=True, kw_only=True):
    """Nothing is left of these."""

    erased: list[Erased]


async def replay(store: Store, asked: ReplayAsked, now_ms: int) -> Replayed:
    replayed = await store.replay(
        event_ids=asked.event_ids,
        fate=asked.fate,
        since_ms=asked.since_ms,
        until_ms=asked.until_ms,
        now_ms=now_ms,
    )
    return Replayed(replayed=replayed)


async def prune(store: Store, settings: Settings, now_ms: int) -> Pruned:
    await prune_once(store, settings, now_ms)
    await store.rewrite()
    return Pruned(at_ms=now_ms)


async def erase(store: Store, asked: EraseAsked) -> ErasedEvents:
    return ErasedEvents(erased=await store.erase(asked.hashes))


async def post_replay(request: Request) -> Response:
    """Put ended events back; they are due at once."""

    async def work(asked: ReplayAsked) -> Replayed:
        replayed = await replay(request.app.state.store, asked, request.app.state.clock_ms())
        wake(request)
        return replayed

    return await _answer(request, ReplayAsked, work)


async def post_prune(request: Request) -> Response:
    """Forget now, and write the file anew."""

    async def work(_: PruneAsked) -> Pruned:
        return await prune(request.app.state.store, request.app.state.settings, request.app.state.clock_ms())

    return await _answer(request, PruneAsked, work)


async def post_erase(request: Request) -> Response:
    """Erase one person's events."""

    async def work(asked: EraseAsked) -> ErasedEvents:
        return await erase(request.app.state.store, asked)

    return await _answer(request, EraseAsked, work)


async def _answer(
    request: Request, kind: type[A], work: Callable[[A], Awaitable[msgspec.Struct]]
) -> Response:
    """Read what is asked, do it, and say in the error shape why not."""
    try:
        asked = msgspec.json.decode(await read_post(request), type=kind)
    except WireError as refused:
        return error(BODY_STATUS[refused.reason], refused.reason, BODY_SENTENCES[refused.reason])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as failure:
        return error(400, "bad_request", f"The body is not what this address takes: {failure}.")
    try:
        return JsonResponse(await work(asked), headers=NO_STORE)
    except StoreError as failure:
        return error(503, "store_unavailable", str(failure), {"retry-after": RETRY_AFTER_SECONDS})
