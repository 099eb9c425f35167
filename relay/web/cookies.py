"""`_fbp` and `_fbc` on the relay's answer: browsers keep these longer than what a script sets."""

from typing import Final
from urllib.parse import urlsplit

import msgspec
from starlette.responses import Response

from relay.event.identity import cookie_domain
from relay.event.records import OutboxEvent

MAX_AGE_SECONDS: Final = 90 * 24 * 60 * 60


class _UserData(msgspec.Struct, frozen=True):
    fbp: str = ""
    fbc: str = ""


class _ServerEvent(msgspec.Struct, frozen=True):
    user_data: _UserData = _UserData()


def renew_cookies(response: Response, event: OutboxEvent, origin: str, public_url: str) -> None:
    """Set both cookies to what the event was committed with, where the relay stands on the page's own domain.

    `origin` is the page's; it has been compared with the site's.
    """
    page_host, relay_host = urlsplit(origin).hostname, urlsplit(public_url).hostname
    if page_host is None or relay_host is None or event.fate is not None:
        return
    domain = cookie_domain(page_host)
    if not shares(relay_host, page_host, domain):
        return
    ids = msgspec.json.decode(event.server_event, type=_ServerEvent).user_data
    for name, value in (("_fbp", ids.fbp), ("_fbc", ids.fbc)):
        if value:
            response.set_cookie(
                name,
                value,
                max_age=MAX_AGE_SECONDS,
                path="/",
                domain=domain,
                secure=public_url.startswith("https:"),
                httponly=False,  # the Pixel reads them
                samesite="lax",
            )


def shares(relay_host: str, page_host: str, domain: str | None) -> bool:
    if domain is None:  # an IP address or a bare name: such a cookie belongs to one host
        return relay_host == page_host
    return relay_host == domain or relay_host.endswith(f".{domain}")
