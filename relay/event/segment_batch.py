"""A post of Segment's or RudderStack's clients, out of its bytes: packed or not, one message or many.

What the headers say of the body is not read: one client calls its gzipped JSON a form.
"""

import zlib
from typing import Any, Final

import msgspec

from relay.errors import RelayError
from relay.event.outcome import SEGMENT_SENTENCES, SegmentReason
from relay.event.records import Json

BODY_MAX_BYTES: Final = 1024 * 1024  # as it arrives; the clients' own limit is half a MiB
UNPACKED_MAX_BYTES: Final = 4 * 1024 * 1024
MESSAGES_MAX: Final = 1_000

# The last part of the address → the type of its messages; "batch" holds messages of any.
CALLS: Final = {
    "batch": "batch",
    "track": "track",
    "page": "page",
    "identify": "identify",
    "screen": "screen",
    "group": "group",
    "alias": "alias",
    "b": "batch",
    "t": "track",
    "p": "page",
    "i": "identify",
    "s": "screen",
    "g": "group",
    "a": "alias",
    "import": "batch",
}

_GZIP: Final = b"\x1f\x8b"


class SegmentError(RelayError):
    """A post is refused as a whole."""

    def __init__(self, reason: SegmentReason) -> None:
        super().__init__(SEGMENT_SENTENCES[reason])
        self.reason = reason


class Batch(msgspec.Struct, frozen=True, kw_only=True):
    """A post that could be read; its messages are not checked yet."""

    write_key: str | None  # the body's own
    messages: tuple[Any, ...]
    sent_at: Any = None


def read_batch(body: bytes, call: str) -> Batch:
    """The messages of a post to an address that ends in `call`, one of CALLS. Raises SegmentError."""
    members = _decode(_unpacked(body))
    write_key = members.get("writeKey")
    messages = _batch(members) if CALLS[call] == "batch" else [{**members, "type": CALLS[call]}]
    if len(messages) > MESSAGES_MAX:
        raise SegmentError(SegmentReason.TOO_MANY_MESSAGES)
    return Batch(
        write_key=write_key if isinstance(write_key, str) else None,
        messages=tuple(_with_defaults(message, members) for message in messages),
        sent_at=members.get("sentAt"),
    )


def _batch(members: Json) -> list[Any]:
    messages = members.get("batch")
    if not isinstance(messages, list) or not messages:
        raise SegmentError(SegmentReason.NO_MESSAGES)
    return messages


def _with_defaults(message: Any, batch: Json) -> Any:
    """A batch may state context and integrations once, for all of its messages."""
    if not isinstance(message, dict):
        return message
    shared = {name: batch[name] for name in ("context", "integrations") if isinstance(batch.get(name), dict)}
    return {**shared, **message}


def _unpacked(body: bytes) -> bytes:
    """The body itself, or what a gzipped one holds; never more than the limit is unpacked."""
    if not body.startswith(_GZIP):
        return body
    unpacker = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
    try:
        unpacked = unpacker.decompress(body, UNPACKED_MAX_BYTES + 1)
    except zlib.error:
        raise SegmentError(SegmentReason.BATCH_NOT_READABLE) from None
    if len(unpacked) > UNPACKED_MAX_BYTES:
        raise SegmentError(SegmentReason.BATCH_TOO_LARGE)
    if not unpacker.eof:
        raise SegmentError(SegmentReason.BATCH_NOT_READABLE)
    return unpacked


def _decode(body: bytes) -> Json:
    try:
        members = msgspec.json.decode(body)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        raise SegmentError(SegmentReason.BATCH_NOT_READABLE) from None
    if not isinstance(members, dict):
        raise SegmentError(SegmentReason.BATCH_NOT_READABLE)
    return members
