"""The scripts that pages load: the snippet and its parts, cached briefly so that a fix reaches every page soon.

`/c.v1.js` is the snippet under a name that stands for these bytes: a tag may pin it by its hash. `/c.js?site=KEY` is
the snippet for tag managers, which load a script and cannot give its tag attributes: the query stands for them.
"""

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from relay.tag import PINNED
from relay.web.errors import error

MAX_AGE_SECONDS: Final = 300
YEAR_SECONDS: Final = 31_536_000
SNIPPET: Final = "c.js"
ATTRIBUTE: Final = re.compile(r"[a-z][A-Za-z0-9]{0,19}")  # as in a tag's dataset
ATTRIBUTE_MAX: Final = 200
SNIPPETS: Final = (SNIPPET, PINNED)


class Script(msgspec.Struct, frozen=True, kw_only=True):
    body: bytes
    etag: str


def load_scripts(static: Path) -> dict[str, Script]:
    """The built files by their path below `/`; none where a checkout has not built them yet."""
    folder = static / "js"
    files = [*folder.glob("*.js"), *folder.glob("consent/*.js")]
    return {
        file.relative_to(folder).as_posix(): _script(file.read_bytes())
        for file in files
        if file.name != "build.js"
    }


async def get_script(request: Request) -> Response:
    scripts: Mapping[str, Script] = request.app.state.scripts
    name = request.url.path.removeprefix("/")
    script = scripts.get(name)
    if script is None and SNIPPET not in scripts:
        return error(404, "not_built", "The snippet is not built. Run `make js`, then restart the relay.")
    if script is None:
        return error(404, "no_such_script", "The snippet has no such part. Look at the tag's data-consent.")
    if name == SNIPPET and (attributes := tag_attributes(request.query_params)):
        script = _script(_attributed(script.body, attributes))
    if name in SNIPPETS:
        request.app.state.loads.loaded(request.headers.get("referer"), request.app.state.clock_ms())
    lifetime = f"max-age={YEAR_SECONDS}, immutable" if name == PINNED else f"max-age={MAX_AGE_SECONDS}"
    headers = {
        "etag": script.etag,
        "cache-control": f"public, {lifetime}",
        # The tag stands on other origins' pages, which may ask for `crossorigin` or isolate themselves.
        "access-control-allow-origin": "*",
        "cross-origin-resource-policy": "cross-origin",
    }
    if _known(request.headers.get("if-none-match", ""), script.etag):
        return Response(status_code=304, headers=headers)
    return Response(script.body, media_type="text/javascript", headers=headers)


def tag_attributes(query: Mapping[str, str]) -> dict[str, str]:
    """What the query says in place of `data-` attributes; without a site nothing."""
    found = {
        name: value
        for name, value in query.items()
        if ATTRIBUTE.fullmatch(name) and len(value) <= ATTRIBUTE_MAX
    }
    return found if found.get("site") else {}


def _attributed(body: bytes, attributes: Mapping[str, str]) -> bytes:
    """The script after a line that sets the attributes of its own tag. JSON is JavaScript, whatever the texts hold."""
    return b"Object.assign(document.currentScript.dataset,%b);\n%b" % (msgspec.json.encode(attributes), body)


def _script(body: bytes) -> Script:
    return Script(body=body, etag=f'"{hashlib.sha256(body).hexdigest()[:20]}"')


def _known(if_none_match: str, etag: str) -> bool:
    # Proxies that compress turn the tag into a weak one.
    tags = {tag.strip().removeprefix("W/") for tag in if_none_match.split(",")}
    return etag in tags or "*" in tags
