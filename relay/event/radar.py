"""What a sighting of another sender means, how it is switched off, and how to see that it is.

A closed list, as of issues: the radar says what pages have seen, and never that nobody else sends.
"""

from enum import StrEnum
from typing import Final, assert_never

import msgspec

from relay.event.issue import Severity
from relay.event.report import PAGE, PIXEL, SECOND_INIT, Ids
from relay.senders import SENDERS

BY_ID: Final = {sender.id: sender for sender in SENDERS}


class Verdict(StrEnum):
    """What another sender means for the count."""

    SENDS = "sends"
    SECOND_INIT = "second_init"
    NO_ID = "no_id"
    OWN_ID = "own_id"
    MAY_SEND = "may_send"
    OTHER_PIXEL = "other_pixel"


class VerdictWords(msgspec.Struct, frozen=True, kw_only=True):
    """What a person reads; `fix` is empty where the sender has its own."""

    severity: Severity
    title: str
    sentence: str
    fix: str
    verify: str


_PARTNERS: Final = (
    "Then look here again tomorrow: no page should have named it since. In Events Manager, choose the pixel, then "
    "Settings, Connected partners: one integration should be left."
)

VERDICT_WORDS: Final[dict[Verdict, VerdictWords]] = {
    Verdict.SENDS: VerdictWords(
        severity=Severity.HIGH,
        title="A second sender of server events",
        sentence=(
            "It sends server events of these pages under event_ids of its own, which no other half carries: "
            "each purchase counts twice."
        ),
        fix="",
        verify=_PARTNERS,
    ),
    Verdict.SECOND_INIT: VerdictWords(
        severity=Severity.MEDIUM,
        title="One pixel, initialised more than once",
        sentence=(
            "Several scripts of the page call fbq('init') for this pixel; where each fires its own events, they "
            "count twice."
        ),
        fix="Keep one fbq('init') for the pixel: in the theme, in a plugin or in the tag manager.",
        verify="Then look here again tomorrow: no page should have told of it since.",
    ),
    Verdict.NO_ID: VerdictWords(
        severity=Severity.HIGH,
        title="Pixel requests without an id",
        sentence=(
            "The page's Pixel sent these events without an event_id, past the snippet. They have no server half here, "
            "and one that somebody else sends cannot be matched with them."
        ),
        fix=(
            "Load the snippet before whatever fires them, or let them be fired by fbq in the page itself; an <img> of "
            "a noscript block or of a tag manager carries no id."
        ),
        verify="Then look here again tomorrow: the events should come with the relay's own ids.",
    ),
    Verdict.OWN_ID: VerdictWords(
        severity=Severity.MEDIUM,
        title="Pixel requests with somebody else's id",
        sentence=(
            "The page's Pixel sent these events under ids that the snippet does not know. Another product makes both "
            "halves of them; where the snippet fires the same event, it counts twice."
        ),
        fix="Find what fires them (a plugin, a tag manager, an app) and let one product send the event.",
        verify="Then look here again tomorrow: the events should come with the relay's own ids.",
    ),
    Verdict.MAY_SEND: VerdictWords(
        severity=Severity.LOW,
        title="A product that can send server events",
        sentence="It is in the page and may have Meta's server events switched on; from the page this cannot be seen.",
        fix="",
        verify=_PARTNERS,
    ),
    Verdict.OTHER_PIXEL: VerdictWords(
        severity=Severity.LOW,
        title="Events of a pixel that is not this site's",
        sentence="The page's Pixel also sends to a pixel that relay.toml does not name. It has no server half here.",
        fix="Add the pixel to the site's pixels in relay.toml, or take it out of the page.",
        verify="Then look here again tomorrow.",
    ),
}


def verdict_of(sender: str, pixel: str, ids: Ids, own_pixels: tuple[str, ...]) -> Verdict | None:
    """What one row of a page's report means; None where there is nothing to mend."""
    if known := BY_ID.get(sender):
        return Verdict.SENDS if known.sends else Verdict.MAY_SEND
    if sender == SECOND_INIT:
        return Verdict.SECOND_INIT
    if sender == PAGE or not ids:
        return None
    if pixel and pixel not in own_pixels:
        return Verdict.OTHER_PIXEL
    match ids:
        case "ours":
            return None
        case "own":
            return Verdict.OWN_ID
        case "none":
            return Verdict.NO_ID
        case _:
            assert_never(ids)


def name_of(sender: str) -> str:
    """How the sender is called on a page."""
    own = {PIXEL: "The page's Pixel", SECOND_INIT: "Scripts of the page"}
    return BY_ID[sender].name if sender in BY_ID else own.get(sender, sender)


def fix_of(sender: str, verdict: Verdict) -> str:
    known = BY_ID.get(sender)
    return known.fix if known else VERDICT_WORDS[verdict].fix
