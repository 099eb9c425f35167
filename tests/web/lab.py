"""What the web floor's tests share: a relay over a real store, a clock to move, events to post."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import msgspec
from starlette.applications import Starlette

from relay.settings import Limits, Pixel, Server, Settings, Site, StoreSettings
from relay.store.protocol import Store
from relay.web.app import create_app
from relay.web.signin import make_sign_in_link
from tests.clock import Clock
from tests.event.malformed import PIXEL_ID, SITE_KEY, good_event

NOW_MS = 1_763_859_600_000
ORIGIN = "https://shop.example"
RELAY_URL = "https://relay.shop.example"
USER_AGENT = "Mozilla/5.0 (X11; Linux x86_64; rv:144.0) Gecko/20100101 Firefox/144.0"
NOBODY_LISTENS = "http://127.0.0.1:9"  # Graph is away: what is due stays in the outbox
HEADERS = {"origin": ORIGIN, "content-type": "text/plain", "user-agent": USER_AGENT}
OTHER_PIXEL_ID = "9876543210"
OTHER_SITE = Site(key="other-shop", origins=("https://other.example",), pixels=(Pixel(id="5555555555"),))


class Relay:
    """A running relay and a client at its door."""

    def __init__(self, app: Starlette, http: httpx.AsyncClient, clock: Clock, settings: Settings) -> None:
        self.app, self.http, self.clock, self.settings = app, http, clock, settings

    @property
    def store(self) -> Store:
        store: Store = self.app.state.store
        return store

    async def post(self, *events: Any, site: str = SITE_KEY, **headers: str) -> httpx.Response:
        body = msgspec.json.encode({"site": site, "events": list(events) or [good_event()]})
        return await self.post_raw(body, **headers)

    async def post_raw(self, body: Any, **headers: str) -> httpx.Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.http.post("/v1/events", content=body, headers=HEADERS | named)

    async def sign_in(self) -> None:
        response = await self.http.get(self.link())
        assert response.status_code == 200, response.text

    def link(self) -> str:
        return make_sign_in_link(self.settings, {}, self.clock.now_ms / 1000)


def lab_settings(
    folder: Path, *, public_url: str = RELAY_URL, pixels: tuple[str, ...] = (PIXEL_ID,)
) -> Settings:
    return Settings(
        server=Server(public_url=public_url, graph_url=NOBODY_LISTENS),
        store=StoreSettings(path=str(folder / "counterfoil.db")),
        site=(
            Site(key=SITE_KEY, origins=(ORIGIN,), pixels=tuple(Pixel(id=pixel) for pixel in pixels)),
            OTHER_SITE,
        ),
        limits=Limits(answer_delay_ms=0),
    )


@asynccontextmanager
async def open_relay(
    settings: Settings, *, environ: Mapping[str, str] | None = None, peer: str = "198.51.100.7"
) -> AsyncIterator[Relay]:
    """The app with its lifespan; an exception in it fails the test instead of becoming a 500."""
    clock = Clock(NOW_MS)
    app = create_app(settings, environ=environ or {}, clock_ms=clock, steady_ms=clock)
    transport = httpx.ASGITransport(app, client=(peer, 50_000))
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url=settings.server.public_url) as http,
    ):
        yield Relay(app, http, clock, settings)
