"""Graph's own call and answers as records, so that `/openapi.json` can describe them. Nothing is parsed with them."""

from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

from relay.event.records import Json
from relay.web.posted_server import SERVER_EXAMPLE, PostedServerEvent


class PostedGraphCall(msgspec.Struct, frozen=True, kw_only=True):
    """The body of a call to Graph's `/events`. In a form, `data` is a JSON text. Other members are ignored."""

    data: Annotated[
        list[PostedServerEvent | str] | str,
        Meta(description="1 to 1,000 events: objects, JSON texts of objects, or one JSON text of the list."),
    ]
    access_token: Annotated[
        str | None, Meta(description="A write key of the site, or the pixel's own token.")
    ] = None
    test_event_code: Annotated[Any, Meta(description="Left out; the pixel's own setting counts.")] = None


class GraphReceived(msgspec.Struct, frozen=True, kw_only=True):
    """Graph's answer to a call that was taken; `messages` tells what was left out of it."""

    events_received: int
    messages: list[str]
    fbtrace_id: str


class GraphWords(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Graph's error object."""

    message: str
    type: str
    code: int
    is_transient: bool
    fbtrace_id: str
    error_subcode: int | None = None
    error_user_title: str | None = None
    error_user_msg: str | None = None


class GraphRefused(msgspec.Struct, frozen=True, kw_only=True):
    """Graph's answer to a call that was refused whole."""

    error: GraphWords


GRAPH_REFUSALS: Final = {
    400: "Code 100: a bad event or parameter; 104, 190, 100 with subcode 33: the token; 2500: the path.",
    429: "Code 4: too much at once; Retry-After tells when to come back.",
    503: "Code 2: the relay cannot commit now.",
}
GRAPH_EXAMPLE: Final[Json] = {"data": SERVER_EXAMPLE["events"], "access_token": "one-of-the-sites-write-keys"}
