"""Starlette and FastAPI: `install(templates, Relay(…))`, then in templates

{{ counterfoil_tag() }} {{ counterfoil_track("Purchase", data, eventID=order.event_id) }}
"""

from typing import Any

from markupsafe import Markup
from starlette.requests import Request
from starlette.templating import Jinja2Templates

from counterfoil_shop import Json, Relay, tag, track
from counterfoil_shop import visitor as of_request


def install(templates: Jinja2Templates, relay: Relay) -> None:
    """Give the templates both functions."""

    def counterfoil_tag(nonce: str = "") -> Markup:
        return Markup(tag(relay, nonce=nonce))  # noqa: S704 - escaped by `tag`

    def counterfoil_track(event_name: str, custom_data: Json, nonce: str = "", **options: Any) -> Markup:
        return Markup(track(relay, event_name, custom_data, nonce=nonce, **options))  # noqa: S704

    templates.env.globals.update(counterfoil_tag=counterfoil_tag, counterfoil_track=counterfoil_track)


def visitor(request: Request) -> Json:
    """`user_data` of a request. Behind a proxy, uvicorn's `--forwarded-allow-ips` gives `client`."""
    address = request.client.host if request.client else None
    return of_request(request.cookies, request.headers.get("user-agent", ""), address)
