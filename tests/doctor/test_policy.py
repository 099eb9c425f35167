"""What a policy allows: fallbacks, hosts, nonces, hashes, and several policies at once."""

import pytest

from relay.doctor.markup import Script
from relay.doctor.policy import Need, amended, blocks_inline, hash_source, lacking, parse_policies

PAGE = "https://shop.example/cart"


def allowed(policy: str, url: str, directive: str = "connect-src", **more: object) -> bool:
    need = Need(directive=directive, source=url, url=url, **more)  # type: ignore[arg-type] # nonce or by_script
    return not any(lacking(each, [need], PAGE) for each in parse_policies([policy], []))


@pytest.mark.parametrize(
    ("source", "url", "yes"),
    [
        ("https://relay.example", "https://relay.example/v1/events", True),
        ("relay.example", "https://relay.example/v1/events", True),
        ("RELAY.example", "https://relay.example/v1/events", True),
        ("relay.example:443", "https://relay.example/v1/events", True),
        ("relay.example:*", "https://relay.example:8443/v1/events", True),
        ("relay.example", "https://relay.example:8443/v1/events", False),
        ("http://relay.example", "https://relay.example/v1/events", True),
        ("https://relay.example", "http://relay.example/v1/events", False),
        ("*.example", "https://relay.example/v1/events", True),
        ("*.relay.example", "https://relay.example/v1/events", False),
        ("*.relay.example", "https://a.relay.example/v1/events", True),
        ("https://relay.example/v1/", "https://relay.example/v1/events", True),
        ("https://relay.example/v1", "https://relay.example/v1/events", False),
        ("https://relay.example/v1/events", "https://relay.example/v1/events", True),
        ("https:", "https://relay.example/v1/events", True),
        ("data:", "https://relay.example/v1/events", False),
        ("*", "https://relay.example/v1/events", True),
        ("'self'", "https://shop.example/v1/events", True),
        ("'self'", "https://relay.example/v1/events", False),
        ("'none'", "https://relay.example/v1/events", False),
        ("", "https://relay.example/v1/events", False),
        ("not a:source", "https://relay.example/v1/events", False),
    ],
)
def test_a_source_allows_what_it_names(source: str, url: str, yes: bool) -> None:
    assert allowed(f"connect-src {source}", url) is yes


@pytest.mark.parametrize(
    ("policy", "directive", "yes"),
    [
        ("default-src 'none'", "connect-src", False),
        ("default-src 'none'", "form-action", True),
        ("default-src 'none'; connect-src https:", "connect-src", True),
        ("child-src 'none'; default-src https:", "frame-src", False),
        ("script-src https:; script-src-elem 'none'", "script-src", False),
        ("connect-src https:; connect-src 'none'", "connect-src", True),
        ("style-src 'none'", "connect-src", True),
        ("", "connect-src", True),
    ],
)
def test_the_nearest_directive_decides(policy: str, directive: str, yes: bool) -> None:
    assert allowed(policy, "https://relay.example/c.js", directive) is yes


def test_every_policy_counts_by_itself() -> None:
    need = Need(directive="img-src", source="s", url="https://www.facebook.com/tr/")
    policies = parse_policies(["img-src 'none', img-src *", "img-src https:"], ["img-src data:"])
    assert [lacking(policy, [need], PAGE) for policy in policies] == [
        {"img-src": ["s"]},
        {},
        {},
        {"img-src": ["s"]},
    ]


@pytest.mark.parametrize(
    ("policy", "directive", "line"),
    [
        ("connect-src 'self'", "connect-src", "connect-src NEW"),
        ("default-src 'self' https://cdn.example", "img-src", "img-src 'self' https://cdn.example NEW"),
        ("default-src 'none'", "img-src", "img-src NEW"),
        ("script-src-elem 'self'; script-src 'none'", "script-src", "script-src-elem NEW"),
        ("child-src a.example; default-src 'none'", "frame-src", "frame-src a.example NEW"),
        ("form-action 'self'", "form-action", "form-action NEW"),
    ],
)
def test_a_new_directive_keeps_what_its_fallback_allowed(policy: str, directive: str, line: str) -> None:
    (parsed,) = parse_policies([policy], [])
    assert amended(parsed, directive, ["NEW"]) == line


def test_a_nonce_on_the_tag_stands_for_its_host() -> None:
    policy = "script-src 'nonce-abc'"
    assert allowed(policy, "https://relay.example/c.js", "script-src", nonce="abc")
    assert not allowed(policy, "https://relay.example/c.js", "script-src", nonce="other")


def test_strict_dynamic_ignores_hosts_and_trusts_what_scripts_load() -> None:
    policy = "script-src 'strict-dynamic' 'nonce-abc' https:"
    assert not allowed(policy, "https://relay.example/c.js", "script-src")
    assert allowed(policy, "https://connect.facebook.net/en_US/fbevents.js", "script-src", by_script=True)


@pytest.mark.parametrize(
    ("policy", "blocked"),
    [
        ("script-src 'unsafe-inline'", False),
        ("script-src 'self'", True),
        ("script-src 'unsafe-inline' 'nonce-other'", True),
        ("script-src 'nonce-abc'", False),
        ("script-src HASH", False),
        ("img-src 'none'", False),
    ],
)
def test_an_inline_script_needs_a_nonce_a_hash_or_leave(policy: str, blocked: bool) -> None:
    script = Script(src=None, attributes={"nonce": "abc"}, text="fbq('init')")
    (parsed,) = parse_policies([policy.replace("HASH", hash_source(script))], [])
    assert blocks_inline(parsed, script) is blocked


def test_the_hash_is_that_of_browsers() -> None:
    # An example of the CSP Level 2 specification.
    script = Script(src=None, attributes={}, text="alert('Hello, world.');")
    assert hash_source(script) == "'sha256-qznLcsROx4GACP2dm0UCKCzCG+HiZ1guq6ZZDob/Tng='"
