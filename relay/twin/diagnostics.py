"""What is wrong with the events, as Events Manager's Diagnostics shows it: one finding per kind of trouble.

The titles of the two address findings are those that Meta's quality API is documented to use; the others are
ours.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from enum import StrEnum
from typing import Final

import msgspec

from relay.event.address import Family
from relay.event.verdict import Source
from relay.twin.rules import is_amount, is_currency
from relay.twin.state import Received

MAX_SAMPLES: Final = 5

Pair = tuple[Received, Received]  # browser, server
Key = tuple[str, str, str]  # pixel, event_name, event_id


class Trouble(StrEnum):
    """The kinds of trouble that are looked for."""

    IP_MISMATCH = "ip-mismatch"
    IPV4_FOR_IPV6 = "ipv4-for-ipv6"
    MISSING_EVENT_ID = "missing-event-id"
    SHARED_EVENT_ID = "shared-event-id"
    INVALID_VALUE = "invalid-value"
    INVALID_CURRENCY = "invalid-currency"
    MISSING_VALUE = "missing-value"


TITLES: Final[dict[Trouble, str]] = {
    Trouble.IP_MISMATCH: "Server sending mismatched IP addresses",
    Trouble.IPV4_FOR_IPV6: "Update your IPv4 IP addresses to IPv6 IP addresses",
    Trouble.MISSING_EVENT_ID: "Events without event_id",
    Trouble.SHARED_EVENT_ID: "One event_id for several visitors",
    Trouble.INVALID_VALUE: "Invalid value",
    Trouble.INVALID_CURRENCY: "Invalid currency code",
    Trouble.MISSING_VALUE: "Purchase without value or currency",
}

ADVICE: Final[dict[Trouble, str]] = {
    Trouble.IP_MISMATCH: (
        "client_ip_address differs from the address that the Pixel's own request came from. Check which "
        "proxies the server trusts, and that it believes no header that a visitor can write."
    ),
    Trouble.IPV4_FOR_IPV6: (
        "The Pixel reached Meta over IPv6, and the server event names an IPv4 address. Give the site's host "
        "an AAAA record, or learn the visitor's IPv6 address on a host that has one."
    ),
    Trouble.MISSING_EVENT_ID: (
        "Such an event cannot be matched with its other half. Send eventID as the fourth argument of fbq, "
        "and the same value as event_id. PageViews that Meta's script fires by itself never carry one."
    ),
    Trouble.SHARED_EVENT_ID: (
        "The same event_id came from different browsers, and all but one of these events may be dropped. "
        "Make the id in the browser for every event, never in a page that a cache may hand to many."
    ),
    Trouble.INVALID_VALUE: (
        "value must be a plain number such as 49.90. The Pixel sends what it is given; the Conversions API "
        "refuses the event, and its whole batch."
    ),
    Trouble.INVALID_CURRENCY: (
        "currency must be an ISO 4217 code such as EUR. The Pixel sends what it is given; the Conversions "
        "API refuses the event, and its whole batch."
    ),
    Trouble.MISSING_VALUE: "Pass value and currency in the third argument of fbq('track', 'Purchase', …).",
}


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of trouble: how many events have it, and of how many that could."""

    trouble: Trouble
    affected: int
    total: int
    samples: tuple[str, ...]  # event_ids, or event names where there is none

    @property
    def percent(self) -> float:
        return 100 * self.affected / self.total


class AddressWay(msgspec.Struct, frozen=True, kw_only=True):
    """Pairs whose Pixel's request came over one family, and whose server event names an address of the other."""

    pixel: Family
    server: Family
    pairs: int
    same: int  # of these, those with one and the same address


def findings(events: Sequence[Received]) -> list[Finding]:
    """Every finding that affects at least one event, the widest first."""
    found = [*_address_findings(_pairs(events)), *_id_findings(events), *_money_findings(events)]
    return sorted((each for each in found if each.affected), key=lambda each: -each.percent)


def _finding(trouble: Trouble, affected: Sequence[Received], total: int) -> Finding:
    names = dict.fromkeys(event.event_id or event.event_name for event in affected)
    samples = tuple(names)[:MAX_SAMPLES]
    return Finding(trouble=trouble, affected=len(affected), total=total, samples=samples)


def _key(event: Received) -> Key:
    return (event.pixel, event.event_name, event.event_id or "")


def _pairs(events: Iterable[Received]) -> list[Pair]:
    """The first browser and the first server event of each pixel, name and event_id that has both."""
    first: dict[Key, dict[Source, Received]] = defaultdict(dict)
    for event in events:
        if event.event_id:
            first[_key(event)].setdefault(event.source, event)
    return [(halves[Source.BROWSER], halves[Source.SERVER]) for halves in first.values() if len(halves) == 2]


def _address_findings(pairs: Sequence[Pair]) -> list[Finding]:
    known = [(browser.ip, server.ip, server) for browser, server in pairs if browser.ip and server.ip]
    over_ipv6 = [(ours, server) for theirs, ours, server in known if ":" in theirs]
    differing = [server for theirs, ours, server in known if theirs != ours]
    old_family = [server for ours, server in over_ipv6 if ":" not in ours]
    return [
        _finding(Trouble.IP_MISMATCH, differing, len(known)),
        _finding(Trouble.IPV4_FOR_IPV6, old_family, len(over_ipv6)),
    ]


def address_ways(events: Iterable[Received]) -> list[AddressWay]:
    """Pairs of which both halves name an address, by the two families; the commonest first."""
    pairs: Counter[tuple[Family, Family]] = Counter()
    same: Counter[tuple[Family, Family]] = Counter()
    for browser, server in _pairs(events):
        if browser.ip and server.ip:
            way = (_family(browser.ip), _family(server.ip))
            pairs[way] += 1
            same[way] += browser.ip == server.ip
    return [
        AddressWay(pixel=way[0], server=way[1], pairs=number, same=same[way])
        for way, number in pairs.most_common()
    ]


def _family(address: str) -> Family:
    return "ipv6" if ":" in address else "ipv4"


def _id_findings(events: Sequence[Received]) -> list[Finding]:
    """An id is shared where one source sent it for several visitors, told apart by fbp, else by address."""
    with_id = [event for event in events if event.event_id]
    without_id = [event for event in events if not event.event_id]
    visitors: dict[tuple[Key, Source], set[str]] = defaultdict(set)
    for event in with_id:
        if visitor := event.fbp or event.ip:
            visitors[_key(event), event.source].add(visitor)
    shared = [event for event in with_id if len(visitors[_key(event), event.source]) > 1]
    return [
        _finding(Trouble.MISSING_EVENT_ID, without_id, len(events)),
        _finding(Trouble.SHARED_EVENT_ID, shared, len(with_id)),
    ]


def _money_findings(events: Sequence[Received]) -> list[Finding]:
    purchases = [event for event in events if event.event_name == "Purchase"]
    return [
        _invalid(Trouble.INVALID_VALUE, [event for event in events if event.value is not None], _has_amount),
        _invalid(
            Trouble.INVALID_CURRENCY, [event for event in events if event.currency is not None], _has_currency
        ),
        _invalid(Trouble.MISSING_VALUE, purchases, lambda event: None not in (event.value, event.currency)),
    ]


def _invalid(trouble: Trouble, events: Sequence[Received], is_valid: Callable[[Received], bool]) -> Finding:
    return _finding(trouble, [event for event in events if not is_valid(event)], len(events))


def _has_amount(event: Received) -> bool:
    return is_amount(event.value)


def _has_currency(event: Received) -> bool:
    return is_currency(event.currency)
