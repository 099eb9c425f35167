"""What a shop puts into its pages."""

import pytest

from relay.tag import policy_line, script_tag


def test_the_tag_loads_the_snippet_from_the_relay_and_names_the_site() -> None:
    tag = script_tag("https://relay.shop.example", "demo-shop")
    assert tag == '<script async src="https://relay.shop.example/c.js" data-site="demo-shop"></script>'


def test_nothing_in_the_settings_can_break_out_of_the_tag() -> None:
    tag = script_tag('https://relay.example/"><script>alert(1)</script>', "demo")
    assert tag.count("<script") == tag.count("</script>") == 1
    assert tag.count('"') == 4


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
