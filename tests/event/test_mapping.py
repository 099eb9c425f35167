"""Segment's names and properties are Meta's, row by row of Segment's own pages."""

from typing import Any

import pytest

from relay.event.mapping import at, squashed
from relay.settings import EventMapping
from tests.event.messages import PRODUCTS, SHIRT, mapped, message

CONTENTS = [{"id": "p-1", "quantity": 1, "item_price": 19}, {"id": "p-2", "quantity": 2, "item_price": 3}]


@pytest.mark.parametrize(
    ("event", "name"),
    [
        ("Checkout Started", "InitiateCheckout"),
        ("Order Completed", "Purchase"),
        ("Product Added", "AddToCart"),
        ("Product List Viewed", "ViewContent"),
        ("Product Viewed", "ViewContent"),
        ("Products Searched", "Search"),
        ("Product Added to Wishlist", "AddToWishlist"),
        ("Payment Info Entered", "AddPaymentInfo"),
        ("order_completed", "Purchase"),
        ("orderCompleted", "Purchase"),
        ("Completed Order", "Purchase"),
        ("Signed Up", "Signed Up"),
        ("Lead", "Lead"),
    ],
)
def test_a_name_of_the_spec_is_metas_and_any_other_stays(event: str, name: str) -> None:
    assert mapped(message(event)).event_name == name


def test_a_page_is_a_page_view_without_properties() -> None:
    event = mapped(
        message(type="page", name="Home", properties={"url": "https://shop.example/", "title": "x"})
    )
    assert (event.event_name, event.custom_data) == ("PageView", {})


@pytest.mark.parametrize("call", ["identify", "screen"])
def test_an_identify_or_a_screen_is_what_the_site_says(call: str) -> None:
    mapping = EventMapping(identify="Lead", screen="ViewContent")
    event = mapped(message(type=call, traits={"email": "ada@shop.example"}), mapping)
    assert event.event_name == getattr(mapping, call)
    assert event.user_data["em"] == ("ada@shop.example",)


def test_the_sites_own_names_come_first() -> None:
    mapping = EventMapping(events={"Signed Up": "CompleteRegistration", "Order Completed": "Sale"})
    assert mapped(message("Signed Up"), mapping).event_name == "CompleteRegistration"
    assert mapped(message("Order Completed"), mapping).event_name == "Sale"


def test_products_become_contents_ids_and_their_number() -> None:
    assert mapped(message()).custom_data == {
        "value": 25,
        "currency": "EUR",
        "contents": CONTENTS,
        "content_ids": ["p-1", "p-2"],
        "content_type": "product",
        "num_items": 2,
    }


def test_a_product_event_is_its_one_product() -> None:
    assert mapped(message("Product Added", properties=SHIRT)).custom_data == {
        "value": 18.99,
        "contents": [{"id": "p-1", "quantity": 2, "item_price": 18.99}],
        "content_ids": ["p-1"],
        "content_type": "product",
        "content_name": "Shirt",
        "content_category": "Tops",
    }


@pytest.mark.parametrize(
    "product", [{"productId": "p-1"}, {"id": "p-1"}, {"sku": "p-1"}, {"product_id": "p-1"}]
)
def test_a_product_is_known_by_the_first_of_its_ids(product: dict[str, Any]) -> None:
    assert mapped(message("Product Viewed", properties=product)).custom_data["content_ids"] == ["p-1"]


def test_a_product_without_an_id_is_left_out_and_its_event_goes_on() -> None:
    data = mapped(
        message(properties={"revenue": 1, "currency": "EUR", "products": [{"price": 1}]})
    ).custom_data
    assert not {"contents", "content_ids", "content_type"} & data.keys()


def test_a_search_has_its_words_and_needs_no_contents() -> None:
    event = mapped(message("Products Searched", properties={"query": "shoes"}))
    assert (event.event_name, event.custom_data) == ("Search", {"search_string": "shoes"})


def test_a_list_without_products_is_the_group_of_its_category() -> None:
    data = mapped(message("Product List Viewed", properties={"category": "Tops"})).custom_data
    assert data == {
        "contents": [{"id": "Tops", "quantity": 1}],
        "content_ids": ["Tops"],
        "content_type": "product_group",
        "content_category": "Tops",
    }
    with_products = mapped(message("Product List Viewed", properties={"products": PRODUCTS})).custom_data
    assert with_products["content_type"] == "product"


@pytest.mark.parametrize(
    ("properties", "value"),
    [
        ({"revenue": 25, "total": 27, "value": 1}, 25),
        ({"total": 27, "value": 1}, 27),
        ({"value": "1.50"}, "1.50"),
        ({"revenue": None, "total": 27}, 27),
        ({"revenue": 0, "total": 27}, 0),
        ({"revenue": " ", "value": 3}, 3),
    ],
)
def test_an_order_is_worth_the_first_of_its_sums(properties: dict[str, Any], value: object) -> None:
    assert mapped(message(properties=properties)).custom_data["value"] == value


def test_the_fields_of_values_can_be_chosen_by_path() -> None:
    mapping = EventMapping(product_value_field="properties.margin.net", order_value_field="properties.total")
    added = mapped(message("Product Added", properties=SHIRT | {"margin": {"net": 7}}), mapping)
    assert added.custom_data["value"] == 7
    assert added.why["value"] == "properties.margin.net"
    assert mapped(message(properties={"revenue": 1, "total": 2}), mapping).custom_data["value"] == 2


def test_a_purchase_gets_a_currency_only_where_the_site_has_chosen_one_and_the_receipt_says_so() -> None:
    bare = message(properties={"revenue": 1})
    assert "currency" not in mapped(bare).custom_data
    event = mapped(bare, EventMapping(purchase_currency="USD"))
    assert event.custom_data["currency"] == "USD"
    assert "purchase_currency" in event.why["currency"]
    assert (
        "currency"
        not in mapped(
            message("Product Added", properties=SHIRT), EventMapping(purchase_currency="USD")
        ).custom_data
    )
    own = mapped(message(), EventMapping(purchase_currency="USD"))
    assert (own.custom_data["currency"], own.why["currency"]) == ("EUR", "properties.currency")


def test_what_is_given_in_metas_own_words_wins() -> None:
    properties = {
        "revenue": 1,
        "currency": "EUR",
        "products": PRODUCTS,
        "contents": [{"id": "A", "quantity": 1, "delivery_category": "home_delivery"}],
        "content_type": "product_group",
        "num_items": 9,
        "status": "done",
        "orderId": "o-1",
    }
    data = mapped(message(properties=properties)).custom_data
    assert data["contents"] == properties["contents"]
    assert data["content_ids"] == ["A"]
    assert (data["content_type"], data["num_items"], data["status"]) == ("product_group", 9, "done")
    assert data["order_id"] == "o-1"


def test_other_properties_pass_but_those_about_a_person_at_any_depth() -> None:
    properties = {
        "plan": "pro",
        "nested": {"a": 1, "first_name": "Ada", "list": [{"phoneNumber": "1", "b": 2}]},
        "email": "ada@shop.example",
        "Full Name": "Ada L",
        "action_source": "app",
        "fbp": "fb.1.1.1",
        "empty": None,
    }
    data = mapped(message("Plan Chosen", properties=properties)).custom_data
    assert data == {"plan": "pro", "nested": {"a": 1, "list": [{"b": 2}]}}
    none = mapped(message("Plan Chosen", properties=properties), EventMapping(other_properties=False))
    assert none.custom_data == {}


def test_a_property_that_was_used_is_not_sent_twice() -> None:
    properties = {"revenue": 25, "total": 27.5, "currency": "EUR", "query": "x"}
    data = mapped(message(properties=properties)).custom_data
    assert data == {"value": 25, "currency": "EUR", "search_string": "x", "total": 27.5}


def test_a_field_that_holds_the_external_id_never_becomes_custom_data() -> None:
    mapping = EventMapping(external_id_field="properties.customer.id")
    event = mapped(message("Seen", properties={"customer": {"id": "c-7"}, "plan": "x"}), mapping)
    assert event.user_data["external_id"] == ("c-7",)
    assert event.custom_data == {"plan": "x"}


def test_a_path_is_found_in_snake_and_in_camel_case_and_told_as_it_is_written() -> None:
    assert at({"a": {"bC": 1}}, "a.b_c") == (1, "a.bC")
    assert at({"a": {"b_c": 1}}, "a.b_c") == (1, "a.b_c")
    assert at({"a": [1]}, "a.b_c") == (None, "")
    assert squashed("Order Completed") == squashed("order_completed") == squashed("orderCompleted")
