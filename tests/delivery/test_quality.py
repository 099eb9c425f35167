"""Asking Meta about quality: the twin on a socket, and scripted answers where spelling is the matter."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from relay.delivery.batch import request_body
from relay.delivery.graph import Graph, PixelAccess, open_graph
from relay.delivery.quality import HOUR_MS, QualityPoll
from relay.event.quality import QualityRecord
from relay.settings import GRAPH_URL, Delivery
from relay.store.protocol import Store
from relay.store.sqlite import SqliteStore
from relay.twin.app import create_twin
from relay.twin.fixture import MetaTwin
from tests.clock import Clock
from tests.store.samples import NOW_MS

pytestmark = pytest.mark.anyio

PIXEL = "1234567890"
TOKEN = "EAABcanary0123456789"
ACCESS = PixelAccess(PIXEL, TOKEN, "v26.0")
HANDLER = Callable[[httpx.Request], httpx.Response]


@pytest.fixture
async def store(tmp_path: Path, anyio_backend: str) -> AsyncIterator[Store]:
    async with await SqliteStore.open(tmp_path / "a.db") as opened:
        yield opened


def poll_over(
    store: Store, handler: HANDLER, clock: Clock, *, hours: float = 6, access: PixelAccess = ACCESS
) -> QualityPoll:
    graph = Graph(httpx.AsyncClient(transport=httpx.MockTransport(handler)), GRAPH_URL)
    return QualityPoll(store, graph, lambda: {access.id: access}, hours, clock, lambda: 0.5)


async def records(store: Store) -> dict[str, QualityRecord]:
    return {record.scope: record for record in await store.quality(since_ms=0)}


def web(*names: str) -> httpx.Response:
    return httpx.Response(200, json={"web": [{"event_name": name} for name in names]})


def error(code: int, message: str, status: int = 400, **headers: str) -> httpx.Response:
    body = {"error": {"message": message, "type": "OAuthException", "code": code}}
    return httpx.Response(status, json=body, headers=headers)


def unknown(field: str) -> httpx.Response:
    return error(100, f"(#100) Tried accessing nonexisting field ({field})")


async def test_both_questions_are_asked_and_kept_with_the_token_in_the_header_only(store: Store) -> None:
    asked: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return web("Purchase", "Lead") if "agent_name" not in request.url.params else web("Purchase")

    assert await poll_over(store, answer, Clock(NOW_MS)).ask_now(PIXEL)
    kept = await records(store)
    assert [event.event_name for event in kept["all"].events] == ["Purchase", "Lead"]
    assert [event.event_name for event in kept["ours"].events] == ["Purchase"]
    assert [request.url.params.get("agent_name") for request in asked] == [None, "counterfoil"]
    assert all(request.url.params["dataset_id"] == PIXEL for request in asked)
    assert all(request.headers["authorization"] == f"Bearer {TOKEN}" for request in asked)
    assert all(TOKEN not in str(request.url) for request in asked)


@pytest.mark.parametrize("known", [["dedupe_key_feedback"], ["dedup_key_feedback"], []])
async def test_a_spelling_that_graph_does_not_know_is_given_up_once(store: Store, known: list[str]) -> None:
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        fields = request.url.params["fields"]
        asked.append(fields)
        for field in ("dedupe_key_feedback", "dedup_key_feedback"):
            if f"{field}{{" in fields and field not in known:
                return unknown(field)
        return web("Purchase")

    clock = Clock(NOW_MS)
    poll = poll_over(store, answer, clock)
    await poll.ask_now(PIXEL)
    probed = len(asked)
    clock.now_ms += HOUR_MS
    await poll.ask_now(PIXEL)
    assert len(asked) - probed == 2  # what it is called is known by now
    assert (await records(store))["all"].problem is None


async def test_a_token_that_may_not_read_is_told_and_asked_again_after_a_day(store: Store) -> None:
    asked: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return error(200, f"(#200) Requires ads_read {TOKEN}", 403)

    clock = Clock(NOW_MS)
    poll = poll_over(store, answer, clock)
    await poll.ask_now(PIXEL)
    kept = (await records(store))["all"]
    assert (kept.refused, kept.problem) == (True, "(#200) Requires ads_read [token] (code 200)")
    for hours, times in ((6, 1), (23, 1), (24, 2)):
        clock.now_ms = NOW_MS + hours * HOUR_MS
        await poll.turn()
        assert len(asked) == times, hours


async def test_a_throttle_is_waited_for(store: Store) -> None:
    asked: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return error(4, "Too many calls", 429, **{"retry-after": "7200"})

    clock = Clock(NOW_MS)
    poll = poll_over(store, answer, clock)
    await poll.ask_now(PIXEL)
    for hours, times in ((1, 1), (2, 2)):
        clock.now_ms = NOW_MS + hours * HOUR_MS
        await poll.turn()
        assert len(asked) == times, hours


@pytest.mark.parametrize("body", [b"", b"[]", b"<html>", b'{"web": '])
async def test_an_answer_that_cannot_be_read_is_a_problem_and_no_quality(store: Store, body: bytes) -> None:
    await poll_over(store, lambda _: httpx.Response(200, content=body), Clock(NOW_MS)).ask_now(PIXEL)
    kept = (await records(store))["all"]
    assert (kept.events, kept.refused) == ((), False)
    assert kept.problem


async def test_it_asks_about_every_six_hours_and_not_before_a_kept_answer_is_so_old(store: Store) -> None:
    asked: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return web("Purchase")

    clock = Clock(NOW_MS)
    await poll_over(store, answer, clock).turn()
    assert asked == []  # a start asks nothing at once
    clock.now_ms += HOUR_MS
    first = poll_over(store, answer, clock)
    await first.turn()
    clock.now_ms += HOUR_MS
    await first.turn()
    assert len(asked) == 2
    again = poll_over(store, answer, clock)  # a restart
    await again.turn()
    clock.now_ms += 5 * HOUR_MS
    await again.turn()
    assert len(asked) == 2
    clock.now_ms += HOUR_MS
    await again.turn()
    assert len(asked) == 4


async def test_a_person_asks_once_a_minute_at_most(store: Store) -> None:
    clock = Clock(NOW_MS)
    poll = poll_over(store, lambda _: web("Purchase"), clock)
    assert [await poll.ask_now(PIXEL), await poll.ask_now(PIXEL), await poll.ask_now("999")] == [
        True,
        False,
        False,
    ]
    clock.now_ms += 60_000
    assert await poll.ask_now(PIXEL)


async def test_zero_hours_never_asks_by_itself(store: Store) -> None:
    poll = poll_over(store, lambda _: web("Purchase"), Clock(NOW_MS), hours=0)
    await asyncio.wait_for(poll.run(), timeout=5)
    assert await store.quality(since_ms=0) == []


async def test_a_pixel_without_a_token_is_not_asked_about(store: Store) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        raise AssertionError("asked")

    poll = poll_over(store, answer, Clock(NOW_MS), access=PixelAccess(PIXEL, None, "v26.0"))
    assert await poll.ask_now(PIXEL)
    assert "no access token" in ((await records(store))["all"].problem or "")


async def test_an_agent_that_is_compared_whole_is_found(store: Store) -> None:
    asked: list[str | None] = []

    def answer(request: httpx.Request) -> httpx.Response:
        agent = request.url.params.get("agent_name")
        asked.append(agent)
        return web("Purchase") if agent in (None, own_agent()) else web()

    clock = Clock(NOW_MS)
    poll = poll_over(store, answer, clock)
    await poll.ask_now(PIXEL)
    clock.now_ms += 60_000
    await poll.ask_now(PIXEL)
    assert asked == [None, "counterfoil", own_agent(), None, own_agent()]
    assert [event.event_name for event in (await records(store))["ours"].events] == ["Purchase"]


def own_agent() -> str:
    body: dict[str, Any] = httpx.Response(200, content=request_body([], None)).json()
    return str(body["partner_agent"])


async def test_a_graph_that_is_away_is_a_problem(store: Store) -> None:
    graph = open_graph("http://127.0.0.1:9", Delivery(connect_timeout_seconds=0.5, read_timeout_seconds=0.5))
    poll = QualityPoll(store, graph, lambda: {PIXEL: ACCESS}, 6, Clock(NOW_MS), lambda: 0.5)
    await poll.ask_now(PIXEL)
    await graph.aclose()
    assert "No answer from Graph" in ((await records(store))["all"].problem or "")


async def test_the_twin_is_asked_on_a_real_socket(store: Store) -> None:
    with MetaTwin(create_twin(tokens={PIXEL: TOKEN}, quality_readable=False)) as twin:
        graph = open_graph(twin.url, Delivery())
        poll = QualityPoll(store, graph, lambda: {PIXEL: ACCESS}, 6, Clock(NOW_MS), lambda: 0.5)
        await poll.ask_now(PIXEL)
        await graph.aclose()
    kept = (await records(store))["all"]
    assert kept.refused
    assert "ads_read" in (kept.problem or "")
