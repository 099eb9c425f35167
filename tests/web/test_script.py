"""`GET /c.js`: right type, short cache, and an unchanged file is not sent again."""

from pathlib import Path

import pytest

from relay.web.script import Script, load_script
from tests.web.lab import Relay

pytestmark = pytest.mark.anyio


@pytest.fixture
def script(relay: Relay, tmp_path: Path) -> Script:
    file = tmp_path / "js" / "c.js"
    file.parent.mkdir()
    file.write_text("counterfoil()")
    loaded = load_script(tmp_path)
    assert loaded is not None
    relay.app.state.script = loaded
    return loaded


async def test_the_snippet_is_javascript_that_any_page_may_load(relay: Relay, script: Script) -> None:
    response = await relay.http.get("/c.js")
    assert (response.status_code, response.content) == (200, b"counterfoil()")
    assert response.headers["content-type"] == "text/javascript; charset=utf-8"
    assert response.headers["cache-control"] == "public, max-age=300"
    assert response.headers["access-control-allow-origin"] == "*"
    assert response.headers["cross-origin-resource-policy"] == "cross-origin"


@pytest.mark.parametrize("form", ["{}", "W/{}", '"other", {}', "*"])
async def test_an_unchanged_snippet_is_not_sent_again(relay: Relay, script: Script, form: str) -> None:
    response = await relay.http.get("/c.js", headers={"if-none-match": form.format(script.etag)})
    assert (response.status_code, response.content) == (304, b"")
    assert response.headers["etag"] == script.etag


async def test_a_changed_snippet_is_sent(relay: Relay, script: Script) -> None:
    response = await relay.http.get("/c.js", headers={"if-none-match": '"older"'})
    assert response.status_code == 200


async def test_a_checkout_without_a_built_snippet_says_how_to_build_it(relay: Relay, tmp_path: Path) -> None:
    relay.app.state.script = load_script(tmp_path)
    response = await relay.http.get("/c.js")
    assert (response.status_code, response.json()["error"]["reason"]) == (404, "not_built")
