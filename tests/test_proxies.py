"""The named proxies say who their networks are, since when, and who says so."""

import datetime
from ipaddress import ip_network

import pytest

from relay.event.address import parse_networks, parse_providers
from relay.locations import check_proxy
from relay.proxies import CLIENT_HEADERS, NAMED_PROXIES


@pytest.mark.parametrize("name", list(NAMED_PROXIES))
def test_every_list_has_a_source_a_date_and_networks_that_are_no_ones_else(name: str) -> None:
    proxy = NAMED_PROXIES[name]
    assert proxy.source
    assert proxy.as_of < datetime.date(2027, 1, 1)
    assert proxy.networks
    assert len(set(proxy.networks)) == len(proxy.networks)
    for network in proxy.networks:
        check_proxy(network)


@pytest.mark.parametrize("name", ["cloudflare", "fastly"])
def test_a_providers_ranges_are_of_both_families_and_public(name: str) -> None:
    networks = [ip_network(network) for network in NAMED_PROXIES[name].networks]
    assert {network.version for network in networks} == {4, 6}
    assert not any(network.is_private for network in networks)


def test_a_second_name_of_a_provider_has_the_same_ranges() -> None:
    assert NAMED_PROXIES["cloudflare-true-client-ip"].networks == NAMED_PROXIES["cloudflare"].networks
    assert NAMED_PROXIES["fastly-client-ip"].networks == NAMED_PROXIES["fastly"].networks


def test_names_and_networks_stand_beside_one_another() -> None:
    networks = parse_networks(["caddy", "2001:db8::/32"])
    assert ip_network("10.0.0.0/8") in networks
    assert ip_network("2001:db8::/32") in networks


def test_only_providers_that_write_headers_are_asked_for_them() -> None:
    assert parse_providers(["caddy", "10.0.0.0/8", "fastly"]) == ()
    (cloudflare,) = parse_providers(["cloudflare"])
    assert cloudflare.client_headers == ("cf-connecting-ip", "cf-connecting-ipv6")
    assert set(CLIENT_HEADERS) == {
        "cf-connecting-ip",
        "cf-connecting-ipv6",
        "true-client-ip",
        "fastly-client-ip",
        "fly-client-ip",
    }
