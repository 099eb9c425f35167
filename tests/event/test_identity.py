"""fbp and fbc are adopted as the browser has them; a click id keeps its letters and its first time."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.event.explain import explain_request
from relay.event.identity import Identity, cookie_domain, resolve_identity, subdomain_index

ROWS: list[dict[str, Any]] = [
    json.loads(line) for line in (Path(__file__).parent / "data/requests.jsonl").read_text().splitlines()
]
NOW_MS = 1_763_859_600_000
FBP = "fb.1.1596403881668.1116446470"
FBC = "fb.1.1554763741205.AbCd"

click_ids = st.text("abcXYZ019_-", min_size=1, max_size=500)
marks = st.sampled_from(["", ".BA", ".AQQCAQMC"])
any_text = st.text(st.characters())
hosts = any_text | st.sampled_from(
    ["shop.example.com", "example.co.uk", "[::1]:80", "203.0.113.7", "localhost"]
)


def resolve(url: str = "https://shop.example.com/", **given: Any) -> Identity:
    known: dict[str, Any] = {
        "referrer": None,
        "cookies": {},
        "posted_fbp": None,
        "posted_fbc": None,
        "now_ms": NOW_MS,
    }
    return resolve_identity(url=url, **(known | given))


@pytest.mark.parametrize("row", ROWS, ids=[row["id"] for row in ROWS])
def test_every_known_request_is_read_as_expected(row: dict[str, Any]) -> None:
    expect = row["expect"]
    answer = explain_request({**row, "now_ms": NOW_MS})
    fbc = expect["fbc"] and expect["fbc"].replace("<TS>", str(NOW_MS))
    assert {name: answer[name] for name in expect} == expect | {"fbc": fbc}


@given(url=any_text | hosts.map(lambda host: f"https://{host}/?fbclid=a"), referrer=any_text, cookie=any_text)
def test_any_text_is_taken_and_only_well_formed_identifiers_come_out(
    url: str, referrer: str, cookie: str
) -> None:
    identity = resolve(
        url, referrer=referrer, cookies={"_fbp": cookie, "_fbc": cookie}, posted_fbp=cookie, posted_fbc=cookie
    )
    for value in (identity.fbp, identity.fbc):
        assert value is None or re.fullmatch(r"fb\.\d+\.\d+\.[\w-]+(\.[\w-]+)?", value, re.ASCII)


@given(click_id=click_ids)
def test_a_new_click_id_keeps_its_case_and_takes_the_time_of_the_event(click_id: str) -> None:
    identity = resolve(f"https://shop.example.com/?fbclid={click_id}")
    assert identity.fbc == f"fb.1.{NOW_MS}.{click_id}"


@given(click_id=click_ids, mark=marks, index=st.integers(0, 9), time_ms=st.integers(10**9, 10**13 - 1))
def test_a_cookie_of_the_same_click_is_kept_to_the_letter(
    click_id: str, mark: str, index: int, time_ms: int
) -> None:
    cookie = f"fb.{index}.{time_ms}.{click_id}{mark}"
    identity = resolve(f"https://shop.example.com/?fbclid={click_id}", cookies={"_fbc": cookie})
    assert identity.fbc == cookie


@given(click_id=click_ids, mark=marks)
def test_a_mark_on_the_old_click_is_never_carried_over_to_a_new_one(click_id: str, mark: str) -> None:
    identity = resolve(f"https://shop.example.com/?fbclid={click_id}0", cookies={"_fbc": f"{FBC}{mark}"})
    assert identity.fbc == f"fb.1.{NOW_MS}.{click_id}0"


def test_click_ids_that_differ_in_case_are_two_clicks() -> None:
    identity = resolve("https://shop.example.com/?fbclid=abcd", posted_fbc=FBC)
    assert identity.fbc == f"fb.1.{NOW_MS}.abcd"


@pytest.mark.parametrize("mark", ["", ".Ag", ".AQQCAQMC"])
def test_a_mark_is_tolerated_and_kept(mark: str) -> None:
    identity = resolve(posted_fbp=FBP + mark, posted_fbc=FBC + mark)
    assert (identity.fbp, identity.fbc) == (FBP + mark, FBC + mark)


@pytest.mark.parametrize(
    "malformed",
    [
        "",
        "fb.1.1763859600000",
        "fb.1.x.1",
        "FB.1.1763859600000.1",
        "fb.1.1763859600000.1.b",
        "fb.1.1763859600000.1.ZZ",
        "fb.1.1763859600000.1 2",
        "fb.1.1763859600000." + "1" * 501,
        "fb.12.1763859600000.1",
        "fb.1.1.1",
        "fb.1.17638596000000.1",
    ],
)
def test_a_malformed_cookie_counts_as_absent(malformed: str) -> None:
    identity = resolve(posted_fbp=malformed, posted_fbc=malformed, cookies={"_fbp": malformed})
    assert (identity.fbp, identity.fbc) == (None, None)


def test_an_fbp_has_digits_only_and_an_fbc_letters_too() -> None:
    identity = resolve(posted_fbp="fb.1.1763859600000.GA1", posted_fbc="fb.1.1763859600000.IwAR-_0")
    assert (identity.fbp, identity.fbc) == (None, "fb.1.1763859600000.IwAR-_0")


def test_what_the_snippet_posted_wins_over_the_requests_cookies() -> None:
    cookies = {"_fbp": "fb.1.1763859600000.2", "_fbc": "fb.1.1763859600000.old"}
    identity = resolve(cookies=cookies, posted_fbp=FBP, posted_fbc=FBC)
    assert (identity.fbp, identity.fbc) == (FBP, FBC)


def test_the_requests_cookies_stand_in_for_a_malformed_post() -> None:
    identity = resolve(cookies={"_fbp": FBP, "_fbc": FBC}, posted_fbp="?", posted_fbc="?")
    assert (identity.fbp, identity.fbc) == (FBP, FBC)


def test_an_fbp_is_never_minted() -> None:
    identity = resolve()
    assert identity.fbp is None
    assert "browser" in identity.why["fbp"]


def test_a_parameter_name_written_with_escapes_is_still_the_click_id() -> None:
    assert resolve("https://shop.example.com/?%66bclid=abcd").fbc == f"fb.1.{NOW_MS}.abcd"


def test_the_referrer_gives_the_click_id_where_the_page_has_none() -> None:
    identity = resolve(referrer="https://shop.example.com/?fbclid=One&fbclid=two")
    assert identity.fbc == f"fb.1.{NOW_MS}.One"


@pytest.mark.parametrize(
    ("host", "domain", "index"),
    [
        ("shop.example.com", "example.com", 1),
        ("A.B.Example.CO.UK.", "example.co.uk", 2),
        ("user.github.io", "user.github.io", 2),
        ("github.io", None, 0),
        ("xn--mnchen-3ya.de:8443", "xn--mnchen-3ya.de", 1),
        ("https://shop.example.com:8080/cart", "example.com", 1),
        ("2001:db8::1", None, 0),
        ("[2001:db8::1]", None, 0),
        ("1.2.3", None, 0),
        ("localhost", None, 0),
        ("a..b.com", None, 0),
        ("", None, 0),
    ],
)
def test_cookies_belong_on_the_registrable_domain(host: str, domain: str | None, index: int) -> None:
    assert (cookie_domain(host), subdomain_index(host)) == (domain, index)


@given(host=hosts)
def test_any_host_has_a_domain_that_it_ends_with_or_none(host: str) -> None:
    domain = cookie_domain(host)
    assert domain is None or domain in host.lower()
    assert subdomain_index(host) == (0 if domain is None else domain.count("."))
