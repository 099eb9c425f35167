"""Handshakes with real servers, valid and not."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from relay.doctor import certificate
from relay.doctor.certificate import DAY_SECONDS, check_tls
from relay.doctor.finding import Finding, Status
from relay.settings import AddressHosts
from tests.doctor.lab import (
    RELAY,
    Shop,
    certified,
    names,
    network_of,
    no_resolver,
    only,
    served,
    settings_for,
    subject_of,
)

pytestmark = pytest.mark.anyio

ENDS = datetime(2038, 1, 1, tzinfo=UTC)


async def look(url: str, *, days_before: int = 100, trust: bool = True) -> Finding:
    now_ms = round((ENDS.timestamp() - days_before * DAY_SECONDS) * 1000)
    async with network_of(trust=trust, now_ms=now_ms) as network:
        return only(await check_tls(subject_of(settings_for(Path(), url)), network))


async def test_a_valid_certificate_is_well_and_says_how_long() -> None:
    async with served(Shop().app, tls=certified(RELAY, until=ENDS)) as port:
        finding = await look(f"https://{RELAY}:{port}")
    assert finding.status is Status.OK
    assert finding.about == f"{RELAY} (127.0.0.1)"
    assert finding.seen == "TLSv1.3, valid for 100 more days"


async def test_a_certificate_that_ends_soon_is_told() -> None:
    async with served(Shop().app, tls=certified(RELAY, until=ENDS)) as port:
        assert (await look(f"https://{RELAY}:{port}", days_before=14)).status is Status.OK
        finding = await look(f"https://{RELAY}:{port}", days_before=13)
    assert (finding.status, finding.seen) == (Status.WARN, "TLSv1.3, valid for 13 more days")


async def test_another_hosts_certificate_fails() -> None:
    async with served(Shop().app, tls=certified("other.example")) as port:
        finding = await look(f"https://{RELAY}:{port}")
    assert finding.status is Status.FAIL
    assert "Hostname mismatch" in finding.seen
    assert f"a certificate for {RELAY}" in (finding.fix or "")


async def test_an_ended_certificate_fails() -> None:
    async with served(Shop().app, tls=certified(RELAY, until=datetime(2020, 1, 1, tzinfo=UTC))) as port:
        assert "certificate has expired" in (await look(f"https://{RELAY}:{port}")).seen


async def test_an_unknown_authority_fails() -> None:
    async with served(Shop().app, tls=certified(RELAY)) as port:
        finding = await look(f"https://{RELAY}:{port}", trust=False)
    assert (finding.status, "unable to get local issuer" in finding.seen) == (Status.FAIL, True)


async def test_a_server_without_tls_fails() -> None:
    async with served(Shop().app) as port:
        finding = await look(f"https://{RELAY}:{port}")
    assert (finding.status, finding.seen.startswith("no TLS: ")) == (Status.FAIL, True)


async def test_nobody_there_fails() -> None:
    finding = await look(f"https://{RELAY}:9")
    assert (finding.status, finding.seen) == (Status.FAIL, "no TLS: Connection refused")


async def test_plain_http_fails_but_on_this_machine() -> None:
    assert (await look(f"http://{RELAY}")).status is Status.FAIL
    assert (await look("http://127.0.0.1:8300")).status is Status.SKIPPED


async def test_a_name_without_address_is_left_to_dns() -> None:
    for resolve in (names(), no_resolver):
        async with network_of(resolve) as network:
            finding = only(await check_tls(subject_of(settings_for(Path(), f"https://{RELAY}")), network))
        assert (finding.status, finding.fix) == (Status.SKIPPED, "See dns.")


async def test_the_address_hosts_need_certificates_too() -> None:
    async with served(Shop().app, tls=certified(RELAY, until=ENDS)) as port, network_of() as network:
        hosts = AddressHosts(ipv4=f"https://v4.shop.example:{port}")
        settings = settings_for(Path(), f"https://{RELAY}:{port}", address_hosts=hosts)
        relay, v4 = await check_tls(subject_of(settings), network)
    assert (relay.status, v4.status) == (Status.OK, Status.FAIL)
    assert v4.about == "v4.shop.example (127.0.0.1)"


async def test_a_family_that_this_machine_has_not_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(certificate, "has_route", lambda address: address.version == 4)
    resolve = names(relay_shop_example="127.0.0.1 2001:db8::1")
    async with served(Shop().app, tls=certified(RELAY, until=ENDS)) as port, network_of(resolve) as network:
        found = await check_tls(subject_of(settings_for(Path(), f"https://{RELAY}:{port}")), network)
    assert [finding.about for finding in found] == [f"{RELAY} (127.0.0.1)"]
