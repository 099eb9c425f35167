"""What the doctor's tests share: real servers on loopback, with names, certificates and proxies of our own."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import msgspec
import trustme
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from relay.doctor.finding import Check, Finding, Status
from relay.doctor.network import Name, Network, Resolve, open_network
from relay.doctor.subject import Subject
from relay.settings import AddressHosts, Pixel, Server, Settings, Site, StoreSettings
from relay.web.app import create_app
from tests.ports import free_port

SITE = "demo-shop"
PIXEL = "1234567890"
ENVIRON = {"SHOP_TOKEN": "EAAtoken"}
SHOP, RELAY, TWIN = "shop.example", "relay.shop.example", "127.0.0.1"
LOOPBACK = Name(addresses=(ip_address("127.0.0.1"),))
NOBODY_LISTENS = "http://127.0.0.1:9"
BASE_CODE = (
    "!function(f,b,e,v){f.fbq=function(){}}(window,document,'script',"
    f"'https://connect.facebook.net/en_US/fbevents.js');fbq('init', '{PIXEL}');fbq('track', 'PageView');"
)
AUTHORITY = trustme.CA()


def names(**known: str) -> Resolve:
    """A resolver: `relay_shop_example="192.0.2.1 2001:db8::1 cname.example"`; what it does not know does not exist."""

    async def resolve(host: str) -> Name:
        words = known.get(host.replace(".", "_").replace("-", "_"), "").split()
        addresses = tuple(ip_address(word) for word in words if ":" in word or word[-1].isdigit())
        canonical = next((word for word in words if word[-1].isalpha() and ":" not in word), None)
        return Name(addresses=addresses, canonical=canonical or (host if addresses else None))

    return resolve


async def no_resolver(host: str) -> Name:
    raise socket.gaierror(socket.EAI_AGAIN, f"Temporary failure for {host}")


async def all_on_loopback(host: str) -> Name:
    return LOOPBACK


def trusting() -> ssl.SSLContext:
    """A browser that knows the test's authority."""
    context = ssl.create_default_context()
    AUTHORITY.configure_trust(context)
    return context


def certified(*hosts: str, until: datetime | None = None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    until = until or datetime(2038, 1, 1, tzinfo=UTC)
    AUTHORITY.issue_cert(*hosts, not_after=until).configure_cert(context)
    return context


@asynccontextmanager
async def served(app: ASGIApp, *, tls: ssl.SSLContext | None = None, port: int = 0) -> AsyncIterator[int]:
    """Serve on loopback, lifespan and all; gives the port."""
    with socket.create_server(("127.0.0.1", port)) as listener:
        config = uvicorn.Config(
            app, log_config=None, access_log=False, proxy_headers=False, timeout_graceful_shutdown=1
        )
        config.load()
        config.ssl = tls
        server = uvicorn.Server(config)
        running = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            yield listener.getsockname()[1]
        finally:
            server.should_exit = True
            await running


class Front:
    """A proxy before the relay, as far as the relay can tell: adds to the headers, or swaps the answer's."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        adds: Mapping[str, str] | None = None,
        answers: Mapping[str, str] | None = None,
    ) -> None:
        self.app, self.adds, self.answers = app, adds or {}, answers or {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            scope["headers"] = [*scope["headers"], *_raw(self.adds)]

        async def send_changed(message: Any) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *_raw(self.answers)]
            await send(message)

        await self.app(scope, receive, send_changed)


def _raw(headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    return [(name.encode(), value.encode()) for name, value in headers.items()]


class Shop:
    """One page, as a test wants it."""

    def __init__(self, html: str = "", headers: Mapping[str, str] | None = None, status: int = 200) -> None:
        self.html, self.headers, self.status = html, headers or {}, status
        self.app = Starlette(routes=[Route("/{path:path}", self._page)])

    async def _page(self, request: Request) -> Response:  # noqa: ARG002 - Starlette's signature
        return HTMLResponse(self.html, self.status, dict(self.headers))


def settings_for(
    folder: Path,
    relay_url: str,
    *,
    origins: Sequence[str] = (f"https://{SHOP}",),
    pixels: Sequence[Pixel] = (Pixel(id=PIXEL, token_env="SHOP_TOKEN"),),
    address_hosts: AddressHosts = AddressHosts(),  # noqa: B008 - frozen
    **server: Any,
) -> Settings:
    fields: dict[str, Any] = {"graph_url": NOBODY_LISTENS, "accept_private_addresses": True} | server
    return Settings(
        server=Server(public_url=relay_url, **fields),
        store=StoreSettings(path=str(folder / "counterfoil.db")),
        site=(Site(key=SITE, origins=tuple(origins), pixels=tuple(pixels), address_hosts=address_hosts),),
    )


def subject_of(settings: Settings, url: str | None = None) -> Subject:
    return Subject(settings=settings, site=settings.site[0], environ=ENVIRON, url=url)


@asynccontextmanager
async def network_of(
    resolve: Resolve = all_on_loopback, *, trust: bool = True, now_ms: int | None = None
) -> AsyncIterator[Network]:
    tls = trusting() if trust else ssl.create_default_context()
    async with open_network(resolve=resolve, tls=tls) as network:
        yield network if now_ms is None else msgspec.structs.replace(network, clock_ms=lambda: now_ms)


@asynccontextmanager
async def relay_on_loopback(
    folder: Path, *, front: Any = None, clock_ms: Any = None, **settings: Any
) -> AsyncIterator[Subject]:
    """A real relay at http://127.0.0.1:PORT; `front` wraps its app, as a proxy would."""
    port = free_port()
    read = settings_for(folder, f"http://127.0.0.1:{port}", **settings)
    app = create_app(read, environ=ENVIRON, **({"clock_ms": clock_ms} if clock_ms else {}))
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(served(front(app) if front else app, port=port))
        yield subject_of(read)


def only(findings: Sequence[Finding], check: Check | None = None) -> Finding:
    (finding,) = [each for each in findings if check in (None, each.check)]
    return finding


def statuses(findings: Sequence[Finding]) -> dict[str, Status]:
    return {f"{finding.check} {finding.about}": finding.status for finding in findings}
