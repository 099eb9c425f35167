"""`GET /c.js`: the snippet, cached briefly so that a fix reaches every page soon."""

import hashlib
from pathlib import Path
from typing import Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from relay.web.errors import error

MAX_AGE_SECONDS: Final = 300


class Script(msgspec.Struct, frozen=True, kw_only=True):
    body: bytes
    etag: str


def load_script(static: Path) -> Script | None:
    """The built snippet; None where a checkout has not built it yet."""
    file = static / "js" / "c.js"
    if not file.is_file():
        return None
    body = file.read_bytes()
    return Script(body=body, etag=f'"{hashlib.sha256(body).hexdigest()[:20]}"')


async def get_script(request: Request) -> Response:
    script: Script | None = request.app.state.script
    if script is None:
        return error(404, "not_built", "The snippet is not built. Run `make js`, then restart the relay.")
    headers = {
        "etag": script.etag,
        "cache-control": f"public, max-age={MAX_AGE_SECONDS}",
        # The tag stands on other origins' pages, which may ask for `crossorigin` or isolate themselves.
        "access-control-allow-origin": "*",
        "cross-origin-resource-policy": "cross-origin",
    }
    if _known(request.headers.get("if-none-match", ""), script.etag):
        return Response(status_code=304, headers=headers)
    return Response(script.body, media_type="text/javascript", headers=headers)


def _known(if_none_match: str, etag: str) -> bool:
    # Proxies that compress turn the tag into a weak one.
    tags = {tag.strip().removeprefix("W/") for tag in if_none_match.split(",")}
    return etag in tags or "*" in tags
