"""The forwarded chain → the one address that the visitor's connection had.

Each hop of the chain was written by the hop to its right, and only configured proxies are believed. So the
walk starts at the socket's other end and goes left through trusted proxies; the first hop that is none is the
visitor. What stands further left is the visitor's own claim, and is never read. A provider's own header counts
where one of that provider's networks made the last trusted step, and nowhere else. Nothing raises.
"""

import functools
import re
from collections.abc import Iterator, Mapping, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final, Literal

import msgspec

from relay.proxies import NAMED_PROXIES

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
Family = Literal["ipv4", "ipv6"]
AddressSource = Literal[
    "peer",
    "x-forwarded-for",
    "forwarded",
    "cf-connecting-ip",
    "cf-connecting-ipv6",
    "true-client-ip",
    "fastly-client-ip",
    "fly-client-ip",
    "token",
    "none",
]

# Nobody's private network: Python counts them as not global, and examples and tests are full of them.
_DOCUMENTATION: Final = tuple(
    map(ip_network, ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32"))
)
# Cloudflare's stand-ins for IPv6 visitors ("Pseudo IPv4"): of a range that no machine has.
_STAND_INS: Final = ip_network("240.0.0.0/4")
_UNREADABLE_PEER: Final = "the connection's other end has no IP address"
_UNREADABLE_HOP: Final = "the first hop from the right that is no trusted proxy does not name an address"
_HOP_MAX: Final = 100  # characters; an IPv6 address with brackets, zone and port is shorter
_KEPT: Final = 4_096  # addresses of whom a word is remembered: a visitor's events come one after another
_PORT: Final = r"(?::(?:[0-9]{1,5}|_[A-Za-z0-9._-]+))?"
_IPV4_HOP: Final = re.compile(rf"([0-9.]+){_PORT}")
_IPV6_HOP: Final = re.compile(rf"\[([^\[\]]+)\]{_PORT}")


class ClientAddress(msgspec.Struct, frozen=True, kw_only=True):
    """The visitor's address in canonical text, or None and why; `source` is what named it."""

    address: str | None
    family: Family | None
    source: AddressSource
    why: str


class Provider(msgspec.Struct, frozen=True, kw_only=True):
    """A trusted proxy that writes the visitor's address into headers of its own (lower case, in this order)."""

    networks: tuple[Network, ...]
    client_headers: tuple[AddressSource, ...]
    hides_chain: bool = False  # the chain ends with the provider's own address, so the header alone is read


class _Hop(msgspec.Struct, frozen=True):
    """Where a walk ended: at an address, or at a hop that cannot be read or was never named."""

    address: Address | None
    is_peer: bool
    problem: str = ""
    voucher: Address | None = None  # the trusted hop that wrote this one; None where that is the socket


def client_address(
    *,
    peer: str | None,
    forwarded_for: Sequence[str],
    forwarded: Sequence[str],
    trusted_proxies: Sequence[Network],
    accept_private: bool,
    providers: Sequence[Provider] = (),
    provider_headers: Mapping[str, Sequence[str]] | None = None,
) -> ClientAddress:
    """The visitor's address; `forwarded_for` and `forwarded` are the headers of those names as they arrived,
    and `provider_headers` all others that a provider could have written, by their names in lower case.

    Where two that must agree do not, one of them is not the proxy's and nothing is sent: which one, only the
    proxy's configuration knows. `accept_private` is for laboratories.
    """
    hops_for = [hop for line in forwarded_for for hop in line.split(",") if hop.strip()]
    hops_forwarded = [
        _for_of(element) for line in forwarded for element in line.split(",") if element.strip()
    ]
    header: AddressSource = "forwarded" if hops_forwarded else "x-forwarded-for"
    hop = _walk(peer, hops_forwarded or hops_for, trusted_proxies)
    if hops_for and hops_forwarded and _walk(peer, hops_for, trusted_proxies).address != hop.address:
        return _none("X-Forwarded-For and Forwarded disagree; let the proxy remove the one it does not write")
    named = _named_by_provider(hop.voucher, providers, provider_headers or {})
    if named is None:
        return _judge(hop, header, accept_private)
    provider, provider_header, by_provider = named
    is_other = hop.address not in (None, by_provider.address) and hop.address not in _STAND_INS
    if is_other and not provider.hides_chain:
        return _none(f"{provider_header} and the forwarded chain disagree; behind two providers, list CIDRs")
    return _judge(by_provider, provider_header, accept_private)


def parse_networks(texts: Sequence[str]) -> tuple[Network, ...]:
    """CIDRs, single addresses, or names of relay/proxies.toml. Raises ValueError with a text that is none."""
    return tuple(network for text in texts for network in _networks(text))


@functools.cache
def _networks(text: str) -> tuple[Network, ...]:
    named = NAMED_PROXIES.get(text)
    return (ip_network(text),) if named is None else tuple(map(ip_network, named.networks))


def parse_providers(texts: Sequence[str]) -> tuple[Provider, ...]:
    """Those of the named proxies that write headers of their own."""
    return tuple(provider for text in texts if (provider := _provider(text)) is not None)


@functools.cache
def _provider(text: str) -> Provider | None:
    named = NAMED_PROXIES.get(text)
    if named is None or not named.client_headers:
        return None
    headers = msgspec.convert(named.client_headers, tuple[AddressSource, ...])
    return Provider(networks=_networks(text), client_headers=headers, hides_chain=named.hides_chain)


def parse_hop(text: str) -> Address | None:
    """One hop as proxies write it, with port, brackets, zone, quotes or IPv4 in IPv6; None if unreadable."""
    return None if len(text) > _HOP_MAX else _parse_hop(text)


@functools.lru_cache(maxsize=_KEPT)
def _parse_hop(text: str) -> Address | None:
    text = text.strip().removeprefix('"').removesuffix('"')
    if hop := _IPV6_HOP.fullmatch(text) or _IPV4_HOP.fullmatch(text):
        text = hop[1]
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return address.ipv4_mapped or address if isinstance(address, IPv6Address) else address


def proxy_at(peer: str | None) -> str | None:
    """What to write into `trusted_proxies` for a peer that can be no visitor; None where it can be one."""
    address = parse_hop(peer or "")
    if address is None:
        return None
    if not is_public(address):
        return str(address)
    return next(
        (name for name in NAMED_PROXIES if any(address in network for network in _networks(name))), None
    )


@functools.lru_cache(maxsize=_KEPT)
def is_public(address: Address) -> bool:
    """Whether it can be a visitor's on the internet. Documentation ranges count as public."""
    if any(address in network for network in _DOCUMENTATION):
        return True
    return address.is_global and not (address.is_multicast or address.is_reserved)


def _walk(peer: str | None, hops: Sequence[str], trusted: Sequence[Network]) -> _Hop:
    voucher = None
    for is_peer, text in _from_the_right(peer, hops):
        address = parse_hop(text)
        if address is None:
            return _Hop(None, is_peer, _UNREADABLE_PEER if is_peer else _UNREADABLE_HOP, voucher)
        if not any(address in network for network in trusted):
            return _Hop(address, is_peer, voucher=voucher)
        voucher = address
    return _Hop(None, False, "every hop is a trusted proxy, and none of them named a visitor", voucher)


def _named_by_provider(
    voucher: Address | None, providers: Sequence[Provider], headers: Mapping[str, Sequence[str]]
) -> tuple[Provider, AddressSource, _Hop] | None:
    """What the provider that vouches for this request says of it; None where it says nothing."""
    if voucher is None:
        return None
    for provider in providers:
        if any(voucher in network for network in provider.networks):
            for header in provider.client_headers:
                lines = headers.get(header, ())
                address = parse_hop(lines[0]) if len(lines) == 1 else None
                if lines and (address is None or address not in _STAND_INS):
                    return (
                        provider,
                        header,
                        _Hop(address, False, f"{header} does not name one address", voucher),
                    )
    return None


def _from_the_right(peer: str | None, hops: Sequence[str]) -> Iterator[tuple[bool, str]]:
    yield True, peer or ""
    for hop in reversed(hops):
        yield False, hop


def _for_of(element: str) -> str:
    """The `for` of one element of a Forwarded header; empty, and so unreadable, unless there is just one.

    The caller splits at every comma and this at every semicolon, though quoted texts may hold both: an
    address holds neither, and so a quote that a visitor left open cannot swallow what the proxy wrote next.
    """
    pairs = (pair.partition("=") for pair in element.split(";"))
    values = [value.strip() for name, _, value in pairs if name.strip().lower() == "for"]
    return values[0] if len(values) == 1 else ""


def _judge(hop: _Hop, header: AddressSource, accept_private: bool) -> ClientAddress:
    if hop.address is None:
        return _none(hop.problem)
    if not is_public(hop.address) and not accept_private:
        return _none("the first hop that is no trusted proxy is not a public address")
    return ClientAddress(
        address=str(hop.address),
        family="ipv4" if hop.address.version == 4 else "ipv6",
        source="peer" if hop.is_peer else header,
        why=(
            "the other end of the connection"
            if hop.is_peer
            else f"the first hop from the right of {header} that is no trusted proxy"
            if header in ("x-forwarded-for", "forwarded")
            else f"what the trusted provider wrote into {header}"
        ),
    )


def _none(why: str) -> ClientAddress:
    return ClientAddress(address=None, family=None, source="none", why=why)
