"""A server's call as records, so that `/openapi.json` can describe it; see `posted`. Nothing is parsed with them."""

from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from relay.event.fields import EVENT_ID_MAX, EVENT_NAME_MAX, URL_MAX, USER_ID_KEYS
from relay.event.normalise import USER_DATA_KEYS
from relay.event.outcome import ActionSource
from relay.event.records import Json
from relay.event.server_wire import EVENTS_MAX, STATED_KEYS
from relay.web.posted import PRINTABLE, CustomerValue, Milliseconds, PostedCustomData, ShortText

Stated = str | Annotated[list[str], Meta(max_length=1)] | None
Url = Annotated[str, Meta(max_length=URL_MAX)]
Seconds = Annotated[int, Meta(ge=0)]
UserId = int | ShortText | None

StatedUserData = msgspec.defstruct(
    "StatedUserData",
    [
        *[(key, CustomerValue, None) for key in USER_DATA_KEYS],
        *[(key, Stated, None) for key in STATED_KEYS],
        *[(key, UserId, None) for key in USER_ID_KEYS],
    ],
    namespace={"__doc__": "Meta's user_data. What is not hashed yet is hashed before it touches the disk."},
    kw_only=True,
)


class OriginalEvent(msgspec.Struct, frozen=True, kw_only=True):
    """The earlier event that this one follows up."""

    event_name: UserId = None
    event_time: UserId = None
    order_id: UserId = None
    event_id: UserId = None


class PostedServerEvent(msgspec.Struct, frozen=True, kw_only=True):
    """One event in Meta's own shape, with three members of ours: pixel_ids, consent, partial."""

    event_name: Annotated[str, Meta(min_length=1, max_length=EVENT_NAME_MAX, pattern=PRINTABLE)]
    event_id: Annotated[str, Meta(min_length=1, max_length=EVENT_ID_MAX, pattern=PRINTABLE)]
    event_time: Annotated[Seconds | None, Meta(description="Unix seconds; left out: now.")] = None
    action_source: Annotated[
        ActionSource | None, Meta(description="Needed, but in a partial event, which is the website's.")
    ] = None
    event_source_url: Annotated[Url | None, Meta(description="A website event needs it.")] = None
    referrer_url: str | None = None
    user_data: StatedUserData | None = None  # type: ignore[valid-type] # made above from lists of keys
    custom_data: PostedCustomData | None = None
    opt_out: bool | None = None
    data_processing_options: Annotated[
        list[Literal["LDU"]] | None, Meta(description='["LDU"], or [] for explicitly off.')
    ] = None
    data_processing_options_country: Milliseconds | None = None
    data_processing_options_state: Milliseconds | None = None
    original_event_data: OriginalEvent | None = None
    app_data: Annotated[Any, Meta(description="An app event needs it.")] = None
    messaging_channel: Any = None
    attribution_data: Any = None
    customer_segmentation: Any = None
    advanced_measurement_table: Any = None
    pixel_ids: Annotated[
        list[str] | None, Meta(description="Some of the site's pixels; left out: all of them.")
    ] = None
    consent: Literal["granted", "denied"] | None = None
    partial: Annotated[
        bool | None, Meta(description="It completes the event of the same name and id, and never goes alone.")
    ] = None


class PostedServerEvents(msgspec.Struct, frozen=True, kw_only=True):
    """The body of POST /v1/server-events."""

    events: Annotated[list[PostedServerEvent], Meta(min_length=1, max_length=EVENTS_MAX)]


SERVER_EXAMPLE: Final[Json] = {
    "events": [
        {
            "event_name": "Purchase",
            "event_id": "order-4711",
            "event_time": 1_763_859_598,
            "action_source": "website",
            "event_source_url": "https://shop.example/thanks",
            "user_data": {
                "em": "ada@example.com",
                "client_ip_address": "2001:db8::7",
                "client_user_agent": "Mozilla/5.0 (X11; Linux x86_64; rv:144.0) Gecko/20100101 Firefox/144.0",
                "fbp": "fb.1.1763859600000.1234567890",
            },
            "custom_data": {"value": 49.9, "currency": "EUR", "order_id": "4711"},
        }
    ],
}
