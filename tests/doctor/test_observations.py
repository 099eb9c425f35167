"""The address hosts of a real relay: a token for a page, or what keeps it from one."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from relay.doctor.finding import Finding, Status
from relay.doctor.observations import check_address_hosts
from relay.doctor.subject import Subject
from relay.settings import AddressHosts
from tests.doctor.lab import Front, names, network_of, no_resolver, only, relay_on_loopback

pytestmark = pytest.mark.anyio


def naming(subject: Subject, hosts: AddressHosts, *, key: str | None = None) -> Subject:
    site = msgspec.structs.replace(subject.site, address_hosts=hosts, key=key or subject.site.key)
    return msgspec.structs.replace(subject, site=site)


async def look(folder: Path, *, front: Any = None, key: str | None = None, **settings: Any) -> Finding:
    hosts = AddressHosts(ipv4="http://v4.shop.example:1")
    async with relay_on_loopback(folder, front=front, address_hosts=hosts, **settings) as subject:
        port = subject.relay.rpartition(":")[2]
        named = naming(subject, AddressHosts(ipv4=f"http://v4.shop.example:{port}"), key=key)
        async with network_of(names(v4_shop_example="127.0.0.1")) as network:
            return only(await check_address_hosts(named, network))


async def test_a_page_would_get_a_token(tmp_path: Path) -> None:
    finding = await look(tmp_path)
    assert (finding.status, finding.seen) == (
        Status.OK,
        "a page of https://shop.example gets a token for its ipv4 address",
    )


async def test_a_family_that_changes_on_the_way_is_told(tmp_path: Path) -> None:
    def front(app: Any) -> Front:
        return Front(app, adds={"x-forwarded-for": "2001:db8::9"})

    finding = await look(tmp_path, front=front, trusted_proxies=("127.0.0.1",))
    assert (finding.status, finding.seen) == (Status.WARN, "over IPv4 the relay saw ipv6")


async def test_a_proxy_that_adds_cors_headers_is_told(tmp_path: Path) -> None:
    finding = await look(tmp_path, front=lambda app: Front(app, answers={"access-control-allow-origin": "*"}))
    assert (finding.status, "cannot be read" in finding.seen) == (Status.FAIL, True)


async def test_a_refusal_is_told_in_the_relays_own_words(tmp_path: Path) -> None:
    finding = await look(tmp_path, key="another-shop")
    assert finding.status is Status.FAIL
    assert "counterfoil snippet" in (finding.fix or "")


async def test_nobody_at_the_name_fails(tmp_path: Path) -> None:
    async with relay_on_loopback(tmp_path) as subject:
        named = naming(subject, AddressHosts(ipv4="http://v4.shop.example:9"))
        async with network_of() as network:
            assert only(await check_address_hosts(named, network)).status is Status.FAIL
        async with network_of(no_resolver) as network:
            assert only(await check_address_hosts(named, network)).status is Status.FAIL
        async with network_of(names()) as network:
            assert only(await check_address_hosts(named, network)).status is Status.SKIPPED
        async with network_of() as network:
            assert await check_address_hosts(subject, network) == []
