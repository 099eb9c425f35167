"""The preflight, which comes before the body and its site key."""

import pytest

from tests.web.lab import ORIGIN, OTHER_SITE, Relay
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
