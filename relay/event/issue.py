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
    ORIGIN_NOT_ALLOWED = "origin_not_allowed"
    REFUSED = "refused"
    PAGE_POLICY = "page_policy"
    UNTRUSTED_PROXY = "untrusted_proxy"
    CLOCK_AHEAD = "clock_ahead"
    UNUSABLE_KEY = "unusable_key"
    # Not noted event by event: what the relay's state and its counts show now.
    TOKEN_REFUSED = "token_refused"  # noqa: S105 - the name of an issue
    PIXEL_REFUSED = "pixel_refused"
    REJECTED = "rejected"
    LATE = "late"
    SNIPPET_SILENT = "snippet_silent"
    OTHER_FAMILY = "other_family"
    FOREIGN_SENDER = "foreign_sender"
    PIXEL_BLOCKED = "pixel_blocked"
    CONSENT_DENIED = "consent_denied"


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
    IssueKind.ORIGIN_NOT_ALLOWED: IssueWords(
        title="A page's address is not on the list",
        severity=Severity.HIGH,
        sentence="Pages at the address named here post events, and the site does not list it. All of them are refused.",
        fix="If the address is yours, add it to the site's origins in relay.toml and restart the relay.",
    ),
    IssueKind.REFUSED: IssueWords(
        title="Events that cannot be sent",
        severity=Severity.HIGH,
        sentence=(
            "These events lack something that Meta asks for, or hold something it does not take. Nothing was stored."
        ),
        fix="Mend the call on the page; docs/refusals.md has a line for each reason.",
    ),
    IssueKind.PAGE_POLICY: IssueWords(
        title="A page's security policy keeps its posts in",
        severity=Severity.HIGH,
        sentence=(
            "Pages at the address named here have a Content-Security-Policy without connect-src for the relay, so "
            "the browser lets no event out."
        ),
        fix=(
            "Add the relay to connect-src: `counterfoil snippet` prints the line. Visitors' browsers keep the events "
            "for a day."
        ),
    ),
    IssueKind.UNTRUSTED_PROXY: IssueWords(
        title="Every visitor looks like your proxy",
        severity=Severity.HIGH,
        sentence=(
            "Posts come through a proxy that forwards the visitor's address, and the relay was not told to believe it. "
            "So no visitor's address, or the proxy's own, goes to Meta."
        ),
        fix="Name the proxy in [server] trusted_proxies, by its name or network (docs/addresses.md), and restart.",
    ),
    IssueKind.CLOCK_AHEAD: IssueWords(
        title="Visitors' clocks run ahead",
        severity=Severity.LOW,
        sentence=(
            "The browser's id says that it was made in the future, so the visitor's clock is wrong. The event's time "
            "is measured by the relay's clock and is right all the same."
        ),
        fix="One visitor: nothing to do. Many: look at the relay's own clock (`counterfoil doctor`, chronyc tracking).",
    ),
    IssueKind.UNUSABLE_KEY: IssueWords(
        title="Customer data that cannot be used",
        severity=Severity.MEDIUM,
        sentence=(
            "The field named here holds a value that Meta could not match, so it was left out. The example shows the "
            "value's shape: x for a letter, 9 for a digit."
        ),
        fix="Pass the field as docs/normalisation.md says; `counterfoil explain` shows what becomes of a value.",
    ),
    IssueKind.TOKEN_REFUSED: IssueWords(
        title="Meta refuses the access token",
        severity=Severity.HIGH,
        sentence="The pixel is parked: its events wait here, up to seven days, and leave once the token is mended.",
        fix=(
            "In Events Manager, under the data set's settings, generate a new access token for the Conversions API. "
            "Put it where token_env or token_file says, and restart the relay."
        ),
    ),
    IssueKind.PIXEL_REFUSED: IssueWords(
        title="Meta does not know this pixel, or hides it from this token",
        severity=Severity.HIGH,
        sentence="The pixel is parked: Graph answers that no such object exists for the token. Its events wait here.",
        fix=(
            "Compare the id in relay.toml with the data set's id in Events Manager. If it is right, the token belongs "
            "to another business: generate one in the data set's own settings. Then restart the relay."
        ),
    ),
    IssueKind.REJECTED: IssueWords(
        title="Meta refuses events",
        severity=Severity.HIGH,
        sentence="Meta took the call and refused these events for good, with the words below.",
        fix="Open one of the receipts: it shows what was sent and Meta's answer. Mend the page, then replay.",
    ),
    IssueKind.LATE: IssueWords(
        title="Events wait longer than they should",
        severity=Severity.MEDIUM,
        sentence="The oldest event has been due for more than ten minutes. Nothing is lost; it goes when Meta answers.",
        fix="Delivery shows the calls to Graph and their answers. Look at the relay's own way out to the internet.",
    ),
    IssueKind.SNIPPET_SILENT: IssueWords(
        title="Pages load the snippet, and nothing is posted",
        severity=Severity.HIGH,
        sentence=(
            "The relay has served its script to this site's pages and then heard nothing. Nearly always the page's "
            "Content-Security-Policy lets the script load and blocks its posts."
        ),
        fix="Add the relay to connect-src, as the line below says; `counterfoil doctor` reads the page's policy.",
    ),
    IssueKind.OTHER_FAMILY: IssueWords(
        title="The halves name addresses of two families",
        severity=Severity.MEDIUM,
        sentence=(
            "The Pixel reaches Meta over IPv6 and the relay hears the same visitors over IPv4, so the addresses of the "
            "two halves differ. Meta calls that a mismatched IP address."
        ),
        fix=(
            "Give the relay's name an AAAA record; or set [site.address_hosts] ipv6, which brings a signed IPv6 "
            "address to events that came over IPv4 (docs/addresses.md)."
        ),
    ),
    IssueKind.FOREIGN_SENDER: IssueWords(
        title="Somebody else sends events of these pages",
        severity=Severity.HIGH,
        sentence=(
            "Pages tell of another sender for the same pixel. Where its events carry another id than ours, or none, "
            "Meta counts them twice."
        ),
        fix=(
            "Keep one sender of server events for each pixel. The line above says what to turn off, and Radar how to "
            "verify it."
        ),
    ),
    IssueKind.PIXEL_BLOCKED: IssueWords(
        title="Browsers block the Pixel",
        severity=Severity.LOW,
        sentence=(
            "The Pixel's own request was blocked by the browser, an extension or the page's policy. The server's half "
            "went alone, and counts alone."
        ),
        fix=(
            "Content blockers stop it on a tenth to a third of visits, and that is the visitor's choice. Nearly all: "
            "let connect.facebook.net and www.facebook.com into the page's Content-Security-Policy."
        ),
    ),
    IssueKind.CONSENT_DENIED: IssueWords(
        title="Visitors who did not consent",
        severity=Severity.LOW,
        sentence="Consent was denied or never given, so neither half was sent and nothing but this count was kept.",
        fix=(
            "Nothing is broken. If it is nearly everybody, see that the page's consent tool is the one that the site "
            "names in consent_source (docs/consent.md)."
        ),
    ),
}
