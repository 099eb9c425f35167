"""Both halves, field by field."""

from typing import Any

import msgspec
import pytest

from relay.event.consent import GRANTED, NOT_ASKED
from relay.event.records import PixelSeen
from relay.web.compare import Mark, address_family, compare
from relay.web.twin_view import Arrived
from tests.web.stored import stored_receipt

FBP = "fb.1.1763859600000.1234567890"
SERVER = {
    "event_name": "Purchase",
    "event_id": "e1",
    "user_data": {"fbp": FBP},
    "custom_data": {"value": 49.9, "currency": "EUR"},
}
SEEN = PixelSeen(event_name="Purchase", event_id="e1", fbp=FBP, value="49.90", currency="EUR")
ARRIVED = Arrived(
    pixel="111", event_name="Purchase", event_id="e1", received_ms=0, ip="192.0.2.1", user_agent="B"
)


def marks(seen: PixelSeen | None, arrived: Arrived | None = None, **changes: Any) -> dict[str, Mark]:
    rows = compare(stored_receipt(server_event=SERVER, **changes), seen, arrived)
    return {row.field: row.mark for row in rows}


def test_equal_halves_agree_in_every_field() -> None:
    assert set(marks(SEEN).values()) == {Mark.SAME, Mark.NEITHER}


@pytest.mark.parametrize("text", ["49.9", "49.90", "049.900", "4.99E+1"])
def test_a_value_is_compared_as_a_number(text: str) -> None:
    assert marks(msgspec.structs.replace(SEEN, value=text))["value"] is Mark.SAME


@pytest.mark.parametrize("text", ["49.91", "49,90", "NaN", "sNaN", "Infinity", "a lot"])
def test_another_value_differs(text: str) -> None:
    assert marks(msgspec.structs.replace(SEEN, value=text))["value"] is Mark.DIFFERS


@pytest.mark.parametrize("field", ["event_name", "event_id", "fbp", "currency"])
def test_texts_are_compared_exactly(field: str) -> None:
    changed = msgspec.structs.replace(SEEN, **{field: "Other"})
    assert [name for name, mark in marks(changed).items() if mark is Mark.DIFFERS] == [field]


def test_what_only_one_half_carries_is_named() -> None:
    assert marks(msgspec.structs.replace(SEEN, fbc="fb.1.2.x"))["fbc"] is Mark.BROWSER_ONLY
    assert marks(msgspec.structs.replace(SEEN, fbp=None))["fbp"] is Mark.SERVER_ONLY
    assert marks(SEEN)["fbc"] is Mark.NEITHER


@pytest.mark.parametrize(
    ("browser", "server", "mark"),
    [
        ("LDU", ["LDU"], Mark.SAME),
        ("", [], Mark.SAME),
        (None, None, Mark.NEITHER),
        ("LDU", None, Mark.BROWSER_ONLY),
        (None, ["LDU"], Mark.SERVER_ONLY),
        ("LDU", [], Mark.DIFFERS),
    ],
)
def test_limited_data_use_of_both_halves_is_compared(
    browser: str | None, server: list[str] | None, mark: Mark
) -> None:
    event = SERVER if server is None else SERVER | {"data_processing_options": server}
    looked = msgspec.structs.replace(SEEN, dpo=browser)
    arrived = msgspec.structs.replace(ARRIVED, params={} if browser is None else {"dpo": browser})
    for rows in (
        compare(stored_receipt(server_event=event), looked, None),
        compare(stored_receipt(server_event=event), None, arrived),
    ):
        assert {row.field: row.mark for row in rows}["limited data use"] is mark


@pytest.mark.parametrize(("why", "word"), [(GRANTED, "granted"), (NOT_ASKED, "not asked")])
def test_both_halves_name_the_consent_that_they_went_under(why: str, word: str) -> None:
    row = compare(stored_receipt(server_event=SERVER, why={"consent": why}), SEEN, None)[-1]
    assert (row.field, row.browser, row.server, row.mark) == ("consent", word, word, Mark.SAME)


def test_without_a_look_at_the_pixel_s_request_nothing_is_claimed() -> None:
    assert set(marks(None).values()) == {Mark.UNSEEN}


def test_a_twin_shows_what_the_snippet_could_not_see() -> None:
    found = marks(None, ARRIVED, client_ip_address="192.0.2.7", client_user_agent="B")
    assert (found["event_id"], found["fbp"]) == (Mark.SAME, Mark.SERVER_ONLY)
    assert (found["address family"], found["user agent"]) == (Mark.SAME, Mark.SAME)


def test_ipv4_on_one_leg_and_ipv6_on_the_other_differ() -> None:
    found = marks(SEEN, ARRIVED, client_ip_address="2001:db8::7", client_user_agent="C")
    assert (found["address family"], found["user agent"]) == (Mark.DIFFERS, Mark.DIFFERS)


@pytest.mark.parametrize(
    ("address", "family"),
    [("192.0.2.1", "IPv4"), ("2001:db8::1", "IPv6"), ("", None), (None, None), ("unknown", None)],
)
def test_the_family_of_an_address(address: str | None, family: str | None) -> None:
    assert address_family(address) == family


def test_an_event_without_user_data_or_custom_data_can_be_compared() -> None:
    rows = compare(stored_receipt(server_event={"event_name": "PageView"}), None, None)
    assert {row.field: row.server for row in rows if row.server} == {"event_name": "PageView"}
