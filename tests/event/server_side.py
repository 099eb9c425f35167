"""Events that servers send, for the tests: each says only what it needs different."""

from typing import Any

import msgspec

from relay.event.outcome import ActionSource
from relay.event.records import ServerSideEvent

NOW_MS = 1_763_859_600_000
USER_AGENT = "Mozilla/5.0 (X11; Linux x86_64; rv:144.0) Gecko/20100101 Firefox/144.0"


def server_side(**changes: Any) -> ServerSideEvent:
    """A Purchase on the website, two seconds ago."""
    plain = ServerSideEvent(
        event_name="Purchase",
        event_id="e-1",
        event_time_ms=NOW_MS - 2_000,
        action_source=ActionSource.WEBSITE,
        url="https://shop.example/thanks",
        referrer=None,
        fbp="fb.1.1763859600000.1234567890",
        fbc=None,
        client_ip_address="2001:db8::7",
        client_user_agent=USER_AGENT,
        custom_data={"value": 49.9, "currency": "EUR", "order_id": "o-1"},
        user_data={"em": ("ada@example.com",)},
        user_ids={},
        pixel_ids=(),
        opt_out=None,
        data_processing_options=None,
        data_processing_options_country=None,
        data_processing_options_state=None,
        original_event_data=None,
    )
    return msgspec.structs.replace(plain, **changes)


def partial(**changes: Any) -> ServerSideEvent:
    """A backend's addition to an event that the page posts: a customer and an order."""
    bare: dict[str, Any] = {
        "partial": True,
        "url": None,
        "fbp": None,
        "client_ip_address": None,
        "client_user_agent": None,
    }
    return server_side(**(bare | changes))
