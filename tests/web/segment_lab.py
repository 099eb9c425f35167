"""What the tests of Segment's format share: a relay with a write key, and a client of it."""

import base64
from pathlib import Path
from typing import Any

import httpx
import msgspec

from relay.settings import Settings
from tests.event.messages import message
from tests.web.lab import Relay, lab_settings

WRITE_KEY = "w" * 40
ENVIRON = {"LAB_WRITE_KEY": WRITE_KEY}


def with_keys(folder: Path, **site: Any) -> Settings:
    settings = lab_settings(folder)
    first, *others = settings.site
    keyed = msgspec.structs.replace(first, write_key_env="LAB_WRITE_KEY", **site)
    return msgspec.structs.replace(settings, site=(keyed, *others))


async def send(
    relay: Relay, call: str = "track", body: Any = None, *, key: str | None = WRITE_KEY, **headers: str
) -> httpx.Response:
    content = body if isinstance(body, bytes) else msgspec.json.encode(message() if body is None else body)
    auth = {} if key is None else {"authorization": "Basic " + base64.b64encode(f"{key}:".encode()).decode()}
    return await relay.http.post(f"/v1/{call}", content=content, headers=auth | headers)
