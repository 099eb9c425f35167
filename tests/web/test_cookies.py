"""`_fbp` and `_fbc` are renewed where the relay stands on the page's own domain, and nowhere else."""

from http.cookies import Morsel, SimpleCookie
from pathlib import Path

import httpx
import pytest
from starlette.responses import Response

from relay.settings import Site
from relay.web.cookies import renew_cookies
from tests.event.malformed import PIXEL_ID, good_event
from tests.store.samples import event
from tests.web.lab import Relay, lab_settings, open_relay

pytestmark = pytest.mark.anyio

MARK_OF_LEAD, MARK_OF_SINGLE = "counterfoil_5f0cb4eb", "counterfoil_65880d52"
FBP, FBC = "fb.1.1763859600000.1234567890", "fb.1.1763859600000.IwAR2abc"


def cookies(response: httpx.Response) -> dict[str, Morsel[str]]:
    jar: SimpleCookie = SimpleCookie()
    for header in response.headers.get_list("set-cookie"):
        jar.load(header)
    return dict(jar)


async def test_both_cookies_live_90_days_on_the_registrable_domain(relay: Relay) -> None:
    jar = cookies(await relay.post(good_event(fbp=FBP, fbc=FBC)))
    assert {name: morsel.value for name, morsel in jar.items()} == {"_fbp": FBP, "_fbc": FBC}
    for morsel in jar.values():
        assert int(morsel["max-age"]) == 90 * 86_400
        assert morsel["domain"] == "shop.example"
        assert morsel["path"] == "/"
        assert morsel["samesite"].lower() == "lax"
        assert morsel["secure"]
        assert not morsel["httponly"], "the Pixel reads them"


async def test_a_cookie_is_never_minted(relay: Relay) -> None:
    assert "_fbp" not in cookies(await relay.post(good_event(fbp=None)))


async def test_an_invalid_cookie_is_not_renewed(relay: Relay) -> None:
    jar = cookies(await relay.post(good_event(fbp="fb.1.x", fbc="a; Domain=evil.example")))
    assert jar == {}


async def test_a_refused_event_sets_nothing(relay: Relay) -> None:
    assert cookies(await relay.post(good_event(consent="denied"))) == {}


async def test_a_crawler_gets_nothing(relay: Relay) -> None:
    agent = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"
    assert cookies(await relay.post(user_agent=agent)) == {}


@pytest.mark.parametrize(
    ("relay_url", "page", "domain"),
    [
        ("https://shop.example", "https://shop.example", "shop.example"),
        ("https://relay.shop.example", "https://www.shop.example", "shop.example"),
        ("https://relay.shop.co.uk", "https://shop.co.uk", "shop.co.uk"),
        ("http://127.0.0.1:8300", "http://127.0.0.1:8310", ""),
        ("http://localhost:8300", "http://localhost:8310", ""),
    ],
)
async def test_the_domain_is_the_one_both_share(
    tmp_path: Path, relay_url: str, page: str, domain: str
) -> None:
    jar = await cookies_between(tmp_path, relay_url, page)
    assert (jar["_fbp"]["domain"], bool(jar["_fbp"]["secure"])) == (domain, relay_url.startswith("https:"))


@pytest.mark.parametrize(
    ("relay_url", "page"),
    [
        ("https://relay.example", "https://shop.example"),
        ("https://evilshop.example", "https://shop.example"),
        ("https://relay.co.uk", "https://shop.co.uk"),
        ("https://relay.github.io", "https://shop.github.io"),
        ("http://127.0.0.1:8300", "http://127.0.0.2:8310"),
        ("http://127.0.0.1:8300", "http://localhost:8310"),
    ],
)
async def test_nothing_is_set_across_sites(tmp_path: Path, relay_url: str, page: str) -> None:
    assert await cookies_between(tmp_path, relay_url, page) == {}


async def cookies_between(folder: Path, relay_url: str, page: str) -> dict[str, Morsel[str]]:
    settings = lab_settings(folder, public_url=relay_url)
    site = Site(key="a-shop", origins=(page,), pixels=settings.site[0].pixels)
    async with open_relay(
        type(settings)(server=settings.server, store=settings.store, site=(site,))
    ) as relay:
        return cookies(await relay.post(good_event(fbp=FBP), site="a-shop", origin=page))


def test_an_event_without_ids_sets_nothing() -> None:
    response = Response()
    renew_cookies(response, event(), "https://shop.example", "https://relay.shop.example")
    assert "set-cookie" not in response.headers


async def test_a_beacon_is_acknowledged_by_a_cookie_an_event_for_five_minutes(relay: Relay) -> None:
    taken = good_event(event_id="lead-1", event_name="Lead", fbp=None)
    single = taken | {"pixel_ids": [PIXEL_ID]}
    refused = taken | {"event_id": "e-2", "pixel": None}
    jar = cookies(await relay.post(taken, single, refused, sec_fetch_mode="no-cors"))
    # FNV-1a of "lead-1,Lead," and "lead-1,Lead,1234567890", as the snippet makes it too (tests/js/restore.test.js).
    assert set(jar) == {MARK_OF_LEAD, MARK_OF_SINGLE}
    for morsel in jar.values():
        assert (int(morsel["max-age"]), morsel["domain"], morsel["path"]) == (300, "shop.example", "/")
        assert not morsel["httponly"], "the snippet reads them"


async def test_an_answer_that_the_page_reads_needs_no_such_cookie(relay: Relay) -> None:
    assert cookies(await relay.post(good_event(fbp=None), sec_fetch_mode="cors")) == {}
    assert cookies(await relay.post(good_event(fbp=None))) == {}


async def test_a_beacon_across_sites_is_not_acknowledged(tmp_path: Path) -> None:
    settings = lab_settings(tmp_path, public_url="https://relay.example")
    async with open_relay(settings) as relay:
        assert cookies(await relay.post(good_event(), sec_fetch_mode="no-cors")) == {}
