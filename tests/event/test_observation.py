"""A token counts for its site, its nonce and half an hour; no other text does. IPv6 wins, and the reasons are told."""

from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from itsdangerous import Signer, URLSafeSerializer

from relay.event.address import Address, ClientAddress
from relay.event.observation import (
    CLOCK_SKEW_MS,
    MAX_AGE_MS,
    TOKEN_MAX,
    Doubt,
    Observation,
    addresses_why,
    read_observation,
    sent_address,
    sign_observation,
    weigh,
)
from relay.event.records import BrowserEvent, SeenAddress
from relay.event.wire import parse_event
from relay.settings import AddressHosts
from tests.event.malformed import PIXEL_ID, good_event

NOW_MS = 1_763_859_600_000
KEYS = ("k" * 32,)
SITE = "shop"
NONCE = "5d0b7f9e-6f0c-4d8e-9d53-0c3c7e3f9a10"
V6 = ip_address("2001:db8::9")
V4 = ip_address("192.0.2.7")
BOTH = AddressHosts(ipv6="https://v6.relay.example", ipv4="https://v4.relay.example")

ADDRESSES = st.integers(0, 2**32 - 1).map(IPv4Address) | st.integers(0, 2**128 - 1).map(IPv6Address)


def sign(address: Address = V6, **changes: Any) -> str:
    told: dict[str, Any] = {"site": SITE, "nonce": NONCE, "now_ms": NOW_MS} | changes
    return sign_observation(told.pop("keys", KEYS), address, **told)


def read(token: str, **changes: Any) -> Observation | Doubt:
    asked: dict[str, Any] = {"site": SITE, "nonce": NONCE, "now_ms": NOW_MS} | changes
    return read_observation(asked.pop("keys", KEYS), token, **asked)


# Tokens


@given(ADDRESSES, st.text(max_size=64), st.text(max_size=64), st.integers(0, 2**32 * 1_000 - 1))
def test_a_token_says_what_was_signed_and_is_short_and_fit_for_urls(
    address: Address, site: str, nonce: str, now_ms: int
) -> None:
    token = sign(address, site=site, nonce=nonce, now_ms=now_ms)
    found = read(token, site=site, nonce=nonce, now_ms=now_ms)
    assert found == Observation(address, now_ms // 1_000 * 1_000)
    assert len(token) <= TOKEN_MAX
    assert set(token) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.")


def test_the_lengths_are_known() -> None:
    assert (len(sign(V6)), len(sign(V4))) == (92, 76)


@pytest.mark.parametrize("address", [V6, V4])
def test_a_token_with_any_bit_flipped_is_forged(address: Address) -> None:
    token = sign(address).encode()
    for at in range(len(token)):
        for bit in range(8):
            flipped = token[:at] + bytes([token[at] ^ 1 << bit]) + token[at + 1 :]
            assert read(flipped.decode("latin-1")) is Doubt.FORGED


@settings(max_examples=500)
@given(st.data())
def test_a_token_changed_in_any_way_is_forged(data: st.DataObject) -> None:
    token = sign()
    start = data.draw(st.integers(0, len(token)))
    end = data.draw(st.integers(start, len(token)))
    put = data.draw(st.text(max_size=8) | st.sampled_from([".", "=", "\n", " ", "A", token]))
    changed = token[:start] + put + token[end:]
    if changed != token:
        assert read(changed) is Doubt.FORGED


@given(st.text() | st.text(st.characters(categories=["Cs"])))
def test_any_text_can_be_read_and_none_is_believed(text: str) -> None:
    assert read(text) is Doubt.FORGED
    assert read(sign(), nonce=text) is Doubt.OTHER_NONCE


def test_a_token_of_another_relay_or_purpose_is_forged() -> None:
    assert read(sign(keys=("x" * 32,))) is Doubt.FORGED
    text, _, _ = sign().rpartition(".")
    assert read(Signer(KEYS[0], salt="counterfoil.session").sign(text).decode()) is Doubt.FORGED
    assert read(str(URLSafeSerializer(KEYS[0], salt="counterfoil.address.1").dumps("x"))) is Doubt.FORGED


def test_without_keys_nothing_is_believed() -> None:
    assert read(sign(), keys=()) is Doubt.FORGED


def test_a_token_of_another_site_or_page_session_does_not_count() -> None:
    assert read(sign(site="other")) is Doubt.OTHER_SITE
    assert read(sign(nonce="0" * 36)) is Doubt.OTHER_NONCE
    assert read(sign(), nonce="") is Doubt.OTHER_NONCE


@pytest.mark.parametrize(
    ("age_ms", "counts"),
    [
        (0, True),
        (MAX_AGE_MS, True),
        (MAX_AGE_MS + 1, False),
        (10 * MAX_AGE_MS, False),
        (-CLOCK_SKEW_MS, True),
        (-CLOCK_SKEW_MS - 1, False),
    ],
)
def test_a_token_counts_for_half_an_hour(age_ms: int, counts: bool) -> None:
    assert (read(sign(), now_ms=NOW_MS + age_ms) is Doubt.TOO_OLD) is not counts


def test_keys_rotate() -> None:
    old, both, new = ("o" * 32,), ("o" * 32, "n" * 32), ("n" * 32,)
    assert read(sign(keys=old), keys=both) == Observation(V6, NOW_MS)
    assert read(sign(keys=both), keys=new) == Observation(V6, NOW_MS)
    assert read(sign(keys=old), keys=new) is Doubt.FORGED


# Which address is sent


def connection(address: str | None) -> ClientAddress:
    if address is None:
        return ClientAddress(address=None, family=None, source="none", why="nobody knows")
    family = ip_address(address).version
    return ClientAddress(
        address=address, family="ipv4" if family == 4 else "ipv6", source="peer", why="the other end"
    )


def weighed(seen: str | None, *tokens: str, **changes: Any) -> tuple[SeenAddress, ...]:
    raw = good_event(addresses=list(tokens), address_nonce=NONCE)
    event = parse_event(raw, pixel_ids=[PIXEL_ID])
    assert isinstance(event, BrowserEvent)
    told: dict[str, Any] = {
        "keys": KEYS,
        "site": SITE,
        "hosts": BOTH,
        "accept_private": False,
        "now_ms": NOW_MS,
    }
    return weigh(connection(seen), event, **told | changes)


@pytest.mark.parametrize(
    ("seen", "tokens", "sent"),
    [
        ("192.0.2.1", [], "192.0.2.1"),
        ("192.0.2.1", [V6], "2001:db8::9"),
        ("192.0.2.1", [V4], "192.0.2.1"),
        ("192.0.2.1", [V4, V6], "2001:db8::9"),
        ("2001:db8::1", [V6, V4], "2001:db8::1"),
        (None, [V4], "192.0.2.7"),
        (None, [V4, V6], "2001:db8::9"),
        (None, [], None),
    ],
)
def test_ipv6_wins_over_ipv4_and_the_connection_over_a_token(
    seen: str | None, tokens: list[Address], sent: str | None
) -> None:
    words = weighed(seen, *map(sign, tokens))
    assert sent_address(words) == sent
    assert [word.address for word in words] == [seen, *map(str, tokens)]
    assert sum(word.sent for word in words) == (sent is not None)


def test_the_younger_of_two_tokens_counts() -> None:
    younger = ip_address("2001:db8::8")
    for tokens in (
        [sign(younger), sign(now_ms=NOW_MS - 60_000)],
        [sign(now_ms=NOW_MS - 60_000), sign(younger)],
    ):
        assert sent_address(weighed("192.0.2.1", *tokens)) == "2001:db8::8"


@pytest.mark.parametrize(
    ("token", "changes", "doubt"),
    [
        (sign(keys=("x" * 32,)), {}, Doubt.FORGED),
        (sign(site="other"), {}, Doubt.OTHER_SITE),
        (sign(nonce="0" * 36), {}, Doubt.OTHER_NONCE),
        (sign(now_ms=NOW_MS - 2 * MAX_AGE_MS), {}, Doubt.TOO_OLD),
        (sign(), {"hosts": AddressHosts()}, Doubt.NOT_TAKEN),
        (sign(), {"hosts": AddressHosts(ipv4="https://v4.relay.example")}, Doubt.NOT_TAKEN),
        (sign(ip_address("fd00::1")), {}, Doubt.NOT_PUBLIC),
        (sign(ip_address("::ffff:10.0.0.1")), {}, Doubt.NOT_PUBLIC),
    ],
)
def test_a_token_that_does_not_count_changes_nothing_and_the_reason_is_told(
    token: str, changes: dict[str, Any], doubt: Doubt
) -> None:
    words = weighed("192.0.2.1", token, **changes)
    assert sent_address(words) == "192.0.2.1"
    assert (words[1].address, words[1].why) == (None, doubt)
    assert addresses_why(words)["client_ip_address_tokens"] == doubt


def test_the_reasons_name_the_token_that_was_sent_and_the_connection_that_was_not() -> None:
    words = weighed("192.0.2.1", sign(now_ms=NOW_MS - 12_000))
    why = addresses_why(words)
    assert why["client_ip_address_source"] == "token"
    assert why["client_ip_address"] == "this relay saw the browser at it 12 s before, and signed that"
    assert why["client_ip_address_connection"].startswith("the other end; not sent")
    assert "client_ip_address_tokens" not in why
    assert not any("192.0.2.1" in sentence or "2001:db8" in sentence for sentence in why.values())


@settings(max_examples=300)
@given(
    st.sampled_from([None, "192.0.2.1", "2001:db8::1"]),
    st.lists(st.text(max_size=110) | st.builds(lambda cut: sign()[:cut], st.integers(0, 91)), max_size=4),
)
def test_forged_tokens_never_change_the_address(seen: str | None, tokens: list[str]) -> None:
    assert sent_address(weighed(seen, *tokens)) == seen
