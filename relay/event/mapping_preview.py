"""What became of one message in Segment's format, for people: no customer data, and nothing that names a person."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

import msgspec

from relay.event.fields import Refused
from relay.event.outcome import IGNORED_SENTENCES, REFUSAL_SENTENCES
from relay.event.personal import personal_kind
from relay.event.records import Json, OutboxEvent
from relay.event.segment import NoEvent

NAME_MAX: Final = 60
LEFT_OUT: Final = "a name that is left out here"  # it is too long, or holds contact data
HASHED: Final = "hashed"
NOT_SHOWN: Final = "not shown here"
IDENTIFIERS: Final = ("fbp", "fbc")
CALLS: Final = frozenset({"track", "page", "identify", "screen", "group", "alias"})

Became = Literal["sent on", "refused", "no event"]


class MappedField(msgspec.Struct, frozen=True, kw_only=True):
    """One member of the Conversions API event."""

    name: str
    value: str  # as JSON; of customer data and of what tells visitors apart only that it is there
    source: str  # where it came from; empty where nobody has said


class MappedMessage(msgspec.Struct, frozen=True, kw_only=True):
    """One message, and what the relay has made of it."""

    received_ms: int
    site: str
    call: str  # "track", or what else it was
    name: str  # a track call's event
    became: Became = "sent on"
    event_name: str | None = None
    event_id: str | None = None
    reason: str | None = None
    sentence: str | None = None
    fields: tuple[MappedField, ...] = ()


def preview(
    message: Any, outcome: Sequence[OutboxEvent] | Refused | NoEvent, *, site: str, received_ms: int
) -> MappedMessage:
    """Of an event that fans out to several pixels the first: they differ in nothing."""
    members = message if isinstance(message, Mapping) else {}
    call = _name(members.get("type"))
    seen = MappedMessage(
        received_ms=received_ms,
        site=site,
        call=call if call in CALLS else "unknown",
        name=_name(members.get("event")),
    )
    match outcome:
        case Refused(reason=refusal):
            return msgspec.structs.replace(
                seen, became="refused", reason=refusal, sentence=REFUSAL_SENTENCES[refusal]
            )
        case NoEvent(reason=ignored):
            return msgspec.structs.replace(
                seen, became="no event", reason=ignored, sentence=IGNORED_SENTENCES[ignored]
            )
        case _:
            row = outcome[0]
            return msgspec.structs.replace(
                seen, event_name=row.event_name, event_id=row.event_id, fields=_fields(row)
            )


def _name(raw: Any) -> str:
    if not isinstance(raw, str):
        return ""
    return LEFT_OUT if len(raw) > NAME_MAX or personal_kind(raw) else raw


def _fields(row: OutboxEvent) -> tuple[MappedField, ...]:
    event: Json = msgspec.json.decode(row.server_event)
    members = [(name, value) for name, value in event.items() if not isinstance(value, dict)]
    members += [
        (name, value if name in IDENTIFIERS else HASHED) for name, value in event.get("user_data", {}).items()
    ]
    seen = {"client_ip_address": row.client_ip_address, "client_user_agent": row.client_user_agent}
    members += [(name, NOT_SHOWN) for name, value in seen.items() if value]
    members += list(event.get("custom_data", {}).items())
    return tuple(
        MappedField(name=name, value=_shown(value), source=_source(row.why.get(name)))
        for name, value in members
    )


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _source(told: Any) -> str:
    return told if isinstance(told, str) else ""
