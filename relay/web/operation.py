"""What is said of one route, in records: the words of `operations`."""

from collections.abc import Mapping, Sequence
from typing import Final, Literal, TypeVar

import msgspec

from relay.event.records import Json

JSON: Final = "application/json"
HTML: Final = "text/html"
FORM: Final = "application/x-www-form-urlencoded"
SCRIPT: Final = "text/javascript"

Needs = Literal[
    "nothing",
    "session",
    "doctor",
    "origin",
    "server",
    "write_key",
    "graph",
    "command",
    "person_or_command",
    "metrics_key",
]
Reasons = Mapping[int, tuple[str, ...]]  # status → the closed list of reasons it can come with
NONE: Final[Reasons] = {}
R = TypeVar("R", bound=str)


class Parameter(msgspec.Struct, frozen=True, kw_only=True):
    """A part of the address; `schema` is JSON Schema."""

    name: str
    sentence: str
    schema: Json
    place: Literal["query", "path"] = "query"
    required: bool = False


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """One answer that is no error. `record` is what its JSON is made from."""

    sentence: str
    media_type: str | None = None
    record: type | None = None
    example: msgspec.Struct | None = None
    headers: tuple[str, ...] = ()


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """One method at one address."""

    method: Literal["get", "post", "options"]
    path: str
    summary: str
    replies: dict[int, Reply]
    parameters: tuple[Parameter, ...] = ()
    body: type | None = None
    body_types: tuple[str, ...] = ()
    example: Json = {}  # of the body
    errors: Reasons = NONE
    needs: Needs = "nothing"


TEXT: Final[Json] = {"type": "string"}


def by_status(status: Mapping[R, int], reasons: Sequence[R] | None = None) -> Reasons:
    """The reasons of a closed list, or some of them, under the status that each is answered with."""
    kept = list(status) if reasons is None else reasons
    return {
        code: tuple(str(reason) for reason in kept if status[reason] == code)
        for code in sorted({status[reason] for reason in kept})
    }
