"""The closed lists: what can become of the Pixel's request, of a post, of an event.

Every accepted event ends in exactly one `Fate`, with a `FateReason`. Every event that is not accepted is
answered with one `Refusal`. The sentences are what a person reads in the console and in `docs/refusals.md`;
a test holds that each list, its sentences and its documentation agree.
"""

from enum import StrEnum
from typing import Final


class BrowserState(StrEnum):
    """What the snippet knows of the Pixel's own request. Better knowledge ranks higher."""

    SENT = "sent"  # answered by Meta's host
    LATE = "late"  # reported as something else before, then it went out after all
    BLOCKED = "blocked"  # the browser or an extension refused it
    OFF = "off"  # the site runs server-only for this event
    PENDING = "pending"  # dispatched, but the page ended or 2.5 s passed before an answer
    UNDISPATCHED = "undispatched"  # Meta's script never took it off its queue within 6 s
    AWAITED = "awaited"  # a server sent the event; the browser half is expected and has not reported
    ABSENT = "absent"  # a server sent the event, and no browser half is expected


STATE_RANK: Final[dict[BrowserState, int]] = {
    BrowserState.SENT: 6,
    BrowserState.LATE: 5,
    BrowserState.BLOCKED: 4,
    BrowserState.OFF: 3,
    BrowserState.PENDING: 2,
    BrowserState.UNDISPATCHED: 1,
    BrowserState.AWAITED: 0,
    BrowserState.ABSENT: 0,
}

# No snippet reports these: they say that none has.
UNREPORTED: Final = frozenset({BrowserState.AWAITED, BrowserState.ABSENT})

# The Pixel's request cannot become anything else any more.
SETTLED: Final = frozenset({BrowserState.SENT, BrowserState.LATE, BrowserState.BLOCKED, BrowserState.OFF})


class ActionSource(StrEnum):
    """Where the conversion took place, in Meta's words."""

    EMAIL = "email"
    WEBSITE = "website"
    APP = "app"
    PHONE_CALL = "phone_call"
    CHAT = "chat"
    PHYSICAL_STORE = "physical_store"
    SYSTEM_GENERATED = "system_generated"
    BUSINESS_MESSAGING = "business_messaging"
    OTHER = "other"


class Transport(StrEnum):
    """How the Pixel's request left the page."""

    IMAGE = "image"
    FORM = "form"
    BEACON = "beacon"
    FETCH = "fetch"
    NONE = "none"
    UNKNOWN = "unknown"


class Admission(StrEnum):
    """What the outbox did with one event and one pixel."""

    ACCEPTED = "accepted"  # new, committed
    UPDATED = "updated"  # known and still held; the browser leg or the event itself is now better known
    DUPLICATE = "duplicate"  # known; nothing will be sent for this post


class Fate(StrEnum):
    """How an accepted event ended. An event that has none yet is waiting."""

    DELIVERED = "delivered"
    REJECTED = "rejected"
    EXPIRED = "expired"
    FILTERED = "filtered"
    QUARANTINED = "quarantined"
    UNKNOWN = "unknown"
    SHADOWED = "shadowed"


class FateReason(StrEnum):
    """Why an event ended as it did."""

    RECEIVED = "received"
    REJECTED_BY_META = "rejected_by_meta"
    TOO_OLD = "too_old"
    BOT = "bot"
    REPEATED_ORDER = "repeated_order"
    UNSIGNED = "unsigned"
    ALTERED = "altered"
    BROWSER_ONLY = "browser_only"
    INCOMPLETE = "incomplete"
    SHADOW = "shadow"
    INCUMBENT = "incumbent"
    AMBIGUOUS_SEND = "ambiguous_send"
    CORRUPT_ROW = "corrupt_row"


FATE_SENTENCES: Final[dict[FateReason, str]] = {
    FateReason.RECEIVED: "Meta confirmed that it received the event.",
    FateReason.REJECTED_BY_META: "Meta refused the event for good; its own words are in the receipt.",
    FateReason.TOO_OLD: (
        "The event passed Meta's limit (seven days, or 62 for a physical store) before it could be delivered."
    ),
    FateReason.BOT: "The user agent is a known crawler; crawlers run no Pixel, so nothing was sent.",
    FateReason.REPEATED_ORDER: (
        "This pixel has had a Purchase with the same order_id, so nothing was sent: one order is one event."
    ),
    FateReason.UNSIGNED: (
        "The site asks for a signature on this event, and it has none, or no order_id. It was not sent."
    ),
    FateReason.ALTERED: (
        "The event is not what the shop's server signed: name, order_id, value or currency differ, or the key "
        "is another one. It was not sent."
    ),
    FateReason.BROWSER_ONLY: (
        'The site sends the server half of this event from its backend (mode "split"), so the page\'s post only tells '
        "of the browser half. It goes when the backend sends an event with this name and event_id."
    ),
    FateReason.INCOMPLETE: (
        "The backend's partial event waits for the event that it completes, and nothing was sent. It goes when "
        "the page, or the backend, sends an event with this name and event_id."
    ),
    FateReason.SHADOW: (
        "The site is in shadow mode: this is what would have been sent, at the time when it would have been sent."
    ),
    FateReason.INCUMBENT: (
        "The site is in shadow mode: a copy of what the incumbent sends, kept to be compared and never sent."
    ),
    FateReason.AMBIGUOUS_SEND: (
        "The connection broke after the event was written to Meta and before an answer; the policy "
        "(on_unknown, resend_max) keeps it from being sent again. Replay it if Events Manager does not show it."
    ),
    FateReason.CORRUPT_ROW: (
        "The stored event no longer matches its checksum, so nothing was sent. Check the disk that holds the store."
    ),
}


# Ends that the event's other half takes back.
ASLEEP: Final = frozenset({FateReason.BROWSER_ONLY, FateReason.INCOMPLETE})


class Refusal(StrEnum):
    """Why one event of a post was not accepted. The other events of the post are not touched by it."""

    INVALID_EVENT = "invalid_event"
    INVALID_EVENT_NAME = "invalid_event_name"
    EVENT_NAME_TOO_LONG = "event_name_too_long"
    INVALID_EVENT_ID = "invalid_event_id"
    INVALID_AGE = "invalid_age"
    TOO_OLD = "too_old"
    INVALID_URL = "invalid_url"
    FOREIGN_URL = "foreign_url"
    INVALID_PIXEL_REPORT = "invalid_pixel_report"
    UNKNOWN_PIXEL = "unknown_pixel"
    INVALID_CUSTOM_DATA = "invalid_custom_data"
    INVALID_USER_DATA = "invalid_user_data"
    INVALID_DATA_PROCESSING_OPTIONS = "invalid_data_processing_options"
    INVALID_ADDRESSES = "invalid_addresses"
    INVALID_SIGNATURE = "invalid_signature"
    PERSONAL_DATA = "personal_data"
    INVALID_CONSENT = "invalid_consent"
    MISSING_VALUE = "missing_value"
    INVALID_VALUE = "invalid_value"
    MISSING_CURRENCY = "missing_currency"
    INVALID_CURRENCY = "invalid_currency"
    MISSING_USER_AGENT = "missing_user_agent"
    TOO_BROAD = "too_broad"
    CONSENT_DENIED = "consent_denied"
    CONSENT_MISSING = "consent_missing"
    PRIVACY_CONTROL = "privacy_control"
    PREFETCH = "prefetch"
    INVALID_EVENT_TIME = "invalid_event_time"
    INVALID_ACTION_SOURCE = "invalid_action_source"
    MISSING_URL = "missing_url"
    MISSING_APP_DATA = "missing_app_data"
    EVENT_TOO_LARGE = "event_too_large"


REFUSAL_SENTENCES: Final[dict[Refusal, str]] = {
    Refusal.INVALID_EVENT: "The event is not a JSON object with the documented members.",
    Refusal.INVALID_EVENT_NAME: "event_name must be a non-empty text without control characters.",
    Refusal.EVENT_NAME_TOO_LONG: "event_name is longer than the 50 characters that Meta takes.",
    Refusal.INVALID_EVENT_ID: "event_id must be a text of 1 to 200 printable characters.",
    Refusal.INVALID_AGE: "age_ms must be a whole number of milliseconds, zero or more.",
    Refusal.TOO_OLD: "The event is older than Meta accepts: seven days, or 62 for a physical store.",
    Refusal.FOREIGN_URL: "The frame that posted has no origin, and url is of none of the site's origins.",
    Refusal.INVALID_URL: "url must be the page's absolute http or https address, at most 4,096 characters.",
    Refusal.INVALID_PIXEL_REPORT: "pixel must hold a known state and, where given, whole millisecond offsets.",
    Refusal.UNKNOWN_PIXEL: "pixel_ids names a pixel that is not configured for this site.",
    Refusal.INVALID_CUSTOM_DATA: "custom_data must be an object of plain JSON values, at most 200 members.",
    Refusal.INVALID_USER_DATA: "user_data must map Meta's customer keys to texts or lists of texts.",
    Refusal.INVALID_DATA_PROCESSING_OPTIONS: (
        "data_processing_options must be a list, with country and state as whole numbers."
    ),
    Refusal.INVALID_ADDRESSES: (
        "addresses must be a list of at most four tokens that this relay issued, and address_nonce a text."
    ),
    Refusal.INVALID_SIGNATURE: "signature must be a text of at most 1,024 characters.",
    Refusal.PERSONAL_DATA: "event_name and event_id must not hold an e-mail address or a phone number.",
    Refusal.INVALID_CONSENT: 'consent must be "granted", "denied" or left out.',
    Refusal.MISSING_VALUE: "A Purchase needs custom_data.value; Counterfoil never invents one.",
    Refusal.INVALID_VALUE: "custom_data.value must be a finite number.",
    Refusal.MISSING_CURRENCY: "A Purchase needs custom_data.currency; Counterfoil never invents one.",
    Refusal.INVALID_CURRENCY: "custom_data.currency must be an ISO 4217 code such as EUR.",
    Refusal.MISSING_USER_AGENT: "A website event needs the visitor's user agent; Meta rejects it without.",
    Refusal.TOO_BROAD: "The event holds no identifier that Meta would accept; it would be rejected as too broad.",
    Refusal.CONSENT_DENIED: "The visitor did not consent; nothing but a count was kept.",
    Refusal.CONSENT_MISSING: 'The site asks for explicit consent (consent = "required"), and the event came without.',
    Refusal.PRIVACY_CONTROL: 'The browser sends Global Privacy Control, and the site drops such events (gpc = "drop").',
    Refusal.PREFETCH: "The page was only prefetched or prerendered; no visitor has seen it.",
    Refusal.INVALID_EVENT_TIME: "event_time must be whole Unix seconds, and not in the future.",
    Refusal.EVENT_TOO_LARGE: "One event may hold 65,536 bytes.",
    Refusal.INVALID_ACTION_SOURCE: "action_source must be one of Meta's nine, such as website or physical_store.",
    Refusal.MISSING_URL: "A website event needs event_source_url, the page's absolute address.",
    Refusal.MISSING_APP_DATA: (
        "An app event needs app_data with advertiser_tracking_enabled, application_tracking_enabled and extinfo."
    ),
}


class Ignored(StrEnum):
    """Why a message in Segment's format, which is in order, is no event. Nothing of it was stored."""

    NOT_MAPPED = "not_mapped"
    SWITCHED_OFF = "switched_off"


IGNORED_SENTENCES: Final[dict[Ignored, str]] = {
    Ignored.NOT_MAPPED: "The site sends nothing for this call or this name. Name an event for it in [site.mapping].",
    Ignored.SWITCHED_OFF: "The call's own integrations keep it from Meta's server side.",
}


class BodyReason(StrEnum):
    """Why a post was refused as a whole. Nothing of it was stored."""

    BODY_TOO_LARGE = "body_too_large"
    BODY_NOT_JSON = "body_not_json"
    BODY_NOT_OBJECT = "body_not_object"
    CONTENT_TYPE = "content_type"
    CONTENT_ENCODING = "content_encoding"
    NO_EVENTS = "no_events"
    TOO_MANY_EVENTS = "too_many_events"
    UNKNOWN_SITE = "unknown_site"
    ORIGIN_MISSING = "origin_missing"
    ORIGIN_NOT_ALLOWED = "origin_not_allowed"
    INVALID_REPORT = "invalid_report"


BODY_STATUS: Final[dict[BodyReason, int]] = {
    BodyReason.BODY_TOO_LARGE: 413,
    BodyReason.BODY_NOT_JSON: 400,
    BodyReason.BODY_NOT_OBJECT: 400,
    BodyReason.CONTENT_TYPE: 415,
    BodyReason.CONTENT_ENCODING: 415,
    BodyReason.NO_EVENTS: 400,
    BodyReason.TOO_MANY_EVENTS: 413,
    BodyReason.UNKNOWN_SITE: 403,
    BodyReason.ORIGIN_MISSING: 403,
    BodyReason.ORIGIN_NOT_ALLOWED: 403,
    BodyReason.INVALID_REPORT: 400,
}

BODY_SENTENCES: Final[dict[BodyReason, str]] = {
    BodyReason.BODY_TOO_LARGE: "The body is larger than 65,536 bytes. Send fewer events per post.",
    BodyReason.BODY_NOT_JSON: (
        "The body is not valid JSON in UTF-8, names a member twice, or is nested or numbered beyond reason."
    ),
    BodyReason.BODY_NOT_OBJECT: 'The body must be a JSON object with "site" and "events".',
    BodyReason.CONTENT_TYPE: "Send the body as text/plain or application/json.",
    BodyReason.CONTENT_ENCODING: "Send the body uncompressed, without Content-Encoding.",
    BodyReason.NO_EVENTS: '"events" must be a list with at least one event.',
    BodyReason.TOO_MANY_EVENTS: "One post may carry 20 events. Send the rest in another.",
    BodyReason.UNKNOWN_SITE: '"site" is not the key of a configured site. Copy it from `counterfoil snippet`.',
    BodyReason.ORIGIN_MISSING: "The request has no Origin header; only browsers post to this address.",
    BodyReason.ORIGIN_NOT_ALLOWED: "This Origin is not in the site's origins. Add it in relay.toml.",
    BodyReason.INVALID_REPORT: 'A report needs "site" and "seen", a list of 1 to 50 rows as docs/wire.md has them.',
}


class CallReason(StrEnum):
    """Why a server's call was refused as a whole. Nothing of it was stored."""

    KEY_MISSING = "key_missing"
    KEY_UNKNOWN = "key_unknown"
    CALL_TOO_LARGE = "call_too_large"
    CALL_NOT_READABLE = "call_not_readable"
    CALL_CONTENT_TYPE = "call_content_type"
    CALL_ENCODED = "call_encoded"
    CALL_WITHOUT_EVENTS = "call_without_events"
    CALL_TOO_MANY_EVENTS = "call_too_many_events"


CALL_STATUS: Final[dict[CallReason, int]] = {
    CallReason.KEY_MISSING: 401,
    CallReason.KEY_UNKNOWN: 401,
    CallReason.CALL_TOO_LARGE: 413,
    CallReason.CALL_NOT_READABLE: 400,
    CallReason.CALL_CONTENT_TYPE: 415,
    CallReason.CALL_ENCODED: 415,
    CallReason.CALL_WITHOUT_EVENTS: 400,
    CallReason.CALL_TOO_MANY_EVENTS: 413,
}

CALL_SENTENCES: Final[dict[CallReason, str]] = {
    CallReason.KEY_MISSING: "Send a write key of the site: Authorization: Bearer KEY.",
    CallReason.KEY_UNKNOWN: "The key is none of this relay's. Compare it with write_key_env or write_key_file.",
    CallReason.CALL_TOO_LARGE: "The body is larger than 4 MiB. Send fewer events per call.",
    CallReason.CALL_NOT_READABLE: (
        'The body must be a JSON object in UTF-8 with "events"; no member named twice, nothing nested beyond reason.'
    ),
    CallReason.CALL_CONTENT_TYPE: "Send the body as application/json.",
    CallReason.CALL_ENCODED: "Send the body uncompressed, without Content-Encoding.",
    CallReason.CALL_WITHOUT_EVENTS: '"events" must be a list with at least one event.',
    CallReason.CALL_TOO_MANY_EVENTS: "One call may carry 1,000 events. Send the rest in another.",
}


class SegmentReason(StrEnum):
    """Why a post in Segment's format was refused as a whole. Nothing of it was stored."""

    UNKNOWN_WRITE_KEY = "unknown_write_key"
    PUBLIC_KEY_WITHOUT_ORIGIN = "public_key_without_origin"
    SECRET_KEY_IN_BROWSER = "secret_key_in_browser"  # noqa: S105 - a reason
    BATCH_TOO_LARGE = "batch_too_large"
    BATCH_NOT_READABLE = "batch_not_readable"
    NO_MESSAGES = "no_messages"
    TOO_MANY_MESSAGES = "too_many_messages"
    MESSAGES_REFUSED = "messages_refused"


SEGMENT_STATUS: Final[dict[SegmentReason, int]] = {
    SegmentReason.UNKNOWN_WRITE_KEY: 401,
    SegmentReason.PUBLIC_KEY_WITHOUT_ORIGIN: 403,
    SegmentReason.SECRET_KEY_IN_BROWSER: 403,
    SegmentReason.BATCH_TOO_LARGE: 413,
    SegmentReason.BATCH_NOT_READABLE: 400,
    SegmentReason.NO_MESSAGES: 400,
    SegmentReason.TOO_MANY_MESSAGES: 413,
    SegmentReason.MESSAGES_REFUSED: 400,
}

SEGMENT_SENTENCES: Final[dict[SegmentReason, str]] = {
    SegmentReason.UNKNOWN_WRITE_KEY: (
        "The write key is not one of this relay's. Pages use the site's key, servers its secret write key."
    ),
    SegmentReason.PUBLIC_KEY_WITHOUT_ORIGIN: (
        "The site's public key is for its pages, and this request has no Origin. A server sends the secret write key."
    ),
    SegmentReason.SECRET_KEY_IN_BROWSER: (
        "A page sent the site's secret write key. Put the site's public key there, and make a new secret one."
    ),
    SegmentReason.BATCH_TOO_LARGE: "The body is larger than 1 MiB, or than 4 MiB once unpacked. Send less per batch.",
    SegmentReason.BATCH_NOT_READABLE: "The body must be a JSON object in UTF-8, plain or as gzip.",
    SegmentReason.NO_MESSAGES: '"batch" must be a list with at least one message.',
    SegmentReason.TOO_MANY_MESSAGES: "One batch may carry 1,000 messages. Send the rest in another.",
    SegmentReason.MESSAGES_REFUSED: 'Every message of the post was refused; "refused" has the reason of each.',
}


class AddressReason(StrEnum):
    """Why `GET /v1/address` gave no token. The site and the Origin are judged as those of a post."""

    INVALID_NONCE = "invalid_nonce"
    NO_ADDRESS_HOSTS = "no_address_hosts"
    NO_ADDRESS = "no_address"


ADDRESS_STATUS: Final[dict[AddressReason, int]] = {
    AddressReason.INVALID_NONCE: 400,
    AddressReason.NO_ADDRESS_HOSTS: 404,
    AddressReason.NO_ADDRESS: 409,
}

ADDRESS_SENTENCES: Final[dict[AddressReason, str]] = {
    AddressReason.INVALID_NONCE: "nonce must be 16 to 64 letters, digits, hyphens or underscores, once.",
    AddressReason.NO_ADDRESS_HOSTS: "This site takes no address tokens. Name its address_hosts in relay.toml.",
    AddressReason.NO_ADDRESS: (
        "The relay cannot tell the address of this connection. Look at trusted_proxies and at what the proxy forwards."
    ),
}


class RateReason(StrEnum):
    """Why a request was answered 429 before it was looked at. Nothing of it was stored."""

    ADDRESS = "address_rate"
    SITE = "site_rate"
    SERVER = "server_rate"
    SIGN_IN = "sign_in_rate"


RATE_SENTENCES: Final[dict[RateReason, str]] = {
    RateReason.ADDRESS: "Too many posts from this address. Come back after the seconds in Retry-After.",
    RateReason.SITE: "The site has used up its events of this minute. Come back after the seconds in Retry-After.",
    RateReason.SERVER: (
        "The site's servers have used up their events of this minute. Come back after the seconds in Retry-After."
    ),
    RateReason.SIGN_IN: "Too many sign-ins have failed. Come back after the seconds in Retry-After.",
}


class AttemptOutcome(StrEnum):
    """How one call to Graph ended. An attempt without one was cut short: its send is ambiguous."""

    RECEIPT = "receipt"  # Meta counted the events as received
    RETRY = "retry"  # transient; nothing was taken
    REJECT = "reject"  # Meta refused the payload
    PARK = "park"  # the token or a permission is at fault
    UNKNOWN = "unknown"  # written, but no answer came: may have been taken
