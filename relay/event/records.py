"""The records that travel along the line: frozen, a comment per field, units in the name.

`*_ms` is Unix time in milliseconds by the relay's clock unless a comment says otherwise.
"""

from typing import Any

import msgspec

from relay.event.address import AddressSource, Family
from relay.event.issue import Finding
from relay.event.outcome import ActionSource, BrowserState, Fate, FateReason, Transport

Json = dict[str, Any]


class PixelSeen(msgspec.Struct, frozen=True, kw_only=True):
    """What the snippet read off the Pixel's own request, where the browser let it look."""

    event_name: str | None = None
    event_id: str | None = None
    fbp: str | None = None
    fbc: str | None = None
    value: str | None = None  # as text: the Pixel puts texts into its address
    currency: str | None = None
    dpo: str | None = None  # the Pixel's data processing options: "LDU"


class PixelReport(msgspec.Struct, frozen=True, kw_only=True):
    """The browser leg as posted; the two times are monotonic milliseconds after the event itself."""

    state: BrowserState
    evidence: str = ""  # short slug, such as "load", "error+reach", "script-error"
    transport: Transport = Transport.UNKNOWN
    dispatched_after_ms: int | None = None
    settled_after_ms: int | None = None
    seen: PixelSeen | None = None


class BrowserEvent(msgspec.Struct, frozen=True, kw_only=True):
    """One event of a snippet's post, checked by `wire` and not yet enriched. Lives in memory only."""

    event_name: str
    event_id: str
    age_ms: int  # monotonic age of the event when it was posted
    url: str
    referrer: str | None
    fbp: str | None  # as the browser has it
    fbc: str | None
    custom_data: Json
    user_data: dict[str, tuple[str, ...]]  # raw or hashed in the browser; hashed by `enrich`
    pixel_ids: tuple[str, ...]  # empty: every pixel of the site
    consent: bool  # it was granted in so many words; a denied event does not come this far
    data_processing_options: tuple[str, ...] | None  # None: not given; (): explicitly off
    data_processing_options_country: int | None
    data_processing_options_state: int | None
    gpc: bool = False  # the page saw the browser's Global Privacy Control
    addresses: tuple[str, ...]  # tokens that this relay issued
    signature: str | None = None  # of the shop's server, see `signature`; checked by `enrich`, never stored
    pixel: PixelReport
    address_nonce: str | None = (
        None  # what the tokens were asked with; without a token: there is none to wait for
    )


class ServerSideEvent(msgspec.Struct, frozen=True, kw_only=True):
    """One event that a server sent, checked for shape and not yet enriched. Lives in memory only."""

    event_name: str
    event_id: str
    event_time_ms: int
    action_source: ActionSource
    url: str | None
    referrer: str | None
    fbp: str | None
    fbc: str | None
    client_ip_address: str | None  # the visitor's, as the sender states it
    client_user_agent: str | None
    custom_data: Json
    user_data: dict[str, tuple[str, ...]]  # raw or hashed by the sender; hashed by `enrich_server`
    user_ids: Json  # Meta's own ids, which are never hashed: `fields.USER_ID_KEYS`
    pixel_ids: tuple[str, ...]  # empty: every pixel of the site
    opt_out: bool | None
    data_processing_options: tuple[str, ...] | None  # None: not given; (): explicitly off
    data_processing_options_country: int | None
    data_processing_options_state: int | None
    original_event_data: Json | None
    extra: Json = {}  # Meta's rarer members, passed on as they are: `fields.EXTRA_KEYS`
    consent: bool = False  # it was granted in so many words; a denied event does not come this far
    has_own_id: bool = True  # False: its id was made of it, so that no page can have posted it
    partial: bool = False  # only completes the event of the same name and id, never goes alone
    sender: str = "a server"  # who sent it, for the receipt: "POST /v1/server-events"
    why: Json = {}  # field → where the sender had it from, where that is known


class RequestFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What the relay itself saw of the HTTP request that carried the events."""

    received_ms: int
    peer: str | None  # the socket's other end
    forwarded_for: tuple[str, ...]  # X-Forwarded-For headers, in order of arrival
    forwarded: tuple[str, ...]  # Forwarded headers (RFC 7239)
    provider_headers: dict[
        str, tuple[str, ...]
    ] = {}  # those of `relay.proxies.CLIENT_HEADERS` that are there
    user_agent: str | None
    cookies: dict[str, str]
    sec_purpose: str | None
    sec_gpc: bool


class BrowserLeg(msgspec.Struct, frozen=True, kw_only=True):
    """The browser half's own history, on the relay's clock."""

    state: BrowserState
    evidence: str
    transport: Transport
    dispatched_ms: int | None
    settled_ms: int | None
    reported_ms: int  # when the post with this report arrived
    seen: PixelSeen | None = None


class SeenAddress(msgspec.Struct, frozen=True, kw_only=True):
    """One word on the visitor's address: the connection's, or that of a token the post carried."""

    source: AddressSource
    address: str | None  # None: nothing that can be believed
    family: Family | None
    seen_ms: int | None  # when this relay saw it; None where the token does not tell
    sent: bool  # the one that goes to Meta
    why: str  # why it can be believed or not, and why it was taken or not; no raw address


class OutboxEvent(msgspec.Struct, frozen=True, kw_only=True):
    """One event for one pixel, as it is committed. Holds no raw personal data but the address and agent."""

    key: bytes  # 16 bytes: BLAKE2b of pixel, event_name, event_id
    site: str
    pixel: str
    event_name: str
    event_id: str
    event_time_ms: int
    received_ms: int
    not_before_ms: int  # the hold: not sent before this
    leg: BrowserLeg
    server_event: bytes  # the Conversions API event as JSON, without address and user agent
    client_ip_address: str | None  # kept only as long as the settings say
    client_user_agent: str | None
    why: Json  # where each value came from; no raw personal data
    addresses: tuple[SeenAddress, ...] = ()  # the connection's first; kept as long as client_ip_address
    fate: Fate | None = None  # set at once for events that are recorded and never sent
    fate_reason: FateReason | None = None
    paired_ms: int | None = None  # the hold once both halves are known; None: as not_before_ms
    order_key: bytes | None = None  # 16 bytes: BLAKE2b of pixel and order_id, of a Purchase
    visitor: bytes | None = None  # tells visitors apart: see `sentinel.visitor_mark`
    findings: tuple[Finding, ...] = ()  # what looks wrong with it
