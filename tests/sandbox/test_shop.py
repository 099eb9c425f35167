"""The demo shop's pages."""

from collections.abc import AsyncIterator

import httpx
import pytest

from relay.sandbox.shop import PRODUCTS, Links, create_shop
from relay.tag import policy_sources

pytestmark = pytest.mark.anyio

LINKS = Links(
    relay="http://127.0.0.1:8300",
    meta="http://127.0.0.1:8320",
    site_key="demo-shop",
    pixel="1234567890123456",
)


@pytest.fixture
async def shop() -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app=create_shop(LINKS))
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8310") as client:
        yield client


def directives(answer: httpx.Response) -> dict[str, list[str]]:
    policy = answer.headers["content-security-policy"]
    return {words[0]: words[1:] for words in (part.split() for part in policy.split(";"))}


@pytest.mark.parametrize(
    "path", ["/", "/cart", "/thanks", *(f"/product/{product.id}" for product in PRODUCTS)]
)
async def test_every_page_carries_the_pixel_and_the_tag(shop: httpx.AsyncClient, path: str) -> None:
    answer = await shop.get(path)
    assert answer.status_code == 200
    assert '"http://127.0.0.1:8320/en_US/fbevents.js"' in answer.text
    assert "fbq('init',\"1234567890123456\");" in answer.text
    assert (
        '<script async src="http://127.0.0.1:8300/c.js" data-site="demo-shop" data-radar="1"></script>'
        in answer.text
    )


async def test_the_shop_lives_under_the_policy_that_shops_are_told_to_send(shop: httpx.AsyncClient) -> None:
    sent = directives(await shop.get("/"))
    assert sent["default-src"] == ["'none'"]
    for name, sources in policy_sources(LINKS.relay, scripts=LINKS.meta, pixel=LINKS.meta).items():
        assert set(sources) <= set(sent[name])
    assert not any("unsafe" in source for sources in sent.values() for source in sources)


async def test_a_nonce_is_used_once(shop: httpx.AsyncClient) -> None:
    first, second = [directives(await shop.get("/"))["script-src"][1] for _ in range(2)]
    assert first != second


@pytest.mark.parametrize("path", ["/product/yacht", "/nowhere", "/product/"])
async def test_what_the_shop_does_not_have_is_a_404_with_a_way_back(
    shop: httpx.AsyncClient, path: str
) -> None:
    answer = await shop.get(path)
    assert answer.status_code == 404
    assert '<a href="/">Back to the shop</a>' in answer.text


@pytest.mark.parametrize("path", ["/static/css/shop.css", "/static/js/shop.js"])
async def test_style_and_script_are_served(shop: httpx.AsyncClient, path: str) -> None:
    assert (await shop.get(path)).status_code == 200
