"""The mapping on recent messages: what Segment's and RudderStack's clients sent, and what the relay made of each.

The last ones live in this process's memory only, without customer data; a restart forgets them.
"""

from collections.abc import Iterable
from typing import Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from relay.event.mapping_preview import MappedMessage
from relay.web.errors import JsonResponse
from relay.web.headers import NO_STORE
from relay.web.pages import show
from relay.web.scope import read_scope

RECENT_MAX: Final = 100


class MappingReport(msgspec.Struct, frozen=True, kw_only=True):
    """Newest first."""

    messages: list[MappedMessage]


async def mapping_page(request: Request) -> Response:
    return show(request, "console/mapping.html", messages=_recent(request), most=RECENT_MAX)


async def mapping_json(request: Request) -> Response:
    return JsonResponse(MappingReport(messages=_recent(request)), headers=NO_STORE)


def _recent(request: Request) -> list[MappedMessage]:
    scope = read_scope(request)
    recent: Iterable[MappedMessage] = request.app.state.recent_messages
    return [message for message in reversed(list(recent)) if scope.site in (None, message.site)]
