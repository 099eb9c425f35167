"""The address on the server event is the one that Meta saw the Pixel come from: real Chromium, each party in a network
of its own, fifty pairs a visitor. See e2e/network.py."""

from collections.abc import Mapping, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address
from pathlib import Path
from typing import NamedTuple

import msgspec
import pytest
from playwright.sync_api import Page, Playwright

from e2e.lab import META_HOST, POLL_MS, RELAY_HOST, SHOP_HOST, SITE, USER_AGENT, Json
from e2e.network import Host, Internet, why_not
from e2e.network_lab import (
    IPV6_HOST,
    META,
    PROXY,
    RELAY,
    SERVERS,
    SHOP,
    NetworkLab,
    addresses_of,
    nginx,
    open_network_lab,
    visiting,
)

pytestmark = pytest.mark.skipif(why_not() is not None, reason=why_not() or "")

PAIRS = 50
V4, V6 = "203.0.113.7", "2001:db8:7::7"
SPOOFED = dict.fromkeys(
    ("X-Forwarded-For", "X-Real-IP", "CF-Connecting-IP", "CF-Connecting-IPv6", "True-Client-IP", "Forwarded"),
    "192.0.2.66",
)
NAT64, NAT64_POOL = "2001:db8:64::/96", "203.0.113.128/25"


A_POST = msgspec.json.encode(
    {
        "site": SITE,
        "events": [
            {
                "event_name": "Lead",
                "event_id": "spoofed",
                "age_ms": 0,
                "url": f"https://{SHOP_HOST}/",
                "fbp": "fb.1.1763859600000.1234567890",
                "pixel": {"state": "blocked"},
            }
        ],
    }
)
ITS_HEADERS = {
    "content-type": "text/plain",
    "origin": f"https://{SHOP_HOST}",
    "host": RELAY_HOST,
    "user-agent": USER_AGENT,
}


class Scenario(NamedTuple):
    visitor: Host
    pixel: str  # the address that Meta sees
    relay_at: Sequence[str] = addresses_of(RELAY)
    drops_ipv6: bool = False


SCENARIOS = {
    "IPv4 only": Scenario(Host("visitor", V4), V4),
    "IPv6 only": Scenario(Host("visitor", ipv6=V6), V6),
    "dual-stack": Scenario(Host("visitor", V4, V6), V6),
    "dual-stack, relay behind an IPv4-only proxy": Scenario(Host("visitor", V4, V6), V6, addresses_of(PROXY)),
    "IPv6 without a default route": Scenario(Host("visitor", V4, V6, has_ipv6_route=False), V4),
    "IPv6 dropped on the way": Scenario(Host("visitor", V4, V6), V4, drops_ipv6=True),
}


def names(relay_at: Sequence[str]) -> dict[str, Sequence[str]]:
    assert RELAY.ipv6
    return {
        SHOP_HOST: addresses_of(SHOP),
        META_HOST: addresses_of(META),
        RELAY_HOST: relay_at,
        IPV6_HOST: (RELAY.ipv6,),
    }


def open_shop(lab: NetworkLab, page: Page) -> None:
    page.goto(lab.page("/", head=lab.base_code(page_view=False) + lab.snippet()))
    page.wait_for_function(
        "window.counterfoil && !counterfoil.q && window.fbq && !!fbq.callMethod", polling=POLL_MS
    )


def send_pairs(page: Page, visitor: str = "visitor", number: int = PAIRS) -> None:
    """One after the other: a page may have no more than 64 KiB under way that outlive it."""
    page.evaluate(
        """async ([visitor, number]) => {
          for (let i = 0; i < number; i++) {
            counterfoil('track', 'Lead', {}, { eventID: `${visitor}-${i}` });
            await new Promise((next) => setTimeout(next, 20));
          }
        }""",
        [visitor, number],
    )


def addresses(lab: NetworkLab, number: int = PAIRS) -> dict[str, tuple[str, str]]:
    """By event_id, where the Pixel came from and what the server event says, as the twin has both."""
    lab.wait_for_server("Lead", number)
    browser: Mapping[str, Json] = {event["event_id"]: event for event in lab.half("browser", "Lead")}
    server: Mapping[str, Json] = {event["event_id"]: event for event in lab.half("server", "Lead")}
    assert len(browser) == len(server) == number
    return {event_id: (browser[event_id]["ip"], server[event_id]["ip"]) for event_id in browser}


@pytest.mark.parametrize("scenario", SCENARIOS.values(), ids=SCENARIOS.keys())
def test_the_server_event_names_the_address_that_meta_saw(
    scenario: Scenario, playwright: Playwright, tmp_path: Path
) -> None:
    with (
        Internet(*SERVERS, scenario.visitor) as internet,
        nginx(internet, tmp_path),
        open_network_lab(tmp_path, internet, trusted_proxies=addresses_of(PROXY)) as lab,
        visiting(playwright, internet, "visitor", tmp_path, names(scenario.relay_at)) as browser,
    ):
        if scenario.drops_ipv6:
            internet.drop_ipv6_of("visitor")
        page = browser.new_page()
        open_shop(lab, page)
        send_pairs(page)
        assert set(addresses(lab).values()) == {(scenario.pixel, scenario.pixel)}
        (told,) = lab.receipt("visitor-0")["receipts"]
        assert (told["addresses"]["pixel"], told["addresses"]["agreement"]) == (scenario.pixel, "same")
        report = lab.console("/api/addresses")
        assert (report["events"], report["unknown"]) == (PAIRS, 0)
        assert report["sent_ipv6"] == (PAIRS if scenario.pixel == V6 else 0)
        assert (report["twin"]["pairs"], report["twin"]["rate"]) == (PAIRS, 1.0)


def test_an_ipv6_only_visitor_behind_nat64_is_known_by_the_token(
    playwright: Playwright, tmp_path: Path
) -> None:
    """The relay's name has no IPv6 address, so it sees one of the translator's; the Pixel goes to Meta directly."""
    visitor = Host("visitor", ipv6=V6)
    translated = str(IPv6Address(int(IPv6Address(NAT64[:-3])) + int(IPv4Address(RELAY.ipv4))))
    with (
        Internet(*SERVERS, visitor) as internet,
        internet.nat64(NAT64, NAT64_POOL, tmp_path),
        open_network_lab(tmp_path, internet) as lab,
        visiting(playwright, internet, "visitor", tmp_path, names([translated])) as browser,
    ):
        page = browser.new_page()
        open_shop(lab, page)
        send_pairs(page)
        assert set(addresses(lab).values()) == {(V6, V6)}
        (told,) = lab.receipt("visitor-0")["receipts"]
        by_page, by_token = told["addresses"]["words"]
        assert IPv4Address(by_page["address"]) in IPv4Network(NAT64_POOL)
        assert (by_token["by"], by_token["address"], by_token["sent"]) == ("token", V6, True)


def test_an_address_that_the_relay_cannot_know_is_explained_by_the_receipt(
    playwright: Playwright, tmp_path: Path
) -> None:
    """Dual-stack behind an IPv4-only proxy, and no IPv6-only name of the relay: Meta sees IPv6, the relay IPv4."""
    with (
        Internet(*SERVERS, Host("visitor", V4, V6)) as internet,
        nginx(internet, tmp_path),
        open_network_lab(tmp_path, internet, trusted_proxies=addresses_of(PROXY), has_ipv6_host=False) as lab,
        visiting(playwright, internet, "visitor", tmp_path, names(addresses_of(PROXY))) as browser,
    ):
        page = browser.new_page()
        open_shop(lab, page)
        send_pairs(page)
        assert set(addresses(lab).values()) == {(V6, V4)}
        for number in range(PAIRS):
            (told,) = lab.receipt(f"visitor-{number}")["receipts"]
            assert told["addresses"]["agreement"] == "other family"
            assert "Give the relay's host an AAAA record" in told["addresses"]["sentence"]


def test_two_visitors_behind_one_ipv4_address_stay_two(playwright: Playwright, tmp_path: Path) -> None:
    with (
        Internet(*SERVERS, Host("ann", "10.0.0.2"), Host("bob", "10.0.0.3")) as internet,
        open_network_lab(tmp_path, internet) as lab,
        visiting(playwright, internet, "ann", tmp_path, names(addresses_of(RELAY))) as anns,
        visiting(playwright, internet, "bob", tmp_path, names(addresses_of(RELAY))) as bobs,
    ):
        internet.translate("10.0.0.0/8", V4)
        for visitor, browser in (("ann", anns), ("bob", bobs)):
            page = browser.new_page()
            open_shop(lab, page)
            send_pairs(page, visitor, PAIRS // 2)
        assert set(addresses(lab).values()) == {(V4, V4)}
        browser_ids = {event["event_id"]: event["params"]["fbp"] for event in lab.half("browser", "Lead")}
        server_ids = {
            event["event_id"]: event["params"]["user_data"]["fbp"] for event in lab.half("server", "Lead")
        }
        assert browser_ids == server_ids
        assert len(set(server_ids.values())) == 2


@pytest.mark.parametrize("is_trusted", [True, False], ids=["trusted proxy", "proxy that is not trusted"])
def test_behind_a_real_proxy_only_a_trusted_one_is_believed_and_the_visitor_never(
    is_trusted: bool, playwright: Playwright, tmp_path: Path
) -> None:
    """nginx over TLS and HTTP/2 from Chromium; and a visitor's own client, which writes every header there is."""
    with (
        Internet(*SERVERS, Host("visitor", V4)) as internet,
        nginx(internet, tmp_path) as access_log,
        open_network_lab(
            tmp_path, internet, trusted_proxies=addresses_of(PROXY) if is_trusted else ()
        ) as lab,
        visiting(playwright, internet, "visitor", tmp_path, names(addresses_of(PROXY))) as browser,
    ):
        page = browser.new_page()
        open_shop(lab, page)
        send_pairs(page, number=5)
        with lab.client("visitor", f"https://{PROXY.ipv4}") as spoofing:
            answer = spoofing.post("/v1/events", content=A_POST, headers=ITS_HEADERS | SPOOFED)
        assert answer.json()["accepted"] == 1
        server = {event["event_id"]: event["ip"] for event in lab.wait_for_server("Lead", 6)}
        assert {event["ip"] for event in lab.half("browser", "Lead")} == {V4}
        posts = [line.split() for line in access_log.read_text().splitlines() if line.startswith("POST")]
        cookies = {cookie["name"]: cookie["domain"] for cookie in page.context.cookies()}
    assert set(server.values()) == {V4 if is_trusted else PROXY.ipv4}
    assert posts.count(["POST", "/v1/events", "HTTP/2.0", "202"]) == 5
    assert cookies["_fbp"] == ".shop.example", (
        "the relay's answer passed the proxy, and CORS let the page have it"
    )
