"""Contact data in plain text is found where it leaks, and nothing else is taken for it."""

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from relay.event.personal import _may_hold, personal_kind, scrub
from relay.event.records import BrowserEvent
from relay.event.wire import parse_event
from tests.event.malformed import PIXEL_ID, good_event

E_MAILS = [
    "jane@example.com",
    "Order of jane.doe+tag@mail.example.co.uk!",
    "<jane@example.com>",
    "JANE\uff20EXAMPLE.COM",
    "jane%40example.com",
    "jane%2540example.com",
    "jöhn@exämple.de",
    "a@b.xn--p1ai",
    "mailto:jane@example.com?subject=Hi",
    "logo@2x.png jane@example.com",
]
PHONES = [
    "+4917012345678",
    "call +49 170 1234567 now",
    "ref=+1 (212) 555-0123",
    "%2B4917012345678",
    "+44 (0)20 7946 0958",
    "+352 26 12 34",
    "(555) 123-4567",
    "tel:0301234567",
    "TEL:+49-30-1234567",
]
OTHERS = [
    "1001",
    "4006381333931",  # a GTIN
    "1763859600000",  # a time in milliseconds
    "2026-11-23T10:00:00+0100",
    "GMT+0100",
    "+1234567",  # too short for North America
    "+0123456789",
    "+999123456789",  # no country's code
    "€+1234567890123",
    "5+1234567890",
    "summer+2026",
    "555-123-4567",
    "SKU(123)456-7890",
    "192.0.2.1",
    "fb.1.1763859600000.1234567890",
    "a" * 64,
    "62a14e44f765419d10fea99367361a727c12365e2520f32218d505ed9aa0f62f",
    "logo@2x.png",
    "react@18.2.0",
    "https://blog.example/@jane/a-post",
    "https://maps.example/@52.52,13.40,15z",
    "12 @ 3.99",
    "100%",
    "%zz%4",
    "",
]


@pytest.mark.parametrize("text", E_MAILS)
def test_an_e_mail_address_is_found(text: str) -> None:
    assert personal_kind(text) == "an e-mail address"


@pytest.mark.parametrize("text", PHONES)
def test_a_phone_number_is_found(text: str) -> None:
    assert personal_kind(text) == "a phone number"


@pytest.mark.parametrize("text", OTHERS)
def test_what_only_looks_like_contact_data_is_left_alone(text: str) -> None:
    assert personal_kind(text) is None


@pytest.mark.parametrize(
    "name",
    ["phone", "customer_phone", "phoneNumber", "tel", "mobile_no", "BILLING_TELEPHONE", "ph", "whatsapp"],
)
def test_bare_digits_are_a_phone_number_under_a_name_that_says_so(name: str) -> None:
    assert personal_kind("0170 1234567", name) == "a phone number"
    assert personal_kind("01701234567", name) == "a phone number"


@pytest.mark.parametrize("name", ["phone_case_sku", "order_id", "telemetry", "hotel", "graph", "", "number"])
def test_bare_digits_under_other_names_are_none(name: str) -> None:
    assert personal_kind("01701234567", name) is None


@pytest.mark.parametrize("value", ["iPhone 15", "a" * 64, "0" * 64, "123", "yes", "1,234,567.00"])
def test_a_phones_name_alone_makes_no_number(value: str) -> None:
    assert personal_kind(value, "phone") is None


@pytest.mark.parametrize(
    ("url", "kept", "place"),
    [
        ("https://s.example/?a=1&em=jane%40example.com&b=%20", "https://s.example/?a=1&em=removed&b=%20", "query.em"),
        ("https://s.example/t?phone=01701234567#x", "https://s.example/t?phone=removed#x", "query.phone"),
        ("https://s.example/t?tel=+49+170+1234567", "https://s.example/t?tel=removed", "query.tel"),
        ("https://s.example/t?q=%2B49+170+1234567", "https://s.example/t?q=removed", "query.q"),
        ("https://s.example/t?jane@example.com", "https://s.example/t?removed", "query"),
        ("https://s.example/t?next=%2Fa%3Fe%3Djane%2540example.com", "https://s.example/t?next=removed", "query.next"),
        ("https://s.example/u/jane@example.com/orders", "https://s.example/u/removed/orders", "path"),
        ("https://s.example/t#e=jane@example.com", "https://s.example/t#e=removed", "fragment.e"),
        ("https://jane:secret@s.example/t", "https://s.example/t", "userinfo"),
    ],
)  # fmt: skip
def test_an_address_loses_what_it_leaks_and_keeps_the_rest(url: str, kept: str, place: str) -> None:
    event, removed = scrub(parsed(url=url, referrer=url))
    assert (event.url, event.referrer) == (kept, kept)
    assert set(removed) == {f"url.{place}", f"referrer.{place}"}


def test_an_address_without_contact_data_stays_letter_by_letter() -> None:
    url = "https://s.example/t?order=1001&gtin=4006381333931&utm_campaign=summer+%28sale%29&empty=&x#:~:text=a%20b"
    event, removed = scrub(parsed(url=url))
    assert event.url == url
    assert not removed


@pytest.mark.parametrize(
    ("data", "kept", "place"),
    [
        ({"email": "jane@example.com"}, {}, "custom_data.email"),
        ({"content_name": "For jane@example.com"}, {}, "custom_data.content_name"),
        ({"phone": 491701234567}, {}, "custom_data.phone"),
        ({"content_ids": ["sku", "jane@example.com"]}, {"content_ids": ["sku"]}, "custom_data.content_ids[]"),
        ({"tags": ["jane@example.com"]}, {}, "custom_data.tags[]"),
        ({"contents": [{"id": 1, "to": "+4917012345678"}]}, {"contents": [{"id": 1}]}, "custom_data.contents[].to"),
        ({"jane@example.com": 1}, {}, "custom_data.<name>"),
        ({"who": {"is": {"mobile": "0170 1234567"}}}, {"who": {"is": {}}}, "custom_data.who.is.mobile"),
    ],
)  # fmt: skip
def test_custom_data_loses_what_it_leaks_at_any_depth(
    data: dict[str, Any], kept: dict[str, Any], place: str
) -> None:
    money = {"value": 49.9, "currency": "EUR"}
    event, removed = scrub(parsed(custom_data=money | data))
    assert event.custom_data == money | kept
    assert list(removed) == [place]


def test_plain_custom_data_is_not_touched() -> None:
    data = {
        "value": 49.9,
        "currency": "EUR",
        "order_id": "1701234567",
        "content_ids": ["4006381333931"],
        "contents": [{"id": "4006381333931", "quantity": 1, "flag": True, "none": [None, []]}],
        "phone_model": "iPhone 15",
        "email": "62a14e44f765419d10fea99367361a727c12365e2520f32218d505ed9aa0f62f",
        "at_ms": 1763859600000,
    }
    event, removed = scrub(parsed(custom_data=data))
    assert event.custom_data == data
    assert not removed


def test_the_browser_legs_own_texts_are_looked_at() -> None:
    pixel = good_event()["pixel"] | {
        "evidence": "jane@example.com",
        "seen": {"ev": "jane@example.com", "eid": "e-1", "cd[value]": "+4917012345678"},
    }
    event, removed = scrub(parsed(pixel=pixel))
    assert event.pixel.evidence == ""
    assert event.pixel.seen is not None
    assert (event.pixel.seen.event_name, event.pixel.seen.event_id, event.pixel.seen.value) == (
        None,
        "e-1",
        None,
    )
    assert set(removed) == {"pixel.evidence", "pixel.seen.event_name", "pixel.seen.value"}


def test_a_path_names_the_field_and_never_the_value() -> None:
    event = parsed(custom_data={"value": 1, "currency": "EUR", "x" * 500: "jane@example.com"})
    _, removed = scrub(event)
    assert all(len(place) < 60 and "jane" not in place for place in removed)


def test_many_places_are_all_removed_and_some_are_named() -> None:
    data = {f"m{n}": "jane@example.com" for n in range(100)}
    event, removed = scrub(parsed(custom_data=data | {"value": 1, "currency": "EUR"}))
    assert event.custom_data == {"value": 1, "currency": "EUR"}
    assert 1 < len(removed) <= 20


PIECES = st.sampled_from(
    [*E_MAILS, *PHONES, *OTHERS, "phone", "tel", "&", "=", "/", "?", "#", " ", "%25", "x"]
)
TEXTS = st.lists(PIECES, max_size=5).map("".join) | st.text(max_size=60)


@given(TEXTS, st.sampled_from(["", "phone", "order_id", "Mobile"]))
@example("@" * 5_000, "")
@example("+\u0664\u0669 \u0661\u0667\u0660 \u0661\u0662\u0663\u0664\u0665\u0666\u0667", "")
@example("+1" * 5_000, "")
@example("%25" * 5_000, "phone")
def test_the_quick_look_misses_nothing_that_the_close_look_finds(text: str, name: str) -> None:
    if personal_kind(text, name) is not None:
        assert _may_hold(text + name)


@given(
    TEXTS,
    st.recursive(
        TEXTS | st.integers() | st.none(), lambda inner: st.lists(inner) | st.dictionaries(TEXTS, inner)
    ),
)
def test_what_is_scrubbed_holds_no_more_of_it(text: str, data: Any) -> None:
    posted = parsed(custom_data={"value": 1, "currency": "EUR", "data": data})
    first, _ = scrub(posted)
    again, removed = scrub(first)
    assert not removed
    assert again == first


def parsed(**changes: Any) -> BrowserEvent:
    event = parse_event(good_event(**changes), pixel_ids=[PIXEL_ID])
    assert isinstance(event, BrowserEvent), event
    return event
