"""All checks on one site."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from relay.doctor.address import check_address
from relay.doctor.certificate import check_tls
from relay.doctor.clock import check_clock
from relay.doctor.finding import Check, Finding
from relay.doctor.names import check_cookie_domain, check_dns, check_safari
from relay.doctor.network import Network
from relay.doctor.observations import check_address_hosts
from relay.doctor.page import check_page
from relay.doctor.pixels import check_pixels
from relay.doctor.service import check_cors, check_health, check_script
from relay.doctor.subject import Subject

CHECKS: Final[tuple[Callable[[Subject, Network], Awaitable[list[Finding]]], ...]] = (
    check_dns,
    check_tls,
    check_health,
    check_script,
    check_cors,
    check_cookie_domain,
    check_safari,
    check_address,
    check_address_hosts,
    check_clock,
    check_pixels,
    check_page,
)


async def examine(subject: Subject, network: Network) -> list[Finding]:
    """Everything that can be seen from here, in the order of `Check`. Nothing is stored or sent to Meta."""
    found = await asyncio.gather(*(check(subject, network) for check in CHECKS))
    order = list(Check)
    return sorted((finding for group in found for finding in group), key=lambda each: order.index(each.check))
