"""A page as a real server sends it: tag, base code, policy, other loaders."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from relay.doctor.finding import Check, Finding, Status
from relay.doctor.markup import Markup
from relay.doctor.page import check_page
from relay.doctor.page_policy import needs
from relay.senders import SENDERS
from relay.settings import AddressHosts, Pixel
from relay.tag import META_PIXEL, PINNED, STUB, integrity, policy_line, script_tag
from tests.doctor.lab import (
    BASE_CODE,
    PIXEL,
    SITE,
    Shop,
    certified,
    network_of,
    only,
    relay_on_loopback,
    served,
    settings_for,
    subject_of,
)

pytestmark = pytest.mark.anyio

RELAY = "https://relay.shop.example"
TAG = script_tag(RELAY, SITE, radar_share=0.1)
META = f"<script>{BASE_CODE}</script>"
GOOD = f"<head><script>{STUB}</script>{TAG}{META}</head>"
NO_HOSTS = AddressHosts()


async def look(
    html: str = GOOD,
    *,
    headers: Mapping[str, str] | None = None,
    pixels: tuple[str, ...] = (PIXEL,),
    hosts: AddressHosts = NO_HOSTS,
    status: int = 200,
    relay: str = RELAY,
) -> dict[Check, Finding]:
    """By check, what is found on a page of the site with this HTML; of several the first that is not well."""
    async with served(Shop(html, headers, status).app) as port, network_of() as network:
        origin = f"http://shop.example:{port}"
        settings = settings_for(
            Path(),
            relay,
            origins=[origin],
            pixels=[Pixel(id=pixel) for pixel in pixels],
            address_hosts=hosts,
        )
        found = await check_page(subject_of(settings, f"{origin}/cart?x=1"), network)
    return {
        finding.check: finding for finding in sorted(found, key=lambda each: each.status is not Status.OK)
    }


async def test_a_good_page_is_well_in_every_respect() -> None:
    found = await look()
    assert {check: finding.status for check, finding in found.items()} == dict.fromkeys(
        (Check.PAGE, Check.SNIPPET, Check.BASE_CODE, Check.CSP, Check.LOADERS), Status.OK
    )
    assert found[Check.SNIPPET].seen == "found, before Meta's base code"
    assert found[Check.BASE_CODE].seen == f"initialises {PIXEL}; the site has {PIXEL}"
    assert found[Check.CSP].seen == "no policy is enforced"


async def test_without_a_page_nothing_is_looked_at() -> None:
    async with network_of() as network:
        found = await check_page(subject_of(settings_for(Path(), RELAY)), network)
    assert {finding.status for finding in found} == {Status.SKIPPED}
    assert {finding.fix for finding in found} == {"Name a page of the shop by --url."}


async def test_a_page_that_is_not_there_fails() -> None:
    found = await look(status=404)
    assert (found[Check.PAGE].status, found[Check.PAGE].seen) == (Status.FAIL, "HTTP 404")
    async with network_of() as network:
        gone, *rest = await check_page(
            subject_of(settings_for(Path(), RELAY), "http://127.0.0.1:9/"), network
        )
    assert {finding.status for finding in rest} == {Status.SKIPPED}
    assert (gone.status, "does not answer" in gone.seen) == (Status.FAIL, True)


async def test_a_page_of_another_origin_fails() -> None:
    async with served(Shop(GOOD).app) as port, network_of() as network:
        url = f"http://www.shop.example:{port}/"
        found = await check_page(subject_of(settings_for(Path(), RELAY), url), network)
    page = only(found, Check.PAGE)
    assert (page.status, page.fix) == (
        Status.FAIL,
        f"Add http://www.shop.example:{port} to the origins of the site demo-shop, and restart the relay.",
    )


async def test_redirects_are_followed_to_the_page_that_a_visitor_sees() -> None:
    async with (
        served(Shop(GOOD).app, tls=certified("shop.example")) as port,
        network_of() as network,
    ):
        target = f"https://shop.example:{port}"
        async with served(Shop("", {"location": f"{target}/de/"}, 301).app) as first:
            settings = settings_for(Path(), RELAY, origins=[target])
            subject = subject_of(settings, f"http://shop.example:{first}/")
            page = only(await check_page(subject, network), Check.PAGE)
    assert (page.status, page.about) == (Status.OK, f"{target}/de/")


@pytest.mark.parametrize(
    ("tags", "status", "said"),
    [
        ("", Status.FAIL, "no script tag with data-site"),
        (TAG.replace(SITE, "other-shop"), Status.FAIL, "data-site is 'other-shop'"),
        (TAG.replace("relay.shop", "old.shop"), Status.FAIL, "src is https://old.shop.example/c.js"),
        (TAG.replace("/c.js", "/t.js"), Status.FAIL, "src is https://relay.shop.example/t.js"),
        (TAG + TAG, Status.WARN, "2 tags"),
        (f"{META}{TAG}", Status.OK, "found, after Meta's base code"),
    ],
)
async def test_the_tag_must_be_the_sites_own(tags: str, status: Status, said: str) -> None:
    finding = (await look(f"{tags}{META}"))[Check.SNIPPET]
    assert (finding.status, said in finding.seen) == (status, True)
    assert (finding.fix is None) is (status is Status.OK)
    if status is Status.FAIL:
        assert TAG in (finding.fix or "")


async def test_the_tag_must_say_what_the_settings_say_of_consent() -> None:
    finding = (await look(TAG.replace("></script>", ' data-consent="tcf"></script>') + META))[Check.SNIPPET]
    assert (finding.status, finding.seen) == (Status.FAIL, "data-consent is 'tcf'")


async def test_a_relay_below_a_path_must_be_posted_to_below_it() -> None:
    relay = f"{RELAY}/r"
    wrong = f'<script src="{relay}/c.js" data-site="{SITE}"></script>'
    finding = (await look(wrong + META, relay=relay))[Check.SNIPPET]
    assert (finding.status, finding.seen) == (Status.FAIL, f"it posts to {RELAY}/v1/events")
    assert (await look(script_tag(relay, SITE) + META, relay=relay))[Check.SNIPPET].status is Status.OK


async def test_a_pinned_tags_hash_must_be_that_of_the_script(tmp_path: Path) -> None:
    async with relay_on_loopback(tmp_path) as subject, network_of() as network:
        script = (await network.ask("GET", f"{subject.relay}/{PINNED}")).body
        right, altered = (
            script_tag(subject.relay, SITE, integrity=integrity(body)) for body in (script, script + b" ")
        )
        assert (await look(right + META, relay=subject.relay))[Check.SNIPPET].status is Status.OK
        finding = (await look(altered + META, relay=subject.relay))[Check.SNIPPET]
    assert (finding.status, "--pinned" in (finding.fix or "")) == (Status.FAIL, True)
    gone = (await look(right + META, relay=subject.relay))[Check.SNIPPET]
    assert gone.status is Status.FAIL


async def test_the_tag_must_name_the_address_hosts() -> None:
    hosts = AddressHosts(ipv6="https://v6.shop.example")
    right = script_tag(RELAY, SITE, hosts, radar_share=0.1)
    without = (await look(hosts=hosts))[Check.SNIPPET]
    assert (without.status, right in (without.fix or "")) == (Status.WARN, True)
    assert (await look(right + META, hosts=hosts))[Check.SNIPPET].status is Status.OK


@pytest.mark.parametrize(
    ("html", "pixels", "status", "said"),
    [
        (TAG, (PIXEL,), Status.FAIL, "initialises no pixel"),
        (
            TAG + '<script src="https://www.googletagmanager.com/gtm.js?id=GTM-1">',
            (PIXEL,),
            Status.WARN,
            "may add",
        ),
        (GOOD, (PIXEL, "42"), Status.WARN, "42 has no browser half"),
        (GOOD + "<script>fbq('init', '42')</script>", (PIXEL,), Status.WARN, "42 has no server half"),
        (GOOD + "<script>fbq('init', '42')</script>", (PIXEL, "42"), Status.OK, f"initialises {PIXEL}, 42"),
    ],
)
async def test_the_pages_pixels_must_be_the_sites(
    html: str, pixels: tuple[str, ...], status: Status, said: str
) -> None:
    finding = (await look(html, pixels=pixels))[Check.BASE_CODE]
    assert (finding.status, said in finding.seen) == (status, True)


async def test_the_policy_line_that_snippet_prints_is_enough() -> None:
    policy = f"{policy_line(RELAY)} 'unsafe-inline'".replace("script-src", "script-src 'unsafe-inline'")
    finding = (await look(headers={"content-security-policy": policy}))[Check.CSP]
    assert (finding.status, finding.seen) == (
        Status.OK,
        "the policy allows what the snippet and the Pixel need",
    )


@pytest.mark.parametrize(
    ("directive", "source", "status"),
    [
        ("script-src", RELAY, Status.FAIL),
        ("script-src", "https://connect.facebook.net", Status.FAIL),
        ("connect-src", RELAY, Status.FAIL),
        ("img-src", META_PIXEL, Status.FAIL),
        ("form-action", META_PIXEL, Status.WARN),
        ("frame-src", META_PIXEL, Status.WARN),
    ],
)
async def test_each_missing_source_is_named(directive: str, source: str, status: Status) -> None:
    line = policy_line(RELAY).replace("script-src", "script-src 'unsafe-inline'")
    parts = [
        part.replace(source, "'none'") if part.strip().startswith(directive) else part
        for part in line.split(";")
    ]
    finding = (await look(headers={"content-security-policy": ";".join(parts)}))[Check.CSP]
    assert (finding.status, finding.fix) == (status, f"Merge into the page's policy: {directive} {source}")


@pytest.mark.parametrize(
    ("nonces", "status"),
    [(("abc", "abc"), Status.OK), (("abc", None), Status.FAIL), ((None, "abc"), Status.FAIL)],
)
async def test_a_strict_policy_needs_its_nonce_on_the_tag_and_on_the_base_code(
    nonces: tuple[str | None, str | None], status: Status
) -> None:
    tag, meta = (
        html.replace("<script", f'<script nonce="{nonce}"') if nonce else html
        for html, nonce in zip((TAG, META), nonces, strict=True)
    )
    headers = {"content-security-policy": "script-src 'nonce-abc' 'strict-dynamic'"}
    assert (await look(tag + meta, headers=headers))[Check.CSP].status is status


async def test_an_address_host_must_be_in_the_policy_too() -> None:
    hosts = AddressHosts(ipv6="https://v6.shop.example")
    policy = policy_line(RELAY).replace("script-src", "script-src 'unsafe-inline'")
    finding = (await look(headers={"content-security-policy": policy}, hosts=hosts))[Check.CSP]
    assert finding.fix == "Merge into the page's policy: connect-src https://v6.shop.example"


async def test_a_policy_in_a_meta_tag_that_blocks_the_base_code_is_told_with_its_hash() -> None:
    html = f'<meta http-equiv="content-security-policy" content="script-src https:">{GOOD}'
    finding = (await look(html))[Check.CSP]
    assert finding.status is Status.FAIL
    assert finding.seen.startswith("lacking: script-src 'sha256-")


async def test_several_policies_are_mended_one_by_one() -> None:
    policy = policy_line(RELAY).replace("script-src", "script-src 'unsafe-inline'")
    several = {
        "content-security-policy": f"{policy}, default-src 'self' 'unsafe-inline' https:, img-src data:"
    }
    finding = (await look(headers=several))[Check.CSP]
    assert (finding.status, finding.fix) == (
        Status.FAIL,
        "Merge into the page's policy: img-src https://www.facebook.com",
    )
    several = {
        "content-security-policy": f"{policy.replace('img-src', 'img-src data:; x')}, frame-src 'none'"
    }
    finding = (await look(headers=several))[Check.CSP]
    assert finding.fix == (
        "Merge into the page's policy: img-src https://www.facebook.com, "
        "and into another of its policies: frame-src https://www.facebook.com"
    )


async def test_a_directive_that_is_new_keeps_what_the_page_has_today() -> None:
    policy = (
        policy_line(RELAY).replace("script-src", "script-src 'unsafe-inline'").replace("img-src", "x-src")
    )
    finding = (await look(headers={"content-security-policy": f"default-src 'self'; {policy}"}))[Check.CSP]
    assert finding.seen == "lacking: img-src https://www.facebook.com"
    assert finding.fix == "Merge into the page's policy: img-src 'self' https://www.facebook.com"


async def test_a_twins_page_needs_the_twin() -> None:
    twin = "http://127.0.0.1:8320"
    html = GOOD.replace("https://connect.facebook.net", twin)
    policy = "default-src 'none'; script-src 'unsafe-inline'"
    finding = (await look(html, headers={"content-security-policy": policy}))[Check.CSP]
    assert f"img-src {twin}" in finding.seen
    assert "facebook" not in finding.seen


def test_every_source_is_asked_for_at_an_address_of_its_own() -> None:
    page = Markup(url="https://shop.example/", text="", scripts=(), policies=())
    subject = subject_of(
        settings_for(Path(), RELAY, address_hosts=AddressHosts(ipv6="https://v6.shop.example"))
    )
    assert [(need.directive, need.url) for need in needs(subject, page)][:6] == [
        ("script-src", f"{RELAY}/c.js"),
        ("script-src", "https://connect.facebook.net/en_US/fbevents.js"),
        ("connect-src", f"{RELAY}/v1/events"),
        ("connect-src", "https://v6.shop.example/v1/address"),
        ("connect-src", "https://www.facebook.com/tr/"),
        ("connect-src", "https://connect.facebook.net/en_US/fbevents.js"),
    ]


MARKS = {
    "Conversions API Gateway (openbridge)": [
        "<script>fbq('set', 'openbridge', '42', location.origin + '/gw');</script>",
        "<script>var url = window.location.origin + '?ob=open-bridge';</script>",
    ],
    "Signals Gateway or Conversions API Gateway script": [
        '<script src="https://gw.conversionsapigateway.com/sdk/42/x.js"></script>',
        '<script src="https://events.shop.example/sdk/capig-events.js"></script>',
    ],
    "GTM server container": [
        '<script async src="https://sgtm.shop.example/gtm.js?id=GTM-ABC"></script>',
        "<script>j.src='https://shop.example/metrics/gtm.js?id='+i+dl;</script>",
        "<script>gtag('config', 'G-1', {server_container_url: 'https://sgtm.shop.example'})</script>",
    ],
    "Google Tag Manager": ["<script>j.src='https://www.googletagmanager.com/gtm.js?id='+i+dl;</script>"],
    "Facebook for WooCommerce": [
        "<!-- WooCommerce Facebook Integration Begin -->",
        "<script>fbq('init', '1', {}, {\"agent\": \"woocommerce-7.8.0-3.2.6\"});</script>",
    ],
    "Meta pixel for WordPress": [
        "<script>fbq('init', '1', {}, {\"agent\": \"wordpress-6.9.4-4.1.5\"})</script>"
    ],
    "PixelYourSite": [
        '<script src="/wp-content/plugins/pixelyoursite-pro/dist/scripts/public.js"></script>',
        "<script>var pysOptions = {};</script>",
    ],
    "Shopify's Facebook pixel": [
        r'<script>webPixelsConfigList: [{"configuration":"{\"pixel_id\":\"1\",\"pixel_type\":\"facebook_pixel\"}"}]'
        "</script>"
    ],
    "Cloudflare Zaraz": ['<script src="/cdn-cgi/zaraz/s.js?z=1"></script>'],
    "Segment": ['<script>t.src="https://cdn.segment.com/analytics.js/v1/" + key</script>'],
    "RudderStack": ['<script src="https://cdn.rudderlabs.com/v3/modern/rsa.min.js"></script>'],
}


def test_every_loader_has_a_mark_in_these_tests() -> None:
    assert list(MARKS) == [sender.name for sender in SENDERS]


@pytest.mark.parametrize(("name", "html"), [(name, html) for name, marks in MARKS.items() for html in marks])
def test_each_loader_is_known_by_its_mark_and_by_no_other(name: str, html: str) -> None:
    assert [sender.name for sender in SENDERS if sender.is_in(GOOD + html)] == [name]


async def test_a_loader_that_sends_fails_and_one_that_may_send_is_told() -> None:
    sends = (await look(GOOD + MARKS["Conversions API Gateway (openbridge)"][0]))[Check.LOADERS]
    may = (await look(GOOD + MARKS["PixelYourSite"][0]))[Check.LOADERS]
    assert (sends.status, " sends server events" in sends.seen) == (Status.FAIL, True)
    assert (may.status, "may send" in may.seen, "Conversions API off" in (may.fix or "")) == (
        Status.WARN,
        True,
        True,
    )


async def test_a_pixel_that_is_initialised_twice_is_told() -> None:
    finding = (await look(GOOD + META))[Check.LOADERS]
    assert (finding.status, finding.fix) == (Status.WARN, f"Keep one fbq('init', '{PIXEL}').")
