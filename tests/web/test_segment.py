"""Segment's HTTP API: who may send, what is taken, and what a client is told."""

import gzip
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from relay.errors import SettingsError, StoreError
from relay.event.records import OutboxEvent
from relay.event.segment_batch import BODY_MAX_BYTES, UNPACKED_MAX_BYTES
from relay.settings import EventMapping, EventRules
from relay.web.app import create_app
from tests.event.malformed import SITE_KEY
from tests.event.messages import message
from tests.web.lab import ORIGIN, USER_AGENT, Relay, open_relay
from tests.web.segment_lab import ENVIRON, WRITE_KEY, send, with_keys

pytestmark = pytest.mark.anyio

PAGE = {"origin": ORIGIN, "user-agent": USER_AGENT}


@pytest.fixture
async def relay(tmp_path: Path, anyio_backend: str) -> AsyncIterator[Relay]:
    async with open_relay(with_keys(tmp_path), environ=ENVIRON) as opened:
        yield opened


async def stored(relay: Relay, event_id: str = "m-1") -> list[Any]:
    await relay.sign_in()
    answer = await relay.http.get(f"/api/receipts/{event_id}")
    return answer.json()["receipts"] if answer.status_code == 200 else []


def files(folder: Path) -> bytes:
    """Everything that the store has written."""
    return b"".join(file.read_bytes() for file in folder.glob("counterfoil.db*"))


@pytest.mark.parametrize("call", ["track", "t", "batch", "b", "import"])
async def test_a_servers_message_is_committed(relay: Relay, call: str) -> None:
    body = {"batch": [message()]} if call in ("batch", "b", "import") else message()
    response = await send(relay, call, body)
    assert response.status_code == 200
    assert response.json() == {
        "success": True,
        "accepted": 1,
        "updated": 0,
        "duplicates": 0,
        "ignored": 0,
        "refused": [],
    }
    (receipt,) = await stored(relay)
    assert receipt["browser"]["state"] == "awaited"


@pytest.mark.parametrize(
    ("call", "counted"),
    [
        *(("page", "accepted"), ("p", "accepted"), ("identify", "ignored"), ("i", "ignored")),
        *(("screen", "ignored"), ("s", "ignored"), ("group", "ignored"), ("g", "ignored")),
        *(("alias", "ignored"), ("a", "ignored")),
    ],
)
async def test_the_address_says_what_the_message_is(relay: Relay, call: str, counted: str) -> None:
    response = await send(relay, call, message(type="track", event=None))
    assert (response.status_code, response.json()[counted]) == (200, 1)


async def test_any_prefix_may_stand_before_the_address(relay: Relay) -> None:
    for prefix in ("/relay", "/a/b"):
        url = f"{prefix}/v1/batch"
        answer = await relay.http.post(url, json={"batch": [message()]}, auth=httpx.BasicAuth(WRITE_KEY, ""))
        assert answer.status_code == 200
    assert (await relay.http.get(f"/cdn/v1/projects/{SITE_KEY}/settings")).status_code == 200


async def test_no_other_address_below_v1_is_made_by_that(relay: Relay) -> None:
    assert (await send(relay, "nothing")).status_code == 404


@pytest.mark.parametrize(
    "content_type", ["application/json", "application/x-www-form-urlencoded", "text/plain"]
)
async def test_what_is_packed_is_unpacked_whatever_the_headers_say(relay: Relay, content_type: str) -> None:
    packed = gzip.compress(msgspec.json.encode({"batch": [message()]}))
    response = await send(relay, "batch", packed, **{"content-type": content_type})
    assert response.json()["accepted"] == 1
    plain = msgspec.json.encode({"batch": [message()]})
    response = await send(relay, "batch", plain, **{"content-encoding": "gzip"})
    assert response.json()["duplicates"] == 1


async def test_a_message_that_is_sent_again_counts_once(relay: Relay) -> None:
    await send(relay)
    again = await send(relay, **{"x-retry-count": "1"})
    assert (again.status_code, again.json()["duplicates"]) == (200, 1)


async def test_a_message_without_an_id_gets_one(relay: Relay) -> None:
    response = await send(relay, body=message(messageId=None))
    assert response.json()["accepted"] == 1


async def test_the_key_may_stand_in_the_body(relay: Relay) -> None:
    response = await send(relay, "batch", {"batch": [message()], "writeKey": WRITE_KEY}, key=None)
    assert response.status_code == 200


@pytest.mark.parametrize("key", [None, "", "wrong", "w" * 39, "x:y"])
async def test_a_key_that_is_none_of_ours_is_told_so_once(relay: Relay, key: str | None) -> None:
    response = await send(relay, key=key)
    assert response.status_code == 401
    assert response.json()["error"]["reason"] == "unknown_write_key"
    assert await stored(relay) == []


async def test_a_page_sends_the_public_key_from_an_origin_of_the_site(relay: Relay) -> None:
    assert (await send(relay, key=SITE_KEY, **PAGE)).status_code == 200
    for origin, reason in (
        ({}, "public_key_without_origin"),
        ({"origin": "https://other.example"}, "origin_not_allowed"),
    ):
        response = await send(relay, key=SITE_KEY, **origin)
        assert (response.status_code, response.json()["error"]["reason"]) == (403, reason)
        assert "access-control-allow-origin" not in response.headers


async def test_a_secret_key_in_a_page_is_refused(relay: Relay) -> None:
    response = await send(relay, **PAGE)
    assert response.json()["error"]["reason"] == "secret_key_in_browser"
    assert await stored(relay) == []


async def test_a_pages_word_for_its_visitors_address_is_not_taken(relay: Relay) -> None:
    await send(relay, key=SITE_KEY, body=message(context={"ip": "8.8.8.8", "userAgent": "forged"}), **PAGE)
    (receipt,) = await stored(relay)
    assert receipt["server"]["client_ip_address"] == "198.51.100.7"
    assert receipt["server"]["client_user_agent"] == USER_AGENT


async def test_the_answer_is_for_the_pages_of_the_site_alone(relay: Relay) -> None:
    response = await send(relay, key=SITE_KEY, **PAGE)
    assert response.headers["access-control-allow-origin"] == ORIGIN
    asked = {
        "origin": ORIGIN,
        "access-control-request-method": "POST",
        "access-control-request-headers": "anonymousid,authorization,content-type,sentat",
    }
    for path in ("/v1/t", "/sourceConfig/", "/v1/projects/demo-shop/settings"):
        preflight = await relay.http.options(path, headers=asked)
        assert preflight.status_code == 204
        assert preflight.headers["access-control-allow-headers"] == asked["access-control-request-headers"]
    foreign = await relay.http.options("/v1/t", headers=asked | {"origin": "https://evil.example"})
    assert foreign.status_code == 403
    assert "access-control-allow-origin" not in foreign.headers


@pytest.mark.parametrize(
    ("body", "status", "reason"),
    [
        (b"{", 400, "batch_not_readable"),
        (b"[]", 400, "batch_not_readable"),
        (b"\x1f\x8b\x08junk", 400, "batch_not_readable"),
        (gzip.compress(b"{}" * 50, mtime=0)[:-9], 400, "batch_not_readable"),
        (b'{"batch": []}', 400, "no_messages"),
        (b'{"batch": 1}', 400, "no_messages"),
        (msgspec.json.encode({"batch": [{}] * 1_001}), 413, "too_many_messages"),
        (b" " * (BODY_MAX_BYTES + 1), 413, "batch_too_large"),
        (gzip.compress(b" " * (UNPACKED_MAX_BYTES + 1), mtime=0), 413, "batch_too_large"),
        (b'{"batch": [{}, 1, null, "x", []]}', 400, "messages_refused"),
        (b"[" * 100_000, 400, "batch_not_readable"),
    ],
)
async def test_a_post_that_cannot_be_read_is_refused_with_the_reason(
    relay: Relay, body: bytes, status: int, reason: str
) -> None:
    response = await send(relay, "batch", body)
    assert (response.status_code, response.json()["error"]["reason"]) == (status, reason)


async def test_a_bad_message_does_not_touch_its_neighbours(relay: Relay) -> None:
    bad = message(messageId="bad", properties={"revenue": "much", "currency": "EUR"})
    response = await send(relay, "batch", {"batch": [bad, message(), message(type="identify")]})
    answer = response.json()
    assert response.status_code == 200
    assert (answer["success"], answer["accepted"], answer["ignored"]) == (False, 1, 1)
    assert [(each["message_id"], each["reason"]) for each in answer["refused"]] == [("bad", "invalid_value")]


async def test_a_denied_consent_is_no_mistake_of_the_client(relay: Relay) -> None:
    denied = message(context={"consent": {"categoryPreferences": {"Advertising": False}}})
    response = await send(relay, body=denied)
    assert (response.status_code, response.json()["refused"][0]["reason"]) == (200, "consent_denied")


async def test_while_nothing_can_be_committed_clients_are_asked_to_come_back(
    relay: Relay, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def full(_events: list[OutboxEvent]) -> None:
        raise StoreError("full")

    monkeypatch.setattr(relay.store, "admit", full)
    response = await send(relay)
    assert response.status_code == 503
    assert int(response.headers["retry-after"]) > 0


async def test_no_raw_customer_data_is_in_the_store(relay: Relay, tmp_path: Path) -> None:
    traits = {"email": "ada.qzxv@shop.example", "phone": "+49 30 901820", "lastName": "Lovelaceqzxv"}
    body = message(context={"traits": traits}, userId="qzxv-user", properties={"email": "eve.qzxv@x.example"})
    await send(relay, body=body | {"event": "Seen"})
    kept = files(tmp_path)
    assert b"m-1" in kept
    assert not [word for word in (b"qzxv", b"901820") if word in kept]


async def test_an_event_that_needs_a_signature_is_not_sent_on_a_pages_word(
    tmp_path: Path, anyio_backend: str
) -> None:
    settings = with_keys(tmp_path, require_signature=("Purchase",), conversion_key_env="LAB_WRITE_KEY")
    async with open_relay(settings, environ=ENVIRON) as relay:
        await send(relay, key=SITE_KEY, **PAGE)
        (receipt,) = await stored(relay)
        assert receipt["fate"]["reason"] == "unsigned"
        accepted = await send(relay)
        assert accepted.json()["accepted"] == 1


async def test_a_page_does_not_stand_in_for_the_backend_of_a_split_event(
    tmp_path: Path, anyio_backend: str
) -> None:
    settings = with_keys(tmp_path, events={"Purchase": EventRules(mode="split")})
    async with open_relay(settings, environ=ENVIRON) as relay:
        await send(relay, key=SITE_KEY, **PAGE)
        (receipt,) = await stored(relay)
        assert receipt["fate"]["reason"] == "browser_only"
        assert (await send(relay)).json()["updated"] == 1
        (receipt,) = (await relay.http.get("/api/receipts/m-1")).json()["receipts"]
        assert receipt["fate"] is None


async def test_a_page_cannot_change_what_the_backend_has_said(relay: Relay) -> None:
    await send(relay)
    forged = message(properties={"revenue": 1, "currency": "USD", "coupon": "x"})
    await send(relay, key=SITE_KEY, body=forged, **PAGE)
    (receipt,) = await stored(relay)
    data = receipt["server"]["event"]["custom_data"]
    assert (data["value"], data["currency"], data["coupon"]) == (25, "EUR", "x")


async def test_a_browsers_privacy_control_limits_or_drops_the_event(
    tmp_path: Path, anyio_backend: str
) -> None:
    async with open_relay(with_keys(tmp_path, gpc="drop"), environ=ENVIRON) as relay:
        response = await send(relay, key=SITE_KEY, **PAGE, **{"sec-gpc": "1"})
        assert response.json()["refused"][0]["reason"] == "privacy_control"


async def test_segments_settings_name_this_relay_and_nothing_to_load(relay: Relay) -> None:
    answer = (await relay.http.get(f"/v1/projects/{SITE_KEY}/settings")).json()
    assert answer["integrations"]["Segment.io"]["apiHost"] == "relay.shop.example/v1"
    assert answer["counterfoil"]["page"] == EventMapping().page
    assert answer["remotePlugins"] == []
    unknown = await relay.http.get(f"/v1/projects/{WRITE_KEY}/settings")
    assert unknown.status_code == 401


async def test_rudderstacks_source_has_no_destinations(relay: Relay) -> None:
    answer = await relay.http.get("/sourceConfig/", params={"writeKey": SITE_KEY}, headers={"origin": ORIGIN})
    assert answer.json()["source"]["destinations"] == []
    assert answer.headers["access-control-allow-origin"] == ORIGIN


async def test_a_server_that_posts_often_is_not_taken_for_a_flood(tmp_path: Path, anyio_backend: str) -> None:
    settings = with_keys(tmp_path)
    limits = msgspec.structs.replace(settings.limits, address_posts_per_minute=1)
    async with open_relay(msgspec.structs.replace(settings, limits=limits), environ=ENVIRON) as relay:
        statuses = [(await send(relay)).status_code for _ in range(3)]
        guesses = [(await send(relay, key="guess")).status_code for _ in range(3)]
    assert statuses == [200, 200, 200]
    assert guesses == [401, 429, 429]


def test_two_sites_cannot_share_a_write_key(tmp_path: Path) -> None:
    settings = with_keys(tmp_path)
    both = tuple(msgspec.structs.replace(site, write_key_env="LAB_WRITE_KEY") for site in settings.site)
    with pytest.raises(SettingsError, match="same write key"):
        create_app(msgspec.structs.replace(settings, site=both), environ=ENVIRON)
