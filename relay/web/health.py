"""`/healthz`: the process answers. `/readyz`: it can take events and send them."""

from asyncio import Task
from typing import Final, Literal

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from relay.errors import StoreError
from relay.store.protocol import Store
from relay.web.errors import JsonResponse, error
from relay.web.headers import NO_STORE

NOT_READY: Final[dict[str, str]] = {
    "draining": "The relay is stopping; send to another one, or come back in a few seconds.",
    "courier_stopped": "Events are taken, but none is sent to Meta. Restart the relay; its log says why.",
    "store_not_ready": "The store cannot commit. Look for a full disk, a read-only folder, or a database that is away.",
}


class Health(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    status: Literal["ok", "ready", "spilling"]
    spilled: int = 0  # posts that wait in a local file for the database


async def healthz(request: Request) -> Response:  # noqa: ARG001 - Starlette's signature
    return JsonResponse(Health(status="ok"), headers=NO_STORE)


async def readyz(request: Request) -> Response:
    reason = await not_ready(request)
    if reason is None:
        store: Store = request.app.state.store
        return JsonResponse(
            Health(status="spilling" if store.spilled() else "ready", spilled=store.spilled()),
            headers=NO_STORE,
        )
    return error(503, reason, NOT_READY[reason], {"retry-after": "5"})


async def not_ready(request: Request) -> str | None:
    """Why this relay should get no requests now, or None."""
    state = request.app.state
    store: Store = state.store
    running: Task[None] | None = state.courier_task
    if state.draining:
        return "draining"
    if running is not None and running.done():
        return "courier_stopped"
    try:
        return None if await store.ready() else "store_not_ready"
    except StoreError:
        return "store_not_ready"
