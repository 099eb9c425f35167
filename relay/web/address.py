"""`GET /v1/address`: a signed observation of where this request came from, for the page to post with its events.

Pages ask at a name of the relay that resolves to one address family only. No cookies, and nothing is kept.
"""

import re
from collections.abc import Sequence
from ipaddress import ip_address
from typing import Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from relay.event.address import ClientAddress, Family
from relay.event.enrich import connection_address
from relay.event.observation import sign_observation
from relay.event.outcome import (
    ADDRESS_SENTENCES,
    ADDRESS_STATUS,
    BODY_SENTENCES,
    BODY_STATUS,
    AddressReason,
)
from relay.event.wire import WireError
from relay.settings import Settings, Site
from relay.web.errors import JsonResponse, error
from relay.web.headers import NO_STORE
from relay.web.ingest import known_site, page_origin, request_facts
from relay.web.origin import origin_of
from relay.web.rates import Limited, Rates, asker

NONCE: Final = re.compile(r"[A-Za-z0-9_-]{16,64}")


class AddressToken(msgspec.Struct, frozen=True, kw_only=True):
    token: str
    family: Family


async def get_address(request: Request) -> Response:
    """A token for a page of the site, readable by that page alone."""
    settings: Settings = request.app.state.settings
    rates: Rates = request.app.state.rates
    now_ms: int = request.app.state.clock_ms()
    facts = request_facts(request, now_ms)
    seen = connection_address(facts, settings)
    try:
        if (who := asker(facts, seen, settings)) is not None:
            rates.addresses.take(who)
        site = known_site(settings, request.query_params.get("site", ""))
        page = page_origin(origin_of(request.headers), site)
    except Limited as limited:
        response = await rates.answer(limited)
    except WireError as refused:
        response = error(BODY_STATUS[refused.reason], refused.reason, BODY_SENTENCES[refused.reason])
    else:
        response = _observe(request, seen, site, now_ms)
        response.headers["access-control-allow-origin"] = page
    response.headers["vary"] = "Origin"
    return response


def _observe(request: Request, seen: ClientAddress, site: Site, now_ms: int) -> Response:
    keys: Sequence[str] = request.app.state.signing_keys
    nonces = request.query_params.getlist("nonce")
    if len(nonces) != 1 or not NONCE.fullmatch(nonces[0]):
        return _refuse(AddressReason.INVALID_NONCE)
    if not site.address_hosts.urls():
        return _refuse(AddressReason.NO_ADDRESS_HOSTS)
    if seen.address is None or seen.family is None:
        return _refuse(AddressReason.NO_ADDRESS)
    token = sign_observation(keys, ip_address(seen.address), site=site.key, nonce=nonces[0], now_ms=now_ms)
    return JsonResponse(AddressToken(token=token, family=seen.family), headers=NO_STORE)


def _refuse(reason: AddressReason) -> Response:
    return error(ADDRESS_STATUS[reason], reason, ADDRESS_SENTENCES[reason])
