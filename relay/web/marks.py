"""At each start: what changed since the last one that a bend in a plot may come from."""

from collections.abc import Mapping, Sequence
from hashlib import blake2b

from relay import __version__
from relay.delivery.graph import PixelAccess
from relay.store.protocol import MarkKind, Store
from relay.web.script import Script


async def note_marks(
    store: Store,
    pixels: Mapping[str, PixelAccess],
    scripts: Mapping[str, Script],
    signing_keys: Sequence[str],
    now_ms: int,
) -> None:
    await store.mark(MarkKind.STARTED, "", __version__, now_ms=now_ms)
    if (snippet := scripts.get("c.js")) is not None:
        await store.mark(MarkKind.SNIPPET, "", snippet.etag.strip('"')[:12], now_ms=now_ms)
    for pixel, access in pixels.items():
        if access.token:
            mark = fingerprint(access.token, signing_keys[0])
            await store.mark(MarkKind.TOKEN, pixel, mark, now_ms=now_ms)


def fingerprint(token: str, key: str) -> str:
    """Tells tokens apart and says nothing of them: keyed by a secret that stands in another file."""
    secret = blake2b(key.encode(), person=b"token mark").digest()
    return blake2b(token.encode(), key=secret, digest_size=4).hexdigest()
