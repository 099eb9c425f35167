"""The courier against the Meta twin over real sockets: what Meta has afterwards, and what the ledger says."""

from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from math import log2

import httpx
import pytest

from relay.delivery.graph import Graph, PixelAccess
from relay.event.outcome import AttemptOutcome, Fate, FateReason
from relay.settings import Delivery
from relay.store.sqlite import SqliteStore
from relay.twin.app import create_twin
from relay.twin.fixture import MetaTwin
from tests.clock import Clock
from tests.delivery.lab import (
    OTHER_PIXEL,
    PIXEL,
    TOKEN,
    access,
    attempts_ended,
    courier_for,
    purchase,
    running,
    settled,
    the_receipt,
    until,
)

pytestmark = pytest.mark.anyio

OTHER_TOKEN = "EAABotherToken9876543210"


@pytest.fixture
def twin(clock: Clock) -> Iterator[MetaTwin]:
    """A twin that runs on the test's clock and knows the tokens of two pixels."""
    with MetaTwin(
        create_twin(clock_ms=clock, tokens={PIXEL: TOKEN, OTHER_PIXEL: OTHER_TOKEN})
    ) as running_twin:
        yield running_twin


@pytest.fixture
def calls() -> list[httpx.Request]:
    return []


@asynccontextmanager
async def door(twin: MetaTwin, calls: list[httpx.Request], delivery: Delivery) -> AsyncIterator[Graph]:
    """To the twin; every call through it is kept in `calls`."""

    async def keep(request: httpx.Request) -> None:
        calls.append(request)

    opened = Graph(httpx.AsyncClient(event_hooks={"request": [keep]}), twin.url, delivery)
    yield opened
    await opened.aclose()


@pytest.fixture
async def graph(twin: MetaTwin, calls: list[httpx.Request]) -> AsyncIterator[Graph]:
    async with door(twin, calls, Delivery()) as opened:
        yield opened


@pytest.fixture
async def impatient(twin: MetaTwin, calls: list[httpx.Request]) -> AsyncIterator[Graph]:
    """For answers that never come: an end that is not far, and far enough for one that does."""
    async with door(twin, calls, Delivery(read_timeout_seconds=2)) as opened:
        yield opened


PIXELS = {**access(PIXEL), **access(OTHER_PIXEL, token=OTHER_TOKEN)}


def taken(twin: MetaTwin) -> Counter[str]:
    """How often the twin took each event_id."""
    return Counter(event["event_id"] for event in twin.state()["server"])


async def test_a_batch_reaches_meta_once_with_everything_it_carries(
    store: SqliteStore, clock: Clock, twin: MetaTwin, graph: Graph, calls: list[httpx.Request]
) -> None:
    await store.admit([purchase(f"e{n}", clock) for n in range(20)])
    async with running(courier_for(store, graph, clock, pixels=PIXELS)):
        await settled(store)

    assert len(calls) == 1
    assert taken(twin) == {f"e{n}": 1 for n in range(20)}
    (event,) = twin.state("e7")["server"]
    assert (event["pixel"], event["event_name"], event["ip"]) == (PIXEL, "Purchase", "2001:db8::1")
    assert (event["value"], event["currency"]) == ("49.9", "EUR")
    assert (await store.totals()).fates == {Fate.DELIVERED: 20}


@pytest.mark.parametrize("guilty", [{0}, {999}, {637}, {0, 499, 500}, set(range(7, 1_000, 100))])
async def test_bad_events_among_a_thousand_are_found_and_all_others_delivered(
    store: SqliteStore,
    clock: Clock,
    twin: MetaTwin,
    graph: Graph,
    calls: list[httpx.Request],
    guilty: set[int],
) -> None:
    await store.admit([purchase(f"e{n}", clock, good=n not in guilty) for n in range(1_000)])
    async with running(courier_for(store, graph, clock, pixels=PIXELS)):
        await settled(store)

    assert taken(twin) == {f"e{n}": 1 for n in range(1_000) if n not in guilty}
    assert (await store.totals()).fates == {Fate.DELIVERED: 1_000 - len(guilty), Fate.REJECTED: len(guilty)}
    assert len(calls) <= 2 * len(guilty) * log2(1_000) + 1
    bad = await the_receipt(store, f"e{min(guilty)}")
    assert bad.fate is not None
    assert bad.fate.reason is FateReason.REJECTED_BY_META
    assert "A Purchase needs custom_data.value." in (bad.fate.detail or "")
    assert (bad.attempts[-1].code, bad.attempts[-1].subcode, bad.attempts[-1].events) == (100, 2804009, 1)


async def test_a_wrong_token_parks_its_pixel_alone_and_the_right_one_loses_nothing(
    store: SqliteStore, clock: Clock, twin: MetaTwin, graph: Graph
) -> None:
    wrong = {**PIXELS, **access(PIXEL, token="EAABwrong0123456789")}
    await store.admit([purchase(f"e{n}", clock) for n in range(3)])
    courier = courier_for(store, graph, clock, pixels=wrong)
    async with running(courier):
        await attempts_ended(store, "e0")
        (parked,) = await store.parked()
        assert (parked.pixel, parked.code) == (PIXEL, 190)
        await store.admit([purchase("other", clock, pixel=OTHER_PIXEL)])
        courier.wake()
        await attempts_ended(store, "other")
    assert taken(twin) == {"other": 1}

    async with running(courier_for(store, graph, clock, pixels=PIXELS)):
        await settled(store)
    assert taken(twin) == {"other": 1, "e0": 1, "e1": 1, "e2": 1}
    assert [a.outcome for a in (await the_receipt(store, "e0")).attempts] == [
        AttemptOutcome.PARK,
        AttemptOutcome.RECEIPT,
    ]


async def test_a_token_of_another_pixel_parks_too(store: SqliteStore, clock: Clock, graph: Graph) -> None:
    await store.admit([purchase("e1", clock)])
    async with running(courier_for(store, graph, clock, pixels=access(PIXEL, token=OTHER_TOKEN))):
        stored = await attempts_ended(store, "e1")
    assert (stored.attempts[0].code, stored.attempts[0].subcode) == (100, 33)
    assert stored.parked is not None


@pytest.mark.parametrize(("fault", "seconds"), [("rate_limit", 150), ("throttle", 180)])
async def test_a_throttle_is_honoured_to_the_second(
    store: SqliteStore, clock: Clock, twin: MetaTwin, graph: Graph, fault: str, seconds: int
) -> None:
    twin.fault(fault, retry_after_seconds=150)  # the usage headers count whole minutes
    await store.admit([purchase("e1", clock)])
    courier = courier_for(store, graph, clock, pixels=PIXELS)
    async with running(courier):
        assert (await attempts_ended(store, "e1")).due_ms == clock() + seconds * 1_000
        clock.pass_seconds(seconds)
        courier.wake()
        await settled(store)
    assert taken(twin) == {"e1": 1}


@pytest.mark.parametrize("fault", ["accept_then_timeout", "accept_then_reset", "partial_json"])
async def test_a_send_that_was_taken_without_an_answer_is_the_only_one_that_can_arrive_twice_and_is_counted(
    store: SqliteStore, clock: Clock, twin: MetaTwin, impatient: Graph, fault: str
) -> None:
    twin.fault(fault)
    await store.admit([purchase("e1", clock)])
    courier = courier_for(store, impatient, clock, pixels=PIXELS)
    async with running(courier):
        assert (await attempts_ended(store, "e1")).ambiguous == 1
        clock.pass_seconds(6)
        courier.wake()
        await settled(store)
    assert taken(twin) == {"e1": 2}
    stored = await the_receipt(store, "e1")
    assert [a.outcome for a in stored.attempts] == [AttemptOutcome.UNKNOWN, AttemptOutcome.RECEIPT]
    assert (await store.totals()).ambiguous_attempts == 1


async def test_policy_hold_never_sends_twice_and_replay_is_a_persons_choice(
    store: SqliteStore, clock: Clock, twin: MetaTwin, graph: Graph
) -> None:
    twin.fault("reset")
    await store.admit([purchase("e1", clock)])
    courier = courier_for(store, graph, clock, pixels=PIXELS, delivery=Delivery(on_unknown="hold"))
    async with running(courier):
        await settled(store)
        assert (await store.totals()).fates == {Fate.UNKNOWN: 1}
        assert taken(twin) == {}
        clock.pass_seconds(60)
        await store.replay(event_ids=["e1"], now_ms=clock())
        courier.wake()
        await settled(store)
    assert taken(twin) == {"e1": 1}
    assert (await store.totals()).fates == {Fate.DELIVERED: 1}


@pytest.mark.parametrize(
    ("fault", "fields", "outcome"),
    [
        ("status", {"status": 503}, AttemptOutcome.RETRY),
        ("status", {"status": 302}, AttemptOutcome.RETRY),
        ("html", {"status": 500}, AttemptOutcome.RETRY),
        ("html", {"status": 502}, AttemptOutcome.UNKNOWN),
        ("graph_error", {"status": 500, "code": 2}, AttemptOutcome.RETRY),
        ("no_events_received", {}, AttemptOutcome.UNKNOWN),
        ("hang", {}, AttemptOutcome.UNKNOWN),
        ("reset", {}, AttemptOutcome.UNKNOWN),
    ],
)
async def test_after_any_passing_trouble_meta_has_the_event_once(
    store: SqliteStore,
    clock: Clock,
    twin: MetaTwin,
    impatient: Graph,
    fault: str,
    fields: dict[str, int],
    outcome: AttemptOutcome,
) -> None:
    twin.fault(fault, **fields)
    await store.admit([purchase("e1", clock)])
    courier = courier_for(store, impatient, clock, pixels=PIXELS)
    async with running(courier):
        assert (await attempts_ended(store, "e1")).attempts[0].outcome is outcome
        clock.pass_seconds(6)
        courier.wake()
        await settled(store)
    assert taken(twin) == {"e1": 1}


async def test_a_relay_that_starts_again_goes_on_where_it_was(
    store: SqliteStore, clock: Clock, twin: MetaTwin, graph: Graph
) -> None:
    await store.admit([purchase(f"e{n}", clock) for n in range(4)])
    lease = await store.claim(now_ms=clock(), lease_ms=120_000, limit=2, busy=frozenset())  # and then: gone
    assert lease is not None
    await store.begin_attempt(lease, [event.key for event in lease.events], clock())

    assert await store.recover(now_ms=clock(), on_unknown="resend") == 1
    async with running(courier_for(store, graph, clock, pixels=PIXELS)):
        await settled(store)
    assert taken(twin) == {f"e{n}": 1 for n in range(4)}
    assert (await the_receipt(store, "e0")).ambiguous == 1
    assert (await the_receipt(store, "e3")).ambiguous == 0


async def test_a_twin_that_comes_up_late_gets_everything(
    store: SqliteStore, clock: Clock, twin: MetaTwin
) -> None:
    nobody = Graph(httpx.AsyncClient(), "http://127.0.0.1:9")
    await store.admit([purchase(f"e{n}", clock) for n in range(3)])
    async with running(courier_for(store, nobody, clock, pixels=PIXELS)):
        await attempts_ended(store, "e0")
    await nobody.aclose()
    clock.pass_seconds(6)
    late = Graph(httpx.AsyncClient(), twin.url)
    async with running(courier_for(store, late, clock, pixels=PIXELS)):
        await settled(store)
    await late.aclose()
    assert taken(twin) == {f"e{n}": 1 for n in range(3)}
    assert (await store.totals()).ambiguous_attempts == 0


async def test_thousands_of_events_of_two_pixels_arrive_once_each(
    store: SqliteStore, clock: Clock, twin: MetaTwin, graph: Graph, calls: list[httpx.Request]
) -> None:
    both = (PIXEL, OTHER_PIXEL)
    await store.admit([purchase(f"{pixel}-{n}", clock, pixel=pixel) for pixel in both for n in range(1_500)])
    async with running(courier_for(store, graph, clock, pixels=PIXELS)):
        await settled(store)
    assert taken(twin) == {f"{pixel}-{n}": 1 for pixel in both for n in range(1_500)}
    assert len(calls) == 4


async def test_a_receipt_can_ask_the_twin_what_it_saw(
    store: SqliteStore, clock: Clock, twin: MetaTwin, graph: Graph
) -> None:
    await store.admit([purchase("e1", clock)])
    async with running(courier_for(store, graph, clock, pixels=PIXELS)):
        await settled(store)

    async def seen() -> bool:
        arrivals = await graph.twin_arrivals("e1")
        return arrivals is not None and len(arrivals["server"]) == 1

    await until(seen)
    assert await graph.twin_arrivals("nobody") == {**twin.state("nobody")}


async def test_a_test_code_ends_with_its_time_and_the_events_go_on(
    store: SqliteStore, clock: Clock, twin: MetaTwin, graph: Graph
) -> None:
    testing = PixelAccess(PIXEL, TOKEN, "v26.0", "TEST1", clock() + 60_000)
    courier = courier_for(store, graph, clock, pixels={PIXEL: testing})
    await store.admit([purchase("tested", clock)])
    async with running(courier):
        await settled(store)
        clock.now_ms += 60_000
        await store.admit([purchase("after", clock)])
        courier.wake()
        await settled(store)
    codes = {event["event_id"]: event["test_event_code"] for event in twin.state()["server"]}
    assert codes == {"tested": "TEST1", "after": None}
