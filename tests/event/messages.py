"""Messages in Segment's format for the tests."""

from typing import Any

from relay.event.records import ServerSideEvent
from relay.event.segment import BrowserSource, read_message
from relay.settings import EventMapping

NOW_MS = 1_763_859_600_000
NOW = "2025-11-23T01:00:00.000Z"
USER_AGENT = "Mozilla/5.0 (X11; Linux x86_64; rv:144.0) Gecko/20100101 Firefox/144.0"
PRODUCTS: list[dict[str, Any]] = [
    {"product_id": "p-1", "sku": "S-1", "price": 19, "quantity": 1},
    {"product_id": "p-2", "sku": "S-2", "price": 3, "quantity": 2},
]
SHIRT: dict[str, Any] = {
    "product_id": "p-1",
    "sku": "S-1",
    "name": "Shirt",
    "category": "Tops",
    "price": 18.99,
    "quantity": 2,
}


def message(event: str = "Order Completed", /, **changes: Any) -> dict[str, Any]:
    """A track call as a server sends it; `properties` and `context` are merged into what every message has."""
    properties = changes.pop("properties", {"revenue": 25, "currency": "EUR", "products": PRODUCTS})
    context = {
        "ip": "203.0.113.9",
        "userAgent": USER_AGENT,
        "page": {"url": "https://shop.example/p?fbclid=AbC"},
        "traits": {"email": "ada@shop.example"},
        **changes.pop("context", {}),
    }
    call = {
        "type": "track",
        "event": event,
        "messageId": "m-1",
        "timestamp": NOW,
        "userId": "u-1",
        "anonymousId": "a-1",
        "context": context,
        "properties": properties,
    }
    return call | changes


def mapped(
    raw: Any, mapping: EventMapping | None = None, browser: BrowserSource | None = None, **more: Any
) -> ServerSideEvent:
    event = read_message(raw, mapping or EventMapping(), now_ms=NOW_MS, browser=browser, **more)
    assert isinstance(event, ServerSideEvent), event
    return event
