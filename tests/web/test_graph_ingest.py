"""`POST /graph/{version}/{pixel}/events`: Graph's address on the relay, answered in Graph's words."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest
from msgspec.structs import replace

from relay.errors import StoreFull
from relay.event.fields import Refused
from relay.event.graph_wire import read_graph_event
from relay.event.outcome import Admission, BrowserState
from relay.event.records import OutboxEvent
from relay.settings import Limits
from relay.store.protocol import Filters
from relay.store.sqlite import SqliteStore
from tests.event.malformed import PIXEL_ID, good_event
from tests.event.malformed_server import MALFORMED_SERVER_EVENTS, good_server_event
from tests.web.lab import NOW_MS, Relay, open_relay
from tests.web.test_server_events import ENVIRON, KEY, all_bytes, with_keys

pytestmark = pytest.mark.anyio

TOKEN = "EAABpixelToken0123456789"
CAPTURED = Path(__file__).parent.parent / "twin" / "data"
PATH = f"/graph/v26.0/{PIXEL_ID}/events"
FORM = {"content-type": "application/x-www-form-urlencoded"}


def with_token(folder: Path) -> Any:
    settings = with_keys(folder)
    shop, *others = settings.site
    pixels = (replace(shop.pixels[0], token_env="META_TOKEN"),)
    return replace(settings, site=(replace(shop, pixels=pixels), *others))


@pytest.fixture
async def relay(tmp_path: Path, anyio_backend: str) -> AsyncIterator[Relay]:
    async with open_relay(with_token(tmp_path), environ=ENVIRON | {"META_TOKEN": TOKEN}) as opened:
        yield opened


async def send(relay: Relay, *events: Any, token: str | None = KEY, path: str = PATH) -> httpx.Response:
    """As a client that sends JSON with the token in the header."""
    headers = {} if token is None else {"authorization": f"Bearer {token}"}
    return await relay.http.post(path, json={"data": events or [good_server_event()]}, headers=headers)


async def stored(relay: Relay) -> int:
    totals = await relay.store.totals()
    return totals.waiting + sum(totals.fates.values())


@pytest.mark.parametrize("name", ["facebook_business_execute", "facebook_business_execute_async", "fb_node"])
async def test_captured_requests_of_metas_sdks_are_taken(relay: Relay, name: str) -> None:
    request = json.loads((CAPTURED / f"{name}.json").read_text())
    _, version, _, events = request["path"].split("/")
    body = request["body_text"].replace("1709296496", str(NOW_MS // 1_000 - 5)).replace("EAAtest", KEY)
    query = urlencode([(key, KEY) for key, _ in request["query"]])
    response = await relay.http.post(
        f"/graph/{version}/{PIXEL_ID}/{events}?{query}",
        content=body.encode(),
        headers={key: value for key, value in request["headers"] if key != "Accept"},
    )
    answer = response.json()
    assert response.status_code == 200, answer
    assert answer["events_received"] in (1, 2)
    assert (answer["messages"], bool(answer["fbtrace_id"])) == ([], True)
    (receipt,) = await relay.store.find("evt-1")
    assert receipt.why["sender"] == "POST /graph/…/events"
    assert receipt.client_ip_address == "2001:db8::1"


@pytest.mark.parametrize("token", [KEY, TOKEN])
@pytest.mark.parametrize("place", ["header", "query", "form", "json"])
async def test_the_token_is_taken_wherever_the_clients_put_it(relay: Relay, token: str, place: str) -> None:
    data = json.dumps([good_server_event()])
    sent = {
        "header": {"data": {"data": data}, "headers": {"authorization": f"Bearer {token}"}},
        "query": {"data": {"data": data, "appsecret_proof": "x"}, "params": {"access_token": token}},
        "form": {"data": {"data": data, "access_token": token}},
        "json": {"json": {"data": data, "access_token": token, "partner_agent": None}},
    }
    request: Any = sent[place]
    assert (await relay.http.post(PATH, **request)).json()["events_received"] == 1


@pytest.mark.parametrize(
    ("token", "pixel", "code", "subcode"),
    [
        (None, PIXEL_ID, 104, None),
        ("", PIXEL_ID, 104, None),
        ("wrong", PIXEL_ID, 190, None),
        (TOKEN, "5555555555", 190, None),
        (KEY, "5555555555", 100, 33),
        (KEY, "me", 100, 33),
    ],
)
async def test_other_tokens_are_refused_in_graphs_words(
    relay: Relay, token: str | None, pixel: str, code: int, subcode: int | None
) -> None:
    response = await send(relay, token=token, path=f"/graph/v26.0/{pixel}/events")
    error = response.json()["error"]
    assert (response.status_code, error["code"], error.get("error_subcode")) == (400, code, subcode)
    assert error["fbtrace_id"]
    assert await stored(relay) == 0


async def test_guessing_tokens_ends_with_graphs_own_throttle(tmp_path: Path) -> None:
    settings = replace(with_token(tmp_path), limits=Limits(address_posts_per_minute=2, answer_delay_ms=0))
    async with open_relay(settings, environ=ENVIRON | {"META_TOKEN": TOKEN}) as relay:
        for _ in range(2):
            assert (await send(relay, token="wrong")).status_code == 400
        response = await send(relay, token="wrong")
        error = response.json()["error"]
        assert (response.status_code, error["code"], error["is_transient"]) == (429, 4, True)
        assert int(response.headers["retry-after"]) > 0
        assert (await send(relay)).status_code == 200


async def test_one_bad_event_refuses_the_call_and_is_named(relay: Relay) -> None:
    response = await send(
        relay, good_server_event(), good_server_event(event_id="e-2", custom_data=...), good_server_event()
    )
    error = response.json()["error"]
    assert (response.status_code, error["code"]) == (400, 100)
    assert error["error_user_msg"].startswith("data[1]: A Purchase needs custom_data.value")
    assert await stored(relay) == 0, "nothing of the call"


async def test_malformed_events_never_commit_a_part_of_a_call(relay: Relay) -> None:
    for raw, reason in MALFORMED_SERVER_EVENTS:
        read = read_graph_event(raw, pixel=PIXEL_ID, received_ms=NOW_MS)
        response = await send(relay, raw, good_server_event(event_id="neighbour", custom_data=...))
        if isinstance(read.event, Refused):
            assert (response.status_code, await relay.store.find("neighbour")) == (400, []), (raw, reason)
        else:
            assert response.status_code in (200, 400), (raw, reason)


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (b"", {}),
        (b"", FORM),
        (b"data=%5B", FORM),
        (b"data=%FF%FE", FORM),
        (b"=&=&;", FORM),
        (b"a&" * 20_000, FORM),
        (b"{", {"content-type": "application/json"}),
        (b"[]", {"content-type": "application/json"}),
        (b"7", {"content-type": "application/json"}),
        (b'{"data": "\\ud800"}', {"content-type": "application/json"}),
        (b"[" * 100_000, {"content-type": "application/json"}),
        (b"--x", {"content-type": "multipart/form-data; boundary=x"}),
        (b"--x", {"content-type": "multipart/form-data"}),
        (b"data=[]", {"content-type": "text/plain"}),
    ],
)
async def test_odd_bodies_are_refused_as_parameters(
    relay: Relay, body: bytes, headers: dict[str, str]
) -> None:
    named = {"authorization": f"Bearer {KEY}", **headers}
    response = await relay.http.post(PATH, content=body, headers=named)
    assert (response.status_code, response.json()["error"]["code"]) == (400, 100)


async def test_a_path_that_is_no_graph_version_is_refused(relay: Relay) -> None:
    response = await send(relay, path=f"/graph/latest/{PIXEL_ID}/events")
    assert response.json()["error"]["code"] == 2500


async def test_a_call_again_is_received_again_and_stored_once(relay: Relay) -> None:
    for _ in range(2):
        assert (await send(relay, good_server_event(event_id=...))).json()["events_received"] == 1
    assert await stored(relay) == 1


async def test_an_event_pairs_with_the_browser_half_by_its_id(relay: Relay) -> None:
    await send(relay)
    (receipt,) = await relay.store.find("e-1")
    assert (receipt.row.state, receipt.row.status) == ("awaited", "held")
    await relay.post(good_event())
    (receipt,) = await relay.store.find("e-1")
    assert [leg.state for leg in receipt.legs] == [BrowserState.AWAITED, BrowserState.SENT]


async def test_an_event_whose_id_no_page_can_know_does_not_wait(relay: Relay) -> None:
    await send(relay, good_server_event(event_id=...))
    (row,) = await relay.store.recent(Filters())
    assert (row.state, row.status) == ("absent", "due")


async def test_a_store_that_cannot_commit_is_graphs_temporary_trouble(
    relay: Relay, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(self: SqliteStore, events: Sequence[OutboxEvent]) -> list[Admission]:
        raise StoreFull("full")

    monkeypatch.setattr(SqliteStore, "admit", refuse)
    response = await send(relay)
    error = response.json()["error"]
    assert (response.status_code, error["code"], error["is_transient"]) == (503, 2, True)


async def test_no_token_reaches_the_disk(relay: Relay, tmp_path: Path) -> None:
    tried = "EAABsomebodyElsesToken"
    for token in (KEY, TOKEN, tried):
        await relay.http.post(PATH, params={"access_token": token}, json={"data": [good_server_event()]})
    stored = await asyncio.to_thread(all_bytes, tmp_path)
    assert not [token for token in (KEY, TOKEN, tried) if token.encode() in stored]
