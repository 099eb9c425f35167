"""Flask: `init_app(app, Relay(…))`, then in templates

{{ counterfoil_tag() }} {{ counterfoil_track("Purchase", data, eventID=order.event_id) }}
"""

from typing import Any

from flask import Flask, request
from markupsafe import Markup

from counterfoil_shop import Json, Relay, tag, track
from counterfoil_shop import visitor as of_request


def init_app(app: Flask, relay: Relay) -> None:
    """Give the app's templates both functions."""

    def counterfoil_tag(nonce: str = "") -> Markup:
        return Markup(tag(relay, nonce=nonce))  # noqa: S704 - escaped by `tag`

    def counterfoil_track(event_name: str, custom_data: Json, nonce: str = "", **options: Any) -> Markup:
        return Markup(track(relay, event_name, custom_data, nonce=nonce, **options))  # noqa: S704

    app.jinja_env.globals.update(counterfoil_tag=counterfoil_tag, counterfoil_track=counterfoil_track)


def visitor() -> Json:
    """`user_data` of the current request. Behind a proxy, werkzeug's ProxyFix gives `remote_addr`."""
    return of_request(request.cookies, request.user_agent.string, request.remote_addr)
