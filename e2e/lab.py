"""A laboratory of three origins on real sockets and TLS: a shop, the relay with its courier, and the Meta twin.

The browser reaches them as shop.example, relay.shop.example and meta.example (`--host-resolver-rules`), each on its own
port, so that cookies, CORS, secure contexts and same-site rules are those of a real installation.
"""

import asyncio
import socket
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, TypeVar

import httpx
import msgspec
import trustme
import uvicorn
from playwright.sync_api import Page
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from relay.sandbox.browser import USER_AGENT
from relay.settings import Alerts, Delivery, Pixel, Server, Settings, Site, StoreSettings
from relay.tag import STUB
from relay.twin.app import create_twin
from relay.web.app import create_app
from relay.web.signin import make_sign_in_link

SITE = "demo-shop"
PIXEL = "1234567890"
SECOND_PIXEL = "2222222222"
ENVIRON = {"COUNTERFOIL_LAB_TOKEN": "EAAlab"}
CHROMIUM_ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--ignore-certificate-errors",
    f"--user-agent={USER_AGENT}",  # not by Playwright's context, which a beacon at unload does not obey
)
LOOPBACK_NAMES = "--host-resolver-rules=MAP *.example 127.0.0.1"
WAIT_SECONDS = 60.0  # ends only what has failed, on a busy machine too; pytest's own limit is 120
POLL_MS = 50  # of what a page has come to; Playwright's own way asks at each frame, and a busy machine may draw none
SHOP_HOST, RELAY_HOST, META_HOST = "shop.example", "relay.shop.example", "meta.example"

Json = dict[str, Any]
T = TypeVar("T")


def wait_until(
    look: Callable[[], T],
    what: str,
    *,
    seconds: float = WAIT_SECONDS,
    pause: Callable[[float], object] = time.sleep,
) -> T:
    """Look again and again until the answer is truthy; fail with what was awaited."""
    end = time.monotonic() + seconds
    while True:
        if answer := look():
            return answer
        if time.monotonic() > end:
            raise AssertionError(f"waited {seconds:g} s in vain: {what}")
        pause(0.02)


def wait_for(
    page: Page, look: Callable[[], T], what: str = "the page is so far", *, seconds: float = WAIT_SECONDS
) -> T:
    """The same while Playwright hears of what the page does: a plain sleep would stop its events too."""
    return wait_until(
        look, what, seconds=seconds, pause=lambda seconds: page.wait_for_timeout(seconds * 1000)
    )


def loopback_listener(port: int = 0) -> socket.socket:
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    return listener


class Served:
    """One ASGI app in a thread of its own: on a plain listener, on a TLS listener, or on both."""

    def __init__(
        self, app: ASGIApp, *, plain: socket.socket | None = None, tls: socket.socket | None = None
    ) -> None:
        self._listeners = [(plain, False)] * (plain is not None) + [(tls, True)] * (tls is not None)
        self._servers = [
            uvicorn.Server(self._config(app, with_tls, lifespan=number == 0))
            for number, (_, with_tls) in enumerate(self._listeners)
        ]
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)
        self._thread.start()
        wait_until(
            lambda: all(s.started for s in self._servers) or not self._thread.is_alive(), "the server starts"
        )
        if not self._thread.is_alive():
            raise RuntimeError("the server ended at once")

    def _config(self, app: ASGIApp, with_tls: bool, *, lifespan: bool) -> uvicorn.Config:
        config = uvicorn.Config(
            app,
            log_config=None,  # what other tests look for in the log stays as it is
            access_log=False,
            timeout_graceful_shutdown=1,
            proxy_headers=False,
            lifespan="on" if lifespan else "off",
        )
        config.load()
        if with_tls:
            config.ssl = _server_context()
        return config

    async def _serve(self) -> None:
        await asyncio.gather(
            *(
                server.serve(sockets=[listener])
                for server, (listener, _) in zip(self._servers, self._listeners, strict=True)
                if listener is not None
            )
        )
        # A stream that outlasted the grace leaves its connection open, and the loop is about to be closed.
        for server in self._servers:
            for connection in tuple(server.server_state.connections):
                if transport := getattr(connection, "transport", None):
                    transport.abort()
        await asyncio.sleep(0.01)  # in which closed connections are told so

    def close(self) -> None:
        for server in self._servers:
            server.should_exit = True
        self._thread.join(timeout=30)
        assert not self._thread.is_alive(), "the server did not stop"
        for listener, _ in self._listeners:
            if listener is not None:
                listener.close()


def _server_context() -> Any:
    import ssl

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _authority().issue_cert(SHOP_HOST, RELAY_HOST, META_HOST).configure_cert(context)
    return context


_AUTHORITIES: list[trustme.CA] = []


def _authority() -> trustme.CA:
    if not _AUTHORITIES:
        _AUTHORITIES.append(trustme.CA())
    return _AUTHORITIES[0]


class Gate:
    """In front of the relay: lets posts through, or answers them as a relay in trouble would."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self.refuse_posts_with: int | None = None
        self.refused = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_post = scope["type"] == "http" and scope["path"] == "/v1/events" and scope["method"] == "POST"
        if is_post and self.refuse_posts_with is not None:
            self.refused += 1
            trouble = PlainTextResponse(
                "in trouble", self.refuse_posts_with, {"access-control-allow-origin": "*"}
            )
            await trouble(scope, receive, send)
            return
        await self.app(scope, receive, send)


class TwoHosts:
    """In front of Meta's twin: its scripts come over connections of their own, as from connect.facebook.net, so that
    they do not warm the one to /tr/.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self.allows_timing = False  # whether /tr/ answers with Timing-Allow-Origin

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"] if scope["type"] == "http" else ""
        added = [(b"connection", b"close")] if path.startswith(("/en_US/", "/signals/")) else []
        if self.allows_timing and path.startswith("/tr"):
            added = [(b"timing-allow-origin", b"*")]

        async def add(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *added]
            await send(message)

        await self.app(scope, receive, add if added else send)


class Shop:
    """The site: pages by path, as HTML texts that a test puts there."""

    def __init__(self) -> None:
        self.pages: dict[str, str] = {}
        self.headers: dict[str, dict[str, str]] = {}
        self.delay_seconds: dict[str, float] = {}
        self.asked: list[str] = []
        self.app = Starlette(routes=[Route("/{path:path}", self._page)])

    async def _page(self, request: Request) -> Response:
        path = request.url.path
        self.asked.append(path)
        await asyncio.sleep(self.delay_seconds.get(path, 0))
        if (html := self.pages.get(path)) is None:
            return PlainTextResponse("no such page", 404)
        return HTMLResponse(html, headers=self.headers.get(path, {}))


def base_code(meta_url: str, *pixels: str, page_view: bool = True) -> str:
    """Meta's published base code, loading the twin's fbevents.js."""
    inits = "".join(f"fbq('init','{pixel}');" for pixel in pixels or (PIXEL,))
    return (
        "<script>!function(f,b,e,v,n,t,s){if(f.fbq)return;n=f.fbq=function(){n.callMethod?"
        "n.callMethod.apply(n,arguments):n.queue.push(arguments)};if(!f._fbq)f._fbq=n;n.push=n;n.loaded=!0;"
        "n.version='2.0';n.queue=[];t=b.createElement(e);t.async=!0;t.src=v;s=b.getElementsByTagName(e)[0];"
        f"s.parentNode.insertBefore(t,s)}}(window,document,'script','{meta_url}/en_US/fbevents.js');"
        f"{inits}{'fbq(`track`,`PageView`);' if page_view else ''}</script>"
    )


class Lab:
    """Everything that a browser test needs, by name."""

    def __init__(
        self, folder: Path, *, delivery: Delivery, pixels: tuple[str, ...], alerts: Alerts, site: Json
    ) -> None:
        shop, relay, relay_plain, meta, meta_plain = (loopback_listener() for _ in range(5))
        self.shop_url = f"https://{SHOP_HOST}:{shop.getsockname()[1]}"
        self.relay_url = f"https://{RELAY_HOST}:{relay.getsockname()[1]}"
        self.meta_url = f"https://{META_HOST}:{meta.getsockname()[1]}"
        self.api_url = f"http://127.0.0.1:{relay_plain.getsockname()[1]}"  # for the shop's own server
        self.graph_url = f"http://127.0.0.1:{meta_plain.getsockname()[1]}"
        self.settings = Settings(
            server=Server(public_url=self.relay_url, graph_url=self.graph_url, accept_private_addresses=True),
            store=StoreSettings(path=str(folder / "counterfoil.db")),
            delivery=delivery,
            alerts=alerts,
            site=(
                Site(
                    key=SITE,
                    origins=(self.shop_url,),
                    pixels=tuple(Pixel(id=pixel, token_env="COUNTERFOIL_LAB_TOKEN") for pixel in pixels),
                    **site,
                ),
            ),
        )
        self.shop = Shop()
        self.two_hosts = TwoHosts(create_twin())
        self.gate = Gate(create_app(self.settings, environ=ENVIRON))
        self._served = [
            Served(self.two_hosts, plain=meta_plain, tls=meta),
            Served(self.gate, plain=relay_plain, tls=relay),
            Served(self.shop.app, tls=shop),
        ]
        self.http = httpx.Client(base_url=self.graph_url)
        self._console: httpx.Client | None = None

    def close(self) -> None:
        self.http.close()
        if self._console:
            self._console.close()
        for served in reversed(self._served):
            served.close()

    def page(self, path: str, body: str = "", *, head: str = "") -> str:
        """Put a page into the shop; returns its address."""
        head = f"<meta charset=utf-8><link rel=icon href=data:,><title>shop</title>{head}"
        # Without an icon Chromium asks for one, whenever it pleases, and says 404 in the console.
        icon = "<link rel=icon href='data:,'>"
        self.shop.pages[path] = (
            f"<!doctype html><html lang=en><head>{head}{icon}</head><body>{body}</body></html>"
        )
        return self.shop_url + path

    def base_code(self, *pixels: str, page_view: bool = True) -> str:
        return base_code(self.meta_url, *pixels, page_view=page_view)

    def snippet(self, attributes: str = "") -> str:
        return (
            f"<script>{STUB}</script>"
            f'<script async src="{self.relay_url}/c.js" data-site="{SITE}" {attributes}></script>'
        )

    def receipt(self, event_id: str) -> Json:
        """The receipt as the console's API gives it to a person who has signed in."""
        return self.console(f"/api/receipts/{event_id}")

    def console(self, path: str) -> Json:
        self._console = self._console or self._sign_in()
        answer: Json = self._console.get(path).raise_for_status().json()
        return answer

    def _sign_in(self) -> httpx.Client:
        """As the person who opens the link that `counterfoil sign-in` prints."""
        console = self._console_client()
        link = self.sign_in_link()
        console.get(link.removeprefix(self.relay_url), follow_redirects=True).raise_for_status()
        return console

    def sign_in_link(self) -> str:
        return make_sign_in_link(self.settings, ENVIRON, time.time())

    def _console_client(self) -> httpx.Client:
        """The name resolves only in Chromium."""
        port = self.relay_url.rsplit(":", 1)[1]
        return httpx.Client(base_url=f"https://127.0.0.1:{port}", verify=False)

    def fault(self, **fault: Any) -> None:
        self.http.post("/twin/faults", json=fault).raise_for_status()

    def meta(self) -> Json:
        """What Meta's twin holds: browser, server, rejected, counted."""
        state: Json = self.http.get("/twin/state").raise_for_status().json()
        return state

    def refused(self) -> dict[str, int]:
        """How many events the relay refused, by reason: all that is kept of them."""
        with closing(sqlite3.connect(f"file:{self.settings.store.path}?mode=ro", uri=True)) as store:
            return dict(store.execute("SELECT substr(what, 9), n FROM total WHERE what LIKE 'refused:%'"))

    def half(self, half: str, event_name: str) -> list[Json]:
        return [event for event in self.meta()[half] if event["event_name"] == event_name]

    def counted(self, event_name: str) -> dict[str, int]:
        """How many events of this name count, under every dedup profile."""
        return {profile: names.get(event_name, 0) for profile, names in self.meta()["counted"].items()}

    def wait_for_server(
        self, event_name: str, number: int = 1, *, seconds: float = WAIT_SECONDS
    ) -> list[Json]:
        def enough() -> list[Json]:
            found = self.half("server", event_name)
            return found if len(found) >= number else []

        return wait_until(enough, f"{number} server event(s) {event_name} at Meta", seconds=seconds)


class Posts:
    """In front of the relay: every event that a page posted, in order."""

    def __init__(self, lab: Lab) -> None:
        self.events: list[Json] = []
        self._relay = lab.gate.app
        lab.gate.app = self

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = b""

        async def listen() -> Message:
            nonlocal body
            message = await receive()
            body += message.get("body", b"")
            return message

        await self._relay(scope, listen, send)
        if scope["type"] == "http" and scope["path"] == "/v1/events" and scope["method"] == "POST":
            self.events += msgspec.json.decode(body)["events"]

    def told(self, event_id: str = "lead-1") -> list[str]:
        """What was said of one event, in order, as state/evidence."""
        legs = [event["pixel"] for event in self.events if event["event_id"] == event_id]
        return [f"{leg['state']}/{leg['evidence']}" for leg in legs]


@contextmanager
def open_lab(
    folder: Path,
    *,
    delivery: Delivery | None = None,
    pixels: tuple[str, ...] = (PIXEL,),
    alerts: Alerts | None = None,
    **site: Any,
) -> Iterator[Lab]:
    """`site` are further settings of the one site."""
    lab = Lab(folder, delivery=delivery or Delivery(), pixels=pixels, alerts=alerts or Alerts(), site=site)
    try:
        yield lab
    finally:
        lab.close()


__all__ = [
    "CHROMIUM_ARGUMENTS",
    "ENVIRON",
    "LOOPBACK_NAMES",
    "PIXEL",
    "SECOND_PIXEL",
    "SITE",
    "USER_AGENT",
    "WAIT_SECONDS",
    "Json",
    "Lab",
    "Posts",
    "Served",
    "open_lab",
    "wait_for",
    "wait_until",
]
