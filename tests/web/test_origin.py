"""The preflight, which comes before the body and its site key."""

from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from tests.event.malformed import good_event
from tests.web.lab import ORIGIN, OTHER_SITE, Relay, lab_settings, open_relay
from tests.web.test_ingest import REFUSED_ORIGINS

pytestmark = pytest.mark.anyio

ASK = {"access-control-request-method": "POST", "access-control-request-headers": "content-type"}


@pytest.mark.parametrize("origin", [ORIGIN, *OTHER_SITE.origins])
async def test_every_site_s_origin_may_go_on_to_post(relay: Relay, origin: str) -> None:
    response = await relay.http.options("/v1/events", headers=ASK | {"origin": origin})
    assert response.status_code == 204
    assert response.headers["access-control-allow-origin"] == origin
    assert response.headers["access-control-allow-credentials"] == "true"
    assert response.headers["access-control-allow-methods"] == "POST"
    assert response.headers["access-control-allow-headers"] == "content-type"
    assert response.headers["vary"] == "Origin"


FOREIGN = [origin for name, origin in REFUSED_ORIGINS.items() if name != "another site's"]


@pytest.mark.parametrize("origin", FOREIGN)
async def test_other_origins_get_no_permission(relay: Relay, origin: str) -> None:
    response = await relay.http.options("/v1/events", headers=ASK | {"origin": origin})
    assert (response.status_code, response.json()["error"]["reason"]) == (403, "origin_not_allowed")
    assert not [name for name in response.headers if name.startswith("access-control-")]
    assert response.headers["vary"] == "Origin"


async def test_a_preflight_without_an_origin_gets_no_permission(relay: Relay) -> None:
    response = await relay.http.options("/v1/events")
    assert (response.status_code, response.json()["error"]["reason"]) == (403, "origin_missing")


# Frames without an origin


@pytest.fixture
async def open_to_frames(tmp_path: Path) -> AsyncIterator[Relay]:
    settings = lab_settings(tmp_path)
    site, other = settings.site
    frames = msgspec.structs.replace(site, opaque_origins=True)
    async with open_relay(msgspec.structs.replace(settings, site=(frames, other))) as relay:
        yield relay


async def test_a_frame_without_an_origin_may_post_where_the_site_lets_it(open_to_frames: Relay) -> None:
    response = await open_to_frames.post(origin="null")
    assert (response.status_code, response.json()["accepted"]) == (202, 1)
    assert response.headers["access-control-allow-origin"] == "null"
    assert "access-control-allow-credentials" not in response.headers
    assert "set-cookie" not in response.headers


async def test_its_events_must_be_of_the_sites_own_pages(open_to_frames: Relay) -> None:
    for url in ("https://shop.example.evil.example/", "http://shop.example/", "https://shop.example:444/"):
        response = await open_to_frames.post(good_event(url=url), origin="null")
        assert [refused["reason"] for refused in response.json()["refused"]] == ["foreign_url"], url


async def test_another_site_stays_closed_to_frames(open_to_frames: Relay) -> None:
    response = await open_to_frames.post(site=OTHER_SITE.key, origin="null")
    assert (response.status_code, response.json()["error"]["reason"]) == (403, "origin_not_allowed")


async def test_a_page_with_an_origin_may_name_any_address_of_its_own(open_to_frames: Relay) -> None:
    """As before: its Origin says where it is."""
    response = await open_to_frames.post(good_event(url="https://translated.example/shop"))
    assert response.json()["accepted"] == 1
