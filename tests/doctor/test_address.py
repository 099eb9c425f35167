"""The address that a real relay would send, behind proxies that it trusts and that it does not."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from relay.doctor.address import FORGED, check_address, judge_address, judge_spoofing
from relay.doctor.finding import Check, Finding, Status
from relay.event.address import Family
from relay.web.address_echo import AddressEcho
from tests.doctor.lab import (
    Front,
    Shop,
    names,
    network_of,
    no_resolver,
    only,
    relay_on_loopback,
    served,
    settings_for,
    subject_of,
)

pytestmark = pytest.mark.anyio

VISITOR = "2001:db8::9"


def echo(address: str | None, **more: Any) -> AddressEcho:
    family: Family | None = None if address is None else "ipv6" if ":" in address else "ipv4"
    source = "none" if address is None else "x-forwarded-for" if more.get("forwarded_for") else "peer"
    fields: dict[str, Any] = {
        "now_ms": 0,
        "peer": "198.51.100.7",
        "forwarded_for": (),
        "forwarded": (),
        "provider_headers": {},
        "source": source,
        "why": "so",
    }
    return AddressEcho(address=address, family=family, **(fields | more))


def adding(*addresses: str) -> Callable[[Any], Front]:
    return lambda app: Front(app, adds={"x-forwarded-for": ", ".join(addresses)})


async def look(folder: Path, front: Any = None, **settings: Any) -> tuple[Finding, Finding]:
    async with relay_on_loopback(folder, front=front, **settings) as subject, network_of() as network:
        address, spoofing = await check_address(subject, network)
        return address, spoofing


async def test_a_direct_connection_carries_its_own_address(tmp_path: Path) -> None:
    address, spoofing = await look(tmp_path)
    assert (address.status, spoofing.status) == (Status.OK, Status.OK)
    assert "no proxy header: 127.0.0.1 would be sent" in address.seen
    assert address.about == "127.0.0.1 over IPv4"


async def test_behind_a_trusted_proxy_the_visitor_is_the_one_it_names(tmp_path: Path) -> None:
    address, spoofing = await look(tmp_path, adding("192.0.2.9"), trusted_proxies=("127.0.0.1",))
    assert "192.0.2.9 would be sent" in address.seen
    assert (address.status, spoofing.status) == (Status.OK, Status.OK)


async def test_a_proxy_that_is_not_trusted_is_told_with_the_line_to_write(tmp_path: Path) -> None:
    address, _ = await look(tmp_path, adding("192.0.2.9"))
    assert address.status is Status.FAIL
    assert 'add "127.0.0.1" to [server] trusted_proxies' in (address.fix or "")


async def test_a_proxy_that_is_not_trusted_and_not_public_is_told_too(tmp_path: Path) -> None:
    address, _ = await look(tmp_path, adding("192.0.2.9"), accept_private_addresses=False)
    assert address.status is Status.FAIL
    assert "no address would be sent" in address.seen


async def test_a_trusted_proxy_that_passes_a_visitors_own_header_on_is_found(tmp_path: Path) -> None:
    def passes_on(app: Any) -> Any:
        return app  # a proxy that adds nothing: what the visitor wrote stays the last hop

    _, spoofing = await look(tmp_path, passes_on, trusted_proxies=("127.0.0.1",))
    assert spoofing.status is Status.SKIPPED  # from the proxy's own place nothing can be told

    def judged(address: str) -> Finding:
        return judge_spoofing("x", echo(VISITOR, forwarded_for=(VISITOR,)), echo(address))

    for forged in FORGED.values():
        finding = judged(forged)
        assert (finding.status, f"put {forged} on the event" in finding.seen) == (Status.FAIL, True)
    assert judged(VISITOR).status is Status.OK
    taken_off = judge_spoofing("x", echo(VISITOR, forwarded_for=(VISITOR,)), echo(None))
    assert (taken_off.status, f"made nothing of {VISITOR}: so" in taken_off.seen) == (Status.WARN, True)


async def test_ipv6_that_becomes_ipv4_on_the_way_is_told() -> None:
    subject = subject_of(settings_for(Path(), "https://relay.shop.example", accept_private_addresses=False))
    lost = judge_address(subject, "x", echo("192.0.2.9", forwarded_for=("192.0.2.9",)), 6)
    kept = judge_address(subject, "x", echo(VISITOR, forwarded_for=(VISITOR,)), 6)
    assert (lost.status, "this connection is IPv6" in lost.seen, kept.status) == (
        Status.WARN,
        True,
        Status.OK,
    )


async def test_a_providers_address_is_no_visitors_and_its_name_is_the_fix() -> None:
    subject = subject_of(settings_for(Path(), "https://relay.shop.example", accept_private_addresses=False))
    sent = judge_address(subject, "x", echo("104.16.0.1", forwarded_for=("192.0.2.9, 104.16.0.1",)), 4)
    assert (sent.status, sent.fix) == (
        Status.FAIL,
        'Add "cloudflare" to [server] trusted_proxies, and restart the relay.',
    )
    peer = judge_address(
        subject, "x", echo("104.16.0.1", peer="104.16.0.1", forwarded_for=("192.0.2.9",), source="peer"), 4
    )
    assert (peer.status, 'add "cloudflare"' in (peer.fix or "")) == (Status.FAIL, True)


async def test_an_address_that_nobody_on_the_internet_has_is_told() -> None:
    subject = subject_of(settings_for(Path(), "https://relay.shop.example", accept_private_addresses=False))
    finding = judge_address(subject, "x", echo("10.0.0.9"), 4)
    assert (finding.status, finding.seen.endswith("it is not public")) == (Status.WARN, True)
    nothing = judge_address(subject, "x", echo(None, peer="10.0.0.1"), 4)
    assert (nothing.status, "proxy at 10.0.0.1" in (nothing.fix or "")) == (Status.WARN, True)


async def test_another_key_is_refused_and_said(tmp_path: Path) -> None:
    async with relay_on_loopback(tmp_path / "one") as subject, network_of() as network:
        (tmp_path / "two").mkdir()
        (tmp_path / "two" / "signing.key").write_text("x" * 64)
        other = subject_of(settings_for(tmp_path / "two", subject.relay))
        finding = only(await check_address(other, network))
    assert (finding.check, finding.status) == (Check.ADDRESS, Status.FAIL)
    assert "refuses this key" in finding.seen


async def test_without_a_key_nothing_is_asked_and_none_is_made(tmp_path: Path) -> None:
    async with network_of() as network:
        found = await check_address(subject_of(settings_for(tmp_path, "http://127.0.0.1:9")), network)
    assert [finding.status for finding in found] == [Status.SKIPPED, Status.SKIPPED]
    assert os.listdir(tmp_path) == []


async def test_somebody_else_at_public_url_is_no_relay(tmp_path: Path) -> None:
    (tmp_path / "signing.key").write_text("x" * 64)
    async with served(Shop("<p>hello").app) as port, network_of() as network:
        finding = only(
            await check_address(subject_of(settings_for(tmp_path, f"http://127.0.0.1:{port}")), network)
        )
    assert (finding.status, "not answered by this version" in finding.seen) == (Status.FAIL, True)


async def test_a_name_that_leads_nowhere_is_left_to_dns(tmp_path: Path) -> None:
    (tmp_path / "signing.key").write_text("x" * 64)
    subject = subject_of(settings_for(tmp_path, "https://relay.shop.example"))
    for resolve in (names(), no_resolver):
        async with network_of(resolve) as network:
            found = await check_address(subject, network)
        assert {(finding.status, finding.fix) for finding in found} == {(Status.SKIPPED, "See dns.")}
