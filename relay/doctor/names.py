"""What the relay's names mean: addresses in both families, cookies, and what Safari makes of them."""

from ipaddress import ip_network
from typing import Final

from relay.doctor.finding import Check, Finding, failed, skipped, warned, well
from relay.doctor.network import Address, Name, Network, NoAnswer, Version
from relay.doctor.subject import Subject, host_of, is_name
from relay.event.address import Family, is_public
from relay.event.identity import cookie_domain
from relay.web.cookies import shares

RECORDS: Final = {4: "A", 6: "AAAA"}
VERSIONS: Final[dict[Family, Version]] = {"ipv4": 4, "ipv6": 6}
FIRST_HALF: Final = {4: 16, 6: 64}  # bits
RESOLVER: Final = "Mend this machine's name service, or run the doctor elsewhere."


async def check_dns(subject: Subject, network: Network) -> list[Finding]:
    """The relay's own name, and those of one family each at which pages learn their other address."""
    hosts = subject.site.address_hosts.urls()
    return [
        await _records(subject, network, host_of(subject.relay)),
        *[await _of_one_family(network, host_of(url), VERSIONS[family]) for family, url in hosts.items()],
    ]


async def _records(subject: Subject, network: Network, host: str) -> Finding:
    if not is_name(host):
        seen = "This is an address or this machine; it has no records."
        return skipped(Check.DNS, host, seen, "Use a host name.")
    try:
        name = await network.name(host)
    except NoAnswer as silent:
        return skipped(Check.DNS, host, str(silent), RESOLVER)
    seen = _list(name.addresses) or "no address"
    private = [address for address in name.addresses if not is_public(address)]
    if private and not subject.in_laboratory:
        fix = f"Publish {host} with addresses that visitors can reach, instead of {_list(private)}."
        return failed(Check.DNS, host, f"{seen}; not all of them are public", fix)
    if not name.of(4):
        missing = "A" if name.of(6) else "A and AAAA"
        fix = f"Publish {missing} for {host}: visitors who have IPv4 only cannot reach it."
        return failed(Check.DNS, host, f"{seen}; no {missing} record", fix)
    if name.of(6):
        return well(Check.DNS, host, seen)
    if ipv6 := subject.site.address_hosts.ipv6:
        return well(Check.DNS, host, f"{seen}; no AAAA record, but pages learn their IPv6 address at {ipv6}")
    fix = f"Publish AAAA for {host}, and let its proxy listen on IPv6 too; or set [site.address_hosts] ipv6."
    return warned(Check.DNS, host, f"{seen}; no AAAA record", fix)


async def _of_one_family(network: Network, host: str, version: Version) -> Finding:
    try:
        name = await network.name(host)
    except NoAnswer as silent:
        return skipped(Check.DNS, host, str(silent), RESOLVER)
    wanted, other = RECORDS[version], RECORDS[10 - version]
    seen = _list(name.addresses) or "no address"
    if not name.of(version):
        fix = f"Publish {wanted} for {host}, or take it out of [site.address_hosts]."
        return warned(Check.DNS, host, f"{seen}; no {wanted} record", fix)
    if len(name.of(version)) < len(name.addresses):
        fix = f"Remove the {other} records of {host}: at a name with both, a page learns nothing new."
        return warned(Check.DNS, host, f"{seen}; {wanted} records only are of use", fix)
    return well(Check.DNS, host, seen)


async def check_cookie_domain(subject: Subject, network: Network) -> list[Finding]:  # noqa: ARG001 - as all checks
    return [_cookie_domain(origin, host_of(subject.relay)) for origin in subject.site.origins]


def _cookie_domain(origin: str, relay: str) -> Finding:
    page = host_of(origin)
    domain = cookie_domain(page)
    if shares(relay, page, domain):
        seen = f"cookies for {domain}" if domain else "cookies of this host alone"
        return well(Check.COOKIE_DOMAIN, origin, f"{seen}, which {relay} can set")
    if domain is None:
        seen = f"{page} is an address, a bare name or a public suffix, so its cookies are its own"
        fix = f"Serve the relay under a path of {page}, and set [server] public_url to it."
    else:
        seen = f"{relay} lies outside of {domain}, the registrable domain of {page}"
        fix = f"Serve the relay as a name under {domain}, such as relay.{domain}, and set [server] public_url to it."
    return warned(Check.COOKIE_DOMAIN, origin, seen, fix)


async def check_safari(subject: Subject, network: Network) -> list[Finding]:
    relay = host_of(subject.relay)
    return [await _safari(network, origin, relay) for origin in subject.site.origins]


async def _safari(network: Network, origin: str, relay: str) -> Finding:
    page = host_of(origin)
    if relay == page:
        return well(Check.SAFARI, origin, "the relay stands on the page's own host")
    if not shares(relay, page, cookie_domain(page)):
        return skipped(Check.SAFARI, origin, "The relay sets no cookies here.", "See cookie_domain.")
    try:
        of_page, of_relay = await network.name(page), await network.name(relay)
    except NoAnswer as silent:
        return skipped(Check.SAFARI, origin, str(silent), RESOLVER)
    if not of_page.addresses or not of_relay.addresses:
        missing = relay if of_page.addresses else page
        return skipped(Check.SAFARI, origin, f"{missing} has no address.", "See dns.")
    path = f"Serve the relay under a path of {page}, and set [server] public_url to it"
    if alias := _third_party_alias(page, of_page, relay, of_relay):
        fix = f"{path}; or give {relay} A and AAAA records of its own instead of a CNAME."
        return warned(Check.SAFARI, origin, f"{relay} is a CNAME of {alias}, another party's name", fix)
    strangers = [address for address in of_relay.addresses if not _near(address, of_page)]
    seen = f"{page}: {_list(of_page.addresses)}; {relay}: {_list(of_relay.addresses)}"
    if strangers:
        fix = f"{path}; or give {relay} addresses that share their first half with those of {page}."
        return warned(
            Check.SAFARI, origin, f"{seen}; {_list(strangers)} shares its first half with none", fix
        )
    return well(Check.SAFARI, origin, f"{seen}; the first halves agree")


def _third_party_alias(page: str, of_page: Name, relay: str, of_relay: Name) -> str | None:
    """Where the relay's CNAME leads to a domain that is neither the page's nor that of the page's own CNAME."""
    alias = of_relay.canonical
    own = {cookie_domain(page), cookie_domain(of_page.canonical or page)}
    if alias is None or alias == relay or cookie_domain(alias) in own:
        return None
    return alias


def _near(address: Address, name: Name) -> bool:
    return any(
        other in ip_network((address, FIRST_HALF[address.version]), strict=False)
        for other in name.of(address.version)
    )


def _list(addresses: tuple[Address, ...] | list[Address]) -> str:
    return ", ".join(map(str, addresses))
