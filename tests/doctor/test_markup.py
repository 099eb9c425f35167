"""What is read out of a page's HTML."""

import httpx
from hypothesis import given
from hypothesis import strategies as st

from relay.doctor.markup import Markup, read_markup
from relay.doctor.network import Answer
from tests.doctor.lab import BASE_CODE, PIXEL


def markup(html: str | bytes, **headers: str) -> Markup:
    body = html.encode() if isinstance(html, str) else html
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return read_markup(
        Answer(url="https://shop.example/a/", status=200, headers=httpx.Headers(named), body=body)
    )


def test_scripts_come_in_order_with_absolute_addresses_and_attributes() -> None:
    first, second, third = markup(
        '<script async src="/c.js" data-site="x" data-site="y"></script><script>a < b && "</p>"</script>'
        "<SCRIPT SRC=other.js nonce=n></SCRIPT>"
    ).scripts
    assert (first.src, first.attributes["data-site"]) == ("https://shop.example/c.js", "x")
    assert (second.src, second.text) == (None, 'a < b && "</p>"')
    assert (third.src, third.attributes["nonce"]) == ("https://shop.example/a/other.js", "n")


def test_addresses_are_relative_to_the_base() -> None:
    assert (
        markup('<base href="https://cdn.example/"><script src="c.js">').scripts[0].src
        == "https://cdn.example/c.js"
    )


def test_a_marked_section_is_a_comment_as_in_a_browser() -> None:
    (script,) = markup("<![if IE]><script src=/c.js></script><![<script>").scripts
    assert script.src == "https://shop.example/c.js"


def test_what_is_no_address_stays_as_it_is() -> None:
    assert markup('<base href="http://[x"><script src="http://[">').scripts[0].src == "http://["


def test_policies_of_meta_tags_are_read_and_report_only_ones_are_not() -> None:
    page = markup(
        '<meta http-equiv="Content-Security-Policy" content="img-src \'none\'">'
        '<meta http-equiv="Content-Security-Policy-Report-Only" content="default-src \'none\'">'
    )
    assert page.policies == ("img-src 'none'",)


def test_every_initialised_pixel_is_found_once_for_each_call() -> None:
    page = markup(
        f"<script>{BASE_CODE}</script><script>fbq( \"init\" , 42, {{}});fbq('init','{PIXEL}')</script>"
    )
    assert page.pixel_ids() == (PIXEL, "42", PIXEL)
    assert markup(f"<script></script><p>fbq('init', '{PIXEL}')</p>").pixel_ids() == ()


def test_metas_script_is_found_where_the_page_takes_it_from() -> None:
    assert (
        markup(f"<script>{BASE_CODE}</script>").meta_script()
        == "https://connect.facebook.net/en_US/fbevents.js"
    )
    assert markup("<script src=http://127.0.0.1:1/x/fbevents.js></script>").meta_script() == (
        "http://127.0.0.1:1/x/fbevents.js"
    )
    assert markup("<script>fbq('init', '1')</script>").meta_script() is None


def test_the_charset_of_the_header_is_believed_and_an_unknown_one_is_utf_8() -> None:
    assert "ü" in markup("ü".encode("latin-1"), content_type="text/html; charset=latin-1").text
    assert "ü" in markup("ü", content_type="text/html; charset=martian").text


@given(st.binary(max_size=300) | st.text("<>/='\"!-scriptmeta &;", max_size=300).map(str.encode))
def test_any_bytes_are_read_without_an_error(body: bytes) -> None:
    page = markup(body)
    assert all(script.src is None or isinstance(script.src, str) for script in page.scripts)
