"""GA4's ecommerce events as Meta's: `static/js/snippet/ga4.js` in Python, for `counterfoil explain`.

The page's script makes both halves of such an event; this is the same table, held to it by the same rows
(`tests/js/data/ga4.json`). `docs/ga4.md` lists it. Nothing is made up: no currency, no value.
"""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from relay.event.outcome import Refusal
from relay.event.records import Json

_RENAMED: Final = {
    "page_view": "PageView",
    "view_item": "ViewContent",
    "begin_checkout": "InitiateCheckout",
    "generate_lead": "Lead",
    "sign_up": "CompleteRegistration",
}
_RESPELT: Final = frozenset(
    {"search", "add_to_wishlist", "add_to_cart", "add_payment_info", "purchase", "contact", "donate"}
    | {"customize_product", "find_location", "schedule", "start_trial", "submit_application", "subscribe"}
)
_SILENT: Final = re.compile(
    r"select_item|remove_from_cart|view_cart|add_shipping_info|refund|login|share|join_group"
    r"|(view|select)_promotion|user_engagement|scroll|click|session_start|first_visit|form_(start|submit)"
    r"|file_download|video_.*|gtm\..*"
)
_LISTS: Final = {"viewcontent": "ViewContent", "custom": "ViewCategory"}
_USER: Final = {"em": ("email_address", "email"), "ph": ("phone_number",)}
_ADDRESS: Final = {
    "fn": ("first_name",),
    "ln": ("last_name",),
    "ct": ("city",),
    "st": ("region",),
    "zp": ("postal_code",),
    "country": ("country",),
}
_EVENT_ID_MAX: Final = 200


class Choices(msgspec.Struct, frozen=True, kw_only=True):
    """What the tag's data-ga4-list, data-ga4 and data-ga4-item-id say."""

    list: str | None = None
    custom: bool = False
    item_id: str = "item_id"


class MappedEvent(msgspec.Struct, frozen=True, kw_only=True):
    """What `counterfoil('track', …)` would be called with."""

    name: str
    data: Json
    event_id: str | None
    user_data: Json


def read_push(entry: Any) -> tuple[str, Json]:
    """Event and values of one push: `["event", name, {…}]`, `{event, ecommerce}`, or `{name, params}`."""
    if isinstance(entry, Sequence) and not isinstance(entry, str) and len(entry) > 1 and entry[0] == "event":
        return str(entry[1]), _object(entry[2] if len(entry) > 2 else {})
    entry = _object(entry)
    if isinstance(entry.get("event"), str):
        values = entry.get("ecommerce") or entry.get("params") or entry
        user = {"user_data": entry["user_data"]} if entry.get("user_data") else {}
        return entry["event"], user | _object(values)
    name = entry.get("name")
    return (name, _object(entry.get("params"))) if isinstance(name, str) else ("", {})


def map_event(event: str, values: Json, choices: Choices) -> MappedEvent | None:
    """One GA4 event as Meta's; None where Meta has none, or where a purchase lacks what Meta needs."""
    name = _rename(event, choices)
    items = [_object(item) for item in _list(values.get("items") or [])]
    value = _number(values.get("value"))
    if value is None and name != "Purchase":
        value = _sum(items)
    currency = values.get("currency")
    if not name or (name == "Purchase" and (value is None or not currency)):
        return None
    is_purchase = name == "Purchase"
    order_id = values.get("transaction_id") if is_purchase else None
    data = _given(
        _items(event, items, choices.item_id)
        | ({"value": value, "currency": currency} if currency else {})
        | {
            "num_items": sum(_quantity(item) for item in items)
            if name == "InitiateCheckout" and items
            else None,
            "search_string": values.get("search_term"),
            "order_id": str(order_id) if order_id else None,
        }
    )
    seeded = f"{name}.{data['order_id']}" if "order_id" in data else None
    event_id = seeded if seeded is not None and len(seeded) <= _EVENT_ID_MAX else None
    return MappedEvent(
        name=name, data=data, event_id=event_id, user_data=map_user(_object(values.get("user_data")))
    )


def purchase_lacks(event: str, values: Json) -> Refusal | None:
    """What a GA4 purchase misses that Meta needs."""
    if event != "purchase":
        return None
    if _number(values.get("value")) is None:
        return Refusal.MISSING_VALUE
    return None if values.get("currency") else Refusal.MISSING_CURRENCY


def map_user(user: Json) -> Json:
    """GA4's user_data as Meta's customer keys; an address may be a list."""
    address = next(iter(_list(user.get("address"))), None)
    return _pick(user, _USER) | _pick(_object(address), _ADDRESS)


def _rename(event: str, choices: Choices) -> str:
    if event == "view_item_list":
        return _LISTS.get(choices.list or "", "")
    if event in _RESPELT:
        return "".join(word.capitalize() for word in event.split("_"))
    is_custom = choices.custom and not _SILENT.fullmatch(event) and len(event) <= 50
    return _RENAMED.get(event, event if is_custom else "")


def _items(event: str, items: Sequence[Json], id_key: str) -> Json:
    known = [(found, item) for item in items if (found := _first(item, (id_key, "id")))]
    only = items[0] if len(items) == 1 else {}
    data: Json = {"content_name": only.get("item_name"), "content_category": only.get("item_category")}
    if not known:
        return data
    return {
        "content_ids": [str(found) for found, _ in known],
        "content_type": "product_group" if event == "view_item_list" else "product",
        "contents": [
            _given({"id": str(found), "quantity": _quantity(item), "item_price": _number(item.get("price"))})
            for found, item in known
        ],
        **data,
    }


def _sum(items: Sequence[Json]) -> float | int | None:
    """The sum of the items, where each has a price; GA4 counts an item without a quantity once."""
    total: float = 0
    for item in items:
        price = _number(item.get("price"))
        if price is None:
            return None
        total += (price - (_number(item.get("discount")) or 0)) * _quantity(item)
    return _whole(round(total * 1e4) / 1e4) if items else None


def _quantity(item: Json) -> float | int:
    quantity = _number(item.get("quantity"))
    return 1 if quantity is None else quantity


def _number(raw: Any) -> float | int | None:
    """A finite number, from one or from its text."""
    if raw is None or raw == "" or not isinstance(raw, str | int | float):
        return None
    try:
        number = float(raw)
    except (ValueError, OverflowError):
        return None
    return _whole(number) if math.isfinite(number) else None


def _whole(number: float) -> float | int:
    return int(number) if number.is_integer() else number


def _pick(user: Json, keys: Mapping[str, Sequence[str]]) -> Json:
    return _given(
        {
            key: _first(user, [f"{mark}{name}" for name in names for mark in ("", "sha256_")])
            for key, names in keys.items()
        }
    )


def _first(members: Json, names: Sequence[str]) -> Any:
    return next((members[name] for name in names if members.get(name) is not None), None)


def _given(values: Json) -> Json:
    return {name: value for name, value in values.items() if value is not None and value != ""}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


def _object(value: Any) -> Json:
    return value if isinstance(value, dict) else {}
