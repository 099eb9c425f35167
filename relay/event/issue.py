"""The closed list of what looks wrong with a site's events, each with what it means and how to mend it.

An issue is no refusal: the events are judged one by one, and an issue says that something upstream of them
(a page cache, a plugin, a theme) should be looked at.
"""

from enum import StrEnum
from typing import Final

import msgspec


class IssueKind(StrEnum):
    """What looks wrong."""

    SHARED_EVENT_ID = "shared_event_id"
    MISSING_EVENT_ID = "missing_event_id"
    DIFFERENT_EVENT_ID = "different_event_id"
    RENAMED_EVENT = "renamed_event"
    DIFFERENT_VALUE = "different_value"
    VALUE_CHANGED = "value_changed"
    REPEATED_ORDER = "repeated_order"
    RELOADED_PAGE = "reloaded_page"
    PERSONAL_DATA = "personal_data"
    UNSIGNED = "unsigned"
    ALTERED = "altered"


class Severity(StrEnum):
    """How much an issue costs while it stays."""

    HIGH = "high"  # conversions are lost, forged, or counted twice
    MEDIUM = "medium"  # numbers are wrong, or data leaves that should not
    LOW = "low"  # handled here; worth knowing


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One event's part in an issue. `place` is a field's path, never its value."""

    kind: IssueKind
    place: str = ""
    sample: str = ""  # the shape of a value, masked


class IssueWords(msgspec.Struct, frozen=True, kw_only=True):
    """What a person reads of an issue."""

    title: str
    severity: Severity
    sentence: str
    fix: str


ISSUE_WORDS: Final[dict[IssueKind, IssueWords]] = {
    IssueKind.SHARED_EVENT_ID: IssueWords(
        title="One event_id, many visitors",
        severity=Severity.HIGH,
        sentence=(
            "The same event_id came from three or more visitors. Meta and the relay take them for one event, "
            "so all but the first are lost."
        ),
        fix=(
            "The id is rendered into a page that a cache serves to everybody. Leave eventID out, so that the "
            "snippet makes one in the browser, or keep that page out of the cache."
        ),
    ),
    IssueKind.MISSING_EVENT_ID: IssueWords(
        title="The Pixel's half has no id",
        severity=Severity.HIGH,
        sentence="The Pixel's own request carried no eventID, so Meta cannot tell that both halves are one event.",
        fix="A script drops the fourth argument of calls to fbq. Load the snippet last, or mend that script.",
    ),
    IssueKind.DIFFERENT_EVENT_ID: IssueWords(
        title="The Pixel's half has another id",
        severity=Severity.HIGH,
        sentence="The Pixel's own request carried another eventID than the server's half, so Meta counts two events.",
        fix="Another script sets eventID after the snippet has. Let one of the two make the id and hand it on.",
    ),
    IssueKind.RENAMED_EVENT: IssueWords(
        title="The Pixel's half has another name",
        severity=Severity.HIGH,
        sentence="The Pixel's own request carried another event name, so Meta does not pair the two halves.",
        fix="A tag manager or an event set-up tool renames the event. Use one name on both sides.",
    ),
    IssueKind.DIFFERENT_VALUE: IssueWords(
        title="The halves differ in value",
        severity=Severity.MEDIUM,
        sentence="The Pixel's own request carried another value than the server's half. Meta keeps one of them.",
        fix="Pass the same data to both: one call of counterfoil('track', …) does.",
    ),
    IssueKind.VALUE_CHANGED: IssueWords(
        title="The value changed between two posts",
        severity=Severity.MEDIUM,
        sentence="An event came again under the same event_id with another value or currency. The first one stands.",
        fix="Send the event once the order is final, or give a changed order an event_id of its own.",
    ),
    IssueKind.REPEATED_ORDER: IssueWords(
        title="One order, reported again",
        severity=Severity.LOW,
        sentence=(
            "A Purchase came with an order_id that this pixel has had under another event_id. It is recorded "
            "and not sent."
        ),
        fix=(
            "The thank-you page was opened again, or a captured post was repeated. The server's half is held back "
            "here; the browser's half went out: render the call once per order, or derive eventID from the order."
        ),
    ),
    IssueKind.RELOADED_PAGE: IssueWords(
        title="An old event, fired again",
        severity=Severity.LOW,
        sentence=(
            "The same visitor's page fired the same event_id again more than an hour later. It is not sent again."
        ),
        fix=(
            "A thank-you page that is opened again fires its Purchase again, and Meta forgets ids after 48 hours. "
            "Render the call once per order."
        ),
    ),
    IssueKind.PERSONAL_DATA: IssueWords(
        title="E-mail or phone in plain text",
        severity=Severity.MEDIUM,
        sentence=(
            "The field named here held an e-mail address or a phone number. It was removed from the server's half "
            "before anything was stored."
        ),
        fix=(
            "The browser's half still carries it. Take it out of the page's address or data; pass customer data as "
            "userData, where it is hashed."
        ),
    ),
    IssueKind.UNSIGNED: IssueWords(
        title="Events without the signature that the site asks for",
        severity=Severity.HIGH,
        sentence="These events lack a signature or an order_id. They are quarantined: recorded, and not sent.",
        fix="Sign the event on the shop's server (docs/signing.md). If the shop does sign, somebody else sends events.",
    ),
    IssueKind.ALTERED: IssueWords(
        title="Events whose signature does not fit",
        severity=Severity.HIGH,
        sentence=(
            "Name, order_id, value or currency are not those that were signed, or the key is another one. "
            "The events are quarantined."
        ),
        fix=(
            "Compare the key and the signed text (docs/signing.md). If both are right, somebody alters events "
            "on their way."
        ),
    ),
}
