"""What a receipt says of the visitor's address, and how it is shown where it must not be told whole."""

from ipaddress import ip_address, ip_network

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.event.observation import Doubt
from relay.event.records import SeenAddress
from relay.web.address_view import Addresses, Agreement, addresses_of, shown, shown_twin
from relay.web.receipt_view import receipts_of_event
from relay.web.twin_view import Arrived, TwinState
from tests.store.samples import seen
from tests.web.stored import EVENT_MS, stored_receipt

IPV6, OTHER_IPV6, IPV4 = "2001:db8:7::7", "2001:db8:7::8", "203.0.113.7"


def arrived(ip: str | None) -> Arrived:
    return Arrived(
        pixel="111", event_name="Purchase", event_id="e1", received_ms=EVENT_MS, ip=ip, params={"ip": ip}
    )


def told(*words: SeenAddress, pixel: str | None = None, anonymised: bool = False) -> Addresses:
    sent = next((word.address for word in words if word.sent), None)
    stored = stored_receipt(client_ip_address=sent, addresses=words)
    return addresses_of(stored, arrived(pixel) if pixel else None, anonymised=anonymised)


def test_the_page_s_own_address_is_said_to_be_sent() -> None:
    view = told(seen(IPV6, sent=True))
    assert view.sentence == "The page reached the relay over IPv6; that address goes to Meta."
    assert [(word.by, word.address, word.sent) for word in view.words] == [("page", IPV6, True)]
    assert (view.pixel, view.agreement) == (None, None)


def test_a_token_s_address_is_named_beside_the_connection_s() -> None:
    view = told(seen(IPV4), seen(IPV6, "token", sent=True), pixel=IPV6)
    assert [(word.by, word.family, word.sent) for word in view.words] == [
        ("page", "ipv4", False),
        ("token", "ipv6", True),
    ]
    assert view.sentence.startswith(
        "The page reached the relay over IPv4; a token that this relay signed shows"
    )
    assert (view.agreement, view.sent) == (Agreement.SAME, IPV6)


def test_a_token_that_was_not_needed_stays_here() -> None:
    assert "the token's stays here" in told(seen(IPV6, sent=True), seen(IPV4, "token")).sentence


def test_a_token_where_the_connection_s_address_is_not_known() -> None:
    sentence = told(seen(None, "none"), seen(IPV6, "token", sent=True)).sentence
    assert sentence.startswith("The page's address is not known; a token")


def test_without_any_address_the_reason_is_told() -> None:
    assert told(seen(None, "none")).sentence == "No address goes to Meta: by none."


def test_an_address_that_the_relay_could_not_see_is_explained() -> None:
    view = told(seen(IPV4, sent=True), pixel=IPV6)
    assert view.agreement is Agreement.OTHER_FAMILY
    assert "no token came with it" in view.sentence
    assert "address_hosts" in view.sentence


def test_a_token_that_was_not_believed_is_no_missing_one() -> None:
    forged = SeenAddress(
        source="token", address=None, family=None, seen_ms=None, sent=False, why=Doubt.FORGED
    )
    view = told(seen(IPV4, sent=True), forged, pixel=IPV6)
    assert "no token that came with it could be believed" in view.sentence
    assert view.words[1].why == Doubt.FORGED


def test_a_pixel_over_ipv4_of_a_visitor_with_ipv6_is_the_browser_s_choice() -> None:
    view = told(seen(IPV6, sent=True), pixel=IPV4)
    assert (view.agreement, "take IPv4 where IPv6 answers late" in view.sentence) == (
        Agreement.OTHER_FAMILY,
        True,
    )


def test_another_address_of_the_same_family_points_at_the_proxies() -> None:
    view = told(seen(IPV6, sent=True), pixel=OTHER_IPV6)
    assert (view.agreement, "trusted_proxies" in view.sentence) == (Agreement.DIFFERS, True)


def test_forgotten_addresses_are_said_to_be_gone() -> None:
    view = told(pixel=IPV6)
    assert (view.words, view.sent, view.agreement) == ((), None, None)
    assert view.sentence == "No address is kept of this event, or none was ever known."


@pytest.mark.parametrize(
    ("address", "network"),
    [(IPV4, "203.0.113.0/24"), (IPV6, "2001:db8:7::/48"), ("not an address", None), (None, None)],
)
def test_an_anonymised_address_is_its_network(address: str | None, network: str | None) -> None:
    assert shown(address, anonymised=True) == network
    assert shown(address, anonymised=False) == address


@given(st.ip_addresses())
def test_an_anonymised_address_contains_the_real_one_and_does_not_tell_it(address: object) -> None:
    network = ip_network(shown(str(address), anonymised=True) or "")
    assert ip_address(str(address)) in network
    assert network.num_addresses >= 256


def test_agreement_is_of_whole_addresses_where_only_networks_are_shown() -> None:
    view = told(seen(IPV6, sent=True), pixel=OTHER_IPV6, anonymised=True)
    assert (view.agreement, view.pixel, view.sent) == (
        Agreement.DIFFERS,
        "2001:db8:7::/48",
        "2001:db8:7::/48",
    )


def test_the_twin_s_view_is_anonymised_with_its_raw_parameters() -> None:
    twin = TwinState(browser=(arrived(IPV6),), server=(arrived(IPV4),), counted={})
    hidden = shown_twin(twin, anonymised=True)
    assert [(each.ip, each.params) for each in hidden.browser + hidden.server] == [
        ("2001:db8:7::/48", None),
        ("203.0.113.0/24", None),
    ]
    assert shown_twin(twin, anonymised=False) is twin


def test_an_anonymised_receipt_holds_no_whole_address_anywhere() -> None:
    stored = stored_receipt(client_ip_address=IPV6, addresses=(seen(IPV4), seen(IPV6, "token", sent=True)))
    half = {"pixel": "111", "event_name": "Purchase", "event_id": "e1", "received_ms": EVENT_MS}
    server = half | {"ip": IPV6, "params": {"user_data": {"client_ip_address": IPV6}}}
    state = {"browser": [half | {"ip": OTHER_IPV6}], "server": [server], "counted": {}}
    whole = msgspec.json.encode(receipts_of_event("e1", [stored], state)).decode()
    hidden = msgspec.json.encode(receipts_of_event("e1", [stored], state, anonymised=True)).decode()
    for address in (IPV4, IPV6, OTHER_IPV6):
        assert f'"{address}"' in whole
        assert f'"{address}"' not in hidden
