"""The composition: headers on every answer, one error shape, and parts that start and stop in order."""

import asyncio
import logging
from pathlib import Path

import httpx
import msgspec
import pytest
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from relay.errors import SettingsError, StoreError, StoreLocked
from relay.settings import Pixel, Server, Settings, Site
from relay.store.protocol import Filters
from relay.store.sqlite import SqliteStore
from relay.web.app import create_app, pixel_access
from relay.web.headers import SECURITY_HEADERS
from relay.web.retention import prune_regularly
from tests.event.malformed import good_event
from tests.store.samples import NOW_MS, end_all, event
from tests.web.lab import Relay, lab_settings, open_relay

pytestmark = pytest.mark.anyio

HTML = {"accept": "text/html"}
EVERY_KIND = ["/healthz", "/readyz", "/c.js", "/receipts", "/sign-in", "/api/receipts", "/nothing"]


@pytest.mark.parametrize("path", [*EVERY_KIND, "/static/css/console.css", "/static/js/console/live.js"])
async def test_every_answer_carries_the_security_headers(relay: Relay, path: str) -> None:
    headers = (await relay.http.get(path)).headers
    for name, value in SECURITY_HEADERS.items():
        if not (path == "/c.js" and name == "cross-origin-resource-policy"):
            assert headers[name] == value


def test_the_policy_allows_nothing_from_elsewhere_and_nothing_inline() -> None:
    policy = SECURITY_HEADERS["content-security-policy"]
    assert policy.startswith("default-src 'none'; ")
    assert {source for part in policy.split("; ") for source in part.split()[1:]} == {"'none'", "'self'"}


async def test_an_unknown_address_is_told_to_programs_and_to_people(
    relay: Relay,
) -> None:
    response = await relay.http.get("/nothing")
    assert (response.status_code, response.json()["error"]["reason"]) == (404, "not_found")
    shown = await relay.http.get("/nothing", headers=HTML)
    assert (shown.status_code, shown.headers["content-type"]) == (404, "text/html; charset=utf-8")
    assert '<a href="/">Go to the overview</a>' in shown.text


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/v1/events"), ("DELETE", "/receipts"), ("GET", "/sign-out")]
)
async def test_a_wrong_method_is_told_which_ones_work(relay: Relay, method: str, path: str) -> None:
    response = await relay.http.request(method, path)
    assert (response.status_code, response.json()["error"]["reason"]) == (405, "method_not_allowed")
    assert response.headers["allow"]


@pytest.mark.parametrize("path", ["/v1/events/", "/receipts%00", "/static/css/../../js/c.js", "/static/css/"])
async def test_an_address_beside_the_routes_is_a_404(relay: Relay, path: str) -> None:
    assert (await relay.http.get(path)).status_code == 404


async def test_our_own_mistake_is_a_500_without_details(tmp_path: Path) -> None:
    async def broken(request: Request) -> Response:
        raise RuntimeError("jane@shop.example")

    app = create_app(lab_settings(tmp_path), environ={})
    app.router.routes.insert(0, Route("/broken", broken))
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="https://relay.example") as http:
        response = await http.get("/broken")
    assert (response.status_code, response.json()["error"]["reason"]) == (500, "internal")
    assert "jane" not in response.text
    assert response.headers["content-security-policy"]


async def test_a_stopped_relay_continues_where_it_was(tmp_path: Path) -> None:
    async with open_relay(lab_settings(tmp_path)) as relay:
        await relay.post(good_event())
    async with open_relay(lab_settings(tmp_path)) as relay:
        assert [row.event_id for row in await relay.store.recent(Filters())] == ["e-1"]
        assert (await relay.post(good_event())).json()["duplicates"] == 1


async def test_the_end_of_the_lifespan_stops_the_courier_and_closes_the_store(tmp_path: Path) -> None:
    async with open_relay(lab_settings(tmp_path)) as relay:
        state = relay.app.state
        assert not state.courier_task.done()
    assert state.draining
    assert state.courier_task.done()
    with pytest.raises(StoreError):
        await state.store.admit([event()])


async def test_a_second_relay_on_the_same_file_does_not_start(tmp_path: Path) -> None:
    async with open_relay(lab_settings(tmp_path)):
        with pytest.raises(StoreLocked):
            async with open_relay(lab_settings(tmp_path)):
                pass


async def test_pruning_starts_at_once_and_survives_a_store_that_fails(
    relay: Relay, monkeypatch: pytest.MonkeyPatch
) -> None:
    await relay.app.state.courier.stop(0)  # the event is for this test to end
    await relay.store.admit([event()])
    await end_all(relay.store)
    failures = [StoreError("full")]
    prune = SqliteStore.prune

    async def fails_once(self: SqliteStore, *, now_ms: int, **kept_ms: int) -> None:
        if failures:
            raise failures.pop()
        day_ms = 86_400_000
        assert kept_ms == {
            "retention_ms": 30 * day_ms,
            "address_ms": day_ms,
            "counter_ms": 90 * day_ms,
            "order_ms": 90 * day_ms,
        }
        await prune(self, now_ms=now_ms, **kept_ms)
        pruned.set()

    pruned = asyncio.Event()
    monkeypatch.setattr(SqliteStore, "prune", fails_once)
    monkeypatch.setattr("relay.web.retention.PRUNE_SECONDS", 0.0)
    later_ms = NOW_MS + 2 * 86_400_000
    pruning = asyncio.create_task(prune_regularly(relay.store, relay.settings, lambda: later_ms))
    await pruned.wait()
    pruning.cancel()
    [receipt] = await relay.store.find("e1")
    assert receipt.client_ip_address is None


def test_every_pixel_of_every_site_is_known_to_the_courier() -> None:
    pixels = (Pixel(id="1", token_env="ONE", test_event_code="TEST1"), Pixel(id="2", graph_version="v25.0"))
    site = Site(key="shop", origins=("https://shop.example",), pixels=pixels)
    access = pixel_access(Settings(site=(site,)), {"ONE": "EAAone"})
    assert (access["1"].token, access["1"].graph_version, access["1"].test_event_code) == (
        "EAAone",
        "v26.0",
        "TEST1",
    )
    assert (access["2"].token, access["2"].graph_version) == (None, "v25.0")


def test_a_signing_key_that_is_too_short_stops_the_start(tmp_path: Path) -> None:
    settings = lab_settings(tmp_path)
    server = msgspec.structs.replace(settings.server, secret_key_env="KEY")
    with pytest.raises(SettingsError):
        create_app(msgspec.structs.replace(settings, server=server), environ={"KEY": "short"})


async def test_no_personal_data_and_no_code_reach_the_log(
    relay: Relay, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    canary = "jane.canary@shop.example"
    await relay.post(
        good_event(user_data={"em": canary}), good_event(user_data={"em": canary}, custom_data={})
    )
    await relay.post_raw(canary.encode())
    link = relay.link()
    await relay.http.get(link)
    await relay.http.get(link)
    out, err = capfd.readouterr()
    written = out + err + "".join(record.getMessage() for record in caplog.records if record.name != "httpx")
    assert canary not in written
    assert link.partition("code=")[2] not in written


def test_the_defaults_serve_on_loopback(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    app = create_app(Settings(server=Server()), environ={})
    assert app.state.sign_in.cookie == "counterfoil"
