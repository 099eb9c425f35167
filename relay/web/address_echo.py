"""`GET /api/address-echo`: how this relay understood the connection of whoever asks; `counterfoil doctor` does.

Only a token signed with the relay's own key opens it: to anybody else it would tell which proxies are believed.
"""

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from relay.event.address import AddressSource, Family
from relay.event.enrich import connection_address
from relay.settings import Settings
from relay.web.errors import JsonResponse, error
from relay.web.headers import NO_STORE, bearer
from relay.web.ingest import request_facts
from relay.web.signin import SignIn


class AddressEcho(msgspec.Struct, frozen=True, kw_only=True):
    """The chain as it arrived, and what an event over this connection would carry to Meta."""

    now_ms: int  # the relay's clock, Unix milliseconds
    peer: str | None  # the other end of the relay's socket
    forwarded_for: tuple[str, ...]
    forwarded: tuple[str, ...]
    provider_headers: dict[str, tuple[str, ...]]
    address: str | None
    family: Family | None
    source: AddressSource
    why: str


async def get_address_echo(request: Request) -> Response:
    settings: Settings = request.app.state.settings
    now_ms: int = request.app.state.clock_ms()
    if not _comes_from_the_doctor(request, now_ms):
        return error(
            401, "not_the_doctor", "This answers to `counterfoil doctor`, run with the relay's own key."
        )
    facts = request_facts(request, now_ms)
    seen = connection_address(facts, settings)
    echo = AddressEcho(
        now_ms=now_ms,
        peer=facts.peer,
        forwarded_for=facts.forwarded_for,
        forwarded=facts.forwarded,
        provider_headers=facts.provider_headers,
        address=seen.address,
        family=seen.family,
        source=seen.source,
        why=seen.why,
    )
    return JsonResponse(echo, headers=NO_STORE)


def _comes_from_the_doctor(request: Request, now_ms: int) -> bool:
    sign_in: SignIn = request.app.state.sign_in
    return sign_in.check("doctor", bearer(request.headers) or "", now_ms) is not None
