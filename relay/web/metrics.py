"""`GET /metrics` for Prometheus: to whoever has the key, or without one to this machine alone."""

import hmac
from ipaddress import ip_address
from typing import Final

from prometheus_client import CONTENT_TYPE_LATEST
from starlette.requests import Request
from starlette.responses import Response

from relay.errors import StoreError
from relay.metrics import Metrics
from relay.store.protocol import Store
from relay.web.errors import error
from relay.web.headers import NO_STORE, bearer
from relay.web.health import not_ready

REASON: Final = "metrics_key"
SENTENCE: Final = (
    "Send the key of [telemetry] metrics_key_env or metrics_key_file as a Bearer token; without a key only a "
    "direct request from this machine is answered."
)
FORWARDED: Final = ("x-forwarded-for", "forwarded", "via")


async def get_metrics(request: Request) -> Response:
    if not _may_read(request):
        return error(401, REASON, SENTENCE, {"www-authenticate": "Bearer"})
    store: Store = request.app.state.store
    metrics: Metrics = request.app.state.metrics
    ready, spilled = await not_ready(request) is None, store.spilled()
    try:
        backlog, parked = await store.backlog(), await store.parked()
    except StoreError:
        body = metrics.render_without_store(ready=ready, spilled=spilled)
    else:
        now_ms = request.app.state.clock_ms()
        body = metrics.render(backlog=backlog, parked=parked, ready=ready, now_ms=now_ms, spilled=spilled)
    return Response(body, media_type=CONTENT_TYPE_LATEST, headers=NO_STORE)


def _may_read(request: Request) -> bool:
    keys: tuple[str, ...] = request.app.state.metrics_keys
    if not keys:
        return _is_direct(request)
    asked = (bearer(request.headers) or "").encode()
    return any([hmac.compare_digest(key.encode(), asked) for key in keys])


def _is_direct(request: Request) -> bool:
    """A reverse proxy on this machine forwards strangers, and says so."""
    if request.client is None or any(name in request.headers for name in FORWARDED):
        return False
    try:
        return ip_address(request.client.host).is_loopback
    except ValueError:
        return False
