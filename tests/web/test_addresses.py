"""The Addresses page: the way from the page's family to the one that is sent, and the rate of agreement with a twin."""

from typing import Any

import pytest
from msgspec.structs import replace

from relay.event.outcome import Fate, FateReason
from relay.settings import Privacy
from relay.web.twin_view import AddressWay, read_twin_addresses
from tests.store.samples import event, over_ipv4, seen, with_token
from tests.web.lab import NOW_MS, Relay

pytestmark = pytest.mark.anyio

DAY_MS = 86_400_000


async def report(console: Relay, query: str = "") -> Any:
    response = await console.http.get(f"/api/addresses{query}")
    assert (response.status_code, response.headers["cache-control"]) == (200, "no-store")
    return response.json()


async def page(console: Relay) -> str:
    response = await console.http.get("/addresses", headers={"accept": "text/html"})
    assert response.status_code == 200
    return response.text


async def admit_one_of_each(console: Relay) -> None:
    """IPv6, IPv4, IPv4 with an IPv6 token, no address at all; and a crawler's, which is never sent."""
    await console.store.admit(
        [
            event("v6", addresses=(seen("2001:db8::7", sent=True),)),
            over_ipv4(event_id="v4"),
            with_token(event_id="token"),
            event("none", client_ip_address=None, addresses=(seen(None, "none"),)),
            over_ipv4(event_id="bot", fate=Fate.FILTERED, fate_reason=FateReason.BOT),
        ]
    )


async def test_the_matrix_goes_from_the_page_over_the_token_to_meta(console: Relay) -> None:
    await admit_one_of_each(console)
    answer = await report(console)
    ways = {(way["page"], way["token"]): (way["ipv6"], way["ipv4"], way["none"]) for way in answer["ways"]}
    assert ways == {
        ("ipv6", None): (1, 0, 0),
        ("ipv4", None): (0, 1, 0),
        ("ipv4", "ipv6"): (1, 0, 0),
        (None, None): (0, 0, 1),
    }
    assert [way["share"] for way in answer["ways"]] == [0.25] * 4
    assert (answer["events"], answer["sent_ipv6"], answer["by_token"], answer["unknown"]) == (4, 2, 1, 1)
    assert answer["twin"] is None, "nobody listens at graph_url"


async def test_the_commonest_way_comes_first(console: Relay) -> None:
    await console.store.admit([over_ipv4(event_id=f"e{number}") for number in range(3)])
    await console.store.admit([event("v6", addresses=(seen("2001:db8::7", sent=True),))])
    assert [way["page"] for way in (await report(console))["ways"]] == ["ipv4", "ipv6"]


async def test_the_page_says_in_words_what_was_counted(console: Relay) -> None:
    await admit_one_of_each(console)
    html = await page(console)
    for text in (
        "<b>4</b> events",
        "<b>50.0 %</b> go with an IPv6",
        "<b>25.0 %</b> know it from a signed",
        "not known",
    ):
        assert text in html
    assert "Agreement with the Pixel" not in html


async def test_an_empty_page_says_so(console: Relay) -> None:
    assert "Nothing to count yet" in await page(console)


async def test_site_and_period_narrow_the_counts(console: Relay) -> None:
    await console.store.admit([over_ipv4(), over_ipv4(event_id="e2", site="other-shop")])
    assert (await report(console, "?site=other-shop"))["events"] == 1
    console.clock.now_ms = NOW_MS + 2 * DAY_MS
    await console.sign_in()
    ranges = ("1h", "24h", "7d", "30d")
    assert [(await report(console, f"?range={name}"))["events"] for name in ranges] == [0, 0, 2, 2]


@pytest.mark.parametrize("name", ["0", "2d", "x", "-1", "\u0667d", "7D"])
@pytest.mark.parametrize("path", ["/addresses", "/api/addresses"])
async def test_a_period_that_is_not_offered_is_a_400(console: Relay, path: str, name: str) -> None:
    response = await console.http.get(path, params={"range": name})
    assert (response.status_code, response.json()["error"]["reason"]) == (400, "bad_request")


@pytest.mark.parametrize("path", ["/addresses", "/api/addresses"])
async def test_nobody_reads_it_without_a_session(relay: Relay, path: str) -> None:
    assert (await relay.http.get(path)).status_code == 401


async def test_agreement_with_a_twin_is_a_rate_and_a_table(
    console: Relay, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def addresses() -> dict[str, Any]:
        ways = [("ipv6", "ipv6", 48, 48), ("ipv6", "ipv4", 2, 0)]
        return {"ways": [dict(zip(("pixel", "server", "pairs", "same"), way, strict=True)) for way in ways]}

    monkeypatch.setattr(console.app.state.graph, "twin_addresses", addresses)
    twin = (await report(console))["twin"]
    assert (twin["pairs"], twin["same"], twin["rate"], len(twin["ways"])) == (50, 48, 0.96, 2)
    html = await page(console)
    assert "<b>96.0 %</b>" in html
    assert "0 of 2" in html


def test_what_a_twin_says_is_read_with_care() -> None:
    way = {"pixel": "ipv6", "server": "ipv4", "pairs": 2, "same": 0}
    assert read_twin_addresses({"ways": [way]}) == (AddressWay(pixel="ipv6", server="ipv4", pairs=2, same=0),)
    states: list[dict[str, Any] | None] = [
        None,
        {},
        {"ways": [{}]},
        {"ways": [way | {"pixel": "<b>"}]},
        {"ways": None},
    ]
    for state in states:
        assert read_twin_addresses(state) is None


async def test_a_receipt_shows_networks_where_the_settings_say_so(console: Relay) -> None:
    settings = replace(console.settings, privacy=Privacy(show_addresses="anonymised"))
    console.app.state.settings = settings
    await console.store.admit([with_token()])
    html = (await console.http.get("/receipts/e1", headers={"accept": "text/html"})).text
    assert "2001:db8::/48" in html
    assert "192.0.2.0/24" in html
    assert "2001:db8::9" not in html
    assert "192.0.2.7" not in html
