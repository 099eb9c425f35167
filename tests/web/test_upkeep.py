"""Replay from the console and by command; forgetting and erasure by command only."""

import msgspec
import pytest

from relay.event.outcome import AttemptOutcome, Fate, FateReason
from relay.store.protocol import AttemptResult, Ended, Filters
from relay.web.signin import SignIn
from tests.event.malformed import good_event
from tests.store.samples import LEASE_MS
from tests.web.lab import Relay

pytestmark = pytest.mark.anyio

HERE = {"sec-fetch-site": "same-origin"}
PATHS = ("/api/replay", "/api/prune", "/api/erase")


def command(relay: Relay) -> dict[str, str]:
    sign_in: SignIn = relay.app.state.sign_in
    return {"authorization": f"Bearer {sign_in.issue('command', relay.clock.now_ms)}"}


async def reject(relay: Relay) -> None:
    """Post one event, and have Meta refuse it."""
    await relay.post(good_event())
    now_ms = relay.clock.now_ms
    lease = await relay.store.claim(now_ms=now_ms, lease_ms=LEASE_MS, limit=9, busy=frozenset())
    assert lease is not None
    (event,) = lease.events
    number = await relay.store.begin_attempt(lease, [event.key], now_ms)
    ended = Ended(key=event.key, fate=Fate.REJECTED, reason=FateReason.REJECTED_BY_META)
    result = AttemptResult(outcome=AttemptOutcome.REJECT, http_status=400)
    assert await relay.store.settle(lease, [ended], now_ms=now_ms, attempt=(number, result)) == 1


async def test_a_person_replays_from_a_page_of_this_relay(console: Relay) -> None:
    await reject(console)
    response = await console.http.post("/api/replay", json={"event_ids": ["e-1"]}, headers=HERE)
    assert (response.status_code, response.json()) == (200, {"replayed": 1})
    assert (await console.store.totals()).waiting == 1


async def test_replay_wakes_the_courier(console: Relay, monkeypatch: pytest.MonkeyPatch) -> None:
    woken: list[int] = []
    monkeypatch.setattr(console.app.state.courier, "wake", woken.append)
    await console.http.post("/api/replay", json={"fate": "rejected"}, headers=HERE)
    assert woken == [0]  # at once


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"origin": "https://evil.example"},
    ],
)
async def test_no_other_page_replays_for_a_person_who_is_signed_in(
    console: Relay, headers: dict[str, str]
) -> None:
    await reject(console)
    response = await console.http.post("/api/replay", json={"fate": "rejected"}, headers=headers)
    assert (response.status_code, response.json()["error"]["reason"]) == (403, "cross_site")
    assert (await console.store.totals()).waiting == 0


async def test_nobody_replays_without_a_session(relay: Relay) -> None:
    response = await relay.http.post("/api/replay", json={"fate": "rejected"}, headers=HERE)
    assert (response.status_code, response.json()["error"]["reason"]) == (401, "not_signed_in")


@pytest.mark.parametrize("path", PATHS[1:])
async def test_a_session_neither_prunes_nor_erases(console: Relay, path: str) -> None:
    response = await console.http.post(path, json={}, headers=HERE)
    assert (response.status_code, response.json()["error"]["reason"]) == (401, "not_the_operator")


@pytest.mark.parametrize("purpose", ["session", "code", "doctor"])
async def test_a_token_for_something_else_is_no_command(relay: Relay, purpose: str) -> None:
    sign_in: SignIn = relay.app.state.sign_in
    token = sign_in.issue(purpose, relay.clock.now_ms)  # type: ignore[arg-type] # each is a Purpose
    response = await relay.http.post("/api/prune", json={}, headers={"authorization": f"Bearer {token}"})
    assert response.status_code == 401


async def test_a_command_s_token_is_good_once_and_for_five_minutes(relay: Relay) -> None:
    await relay.app.state.courier.stop(0)
    spent, late = command(relay), command(relay)
    assert (await relay.http.post("/api/prune", json={}, headers=spent)).status_code == 200
    assert (await relay.http.post("/api/prune", json={}, headers=spent)).status_code == 401
    relay.clock.now_ms += 300_000
    assert (await relay.http.post("/api/prune", json={}, headers=late)).status_code == 401


async def test_a_command_erases_one_person_s_events(console: Relay) -> None:
    await console.post(good_event(user_data={"em": "a" * 64}), good_event(event_id="e-2", user_data={}))
    response = await console.http.post("/api/erase", json={"hashes": ["a" * 64]}, headers=command(console))
    (gone,) = response.json()["erased"]
    assert (gone["was"], gone["events"]) == ("waiting", 1)
    assert [row.event_id for row in await console.store.recent(Filters())] == ["e-2"]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/api/replay", b"{"),
        ("/api/replay", b'{"fate": "\xff"}'),
        ("/api/erase", b'{"\x9d'),
        ("/api/erase", b"[" * 60_000),
        ("/api/replay", b'{"fate": "delivered!"}'),
        ("/api/replay", b'{"event_id": "e-1"}'),
        ("/api/replay", b'{"since_ms": "yesterday"}'),
        ("/api/prune", b'{"everything": true}'),
        ("/api/erase", b'{"hashes": []}'),
        ("/api/erase", b"[]"),
    ],
)
async def test_a_body_that_is_none_of_ours_is_refused_with_what_is_wrong(
    relay: Relay, path: str, body: bytes
) -> None:
    response = await relay.http.post(path, content=body, headers=command(relay))
    assert (response.status_code, response.json()["error"]["reason"]) == (400, "bad_request")


async def test_a_replay_that_names_nothing_puts_nothing_back(console: Relay) -> None:
    await reject(console)
    response = await console.http.post("/api/replay", json={}, headers=HERE)
    assert response.json() == {"replayed": 0}


async def test_a_body_that_is_too_large_is_refused(relay: Relay) -> None:
    body = msgspec.json.encode({"event_ids": ["x" * 1_000] * 70})
    assert (await relay.http.post("/api/replay", content=body, headers=command(relay))).status_code == 413
