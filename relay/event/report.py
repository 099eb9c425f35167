"""What a page's radar tells of other senders → `Sighting` rows. `docs/wire.md` is the format.

Names, counts and whose ids: nothing of a person. The sender of a report is a page like any other, so everything in it
is bounded here, and a name that holds personal data is left out.
"""

import re
from typing import Annotated, Final, Literal

import msgspec

from relay.event.fields import EVENT_NAME_MAX, is_event_name
from relay.event.outcome import BodyReason
from relay.event.personal import personal_kind
from relay.event.wire import WireError, decode
from relay.senders import SENDERS

ROWS_MAX: Final = 50
COUNT_MAX: Final = 1_000

PAGE: Final = "page"  # a page that was looked at
PIXEL: Final = "pixel"  # the page's Pixel, of which nobody says whose it is
SECOND_INIT: Final = "second_init"  # one pixel, initialised more than once
KNOWN: Final = frozenset({PAGE, PIXEL, SECOND_INIT, *(sender.id for sender in SENDERS)})

Ids = Literal["", "ours", "own", "none"]  # of the event; empty where the row is about no event


class Sighting(msgspec.Struct, frozen=True, kw_only=True):
    """One sender, as a page saw it."""

    sender: str
    pixel: str = msgspec.field(default="", name="pixel_id")
    event_name: Annotated[str, msgspec.Meta(max_length=EVENT_NAME_MAX)] = ""
    ids: Ids = ""
    count: Annotated[int, msgspec.Meta(ge=1, le=COUNT_MAX)] = 1


class Report(msgspec.Struct, frozen=True, kw_only=True):
    site_key: str = msgspec.field(name="site")
    seen: Annotated[tuple[Sighting, ...], msgspec.Meta(min_length=1, max_length=ROWS_MAX)]


def parse_report(body: bytes) -> Report:
    """Read a report's body. Raises `WireError`. Senders that this relay does not know are left out."""
    try:
        report = msgspec.convert(decode(body), Report)
    except msgspec.ValidationError:
        raise WireError(BodyReason.INVALID_REPORT) from None
    kept = tuple(sighting for sighting in report.seen if _is_usable(sighting))
    return msgspec.structs.replace(report, seen=kept)


def _is_usable(sighting: Sighting) -> bool:
    name = sighting.event_name
    return (
        sighting.sender in KNOWN
        and re.fullmatch(r"[0-9]{0,20}", sighting.pixel) is not None
        and (name == "" or (is_event_name(name) and personal_kind(name) is None))
    )
