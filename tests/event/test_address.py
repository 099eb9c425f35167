"""The visitor's address is the first hop from the right that is no trusted proxy; nothing else names it."""

from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from relay.event.address import (
    Address,
    ClientAddress,
    client_address,
    is_public,
    parse_hop,
    parse_networks,
    parse_providers,
)

TRUSTED = parse_networks(["10.0.0.0/8", "203.0.113.0/24", "fd00::/8", "2001:db8:1::/48"])

proxies = st.sampled_from(["10.0.0.1", "10.255.255.254", "203.0.113.9", "fd00::1", "2001:db8:1::9"]).map(
    ip_address
)
visitors = st.one_of(
    st.integers(0, 2**32 - 1).map(IPv4Address),
    st.integers(0x2A00 << 112, (0x2A01 << 112) - 1).map(IPv6Address),
    st.sampled_from(["198.51.100.23", "192.168.1.9", "::1", "fe80::1", "100.64.0.1"]).map(ip_address),
).filter(lambda address: not any(address in network for network in TRUSTED))
claims = st.lists(st.text(st.characters(exclude_characters=",")), max_size=3)


def written(address: Address) -> st.SearchStrategy[str]:
    """The ways in which proxies write an address."""
    if isinstance(address, IPv4Address):
        forms = [
            f"{address}",
            f" {address} ",
            f"{address}:4711",
            f"::ffff:{address}",
            f"[::ffff:{address}]:1",
        ]
    else:
        forms = [
            f"{address}",
            f"[{address}]",
            f"[{address}]:443",
            f"{address}%eth0",
            address.exploded.upper(),
        ]
    return st.sampled_from(forms)


def resolve(
    peer: str | None,
    forwarded_for: list[str] | None = None,
    forwarded: list[str] | None = None,
    *,
    accept_private: bool = False,
) -> ClientAddress:
    return client_address(
        peer=peer,
        forwarded_for=forwarded_for or [],
        forwarded=forwarded or [],
        trusted_proxies=TRUSTED,
        accept_private=accept_private,
    )


@settings(max_examples=400)
@given(data=st.data(), visitor=visitors, chain=st.lists(proxies, min_size=1, max_size=4), claimed=claims)
def test_the_address_is_the_first_untrusted_hop_from_the_right(
    data: st.DataObject, visitor: Address, chain: list[Address], claimed: list[str]
) -> None:
    *between, peer = chain
    hops = [*claimed, *(data.draw(written(hop)) for hop in [visitor, *between])]
    cut = data.draw(st.integers(0, len(hops)))
    lines = [",".join(hops[:cut]), ",".join(hops[cut:])]
    result = resolve(data.draw(written(peer)), lines)
    assert result.address == (str(visitor) if is_public(visitor) else None)
    assert resolve(str(peer), lines, accept_private=True).address == str(visitor)


@settings(max_examples=400)
@given(data=st.data(), visitor=visitors, chain=st.lists(proxies, min_size=1, max_size=4), claimed=claims)
def test_the_forwarded_header_is_walked_in_the_same_way(
    data: st.DataObject, visitor: Address, chain: list[Address], claimed: list[str]
) -> None:
    *between, peer = chain
    hops = [
        data.draw(st.sampled_from(["for={};proto=https", "proto=http; For={}", 'for="{}"'])).format(
            data.draw(written(hop)).strip()
        )
        for hop in [visitor, *between]
    ]
    result = resolve(str(peer), forwarded=[", ".join([*claimed, *hops])], accept_private=True)
    assert (result.address, result.source) == (str(visitor), "forwarded")


@given(
    visitor=visitors, lines=st.lists(st.text(st.characters())), forwarded=st.lists(st.text(st.characters()))
)
def test_nothing_a_direct_visitor_claims_changes_its_address(
    visitor: Address, lines: list[str], forwarded: list[str]
) -> None:
    result = resolve(str(visitor), lines, forwarded, accept_private=True)
    assert (result.address, result.source) == (str(visitor), "peer")


@settings(max_examples=300)
@given(
    peer=st.none() | st.text(st.characters()) | proxies.map(str),
    lines=st.lists(st.text(st.characters()) | st.text('0123456789abcdef.:[]%,;"= _')),
    forwarded=st.lists(st.text(st.characters()) | st.text('for=019af.:[]%,;"\\ _')),
)
@example(peer="10.0.0.1", lines=["1.2.3.4" * 999, "٣.3.3.3", ""], forwarded=['for="'])
def test_garbage_never_raises_and_what_comes_out_is_public(
    peer: str | None, lines: list[str], forwarded: list[str]
) -> None:
    result = resolve(peer, lines, forwarded)
    assert (result.address is None) == (result.family is None) == (result.source == "none")
    assert result.address is None or is_public(ip_address(result.address))
    assert result.why


@pytest.mark.parametrize(
    ("hop", "address"),
    [
        ("203.0.113.9:443", "203.0.113.9"),
        ("[2001:DB8::1]:_port", "2001:db8::1"),
        ('"[2001:db8::1]"', "2001:db8::1"),
        ("fe80::1%eth0", "fe80::1"),
        ("::ffff:203.0.113.9", "203.0.113.9"),
        ("::ffff:cb00:7109", "203.0.113.9"),
        ("unknown", None),
        ("_hidden", None),
        ("010.0.0.1", None),
        ("203.0.113.9:", None),
        ("203.0.113.9:123456", None),
        ("1", None),
        ("", None),
    ],
)
def test_a_hop_is_read_as_proxies_write_it(hop: str, address: str | None) -> None:
    assert parse_hop(hop) == (address and ip_address(address))


def test_a_hop_longer_than_any_address_is_not_read() -> None:
    """What is read is remembered, and a visitor must not fill the memory."""
    assert parse_hop("[fe80::1%" + "z" * 80 + "]") == ip_address("fe80::1")
    assert parse_hop("[fe80::1%" + "z" * 100 + "]") is None


@pytest.mark.parametrize("hop", ["unknown", "_hidden", "", "203.0.113.300"])
def test_the_walk_ends_at_a_hop_that_names_no_address(hop: str) -> None:
    """What stands left of it was written by somebody whom nobody vouches for."""
    assert resolve("10.0.0.1", [f"198.51.100.1, {hop or 'x'}"]).address is None
    assert resolve("10.0.0.1", forwarded=[f"for=198.51.100.1, for={hop}"]).address is None


def test_two_headers_that_disagree_name_nobody() -> None:
    result = resolve("10.0.0.1", ["198.51.100.1"], ["for=198.51.100.2"])
    assert result.address is None
    assert "disagree" in result.why


def test_two_headers_that_agree_name_the_visitor() -> None:
    assert resolve("10.0.0.1", ["198.51.100.1"], ["for=198.51.100.1"]).address == "198.51.100.1"


def test_an_open_quote_cannot_swallow_what_the_proxy_wrote() -> None:
    assert resolve("10.0.0.1", forwarded=['for=1.2.3.4;x=", for="[2a00::1]:80"']).address == "2a00::1"


def test_two_names_in_one_element_name_nobody() -> None:
    assert resolve("10.0.0.1", forwarded=["for=1.2.3.4;for=5.6.7.8"]).address is None


def test_a_chain_of_proxies_alone_names_nobody() -> None:
    """A health check of the proxy itself, say: its address is not a visitor's."""
    result = resolve("10.0.0.1", ["10.0.0.2"], accept_private=True)
    assert (result.address, result.source) == (None, "none")


def test_empty_elements_of_a_header_are_skipped() -> None:
    assert resolve("10.0.0.1", ["198.51.100.1, ,", ""]).address == "198.51.100.1"


@pytest.mark.parametrize(
    "address",
    [
        *("0.0.0.0", "10.1.1.1", "100.64.0.1", "127.0.0.1", "169.254.1.1", "172.16.0.1", "192.168.0.1"),
        *(
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "fe80::1",
            "fc00::1",
            "ff02::1",
            "4000::1",
        ),
    ],
)
def test_addresses_that_no_visitor_has_are_not_public(address: str) -> None:
    assert not is_public(ip_address(address))


@pytest.mark.parametrize("address", ["8.8.8.8", "172.32.5.4", "192.0.2.1", "2606:4700::1", "2001:db8::1"])
def test_addresses_of_the_internet_and_of_documentation_are_public(address: str) -> None:
    assert is_public(ip_address(address))


def test_a_network_that_is_none_is_named_in_the_error() -> None:
    with pytest.raises(ValueError, match=r"10\.0\.0\.0/99"):
        parse_networks(["10.0.0.0/99"])


# Providers

EDGE = "172.64.0.9"  # of Cloudflare
FASTLY_EDGE = "151.101.0.9"
CADDY = "10.0.0.1"


def behind(
    trusted: list[str], peer: str, forwarded_for: list[str] | None = None, /, **headers: str | list[str]
) -> ClientAddress:
    """With these proxies trusted, and headers of providers: each a text, or several lines."""
    return client_address(
        peer=peer,
        forwarded_for=forwarded_for or [],
        forwarded=[],
        trusted_proxies=parse_networks(trusted),
        accept_private=False,
        providers=parse_providers(trusted),
        provider_headers={
            name.replace("_", "-"): [value] if isinstance(value, str) else value
            for name, value in headers.items()
        },
    )


def test_a_providers_header_names_the_visitor_where_the_provider_vouches() -> None:
    result = behind(["cloudflare"], EDGE, cf_connecting_ip="2a00::1")
    assert (result.address, result.source) == ("2a00::1", "cf-connecting-ip")
    assert result.why == "what the trusted provider wrote into cf-connecting-ip"


def test_a_provider_vouches_through_our_own_proxy() -> None:
    """Caddy as it comes writes only its own peer into X-Forwarded-For, and that is the provider's edge."""
    result = behind(["caddy", "cloudflare"], CADDY, [EDGE], cf_connecting_ip="2a00::1")
    assert (result.address, result.source) == ("2a00::1", "cf-connecting-ip")


@pytest.mark.parametrize(
    "header", ["cf_connecting_ip", "cf_connecting_ipv6", "true_client_ip", "fastly_client_ip"]
)
@pytest.mark.parametrize("trusted", [[], ["caddy"], ["caddy", "cloudflare"], ["caddy", "fastly-client-ip"]])
def test_a_visitor_cannot_write_a_providers_header(trusted: list[str], header: str) -> None:
    """It reaches our proxy without going through the provider, or there is none."""
    peer, chain = ("8.8.8.8", []) if not trusted else (CADDY, ["8.8.8.8"])
    result = behind(trusted, peer, chain, **{header: "6.6.6.6"})
    assert result.address == "8.8.8.8"


@pytest.mark.parametrize("header", ["true_client_ip", "fastly_client_ip"])
def test_a_header_that_the_provider_only_passes_on_is_not_read(header: str) -> None:
    """Cloudflare and Fastly write these where they are told to; else they are the visitor's own."""
    result = behind(["cloudflare", "fastly"], EDGE, ["8.8.8.8"], **{header: "6.6.6.6"})
    assert (result.address, result.source) == ("8.8.8.8", "x-forwarded-for")


@pytest.mark.parametrize(
    ("name", "edge", "header"),
    [
        ("cloudflare-true-client-ip", EDGE, "true_client_ip"),
        ("fastly-client-ip", FASTLY_EDGE, "fastly_client_ip"),
    ],
)
def test_a_header_that_the_provider_was_told_to_write_has_a_name_of_its_own(
    name: str, edge: str, header: str
) -> None:
    assert behind([name], edge, **{header: "8.8.8.8"}).address == "8.8.8.8"


def test_a_stand_in_gives_way_to_the_ipv6_address_behind_it() -> None:
    result = behind(
        ["cloudflare"], EDGE, ["244.1.2.3"], cf_connecting_ip="244.1.2.3", cf_connecting_ipv6="2a00::1"
    )
    assert (result.address, result.source) == ("2a00::1", "cf-connecting-ipv6")


def test_the_ipv6_header_alone_changes_nothing() -> None:
    """Without a stand-in Cloudflare has not written it."""
    result = behind(
        ["cloudflare"], EDGE, ["8.8.8.8"], cf_connecting_ip="8.8.8.8", cf_connecting_ipv6="2a00::666"
    )
    assert result.address == "8.8.8.8"


def test_a_provider_and_a_chain_that_disagree_name_nobody() -> None:
    result = behind(["cloudflare"], EDGE, ["8.8.8.8"], cf_connecting_ip="9.9.9.9")
    assert result.address is None
    assert "disagree" in result.why


def test_a_visitor_with_an_address_of_the_provider_cannot_forge_the_chain() -> None:
    """Its address is taken for a proxy's, and what it claims for the visitor; the header tells otherwise."""
    result = behind(["cloudflare"], EDGE, ["6.6.6.6, 104.26.1.1"], cf_connecting_ip="104.26.1.1")
    assert result.address is None


@pytest.mark.parametrize("value", [["8.8.8.8", "6.6.6.6"], "8.8.8.8, 6.6.6.6", "", "unknown", "x" * 9_999])
def test_a_providers_header_must_be_one_address(value: str | list[str]) -> None:
    assert behind(["cloudflare"], EDGE, ["8.8.8.8"], cf_connecting_ip=value).address is None


PUBLIC = ["8.8.8.8", "9.9.9.9", "2a00::1", "2a00::2", "104.26.1.1"]
HOPS = st.sampled_from([*PUBLIC, CADDY, "fd00::1", EDGE, FASTLY_EDGE, "192.168.0.7", "244.1.2.3"])
WRITTEN = HOPS.flatmap(lambda hop: written(ip_address(hop))) | st.sampled_from(["unknown", "_x", "", "for="])
NAMES = ["caddy", "cloudflare", "cloudflare-true-client-ip", "fastly", "fastly-client-ip", "9.9.9.0/24"]
PROVIDER_HEADERS = ["cf-connecting-ip", "cf-connecting-ipv6", "true-client-ip", "fastly-client-ip"]


def vouched_for(
    peer: str, chains: list[list[str]], trusted: list[str], headers: dict[str, list[str]]
) -> set[Address | None]:
    """Every address that the socket or a trusted hop has named, found without walking."""
    networks = parse_networks(trusted)
    vouched = {ip_address(peer)}
    for chain in chains:
        whole = [*(parse_hop(hop) for hop in chain), ip_address(peer)]
        for at, hop in enumerate(whole[:-1]):
            if hop and all(
                right and any(right in network for network in networks) for right in whole[at + 1 :]
            ):
                vouched.add(hop)
    for provider in parse_providers(trusted):
        if any(hop in network for hop in vouched for network in provider.networks):
            vouched |= {
                hop
                for name in provider.client_headers
                for hop in map(parse_hop, headers.get(name, []))
                if hop
            }
    return set(vouched)


@settings(max_examples=600)
@given(
    peer=HOPS,
    chain=st.lists(WRITTEN, max_size=5),
    other=st.lists(WRITTEN, max_size=3),
    trusted=st.lists(st.sampled_from(NAMES), unique=True),
    headers=st.dictionaries(st.sampled_from(PROVIDER_HEADERS), st.lists(WRITTEN, min_size=1, max_size=2)),
)
def test_no_chain_yields_an_address_that_no_trusted_hop_vouches_for(
    peer: str, chain: list[str], other: list[str], trusted: list[str], headers: dict[str, list[str]]
) -> None:
    result = client_address(
        peer=peer,
        forwarded_for=[",".join(chain)],
        forwarded=[",".join(f'for="{hop.strip()}"' for hop in other)] if other else [],
        trusted_proxies=parse_networks(trusted),
        accept_private=True,
        providers=parse_providers(trusted),
        provider_headers=headers,
    )
    stated = [hop for hop in chain if hop.strip()]
    if result.address is not None:
        assert ip_address(result.address) in vouched_for(peer, [stated, other], trusted, headers)
