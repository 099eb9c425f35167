"""The menu and the two switches: every page is in it, and a link keeps what a page is about."""

import re

import pytest
from starlette.requests import Request

from relay.assets import find_assets
from relay.web.navigation import MENU
from relay.web.routes import routes
from relay.web.scope import RANGES, Scope, scope_or_usual
from tests.web.lab import Relay

pytestmark = pytest.mark.anyio


async def page(console: Relay, path: str) -> str:
    response = await console.http.get(path, headers={"accept": "text/html"})
    assert response.status_code == 200
    return response.text


def scope(query: str) -> Scope:
    return scope_or_usual(Request({"type": "http", "query_string": query.encode()}))


def test_every_entry_of_the_menu_is_a_route_and_stands_in_it_once() -> None:
    paths = [entry.path for group in MENU for entry in group.entries]
    assert len(set(paths)) == len(paths)
    assert set(paths) <= {getattr(route, "path", "") for route in routes(find_assets("static"))}


@pytest.mark.parametrize("entry", [entry for group in MENU for entry in group.entries])
async def test_each_page_names_its_own_place_in_the_menu(console: Relay, entry: tuple[str, str]) -> None:
    path, label = entry
    assert f'<a href="{path}" aria-current="page">{label}</a>' in await page(console, path)


async def test_links_keep_the_site_and_the_period(console: Relay) -> None:
    html = await page(console, "/addresses?site=other-shop&range=7d")
    for path in ("/issues", "/receipts"):
        assert f'href="{path}?site=other-shop&amp;range=7d"' in html
    assert '<a href="/addresses?range=7d">all sites</a>' in html
    assert '<a href="/addresses?site=other-shop" title="the last 24 hours">24h</a>' in html


async def test_a_site_s_name_from_the_address_is_text(console: Relay) -> None:
    html = await page(console, "/addresses?site=%22%3E%3Cimg%3E")
    assert "<img>" not in html
    assert re.search("site=%22%3E%3Cimg%3E", html)


def test_the_usual_is_not_written_into_links() -> None:
    assert [scope(query).query for query in ("", "range=24h", "site=", "site=a&range=1h")] == [
        "",
        "",
        "",
        "?site=a&range=1h",
    ]


def test_a_page_about_a_wrong_period_still_has_links() -> None:
    assert scope("site=a&range=9y") == Scope(None, RANGES[1])
