"""`GET /c.js` and its parts: right type, short cache, and an unchanged file is not sent again."""

import re
from pathlib import Path

import msgspec
import pytest

from relay.assets import find_assets
from relay.web.script import Script, load_scripts
from tests.web.lab import Relay

pytestmark = pytest.mark.anyio


@pytest.fixture
def script(relay: Relay, tmp_path: Path) -> Script:
    file = tmp_path / "js" / "c.js"
    file.parent.mkdir()
    file.write_text("counterfoil()")
    (file.parent / "c.v1.js").write_text("counterfoil()")
    relay.app.state.scripts = load_scripts(tmp_path)
    script: Script = relay.app.state.scripts["c.js"]
    return script


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
    relay.app.state.scripts = load_scripts(tmp_path)
    response = await relay.http.get("/c.js")
    assert (response.status_code, response.json()["error"]["reason"]) == (404, "not_built")


async def test_the_pinned_snippet_stays_in_caches(relay: Relay, script: Script) -> None:
    response = await relay.http.get("/c.v1.js")
    assert response.content == script.body
    assert response.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert (
        response.headers["access-control-allow-origin"] == "*"
    )  # a hash is checked on readable answers only


async def test_every_part_that_is_built_is_served(relay: Relay) -> None:
    parts = load_scripts(find_assets("static"))
    assert {"c.js", "c.v1.js", "consent.js", "ga4.js", "consent/tcf.js", "consent/google.js"} <= set(parts)
    for name, part in parts.items():
        assert (await relay.http.get(f"/{name}")).content == part.body


async def test_a_part_that_does_not_exist_is_not_found(relay: Relay, script: Script) -> None:
    response = await relay.http.get("/consent/unheard-of.js")
    assert (response.status_code, response.json()["error"]["reason"]) == (404, "no_such_script")


async def test_a_query_stands_for_the_tags_attributes_and_changes_nothing_else(
    relay: Relay, script: Script
) -> None:
    plain = await relay.http.get("/c.js")
    asked = await relay.http.get("/c.js?site=demo-shop&ga4List=off&gpc=drop&Bad-Name=1&debug=")
    first, _, rest = asked.text.partition("\n")
    assert first == (
        'Object.assign(document.currentScript.dataset,{"site":"demo-shop","ga4List":"off","gpc":"drop","debug":""});'
    )
    assert rest == plain.text
    assert asked.headers["etag"] != plain.headers["etag"]


@pytest.mark.parametrize("query", ["v=3", "debug=", "site=" + "x" * 201, "site="])
async def test_a_query_without_a_usable_site_is_no_attributes(
    relay: Relay, script: Script, query: str
) -> None:
    asked = await relay.http.get(f"/c.js?{query}")
    assert asked.content == script.body


async def test_a_text_in_the_query_stays_a_text(relay: Relay, script: Script) -> None:
    asked = await relay.http.get('/c.js?site=");alert(1)//</script>\u2028')
    first = asked.text.partition("\n")[0]
    (literal,) = re.findall(r"dataset,(.*)\);$", first)
    assert msgspec.json.decode(literal) == {"site": '");alert(1)//</script>\u2028'}


async def test_the_pinned_script_keeps_its_bytes_whatever_is_asked(relay: Relay, script: Script) -> None:
    assert (await relay.http.get("/c.v1.js?site=demo-shop")).content == (
        await relay.http.get("/c.v1.js")
    ).content
