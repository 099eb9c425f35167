"""Diagnostics: each kind of trouble is found and counted against the events that could have it."""

import msgspec
import pytest

from relay.event.verdict import Source
from relay.twin.diagnostics import ADVICE, TITLES, AddressWay, Trouble, address_ways, findings
from relay.twin.state import Received

IPV6, OTHER_IPV6, IPV4 = "2001:db8::7", "2001:db8::8", "192.0.2.7"


def event(source: Source, **changes: object) -> Received:
    plain = Received(
        sequence=1,
        source=source,
        pixel="1",
        event_name="Purchase",
        event_id="order-1",
        received_ms=0,
        ip=IPV6,
        user_agent=None,
        fbp="fb.1.1.1",
        fbc=None,
        external_id=(),
        value="49.9",
        currency="EUR",
        via="GET",
        params=msgspec.Raw(b"{}"),
    )
    return msgspec.structs.replace(plain, **changes)


def browser(**changes: object) -> Received:
    return event(Source.BROWSER, **changes)


def server(**changes: object) -> Received:
    return event(Source.SERVER, **changes)


def test_two_equal_halves_have_no_finding() -> None:
    assert findings([browser(), server(), browser(event_id="order-2"), server(event_id="order-2")]) == []
    assert findings([]) == []


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        ([browser(), server(ip=OTHER_IPV6)], {Trouble.IP_MISMATCH: (1, 1)}),
        ([browser(), server(ip=IPV4)], {Trouble.IP_MISMATCH: (1, 1), Trouble.IPV4_FOR_IPV6: (1, 1)}),
        ([browser(ip=IPV4), server(ip=IPV4)], {}),
        ([browser(ip=None), server()], {}),
        ([browser(), server(event_id="order-2", ip=IPV4)], {}),
        ([browser(event_id=None), server()], {Trouble.MISSING_EVENT_ID: (1, 2)}),
        ([browser(), browser(fbp="fb.1.1.2"), server()], {Trouble.SHARED_EVENT_ID: (2, 3)}),
        ([browser(fbp=None), browser(fbp=None, ip=IPV4)], {Trouble.SHARED_EVENT_ID: (2, 2)}),
        ([browser(), browser()], {}),
        ([browser(), server(fbp="fb.1.1.2")], {}),
        ([browser(value="49,90 €"), server()], {Trouble.INVALID_VALUE: (1, 2)}),
        ([browser(currency="EURO"), browser(currency="usd")], {Trouble.INVALID_CURRENCY: (1, 2)}),
        ([browser(value=None), browser(currency=None), browser()], {Trouble.MISSING_VALUE: (2, 3)}),
        ([browser(event_name="PageView", value=None, currency=None)], {}),
    ],
)
def test_each_trouble_is_counted_against_the_events_that_could_have_it(
    events: list[Received], expected: dict[Trouble, tuple[int, int]]
) -> None:
    found = {finding.trouble: (finding.affected, finding.total) for finding in findings(events)}
    assert found == expected


def test_the_widest_trouble_comes_first_with_samples() -> None:
    events = [browser(event_id=f"order-{number}", value="much") for number in range(9)]
    first, second = findings([*events, browser(event_id=None)])
    assert (first.trouble, first.percent) == (Trouble.INVALID_VALUE, 90.0)
    assert first.samples == ("order-0", "order-1", "order-2", "order-3", "order-4")
    assert (second.trouble, second.samples) == (Trouble.MISSING_EVENT_ID, ("Purchase",))


def test_every_trouble_has_a_title_and_advice() -> None:
    assert set(TITLES) == set(ADVICE) == set(Trouble)


def test_addresses_of_pairs_are_counted_by_both_families() -> None:
    events = [
        *(half(event_id=f"same-{number}") for number in range(3) for half in (browser, server)),
        browser(event_id="a"),
        server(event_id="a", ip=OTHER_IPV6),
        browser(event_id="b"),
        server(event_id="b", ip=IPV4),
        browser(event_id="alone"),
        browser(event_id="no address"),
        server(event_id="no address", ip=None),
    ]
    assert address_ways(events) == [
        AddressWay(pixel="ipv6", server="ipv6", pairs=4, same=3),
        AddressWay(pixel="ipv6", server="ipv4", pairs=1, same=0),
    ]
