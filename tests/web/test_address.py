"""Tokens over HTTP: who gets one, what it does to a held event, and that nothing a client writes forges an address."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from relay.event.outcome import ADDRESS_SENTENCES, AddressReason
from relay.event.records import SeenAddress
from relay.settings import AddressHosts, Settings
from tests.event.malformed import SITE_KEY, good_event
from tests.web.lab import NOW_MS, OTHER_SITE, Relay, lab_settings, open_relay
from tests.web.lab import ORIGIN as PAGE

pytestmark = pytest.mark.anyio

NONCE = "5d0b7f9e-6f0c-4d8e-9d53-0c3c7e3f9a10"
V6_URL = "https://v6.relay.example"
V6 = "2001:db8::9"
V4 = "198.51.100.7"  # the address that the laboratory's posts come from
PENDING = {"state": "pending", "dispatched_ms": 12}


def with_hosts(settings: Settings) -> Settings:
    hosts = AddressHosts(ipv6=V6_URL, ipv4="https://v4.relay.example")
    sites = tuple(msgspec.structs.replace(site, address_hosts=hosts) for site in settings.site)
    return msgspec.structs.replace(settings, site=sites)


@pytest.fixture
async def relay(tmp_path: Path) -> AsyncIterator[Relay]:
    async with open_relay(with_hosts(lab_settings(tmp_path))) as relay:
        yield relay


async def ask(relay: Relay, *, peer: str = V6, origin: str | None = PAGE, **query: Any) -> httpx.Response:
    """`GET /v1/address` over a connection from `peer`."""
    transport = httpx.ASGITransport(relay.app, client=(peer, 50_000))
    async with httpx.AsyncClient(transport=transport, base_url=V6_URL) as client:
        params = {"site": SITE_KEY, "nonce": NONCE} | query
        headers = {"cookie": "_fbp=1"} | ({"origin": origin} if origin else {})
        return await client.get("/v1/address", params=params, headers=headers)


async def token(relay: Relay, *, origin: str = PAGE, **asked: Any) -> str:
    return str((await ask(relay, origin=origin, **asked)).json()["token"])


async def stored(relay: Relay, event_id: str = "e-1") -> tuple[str | None, tuple[SeenAddress, ...]]:
    [receipt] = await relay.store.find(event_id)
    return receipt.client_ip_address, receipt.addresses


# The address


async def test_a_page_of_the_site_gets_a_token_that_is_not_kept_anywhere(relay: Relay) -> None:
    answer = await ask(relay)
    assert (answer.status_code, answer.json()["family"]) == (200, "ipv6")
    assert len(answer.json()["token"]) <= 110
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["access-control-allow-origin"] == PAGE
    assert answer.headers["vary"] == "Origin"
    assert "access-control-allow-credentials" not in answer.headers
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize(
    ("asked", "status", "reason"),
    [
        ({"site": "nobody"}, 403, "unknown_site"),
        ({"site": ""}, 403, "unknown_site"),
        ({"origin": None}, 403, "origin_missing"),
        ({"origin": "https://evil.example"}, 403, "origin_not_allowed"),
        ({"origin": "null"}, 403, "origin_not_allowed"),
        ({"origin": f"{PAGE}.evil.example"}, 403, "origin_not_allowed"),
        ({"nonce": ""}, 400, "invalid_nonce"),
        ({"nonce": "short"}, 400, "invalid_nonce"),
        ({"nonce": "x" * 65}, 400, "invalid_nonce"),
        ({"nonce": "x" * 20 + "é"}, 400, "invalid_nonce"),
        ({"nonce": [NONCE, NONCE]}, 400, "invalid_nonce"),
        ({"peer": "10.0.0.1"}, 409, "no_address"),
    ],
)
async def test_nobody_else_gets_one(relay: Relay, asked: dict[str, Any], status: int, reason: str) -> None:
    answer = await ask(relay, **asked)
    assert (answer.status_code, answer.json()["error"]["reason"]) == (status, reason)
    assert ("access-control-allow-origin" in answer.headers) is (status != 403)
    assert answer.headers["cache-control"] == "no-store"


async def test_a_site_without_address_hosts_gives_none(tmp_path: Path) -> None:
    async with open_relay(lab_settings(tmp_path)) as relay:
        answer = await ask(relay)
    reason = AddressReason.NO_ADDRESS_HOSTS
    assert (answer.status_code, answer.json()["error"]["message"]) == (404, ADDRESS_SENTENCES[reason])


# What a token does


async def test_the_answer_to_a_post_says_which_family_it_came_over(relay: Relay) -> None:
    assert (await relay.post()).json()["family"] == "ipv4"


async def test_an_event_goes_with_the_address_of_its_token(relay: Relay) -> None:
    await relay.post(good_event(addresses=[await token(relay)], address_nonce=NONCE))
    address, words = await stored(relay)
    assert address == V6
    assert [(word.source, word.address, word.sent) for word in words] == [
        ("peer", V4, False),
        ("token", V6, True),
    ]


async def test_an_event_over_ipv4_waits_for_the_token_and_then_goes_at_once(relay: Relay) -> None:
    assert (await relay.post()).json()["accepted"] == 1
    [receipt] = await relay.store.find("e-1")
    assert (receipt.client_ip_address, receipt.due_ms) == (V4, NOW_MS + 2_000)
    assert receipt.why["hold"] == "the page may still learn an IPv6 address: held for 2.0 s after receipt"
    relay.clock.now_ms += 400
    again = good_event(addresses=[await token(relay)], address_nonce=NONCE)
    assert (await relay.post(again)).json()["updated"] == 1
    [receipt] = await relay.store.find("e-1")
    assert (receipt.client_ip_address, receipt.due_ms) == (V6, NOW_MS + 400)
    assert receipt.why["client_ip_address_source"] == "token"


async def test_an_event_whose_page_has_asked_already_does_not_wait(relay: Relay) -> None:
    await relay.post(good_event(address_nonce=NONCE))
    [receipt] = await relay.store.find("e-1")
    assert receipt.due_ms == NOW_MS


async def test_an_event_over_ipv6_does_not_wait(tmp_path: Path) -> None:
    async with open_relay(with_hosts(lab_settings(tmp_path)), peer="2001:db8::1") as relay:
        assert (await relay.post()).json()["family"] == "ipv6"
        [receipt] = await relay.store.find("e-1")
    assert receipt.due_ms == NOW_MS


# Spoofing


async def test_nothing_a_client_writes_changes_its_address(relay: Relay) -> None:
    claims = {
        "client_ip_address": "6.6.6.6",
        "ip": "6.6.6.6",
        "user_data": {"client_ip_address": "6.6.6.6", "em": "a@b.example"},
        "custom_data": {"client_ip_address": "6.6.6.6", "value": 1, "currency": "EUR"},
        "addresses": ["6.6.6.6", "2a00::666"],
        "address_nonce": NONCE,
    }
    headers = {
        "x_forwarded_for": "6.6.6.6",
        "forwarded": "for=6.6.6.6",
        "x_real_ip": "6.6.6.6",
        "x_client_ip": "6.6.6.6",
        "cf_connecting_ip": "6.6.6.6",
        "cf_connecting_ipv6": "2a00::666",
        "true_client_ip": "6.6.6.6",
        "fastly_client_ip": "6.6.6.6",
        "cookie": "_fbi=6.6.6.6.AQQAAQMC; client_ip_address=6.6.6.6",
    }
    assert (await relay.post(good_event(**claims), **headers)).json()["accepted"] == 1
    [receipt] = await relay.store.find("e-1")
    assert receipt.client_ip_address == V4
    assert "6.6.6.6" not in str(receipt.server_event["user_data"])


@pytest.mark.parametrize(
    ("peer", "sent"), [("172.64.0.9", "2a00::1"), (V4, V4)], ids=["Cloudflare's edge", "somebody else"]
)
async def test_a_providers_header_is_believed_from_the_provider_alone(
    tmp_path: Path, peer: str, sent: str
) -> None:
    settings = lab_settings(tmp_path)
    server = msgspec.structs.replace(settings.server, trusted_proxies=("cloudflare",))
    async with open_relay(msgspec.structs.replace(settings, server=server), peer=peer) as relay:
        await relay.post(cf_connecting_ip="2a00::1")
        assert (await stored(relay))[0] == sent


async def test_a_probe_cannot_claim_an_address_either(relay: Relay) -> None:
    claimed = {"x-forwarded-for": "2a00::666", "cf-connecting-ip": "2a00::666"}
    transport = httpx.ASGITransport(relay.app, client=(V6, 50_000))
    async with httpx.AsyncClient(transport=transport, base_url=V6_URL, headers=claimed) as client:
        params = {"site": SITE_KEY, "nonce": NONCE}
        answer = await client.get("/v1/address", params=params, headers={"origin": PAGE})
    await relay.post(good_event(addresses=[answer.json()["token"]], address_nonce=NONCE))
    assert (await stored(relay))[0] == V6


@pytest.mark.parametrize("kind", ["forged", "expired", "other site", "other nonce", "no nonce"])
async def test_a_token_that_does_not_count_changes_nothing_and_is_no_error(relay: Relay, kind: str) -> None:
    [other] = OTHER_SITE.origins
    foreign = {"site": OTHER_SITE.key, "origin": other} if kind == "other site" else {}
    good = await token(relay, **foreign)
    sent = good.replace(good[4], "-" if good[4] != "-" else "_", 1) if kind == "forged" else good
    nonce = {"other nonce": "0" * 36, "no nonce": None}.get(kind, NONCE)
    relay.clock.now_ms += 31 * 60_000 if kind == "expired" else 1_000
    answer = (await relay.post(good_event(addresses=[sent], address_nonce=nonce))).json()
    assert (answer["accepted"], answer["refused"]) == (1, [])
    address, words = await stored(relay)
    assert address == V4
    assert (words[1].address, words[1].sent) == (None, False)


async def test_a_token_replayed_from_elsewhere_does_not_move_a_held_event(tmp_path: Path) -> None:
    async with open_relay(with_hosts(lab_settings(tmp_path))) as relay:
        await relay.post(good_event(pixel=PENDING))
        stolen = good_event(pixel=PENDING, addresses=[await token(relay)], address_nonce=NONCE)
        transport = httpx.ASGITransport(relay.app, client=("203.0.113.66", 50_000))
        async with httpx.AsyncClient(transport=transport, base_url=V6_URL) as thief:
            elsewhere = Relay(relay.app, thief, relay.clock, relay.settings)
            assert (await elsewhere.post(stolen)).json()["duplicates"] == 1
        assert (await stored(relay))[0] == V4
