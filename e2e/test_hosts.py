"""The files of `counterfoil init` in the real web servers, and a real browser before them.

TLS, HTTP/2, cookies, CORS, the visitor's address, and what must not be there.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import msgspec
import pytest
from playwright.sync_api import Page

from e2e.hosts import Place, web_server, why_not
from e2e.lab import (
    META_HOST,
    PIXEL,
    POLL_MS,
    RELAY_HOST,
    SHOP_HOST,
    USER_AGENT,
    Json,
    Served,
    base_code,
    loopback_listener,
    wait_until,
)
from relay.twin.app import create_twin

FRONTS = ("caddy", "nginx", "apache")
SPOOFED = {"x-forwarded-for": "192.0.2.66", "forwarded": "for=192.0.2.66", "x-real-ip": "192.0.2.66"}
VISITOR = "127.0.0.5"  # another end of the connection than the proxy's
YEAR_QUARTER_SECONDS = 80 * 24 * 3600


class World:
    """Relay, web server and twin, as the visitor meets them."""

    def __init__(self, place: Place, relay_url: str, meta_url: str, graph_url: str) -> None:
        self.place, self.relay_url, self.meta_url = place, relay_url, meta_url
        self._graph_url = graph_url

    def request(self, method: str, path: str, **more: object) -> httpx.Response:
        """As a plain client of another address than the proxy's."""
        transport = httpx.HTTPTransport(verify=False, local_address=VISITOR)
        host, _, prefix = self.relay_url.removeprefix("https://").partition("/")
        base = f"https://127.0.0.1:{self.place.port}{f'/{prefix}' if prefix else ''}"
        with httpx.Client(transport=transport) as client:
            headers = {"host": host, **more.pop("headers", {})}  # type: ignore[dict-item]
            extensions = {"sni_hostname": host.partition(":")[0]}
            return client.request(method, base + path, headers=headers, extensions=extensions, **more)  # type: ignore[arg-type]

    def state(self) -> Json:
        state: Json = httpx.get(f"{self._graph_url}/twin/state").json()
        return state

    def server_half(self, event_id: str) -> Json:
        def found() -> Json | None:
            return next((e for e in self.state()["server"] if e["event_id"] == event_id), None)

        return wait_until(found, f"the server half of {event_id}") or {}


@contextmanager
def world(front: str, folder: Path, *, is_path: bool) -> Iterator[World]:
    with loopback_listener() as one, loopback_listener() as two:
        port, relay_port = one.getsockname()[1], two.getsockname()[1]
    pages = Path(tempfile.mkdtemp(prefix="counterfoil-shop-"))
    pages.chmod(0o755)
    place = Place(folder, port, is_path, pages)
    relay_url = f"{place.shop}/relay" if is_path else f"https://{RELAY_HOST}:{port}"
    init = [sys.executable, "-m", "relay", "init", "--config", str(folder / "relay.toml"), "--yes"]
    init += ["--site", place.shop, "--pixel", PIXEL, "--front", front, "--public-url", relay_url]
    subprocess.run(init, check=True, capture_output=True)
    for written in folder.glob("counterfoil.*.conf"):
        written.write_text(written.read_text().replace("127.0.0.1:8300", f"127.0.0.1:{relay_port}"))
    plain, tls = loopback_listener(), loopback_listener()
    twin = Served(create_twin(), plain=plain, tls=tls)
    graph_url = f"http://127.0.0.1:{plain.getsockname()[1]}"
    environ = os.environ | {
        "RELAY_PORT": str(relay_port),
        "RELAY_GRAPH_URL": graph_url,
        "RELAY_STORE_PATH": str(folder / "store" / "counterfoil.db"),
        "RELAY_ACCEPT_PRIVATE_ADDRESSES": "true",
        "RELAY_TRUSTED_PROXIES": "127.0.0.1/32,::1/128",  # so that another loopback address can be a visitor's
        "META_ACCESS_TOKEN": "EAAlab",
    }
    serve = [sys.executable, "-m", "relay", "serve", "--config", str(folder / "relay.toml")]
    relay = subprocess.Popen(serve, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: _is_ready(relay, relay_port), "the relay is ready")
        with web_server(front, place):
            opened = World(place, relay_url, f"https://{META_HOST}:{tls.getsockname()[1]}", graph_url)
            yield opened
    finally:
        relay.terminate()
        assert relay.wait(timeout=30) == 0
        twin.close()
        shutil.rmtree(pages)


def _is_ready(relay: subprocess.Popen[bytes], port: int) -> bool:
    assert relay.poll() is None, "the relay ended by itself"
    try:
        return httpx.get(f"http://127.0.0.1:{port}/readyz").status_code == 200
    except httpx.TransportError:
        return False


def a_post(place: Place, event_id: str) -> Json:
    event = {
        "event_name": "Lead",
        "event_id": event_id,
        "age_ms": 0,
        "url": f"{place.shop}/",
        "fbp": "fb.1.1763859600000.1234567890",
        "pixel": {"state": "blocked"},
    }
    headers = {"content-type": "text/plain", "origin": place.shop, "user-agent": USER_AGENT, **SPOOFED}
    body = {"site": SHOP_HOST.replace(".", "-"), "events": [event]}
    return {"content": msgspec.json.encode(body), "headers": headers}


@pytest.fixture(params=FRONTS)
def front(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    if reason := why_not(name):
        pytest.skip(reason)
    return name


@pytest.fixture(params=[True, False], ids=["path of the shop", "subdomain"])
def opened(request: pytest.FixtureRequest, front: str, tmp_path: Path) -> Iterator[World]:
    with world(front, tmp_path, is_path=request.param) as opened:
        yield opened


def test_a_purchase_passes_the_web_server_and_counts_once(opened: World, page: Page) -> None:
    place = opened.place
    tag = (place.folder / "tag.html").read_text()
    html = f"<!doctype html><link rel=icon href=data:,>{tag}{base_code(opened.meta_url, page_view=False)}"
    (place.pages / "index.html").write_text(html)
    protocols: dict[str, str] = {}
    network = page.context.new_cdp_session(page)
    network.send("Network.enable")
    network.on(
        "Network.responseReceived",
        lambda told: protocols.update({told["response"]["url"]: told["response"]["protocol"]}),
    )
    page.goto(f"{place.shop}/")
    page.wait_for_function(
        "window.counterfoil && !counterfoil.q && window.fbq && !!fbq.callMethod", polling=POLL_MS
    )
    page.evaluate("counterfoil('track', 'Purchase', {value: 5, currency: 'EUR'}, {eventID: 'bought'})")
    opened.server_half("bought")
    state = opened.state()
    assert [event["event_id"] for event in state["browser"]] == ["bought"]
    assert {counts["Purchase"] for counts in state["counted"].values()} == {1}

    # HTTP/2 for the script and for the post, and cookies for a quarter of a year on the shop's own domain.
    urls = {f"{opened.relay_url}/c.js", f"{opened.relay_url}/v1/events"}
    wait_until(lambda: page.evaluate("true") and urls <= protocols.keys(), "the browser tells of the answers")
    assert {protocols[url] for url in urls} == {"h2"}
    (fbp,) = [cookie for cookie in page.context.cookies() if cookie["name"] == "_fbp"]
    assert fbp["domain"] == f".{SHOP_HOST}"
    assert fbp["expires"] - page.evaluate("Date.now() / 1000") > YEAR_QUARTER_SECONDS

    # A visitor's own headers name nobody; the connection does.
    answer = opened.request("POST", "/v1/events", **a_post(place, "spoofed"))
    assert answer.json()["accepted"] == 1
    assert answer.headers["access-control-allow-origin"] == place.shop
    assert "_fbp=" in answer.headers["set-cookie"]
    assert opened.server_half("spoofed")["ip"] == VISITOR

    preflight = {"access-control-request-method": "POST"}
    allowed = opened.request("OPTIONS", "/v1/events", headers={"origin": place.shop, **preflight})
    assert (allowed.status_code, allowed.headers["access-control-allow-origin"]) == (204, place.shop)
    stranger = opened.request("OPTIONS", "/v1/events", headers={"origin": "https://other.example"})
    assert (stranger.status_code, stranger.headers.get("access-control-allow-origin")) == (403, None)
    token = opened.request(
        "GET",
        "/v1/address?site=shop-example&nonce=5d0b7f9e-6f0c-4d8e-9d53-0c3c7e3f9a10",
        headers={"origin": place.shop},
    )
    assert (
        token.json()["error"]["reason"] == "no_address_hosts"
    )  # the query arrives: site and nonce are right
    assert opened.request("GET", "/readyz").status_code == 200
    large = a_post(place, "large") | {"content": b" " * 70_000}
    assert opened.request("POST", "/v1/events", **large).status_code == 413
    assert opened.request("GET", "/consent/tcf.js").status_code == 200

    # A script of the shop must not reach the console by the shop's own origin.
    console = opened.request("GET", "/receipts", headers={"accept": "text/html"})
    assert console.status_code == (404 if place.is_path else 303)


def test_without_a_web_server_these_tests_say_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    assert why_not("apache") == "install apache2: as root, `make browser` does it where apt is"
