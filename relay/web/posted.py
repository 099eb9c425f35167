"""A post of the snippet as records, so that `/openapi.json` can describe it. Nothing is parsed with them.

`relay.event.wire` decides, and in places is stricter than a schema can say; what it takes, these take (a test
holds it). The sentences are those of docs/wire.md in short.
"""

from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from relay.event.fields import EVENT_ID_MAX, EVENT_NAME_MAX, TEXT_MAX, URL_MAX, USER_DATA_VALUES_MAX
from relay.event.normalise import USER_DATA_KEYS
from relay.event.records import Json, PixelSeen
from relay.event.schedule import EVENT_AGE_MAX_MS
from relay.event.wire import ADDRESSES_MAX, EVENTS_MAX

PRINTABLE: Final = r"^[^\u0000-\u001f\u007f-\u009f\u2028\u2029]+$"

Milliseconds = Annotated[int, Meta(ge=0)]
ShortText = Annotated[str, Meta(max_length=TEXT_MAX)]
Tokens = Annotated[list[ShortText], Meta(max_length=ADDRESSES_MAX)]
CustomerText = int | ShortText | None
CustomerValue = CustomerText | Annotated[list[CustomerText], Meta(max_length=USER_DATA_VALUES_MAX)]

PostedUserData = msgspec.defstruct(
    "PostedUserData",
    [(key, CustomerValue, None) for key in USER_DATA_KEYS],
    namespace={
        "__doc__": "Meta's customer keys. What is not hashed yet is hashed before it touches the disk."
    },
    kw_only=True,
)


class PostedCustomData(msgspec.Struct, frozen=True, kw_only=True):
    """Meta's custom_data; other members are passed on. A Purchase needs both of these."""

    value: Annotated[
        float | str | None, Meta(description='A finite number, or a plain decimal text such as "49.90".')
    ] = None
    currency: Annotated[str | None, Meta(description="An ISO 4217 code.")] = None


class PostedPixel(msgspec.Struct, frozen=True, kw_only=True):
    """What became of the Pixel's own request; times are milliseconds after the event."""

    state: Literal["sent", "late", "blocked", "off", "pending", "undispatched"]
    evidence: ShortText | None = None
    transport: Annotated[Any, Meta(description="How the request left; unknown words count as unknown.")] = (
        None
    )
    dispatched_ms: Milliseconds | None = None
    settled_ms: Milliseconds | None = None
    seen: PixelSeen | None = None


class PostedEvent(msgspec.Struct, frozen=True, kw_only=True):
    """One event. Of one with `"consent": "denied"` nothing else is read."""

    event_name: Annotated[str, Meta(min_length=1, max_length=EVENT_NAME_MAX, pattern=PRINTABLE)]
    event_id: Annotated[str, Meta(min_length=1, max_length=EVENT_ID_MAX, pattern=PRINTABLE)]
    age_ms: Annotated[int, Meta(ge=0, lt=EVENT_AGE_MAX_MS, description="By a monotonic clock.")]
    url: Annotated[str, Meta(max_length=URL_MAX, pattern="^[Hh][Tt][Tt][Pp][Ss]?://")]
    pixel: PostedPixel
    referrer: str | None = None
    fbp: str | None = None
    fbc: str | None = None
    custom_data: PostedCustomData | None = None
    user_data: PostedUserData | None = None  # type: ignore[valid-type] # made above from the list of keys
    pixel_ids: Annotated[
        list[str] | None, Meta(description="Some of the site's pixels; none or null: all of them.")
    ] = None
    consent: Literal["granted", "denied"] | None = None
    gpc: Annotated[Any, Meta(description="true where Global Privacy Control is on.")] = None
    data_processing_options: Annotated[
        list[Literal["LDU"]] | None, Meta(description='["LDU"], or [] for explicitly off.')
    ] = None
    data_processing_options_country: Milliseconds | None = None
    data_processing_options_state: Milliseconds | None = None
    addresses: Annotated[Tokens | None, Meta(description="Tokens of GET /v1/address.")] = None
    address_nonce: ShortText | None = None
    signature: Annotated[ShortText | None, Meta(description="Of the shop's server (docs/signing.md).")] = None


class PostedEvents(msgspec.Struct, frozen=True, kw_only=True):
    """The body of POST /v1/events."""

    site: Annotated[str, Meta(description="The key of the tag's data-site.")]
    events: Annotated[list[PostedEvent], Meta(min_length=1, max_length=EVENTS_MAX)]


EXAMPLE: Final[Json] = {
    "site": "demo-shop",
    "events": [
        {
            "event_name": "Purchase",
            "event_id": "0b9f2c9e-6f0c-4d8e-9d53-0c3c7e3f9a10",
            "age_ms": 412,
            "url": "https://shop.example/thanks",
            "fbp": "fb.1.1763859600000.1234567890",
            "custom_data": {"value": 49.9, "currency": "EUR"},
            "user_data": {"em": "62a14e44f765419d10fea99367361a727c12365e2520f32218d505ed9aa0f62f"},
            "pixel": {
                "state": "sent",
                "evidence": "load",
                "transport": "image",
                "dispatched_ms": 3,
                "settled_ms": 118,
            },
        }
    ],
}
