"""Settings, read-only: what is in force and where it comes from; and which pixels are in test mode."""

import asyncio
from collections.abc import Callable
from itertools import groupby

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from relay.origins import InForce
from relay.settings import Settings
from relay.web.errors import JsonResponse
from relay.web.headers import NO_STORE
from relay.web.pages import show
from relay.web.testing import Testing, testing_now


class SettingsInForce(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that the relay has read at its start."""

    settings: tuple[InForce, ...]
    testing: tuple[Testing, ...]


async def settings_page(request: Request) -> Response:
    rows = await _read(request)
    sections = [(section, list(group)) for section, group in groupby(rows, key=lambda row: row.section)]
    return show(request, "console/settings.html", sections=sections)


async def settings_json(request: Request) -> Response:
    settings: Settings = request.app.state.settings
    answer = SettingsInForce(
        settings=await _read(request), testing=testing_now(settings, request.app.state.clock_ms())
    )
    return JsonResponse(answer, headers=NO_STORE)


async def _read(request: Request) -> tuple[InForce, ...]:
    """In a thread: whether a secret is there may take a look at its file."""
    read: Callable[[], tuple[InForce, ...]] = request.app.state.read_in_force
    return await asyncio.to_thread(read)
