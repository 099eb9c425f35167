"""Django: "counterfoil_shop" among INSTALLED_APPS, and COUNTERFOIL = {"url": …, "site": …, …} in the settings.

{% load counterfoil %} {% counterfoil_tag %} {% counterfoil_track "Purchase" data eventID=order.event_id %}
"""

from django.conf import settings
from django.http import HttpRequest

from counterfoil_shop import Json, Relay
from counterfoil_shop import visitor as of_request


def relay() -> Relay:
    """As the settings have it."""
    return Relay(**settings.COUNTERFOIL)


def visitor(request: HttpRequest) -> Json:
    """`user_data` of the visitor's request. REMOTE_ADDR must be the visitor's: behind a proxy, by your middleware."""
    meta = request.META
    return of_request(request.COOKIES, meta.get("HTTP_USER_AGENT", ""), meta.get("REMOTE_ADDR"))
