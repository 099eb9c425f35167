"""The console's Addresses page, and its JSON: over which families events come, are learnt, and go to Meta."""

from collections.abc import Sequence
from typing import Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from relay.delivery.graph import Graph
from relay.event.address import Family
from relay.store.protocol import FamilyCount, Store
from relay.web.errors import JsonResponse
from relay.web.headers import NO_STORE
from relay.web.pages import show
from relay.web.scope import Scope, read_scope
from relay.web.twin_view import AddressWay, read_twin_addresses

COLUMNS: Final[tuple[Family | None, ...]] = ("ipv6", "ipv4", None)


class Way(msgspec.Struct, frozen=True, kw_only=True):
    """One row of the matrix: events that came the same way, by the family that went to Meta."""

    page: Family | None
    token: Family | None
    ipv6: int
    ipv4: int
    none: int
    events: int
    share: float  # of all events, 0 to 1


class TwinAgreement(msgspec.Struct, frozen=True, kw_only=True):
    """Pairs of which a twin saw both halves: how many server events name the address that the Pixel came from."""

    pairs: int
    same: int
    rate: float | None  # 0 to 1; None without a pair
    ways: tuple[AddressWay, ...]


class AddressReport(msgspec.Struct, frozen=True, kw_only=True):
    """Events accepted since `since_ms`, except those that are never sent; counted by the hour."""

    range: str
    site: str | None
    since_ms: int
    events: int
    sent_ipv6: int
    by_token: int  # of which a signed observation named the address
    unknown: int  # of which no address goes to Meta
    ways: tuple[Way, ...]  # the commonest first
    twin: TwinAgreement | None  # None where Meta itself is the other end


async def addresses_page(request: Request) -> Response:
    return show(request, "console/addresses.html", report=await read_report(request))


async def addresses_json(request: Request) -> Response:
    return JsonResponse(await read_report(request), headers=NO_STORE)


async def read_report(request: Request) -> AddressReport:
    store: Store = request.app.state.store
    graph: Graph = request.app.state.graph
    now_ms: int = request.app.state.clock_ms()
    scope = read_scope(request)
    counts = await store.families(since_ms=now_ms - scope.range.length_ms, site=scope.site)
    return report_of(counts, scope, now_ms, twin_agreement(read_twin_addresses(await graph.twin_addresses())))


def report_of(
    counts: Sequence[FamilyCount], scope: Scope, now_ms: int, twin: TwinAgreement | None
) -> AddressReport:
    events = sum(count.events for count in counts)
    keys = dict.fromkeys((count.page, count.token) for count in counts)
    ways = [_way(page, token, counts, events) for page, token in keys]
    return AddressReport(
        range=scope.range.name,
        site=scope.site,
        since_ms=now_ms - scope.range.length_ms,
        events=events,
        sent_ipv6=sum(way.ipv6 for way in ways),
        by_token=sum(count.events for count in counts if count.sent and count.sent != count.page),
        unknown=sum(way.none for way in ways),
        ways=tuple(sorted(ways, key=lambda way: -way.events)),
        twin=twin,
    )


def twin_agreement(ways: Sequence[AddressWay] | None) -> TwinAgreement | None:
    if ways is None:
        return None
    pairs, same = sum(way.pairs for way in ways), sum(way.same for way in ways)
    return TwinAgreement(pairs=pairs, same=same, rate=same / pairs if pairs else None, ways=tuple(ways))


def _way(page: Family | None, token: Family | None, counts: Sequence[FamilyCount], events: int) -> Way:
    sent = {family: 0 for family in COLUMNS}
    for count in counts:
        if (count.page, count.token) == (page, token):
            sent[count.sent] += count.events
    own = sum(sent.values())
    return Way(
        page=page,
        token=token,
        ipv6=sent["ipv6"],
        ipv4=sent["ipv4"],
        none=sent[None],
        events=own,
        share=own / events if events else 0.0,
    )
