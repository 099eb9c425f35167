"""Segment's names, properties and traits → Meta's names, custom_data and user_data. Values in, values out.

Nothing is made up: no value, and no currency but the one that a site's settings choose. What cannot be used is
left out, and `why` says for each field where it came from, by its path and never by its value.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

from relay.event.build import text_of
from relay.event.fields import TEXT_MAX, USER_DATA_VALUES_MAX, plain_number
from relay.event.mapping_tables import (
    CUSTOM_DATA,
    ENVELOPE,
    EVENTS,
    ITEM_ID,
    LISTS,
    ORDER_EVENTS,
    ORDER_VALUES,
    OTHER_VALUES,
    PERSONAL,
    PRODUCT_DATA,
    PRODUCT_EVENTS,
    PROPERTY_TRAITS,
    TRAITS,
)
from relay.event.records import Json
from relay.settings import EventMapping

_DATE_AND_TIME: Final = re.compile(r"(\d{4}-\d\d-\d\d)T\S*")


class Mapped(NamedTuple):
    """A part of the event, and where each of its fields came from."""

    data: Json
    why: dict[str, str]


class Found(NamedTuple):
    value: Any  # None where there is nothing
    path: str


NOTHING: Final = Found(None, "")


def squashed(name: str) -> str:
    """The name as it is looked up: `Order Completed`, `order_completed` and `orderCompleted` are one."""
    return re.sub(r"[\s_-]+", "", name).lower()


def meta_name(name: str, mapping: EventMapping) -> str:
    """The name that Meta gets: the site's choice, else the default, else the event's own. Empty: nothing is sent."""
    chosen = mapping.events.get(name)
    return EVENTS.get(squashed(name), name) if chosen is None else chosen


def at(message: Any, path: str) -> Found:
    """What stands at a dotted path, in its spelling or in camel case; a path that leads nowhere gives None and ""."""
    way = []
    for name in path.split("."):
        spelt = next(
            (each for each in _spellings(name) if isinstance(message, Mapping) and each in message), None
        )
        if spelt is None:
            return NOTHING
        message = message[spelt]
        way.append(spelt)
    return Found(message, ".".join(way)) if not is_blank(message) else NOTHING


def first(message: Any, paths: Iterable[str]) -> Found:
    """The first of the paths at which something stands."""
    return next((found for path in paths if (found := at(message, path)).path), NOTHING)


def is_blank(value: Any) -> bool:
    return value is None or (isinstance(value, str) and not value.strip())


def custom_data(message: Json, name: str, event_name: str, mapping: EventMapping) -> Mapped:
    """custom_data of a message named `name` that goes to Meta as `event_name`; nothing is checked yet.

    A property in Meta's own words wins over what would be made of the others. What has no place of its own is
    passed on as it is, without what is about a person, where the site wants that.
    """
    data: Json = {}
    why: dict[str, str] = {}
    used = {
        "products",
        _top(mapping.external_id_field or ""),
    }  # an id is no custom_data, nor is what holds it
    for member, found in _members(message, name, event_name, mapping):
        if not is_blank(found.value):
            data[member], why[member] = found
            used.add(found.path.removeprefix("properties."))
    if event_name in PRODUCT_EVENTS:
        used |= {*ITEM_ID, "price", "quantity"}
    if event_name == "Purchase" and "currency" not in data and mapping.purchase_currency:
        data["currency"] = mapping.purchase_currency
        why["currency"] = "the setting purchase_currency; the event names none"
    others = _others(message.get("properties"), used) if mapping.other_properties else {}
    if others:
        why["custom_data"] = "properties that have no place of their own, as they are"
    return Mapped(others | data, why)


def user_data(message: Json, sources: Iterable[str]) -> Mapped:
    """Customer data by Meta's keys, raw or hashed, out of the first of `sources` that has a key.

    Of `properties` only what can hardly be anything but the customer's. Values that are no text are left out.
    """
    data: Json = {}
    why: dict[str, str] = {}
    places = list(sources)
    for key, names in TRAITS.items():
        paths = [
            f"{place}.{name}"
            for place in places
            if place != "properties" or key in PROPERTY_TRAITS
            for name in names
            if place != "properties" or len(name) > 2  # "fn" of an event may be anything
        ]
        found = first(message, paths)
        if values := _texts(found.value):
            data[key], why[key] = values, found.path
    if not {"fn", "ln"} & data.keys():
        named = first(message, [f"{place}.name" for place in places if place != "properties"])
        words = named.value.split() if isinstance(named.value, str) else []
        if len(words) == 2:
            data |= {"fn": (words[0],), "ln": (words[1],)}
            why |= dict.fromkeys(("fn", "ln"), named.path)
    return Mapped(data, why)


def _members(message: Json, name: str, event_name: str, mapping: EventMapping) -> Iterable[tuple[str, Found]]:
    """The members of custom_data that come from somewhere, in the order in which they are sent."""
    yield "value", first(message, _value_paths(event_name, mapping))
    yield "currency", first(message, ["properties.currency"])
    contents = _contents(message, event_name, is_list=squashed(name) in LISTS)
    yield "contents", contents
    if isinstance(contents.value, list):
        items = [item for item in contents.value if isinstance(item, Mapping)]
        ids = [text for item in items if (text := text_of(item.get("id")))]
        yield "content_ids", Found(ids or None, contents.path)
        yield "content_type", Found("product" if ids else None, contents.path)
    if isinstance(products := at(message, "properties.products").value, list) and products:
        yield "num_items", Found(len(products), "the length of properties.products")
    elif squashed(name) in LISTS:
        yield "content_type", Found("product_group", "a list that names no products")
    yield "content_ids", first(message, ["properties.content_ids"])
    for table in (CUSTOM_DATA, PRODUCT_DATA) if event_name in PRODUCT_EVENTS else (CUSTOM_DATA,):
        for member, names in table.items():
            yield member, first(message, [f"properties.{name}" for name in names])


def _value_paths(event_name: str, mapping: EventMapping) -> tuple[str, ...]:
    if event_name in PRODUCT_EVENTS:
        return (mapping.product_value_field, "properties.value")
    if event_name in ORDER_EVENTS:
        return ((mapping.order_value_field,) if mapping.order_value_field else ()) + ORDER_VALUES
    return OTHER_VALUES


def _contents(message: Json, event_name: str, *, is_list: bool) -> Found:
    """Meta's contents: as they are given, or of the products, of the event's one product, or of the list."""
    if isinstance(given := at(message, "properties.contents").value, list) and given:
        return Found(given, "properties.contents")
    properties = message.get("properties")
    if isinstance(products := at(message, "properties.products").value, list):
        return Found([item for each in products if (item := _item(each))] or None, "properties.products")
    if is_list and (category := text_of(at(message, "properties.category").value)):
        return Found([{"id": category, "quantity": 1}], "properties.category")
    if event_name in PRODUCT_EVENTS and (item := _item(properties)):
        return Found([item], "the properties of the one product")
    return NOTHING


def _item(product: Any) -> Json | None:
    """One product; None without an id, since Meta refuses such and no catalogue knows it."""
    item_id = text_of(first(product, ITEM_ID).value) if isinstance(product, Mapping) else None
    if item_id is None:
        return None
    quantity, price = plain_number(at(product, "quantity").value), plain_number(at(product, "price").value)
    item: Json = {"id": item_id, "quantity": 1 if quantity is None else quantity}
    return item if price is None else item | {"item_price": price}


def _top(path: str) -> str:
    """The property that a path leads into; empty where it leads elsewhere."""
    place, _, rest = path.partition(".")
    return rest.partition(".")[0] if place == "properties" else ""


def _others(properties: Any, used: set[str]) -> Json:
    known = {squashed(name) for name in used} | ENVELOPE
    members = properties.items() if isinstance(properties, Mapping) else ()
    others: Json = _impersonal({name: value for name, value in members if squashed(name) not in known})
    return others


def _impersonal(value: Any) -> Any:
    """The value without members, at any depth, that are named as what is about a person."""
    if isinstance(value, list):
        return [_impersonal(each) for each in value]
    if not isinstance(value, Mapping):
        return value
    return {
        name: _impersonal(inner)
        for name, inner in value.items()
        if squashed(name) not in PERSONAL and inner is not None
    }


def _texts(value: Any) -> tuple[str, ...]:
    values = value if isinstance(value, list) else [value]
    texts = [str(each) if type(each) is int else each for each in values[:USER_DATA_VALUES_MAX]]
    return tuple(
        _DATE_AND_TIME.sub(r"\1", text)  # a Date object, as JSON writes it
        for text in texts
        if isinstance(text, str) and text.strip() and len(text) <= TEXT_MAX
    )


def _spellings(name: str) -> tuple[str, str]:
    head, *rest = name.split("_")
    return name, head + "".join(word.capitalize() for word in rest)
