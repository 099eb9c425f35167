"""Sign-in by a one-time link, sessions by a signed cookie, and no way around them."""

from pathlib import Path

import httpx
import pytest

from tests.web.lab import RELAY_URL, Relay, lab_settings, open_relay

pytestmark = pytest.mark.anyio

HTML = {"accept": "text/html"}
SESSION = "__Host-counterfoil"


async def test_the_link_signs_in(relay: Relay) -> None:
    response = await relay.http.get(relay.link())
    assert response.status_code == 200
    assert response.headers["refresh"] == "0; url=/"
    assert response.headers["cache-control"] == "no-store"
    assert (await relay.http.get("/receipts")).status_code == 200


async def test_the_session_cookie_is_out_of_reach(relay: Relay) -> None:
    cookie = (await relay.http.get(relay.link())).headers["set-cookie"].lower()
    assert cookie.startswith(f"{SESSION.lower()}=")
    for attribute in ("httponly", "secure", "samesite=strict", "path=/", f"max-age={8 * 3600}"):
        assert f"; {attribute}" in cookie
    assert "domain" not in cookie


async def test_a_plain_http_relay_sets_a_cookie_that_browsers_keep(tmp_path: Path) -> None:
    async with open_relay(lab_settings(tmp_path, public_url="http://127.0.0.1:8300")) as relay:
        cookie = (await relay.http.get(relay.link())).headers["set-cookie"].lower()
        assert cookie.startswith("counterfoil=")
        assert "secure" not in cookie
        assert (await relay.http.get("/api/receipts")).status_code == 200


async def test_a_link_works_once(relay: Relay) -> None:
    link = relay.link()
    await relay.http.get(link)
    relay.http.cookies.clear()
    await refused(relay, link)


async def test_a_link_ends_after_15_minutes(relay: Relay) -> None:
    link = relay.link()
    relay.clock.now_ms += 15 * 60_000
    await refused(relay, link)


async def refused(relay: Relay, link: str) -> None:
    response = await relay.http.get(link)
    assert response.status_code == 403
    assert "counterfoil sign-in" in response.text
    assert "set-cookie" not in response.headers
    assert (await relay.http.get("/api/receipts")).status_code == 401


async def test_a_link_works_up_to_its_last_moment(relay: Relay) -> None:
    link = relay.link()
    relay.clock.now_ms += 15 * 60_000 - 1
    assert (await relay.http.get(link)).status_code == 200


async def test_looking_at_a_link_does_not_spend_it(relay: Relay) -> None:
    link = relay.link()
    assert (await relay.http.head(link)).status_code == 200
    assert (await relay.http.get(link)).status_code == 200


@pytest.mark.parametrize("code", ["", "x", "a.b", "e30.x", "%00", "%ff%fe", "x" * 5_000])
async def test_a_made_up_code_is_refused_politely(relay: Relay, code: str) -> None:
    await refused(relay, f"/sign-in?code={code}")


async def test_a_code_with_any_character_changed_is_refused(relay: Relay) -> None:
    link = relay.link()
    start = link.index("=") + 1
    for place in range(start, len(link)):
        # Base64's last character has two bits that mean nothing: A to D may say the same there.
        changed = link[:place] + ("A" if link[place] not in "ABCD" else "Z") + link[place + 1 :]
        assert (await relay.http.get(changed)).status_code == 403, changed
        relay.app.state.rates.sign_ins.windows.reset()  # guessing is slowed down: test_rates
    assert (await relay.http.get(link)).status_code == 200


async def test_a_link_of_another_key_is_refused(relay: Relay, tmp_path: Path) -> None:
    async with open_relay(lab_settings(tmp_path / "other")) as other:
        await refused(relay, other.link())


async def test_a_code_is_not_a_session_and_a_session_is_not_a_code(relay: Relay) -> None:
    code = relay.link().partition("=")[2]
    cookie = {"cookie": f"{SESSION}={code}"}
    assert (await relay.http.get("/api/receipts", headers=cookie)).status_code == 401
    await relay.http.get(relay.link())
    session = relay.http.cookies[SESSION]
    assert (await relay.http.get(f"/sign-in?code={session}")).status_code == 403


async def test_the_page_without_a_code_says_how_to_get_one(relay: Relay) -> None:
    response = await relay.http.get("/sign-in")
    assert (response.status_code, "counterfoil sign-in" in response.text) == (200, True)


CLOSED = ["/receipts", "/receipts/e-1", "/receipts?event_id=e-1", "/api/receipts", "/api/receipts/e-1"]


@pytest.mark.parametrize("path", CLOSED)
async def test_a_person_without_a_session_is_led_to_the_sign_in_page(relay: Relay, path: str) -> None:
    response = await relay.http.get(path, headers=HTML)
    assert (response.status_code, response.headers["location"]) == (303, "/sign-in")


@pytest.mark.parametrize("path", CLOSED)
@pytest.mark.parametrize("cookie", ["", "x", "a.b.c", "é"])
async def test_a_program_without_a_session_gets_the_error_shape(relay: Relay, path: str, cookie: str) -> None:
    response = await relay.http.get(path, headers={b"cookie": f"{SESSION}={cookie}".encode()})
    assert (response.status_code, response.json()["error"]["reason"]) == (401, "not_signed_in")


async def test_a_session_ends_after_eight_hours(relay: Relay) -> None:
    await relay.sign_in()
    relay.clock.now_ms += 8 * 3_600_000 - 1
    assert (await relay.http.get("/api/receipts")).status_code == 200
    relay.clock.now_ms += 1
    assert (await relay.http.get("/api/receipts")).status_code == 401


async def test_signing_out_ends_the_session_on_both_sides(relay: Relay) -> None:
    await relay.sign_in()
    session = relay.http.cookies[SESSION]
    response = await relay.http.post("/sign-out", headers={"sec-fetch-site": "same-origin"})
    assert (response.status_code, response.headers["location"]) == (303, "/sign-in")
    assert SESSION not in relay.http.cookies
    kept = {"cookie": f"{SESSION}={session}"}
    assert (await relay.http.get("/api/receipts", headers=kept)).status_code == 401


FOREIGN_FORMS = {
    "cross-site": {"sec-fetch-site": "cross-site"},
    "a sibling host": {"sec-fetch-site": "same-site"},
    "cross-site with a fitting Origin": {"sec-fetch-site": "cross-site", "origin": RELAY_URL},
    "an old browser elsewhere": {"origin": "https://shop.example"},
    "a sandboxed frame": {"origin": "null"},
    "neither header": {},
}


@pytest.mark.parametrize("headers", FOREIGN_FORMS.values(), ids=FOREIGN_FORMS.keys())
async def test_a_foreign_page_cannot_sign_anybody_out(relay: Relay, headers: dict[str, str]) -> None:
    await relay.sign_in()
    response = await relay.http.post("/sign-out", headers=headers)
    assert (response.status_code, response.json()["error"]["reason"]) == (403, "cross_site")
    assert (await relay.http.get("/api/receipts")).status_code == 200


async def test_an_old_browser_on_our_own_page_can_sign_out(relay: Relay) -> None:
    await relay.sign_in()
    assert (await relay.http.post("/sign-out", headers={"origin": RELAY_URL})).status_code == 303
    assert (await relay.http.get("/api/receipts")).status_code == 401


async def test_signing_out_without_a_session_does_no_harm(relay: Relay) -> None:
    response: httpx.Response = await relay.http.post("/sign-out", headers={"origin": RELAY_URL})
    assert response.status_code == 303
