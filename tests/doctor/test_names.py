"""Records, cookie domain and Safari's rule, on names that the test makes up."""

from pathlib import Path

import msgspec
import pytest

from relay.doctor.finding import Check, Finding, Status
from relay.doctor.names import check_cookie_domain, check_dns, check_safari
from relay.doctor.subject import Subject
from relay.settings import AddressHosts
from tests.doctor.lab import names, network_of, no_resolver, only, settings_for, subject_of

pytestmark = pytest.mark.anyio


def subject(
    relay: str = "https://relay.shop.example", origin: str = "https://www.shop.example", *, lab: bool = False
) -> Subject:
    return subject_of(settings_for(Path(), relay, origins=[origin], accept_private_addresses=lab))


async def dns(records: str, *, lab: bool = False) -> Finding:
    async with network_of(names(relay_shop_example=records)) as network:
        return only(await check_dns(subject(lab=lab), network))


async def test_a_and_aaaa_are_well() -> None:
    finding = await dns("192.0.2.1 2001:db8::1")
    assert (finding.status, finding.fix) == (Status.OK, None)
    assert finding.seen == "192.0.2.1, 2001:db8::1"


@pytest.mark.parametrize(
    ("records", "status", "seen", "fix"),
    [
        ("192.0.2.1", Status.WARN, "no AAAA record", "Publish AAAA for relay.shop.example"),
        ("2001:db8::1", Status.FAIL, "no A record", "Publish A for relay.shop.example"),
        ("", Status.FAIL, "no address; no A and AAAA record", "Publish A and AAAA for"),
        ("10.0.0.1 2001:db8::1", Status.FAIL, "not all of them are public", "instead of 10.0.0.1"),
    ],
)
async def test_missing_and_private_records_are_told(
    records: str, status: Status, seen: str, fix: str
) -> None:
    finding = await dns(records)
    assert finding.status is status
    assert seen in finding.seen
    assert finding.fix is not None
    assert fix in finding.fix


@pytest.mark.parametrize(
    ("ipv6", "ipv4", "statuses", "said"),
    [
        ("2001:db8::6", "192.0.2.4", [Status.OK, Status.OK, Status.OK], "learn their IPv6 address at"),
        ("2001:db8::6 192.0.2.6", "192.0.2.4", [Status.OK, Status.WARN, Status.OK], "Remove the A records"),
        ("2001:db8::6", "", [Status.OK, Status.OK, Status.WARN], "Publish A for v4.shop.example"),
        ("192.0.2.6", "192.0.2.4", [Status.OK, Status.WARN, Status.OK], "Publish AAAA for v6.shop.example"),
    ],
)
async def test_names_of_one_family_have_records_of_that_family_only(
    ipv6: str, ipv4: str, statuses: list[Status], said: str
) -> None:
    hosts = AddressHosts(ipv6="https://v6.shop.example", ipv4="https://v4.shop.example")
    one = subject_of(settings_for(Path(), "https://relay.shop.example", address_hosts=hosts))
    known = names(relay_shop_example="192.0.2.1", v6_shop_example=ipv6, v4_shop_example=ipv4)
    async with network_of(known) as network:
        found = await check_dns(one, network)
    assert [finding.status for finding in found] == statuses
    assert any(said in f"{finding.seen} {finding.fix}" for finding in found)


async def test_a_laboratory_may_use_private_addresses() -> None:
    assert (await dns("127.0.0.1 ::1", lab=True)).status is Status.OK


async def test_an_address_has_no_records() -> None:
    async with network_of() as network:
        for relay in ("http://127.0.0.1:8300", "http://[::1]:8300", "http://localhost:8300"):
            assert only(await check_dns(subject(relay), network)).status is Status.SKIPPED


async def test_a_silent_name_server_is_not_a_fault_of_the_relay() -> None:
    async with network_of(no_resolver) as network:
        finding = only(await check_dns(subject(), network))
        assert (finding.status, "could not be looked up" in finding.seen) == (Status.SKIPPED, True)
        assert only(await check_safari(subject(), network)).status is Status.SKIPPED


@pytest.mark.parametrize(
    ("relay", "origin", "status", "said"),
    [
        ("https://relay.shop.example", "https://www.shop.example", Status.OK, "cookies for shop.example"),
        ("https://shop.example/x", "https://shop.example", Status.OK, "cookies for shop.example"),
        ("http://127.0.0.1:1", "http://127.0.0.1:2", Status.OK, "cookies of this host alone"),
        ("https://relay.other.example", "https://shop.example", Status.WARN, "such as relay.shop.example"),
        ("https://relay.co.uk", "https://shop.co.uk", Status.WARN, "such as relay.shop.co.uk"),
        ("https://b.github.io", "https://a.github.io", Status.WARN, "such as relay.a.github.io"),
        ("http://127.0.0.1:1", "http://localhost:2", Status.WARN, "under a path of localhost"),
    ],
)
async def test_the_cookie_domain_follows_the_public_suffix_list(
    relay: str, origin: str, status: Status, said: str
) -> None:
    async with network_of() as network:
        finding = only(await check_cookie_domain(subject(relay, origin), network))
    assert finding.status is status
    assert said in (finding.fix or finding.seen)


@pytest.mark.parametrize(
    ("page", "relay", "status", "said"),
    [
        ("192.0.2.1", "192.0.77.9", Status.OK, "first halves agree"),
        ("192.0.2.1 2001:db8::1", "192.0.2.9 2001:db8::f00d:1", Status.OK, "first halves agree"),
        ("192.0.2.1", "192.1.2.1", Status.WARN, "192.1.2.1 shares its first half with none"),
        ("192.0.2.1", "198.51.100.1", Status.WARN, "198.51.100.1 shares its first half with none"),
        ("192.0.2.1 2001:db8::1", "192.0.2.9 2001:db8:0:1::1", Status.WARN, "2001:db8:0:1::1 shares"),
        ("192.0.2.1", "192.0.2.9 2001:db8::1", Status.WARN, "2001:db8::1 shares its first half with none"),
        ("192.0.2.1", "192.0.2.1 edge.host.example", Status.WARN, "is a CNAME of edge.host.example"),
        ("192.0.2.1 x.host.example", "192.0.2.1 edge.host.example", Status.OK, "first halves agree"),
        ("192.0.2.1", "192.0.2.1 edge.shop.example", Status.OK, "first halves agree"),
        ("", "192.0.2.1", Status.SKIPPED, "www.shop.example has no address"),
        ("192.0.2.1", "", Status.SKIPPED, "relay.shop.example has no address"),
    ],
)
async def test_safari_compares_first_halves_and_follows_cnames(
    page: str, relay: str, status: Status, said: str
) -> None:
    async with network_of(names(www_shop_example=page, relay_shop_example=relay)) as network:
        finding = only(await check_safari(subject(), network))
    assert finding.status is status
    assert said in finding.seen


async def test_safari_has_nothing_to_say_on_the_pages_own_host_or_a_foreign_one() -> None:
    async with network_of() as network:
        same = only(await check_safari(subject("https://www.shop.example/x"), network))
        foreign = only(await check_safari(subject("https://relay.other.example"), network))
    assert (same.status, foreign.status) == (Status.OK, Status.SKIPPED)


async def test_each_origin_gets_its_own_answer() -> None:
    one = subject()
    site = msgspec.structs.replace(one.site, origins=("https://shop.example", "https://shop.other"))
    async with network_of() as network:
        found = await check_cookie_domain(msgspec.structs.replace(one, site=site), network)
    assert [(each.check, each.about, each.status) for each in found] == [
        (Check.COOKIE_DOMAIN, "https://shop.example", Status.OK),
        (Check.COOKIE_DOMAIN, "https://shop.other", Status.WARN),
    ]
