"""The routes of Segment's and RudderStack's clients, as `operations` lists the others."""

from collections.abc import Iterator
from typing import Final

from relay.event.outcome import BODY_STATUS, SEGMENT_STATUS, BodyReason, RateReason, SegmentReason
from relay.event.records import Json
from relay.event.segment_batch import CALLS
from relay.web.operation import JSON, TEXT, Operation, Parameter, Reasons, Reply, by_status
from relay.web.segment import Answer

EXAMPLE: Final[Json] = {
    "type": "track",
    "event": "Order Completed",
    "messageId": "order-17",
    "userId": "u-1",
    "properties": {"revenue": 49.9, "currency": "EUR"},
}
ORIGIN_REASONS: Final = (BodyReason.ORIGIN_MISSING, BodyReason.ORIGIN_NOT_ALLOWED)
NO_PAGE: Final = by_status(BODY_STATUS, ORIGIN_REASONS)
PREFIX: Final = Parameter(
    name="prefix", sentence="Whatever stands before.", schema=TEXT, place="path", required=True
)


def segment_operations(root: str) -> tuple[Operation, ...]:
    """In the order of `routes.segment_routes`."""
    host = root.removesuffix("/v1")
    before = (PREFIX,) if host else ()
    key = Parameter(name="key", sentence="The site's key.", schema=TEXT, place="path", required=True)
    write_key = Parameter(name="writeKey", sentence="The site's key.", schema=TEXT, required=True)
    call = Parameter(
        name="call",
        sentence="What the messages are.",
        schema={"type": "string", "enum": sorted(CALLS)},
        place="path",
        required=True,
    )
    return (
        *_settings(
            f"{root}/projects/{{key}}/settings", "What @segment/analytics-next asks first.", (*before, key)
        ),
        *_settings(
            f"{host}/sourceConfig/", "What @rudderstack/analytics-js asks first.", (*before, write_key)
        ),
        Operation(
            method="post",
            path=f"{root}/{{call}}",
            summary="Take messages in Segment's format; a body may be gzip.",
            parameters=(*before, call),
            body=dict,
            body_types=(JSON,),
            example=EXAMPLE,
            replies={
                200: Reply(
                    sentence="What was accepted is committed; the rest has its reason.",
                    media_type=JSON,
                    record=Answer,
                    example=Answer(success=True, accepted=1, updated=0, duplicates=0, ignored=0, refused=()),
                )
            },
            errors=_errors(),
            needs="write_key",
        ),
        _preflight(f"{root}/{{call}}", (*before, call)),
    )


def _settings(path: str, summary: str, parameters: tuple[Parameter, ...]) -> Iterator[Operation]:
    reason = SegmentReason.UNKNOWN_WRITE_KEY
    yield Operation(
        method="get",
        path=path,
        summary=summary,
        parameters=parameters,
        replies={200: Reply(sentence="Where to send, and nothing to load.", media_type=JSON, record=dict)},
        errors={SEGMENT_STATUS[reason]: (reason,)},
    )
    yield _preflight(path, tuple(each for each in parameters if each.place == "path"))


def _preflight(path: str, parameters: tuple[Parameter, ...]) -> Operation:
    return Operation(
        method="options",
        path=path,
        summary="The preflight of the same.",
        parameters=parameters,
        replies={204: Reply(sentence="The page may ask.", headers=("Access-Control-Allow-Origin",))},
        errors=NO_PAGE,
        needs="origin",
    )


def _errors() -> Reasons:
    of_post = by_status(SEGMENT_STATUS)
    return {
        **of_post,
        400: (*of_post[400], "body_cut_short"),
        403: (*of_post[403], *NO_PAGE[403]),
        404: ("not_found",),
        429: (RateReason.ADDRESS, RateReason.SITE),
        503: ("store_unavailable",),
    }
