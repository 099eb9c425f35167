"""What a shop puts into its pages."""

import re
from pathlib import Path

import msgspec
import pytest

from relay.settings import Pixel, Site
from relay.tag import STUB, integrity, policy_line, script_tag, site_tag


def test_the_tag_loads_the_snippet_from_the_relay_and_names_the_site() -> None:
    tag = script_tag("https://relay.shop.example", "demo-shop")
    assert tag == '<script async src="https://relay.shop.example/c.js" data-site="demo-shop"></script>'


@pytest.mark.parametrize(
    "place", ["wordpress/counterfoil/counterfoil.php", "python/counterfoil_shop/__init__.py"]
)
def test_the_integrations_have_the_stub_of_the_tag(place: str) -> None:
    source = (Path(__file__).parent.parent / "integrations" / place).read_text()
    written = re.sub(r'"\n\s+"', "", source).replace(
        "\\$", "$"
    )  # Python's lines joined, PHP's dollar as it is
    assert STUB in written


def test_the_tag_asks_for_consent_where_the_site_does() -> None:
    asked = script_tag("https://relay.shop.example", "demo-shop", consent="tcf", gpc="drop")
    assert asked.endswith('/c.js" data-site="demo-shop" data-consent="tcf" data-gpc="drop"></script>')
    assert ' data-consent="">' in script_tag("https://relay.shop.example", "demo-shop", consent="")


def test_a_relay_below_a_path_is_posted_to_below_it() -> None:
    tag = script_tag("https://shop.example/r", "demo-shop")
    assert tag.endswith(
        '/r/c.js" data-site="demo-shop" data-endpoint="https://shop.example/r/v1/events"></script>'
    )


def test_the_sites_settings_make_its_tag() -> None:
    pixels = (Pixel(id="1"),)
    plain = Site(key="demo-shop", origins=("https://shop.example",), pixels=pixels)
    asking = msgspec.structs.replace(plain, consent="required", gpc="drop")
    assert site_tag("https://r.example", plain) == script_tag(
        "https://r.example", "demo-shop", radar_share=0.1
    )
    blind = msgspec.structs.replace(plain, radar_share=0)
    assert site_tag("https://r.example", blind) == script_tag("https://r.example", "demo-shop")
    assert site_tag("https://r.example", asking) == script_tag(
        "https://r.example", "demo-shop", consent="", gpc="drop", radar_share=0.1
    )


def test_a_pinned_tag_names_version_and_hash() -> None:
    """The hash is a known value: the SHA-384 of the empty text."""
    tag = script_tag("https://relay.shop.example", "demo-shop", integrity=integrity(b""))
    known = "sha384-OLBgp1GsljhM2TJ+sbHjaiH9txEUvgdDTAzHv2P24donTt6/529l+9Ua0vFImLlb"
    assert f'src="https://relay.shop.example/c.v1.js" integrity="{known}" crossorigin="anonymous"' in tag


def test_nothing_in_the_settings_can_break_out_of_the_tag() -> None:
    tag = script_tag('https://relay.example/"><script>alert(1)</script>', "demo")
    assert tag.count("<script") == tag.count("</script>") == 1
    assert tag.count('"') == 6  # a path brings data-endpoint


def test_the_policy_names_the_relay_and_metas_two_hosts() -> None:
    assert policy_line("https://relay.shop.example") == (
        "script-src https://relay.shop.example https://connect.facebook.net; "
        "connect-src https://relay.shop.example https://www.facebook.com https://connect.facebook.net; "
        "img-src https://www.facebook.com; "
        "form-action https://www.facebook.com; "
        "frame-src https://www.facebook.com"
    )


@pytest.mark.parametrize("url", ["https://shop.example/relay", "https://shop.example"])
def test_a_relay_below_a_path_is_allowed_by_its_origin(url: str) -> None:
    """A source with a path would match that one path only."""
    assert policy_line(url).startswith("script-src https://shop.example https://connect.facebook.net;")
