"""The answer in cookies: `_fbp` and `_fbc`, kept longer than what a script sets, and the receipt of a beacon."""

from collections.abc import Iterable
from functools import lru_cache
from typing import Final, NamedTuple
from urllib.parse import urlsplit

import msgspec
from starlette.responses import Response

from relay.event.identity import cookie_domain
from relay.event.records import Json, OutboxEvent

MAX_AGE_SECONDS: Final = 90 * 24 * 60 * 60
RECEIPT_SECONDS: Final = 300  # until the next page of the visit has loaded


class _UserData(msgspec.Struct, frozen=True):
    fbp: str = ""
    fbc: str = ""


class _ServerEvent(msgspec.Struct, frozen=True):
    user_data: _UserData = _UserData()


class _Place(NamedTuple):
    """Where the relay's cookies go, and whether the page can have them."""

    is_shared: bool
    domain: str | None  # None: the one host


def renew_cookies(response: Response, event: OutboxEvent, origin: str, public_url: str) -> None:
    """Set both cookies to what the event was committed with, where the relay stands on the page's own domain.

    `origin` is the page's; it has been compared with the site's.
    """
    if event.fate is not None or not (place := _place(origin, public_url)).is_shared:
        return
    ids = msgspec.json.decode(event.server_event, type=_ServerEvent).user_data
    for name, value in (("_fbp", ids.fbp), ("_fbc", ids.fbc)):
        if value:
            response.set_cookie(
                name,
                value,
                max_age=MAX_AGE_SECONDS,
                path="/",
                domain=place.domain,
                secure=public_url.startswith("https:"),
                httponly=False,  # the Pixel reads them
                samesite="lax",
            )


def acknowledge(response: Response, events: Iterable[Json], origin: str, public_url: str) -> None:
    """Tell the next page which events of this post need not come again; no page reads a beacon's answer.

    `events` are those that were taken, as posted. One cookie an event, named after it, since the answers of several
    beacons come in any order. Only where the relay stands on the page's own domain.
    """
    if not (place := _place(origin, public_url)).is_shared:
        return
    for event in events:
        response.set_cookie(
            f"counterfoil_{_mark(event):x}",
            "1",
            max_age=RECEIPT_SECONDS,
            path="/",
            domain=place.domain,
            secure=public_url.startswith("https:"),
            httponly=False,  # the snippet reads it
            samesite="lax",
        )


def _mark(event: Json) -> int:
    """FNV-1a, 32 bits, of what the snippet's outbox calls the event (`restore.js` has the same)."""
    name = ",".join((event["event_id"], event["event_name"], *(event.get("pixel_ids") or [""])))
    mark = 0x811C9DC5
    for byte in name.encode("utf-8", "replace"):
        mark = (mark ^ byte) * 0x01000193 & 0xFFFFFFFF
    return mark


@lru_cache(maxsize=1_024)
def _place(origin: str, public_url: str) -> _Place:
    page_host, relay_host = urlsplit(origin).hostname, urlsplit(public_url).hostname
    if page_host is None or relay_host is None:
        return _Place(False, None)
    domain = cookie_domain(page_host)
    return _Place(shares(relay_host, page_host, domain), domain)


def shares(relay_host: str, page_host: str, domain: str | None) -> bool:
    if domain is None:  # an IP address or a bare name: such a cookie belongs to one host
        return relay_host == page_host
    return relay_host == domain or relay_host.endswith(f".{domain}")
