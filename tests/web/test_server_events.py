"""`POST /v1/server-events`: authenticated by a key, bounded, checked, committed; then 202."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from msgspec.structs import replace

from relay.errors import SettingsError, StoreFull
from relay.event.outcome import Admission, CallReason
from relay.event.records import OutboxEvent
from relay.event.server_wire import BODY_MAX_BYTES
from relay.settings import EventRules, Limits, Settings
from relay.store.sqlite import SqliteStore
from relay.web.app import create_app
from tests.event.malformed import SITE_KEY, good_event
from tests.event.malformed_server import MALFORMED_CALLS, call, good_server_event
from tests.web.lab import Relay, lab_settings, open_relay

pytestmark = pytest.mark.anyio

KEY, OLD_KEY = "write-key-of-the-shop-" + "k" * 20, "the-key-before-it-was-rotated-" + "o" * 20
ENVIRON = {"SHOP_KEYS": f"{OLD_KEY} {KEY}"}


def with_keys(folder: Path, **site: Any) -> Settings:
    settings = lab_settings(folder)
    shop, *others = settings.site
    return replace(settings, site=(replace(shop, write_key_env="SHOP_KEYS", **site), *others))


@pytest.fixture
async def relay(tmp_path: Path, anyio_backend: str) -> AsyncIterator[Relay]:
    async with open_relay(with_keys(tmp_path), environ=ENVIRON) as opened:
        yield opened


async def send(relay: Relay, *events: Any, body: bytes | None = None, **headers: Any) -> httpx.Response:
    named = {"authorization": f"Bearer {KEY}", "content-type": "application/json"} | headers
    content = call(*(events or [good_server_event()])) if body is None else body
    return await relay.http.post("/v1/server-events", content=content, headers=named)


async def the_receipt(relay: Relay, event_id: str = "e-1") -> Any:
    (receipt,) = await relay.store.find(event_id)
    return receipt


async def test_a_good_event_is_answered_after_it_is_committed(relay: Relay) -> None:
    response = await send(relay)
    assert response.status_code == 202
    assert response.json() == {"accepted": 1, "updated": 0, "duplicates": 0, "refused": []}
    receipt = await the_receipt(relay)
    assert (receipt.row.state, receipt.row.status) == ("awaited", "held")
    assert receipt.why["sender"] == "POST /v1/server-events"


async def test_the_same_call_again_changes_nothing(relay: Relay) -> None:
    await send(relay)
    assert (await send(relay)).json()["duplicates"] == 1


async def test_a_bad_event_is_named_by_its_place_and_its_neighbours_go_on(relay: Relay) -> None:
    answer = (await send(relay, good_server_event(), 7, good_server_event(event_id="e-2"))).json()
    assert answer["accepted"] == 2
    (refused,) = answer["refused"]
    assert (refused["index"], refused["event_id"], refused["reason"]) == (1, None, "invalid_event")


@pytest.mark.parametrize("key", [KEY, OLD_KEY])
async def test_every_key_of_the_list_is_taken_so_that_keys_can_be_rotated(relay: Relay, key: str) -> None:
    assert (await send(relay, authorization=f"bearer {key}")).status_code == 202


@pytest.mark.parametrize(
    ("authorization", "reason"),
    [
        ("", "key_missing"),
        ("Bearer", "key_missing"),
        (f"Basic {KEY}", "key_missing"),
        ("Bearer wrong", "key_unknown"),
        (f"Bearer {KEY[:-1]}", "key_unknown"),
        (f"Bearer {SITE_KEY}", "key_unknown"),
        ("Bearer \u00e9\u00ff", "key_unknown"),
    ],
)
async def test_without_a_key_of_the_site_nothing_is_read(
    relay: Relay, authorization: str, reason: str
) -> None:
    headers = {b"authorization": authorization.encode("latin-1"), b"content-type": b"application/json"}
    body = call(good_server_event())
    response = await relay.http.post("/v1/server-events", content=body, headers=headers)
    assert (response.status_code, response.json()["error"]["reason"]) == (401, reason)
    assert response.headers["www-authenticate"] == "Bearer"
    assert await relay.store.find("e-1") == []


async def test_guessing_keys_ends_with_429(tmp_path: Path) -> None:
    settings = replace(with_keys(tmp_path), limits=Limits(address_posts_per_minute=2, answer_delay_ms=0))
    async with open_relay(settings, environ=ENVIRON) as relay:
        statuses = [(await send(relay, authorization="Bearer wrong")).status_code for _ in range(3)]
        assert statuses == [401, 401, 429]
        assert (await send(relay)).status_code == 202, "the right key costs nothing"


async def test_a_site_has_a_budget_of_server_events(tmp_path: Path) -> None:
    settings = replace(with_keys(tmp_path), limits=Limits(server_events_per_minute=1000, answer_delay_ms=0))
    async with open_relay(settings, environ=ENVIRON) as relay:
        assert (await send(relay, *[7] * 1000)).status_code == 202
        response = await send(relay)
        assert (response.status_code, response.json()["error"]["reason"]) == (429, "server_rate")


async def test_malformed_calls_are_refused_whole_or_event_by_event_and_nothing_is_stored(
    relay: Relay,
) -> None:
    for row in MALFORMED_CALLS:
        response = await send(relay, body=row.body)
        if isinstance(row.expected, CallReason):
            assert response.status_code in range(400, 500), row.name
            assert response.json()["error"]["reason"] == row.expected
        else:
            assert response.status_code == 202, row.name
            assert [each["reason"] for each in response.json()["refused"]] == [row.expected], row.name
    assert (await relay.store.totals()).waiting == 0


@pytest.mark.parametrize(
    ("headers", "status", "reason"),
    [
        ({"content-type": "text/plain"}, 415, "call_content_type"),
        ({"content-encoding": "gzip"}, 415, "call_encoded"),
    ],
)
async def test_other_kinds_of_bodies_are_refused(
    relay: Relay, headers: dict[str, str], status: int, reason: str
) -> None:
    named: dict[str, Any] = {**headers}
    response = await send(relay, **named)
    assert (response.status_code, response.json()["error"]["reason"]) == (status, reason)


async def test_a_body_that_is_too_large_is_not_read_to_its_end(relay: Relay) -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(BODY_MAX_BYTES // 65_536 + 1):
            yield b" " * 65_536

    response = await relay.http.post(
        "/v1/server-events",
        content=endless(),
        headers={"authorization": f"Bearer {KEY}", "content-type": "application/json"},
    )
    assert (response.status_code, response.json()["error"]["reason"]) == (413, "call_too_large")


async def test_a_store_that_cannot_commit_asks_the_server_to_come_back(
    relay: Relay, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(self: SqliteStore, events: Sequence[OutboxEvent]) -> list[Admission]:
        raise StoreFull("full")

    monkeypatch.setattr(SqliteStore, "admit", refuse)
    response = await send(relay)
    assert (response.status_code, response.headers["retry-after"]) == (503, "5")


async def test_what_the_page_posts_ends_the_wait_and_both_make_one_event(relay: Relay) -> None:
    await send(relay)
    assert (await relay.post(good_event(user_data={"ph": "b" * 64}))).json()["updated"] == 1
    receipt = await the_receipt(relay)
    assert (receipt.row.state, receipt.row.status) == ("sent", "due")
    assert {"em", "ph", "fbp"} <= receipt.server_event["user_data"].keys()
    assert receipt.server_event["custom_data"]["order_id"] == "o-1"


async def test_a_held_page_event_is_completed_by_the_backend(tmp_path: Path) -> None:
    rules = {"Purchase": EventRules(hold_completion_seconds=30)}
    async with open_relay(with_keys(tmp_path, events=rules), environ=ENVIRON) as relay:
        await relay.post()
        assert (await the_receipt(relay)).row.status == "held"
        part = {"event_name": "Purchase", "event_id": "e-1", "partial": True}
        answer = await send(
            relay, part | {"user_data": {"ph": "+49 30 1234567"}, "custom_data": {"value": 51}}
        )
        assert answer.json()["updated"] == 1
        receipt = await the_receipt(relay)
        assert (receipt.row.status, receipt.server_event["custom_data"]["value"]) == ("due", 51)
        assert "ph" in receipt.server_event["user_data"]


async def test_a_partial_event_alone_is_never_due(relay: Relay) -> None:
    await send(relay, good_server_event(partial=True, event_source_url=..., action_source=...))
    receipt = await the_receipt(relay)
    assert (receipt.row.status, receipt.fate.reason) == ("ended", "incomplete")
    assert (await relay.post()).json()["updated"] == 1
    assert (await the_receipt(relay)).row.status == "due"


async def test_in_split_mode_only_the_backends_event_is_sent(tmp_path: Path) -> None:
    async with open_relay(
        with_keys(tmp_path, events={"*": EventRules(mode="split")}), environ=ENVIRON
    ) as relay:
        await relay.post()
        assert (await the_receipt(relay)).fate.reason == "browser_only"
        await send(relay, good_server_event(event_id="e-2"))
        assert (await the_receipt(relay, "e-2")).row.status == "due"


def test_two_sites_with_one_key_are_refused_at_start(tmp_path: Path) -> None:
    settings = with_keys(tmp_path)
    shop, other = settings.site
    twice = replace(settings, site=(shop, replace(other, write_key_env="SHOP_KEYS")))
    with pytest.raises(SettingsError, match="same write key"):
        create_app(twice, environ=ENVIRON)


def all_bytes(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.iterdir() if path.is_file())


async def test_no_key_and_no_raw_customer_data_reaches_the_disk(relay: Relay, tmp_path: Path) -> None:
    await send(relay, good_server_event(), authorization=f"Bearer {KEY}")
    await send(relay, authorization="Bearer wrong-key-that-somebody-tried")
    receipt = await the_receipt(relay)
    assert b"ada@example.com" not in msgspec.json.encode(receipt)
    stored = await asyncio.to_thread(all_bytes, tmp_path)
    for secret in (KEY, OLD_KEY, "wrong-key-that-somebody-tried", "ada@example.com"):
        assert secret.encode() not in stored
