"""Put shop, relay, courier and twin together on loopback."""

import time
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import Final

import msgspec

from relay.sandbox.shop import Links, create_shop
from relay.serving import listen, serving
from relay.settings import Pixel, Server, Settings, Site, StoreSettings
from relay.twin.app import create_twin
from relay.web.app import create_app
from relay.web.signin import make_sign_in_link

HOST: Final = "127.0.0.1"
PORT_BASE: Final = 8300
SITE_KEY: Final = "demo-shop"
PIXEL: Final = "1234567890123456"
ENVIRON: Final = {
    "COUNTERFOIL_SANDBOX": "EAAsandbox"
}  # the twin takes any token; none of Meta's ever comes near it


class Sandbox(msgspec.Struct, frozen=True, kw_only=True):
    """What to open, and what the shop's pages know of the others."""

    shop: str
    links: Links
    settings: Settings

    def sign_in_link(self) -> str:
        """A new one-time link into the console."""
        return make_sign_in_link(self.settings, ENVIRON, time.time())


@asynccontextmanager
async def open_sandbox(folder: Path, port_base: int | None = PORT_BASE) -> AsyncIterator[Sandbox]:
    """Everything runs inside the block: relay at the base, shop 10 and twin 20 above; None takes free ports.

    The twin starts first and stops last, so that the courier's last call finds it.
    """
    ports = (0, 0, 0) if port_base is None else (port_base + 20, port_base, port_base + 10)
    with ExitStack() as listening:
        meta, relay, shop = (listening.enter_context(listen(HOST, port)) for port in ports)
        meta_url, relay_url, shop_url = (
            f"http://{HOST}:{each.getsockname()[1]}" for each in (meta, relay, shop)
        )
        sandbox = Sandbox(
            shop=shop_url,
            links=Links(relay=relay_url, meta=meta_url, site_key=SITE_KEY, pixel=PIXEL),
            settings=sandbox_settings(folder, relay_url=relay_url, meta_url=meta_url, shop_url=shop_url),
        )
        async with (
            serving(create_twin(), meta, grace_seconds=1),
            serving(create_app(sandbox.settings, environ=ENVIRON), relay, grace_seconds=3),
            serving(create_shop(sandbox.links), shop, grace_seconds=1),
        ):
            yield sandbox


def sandbox_settings(folder: Path, *, relay_url: str, meta_url: str, shop_url: str) -> Settings:
    """An ordinary relay's settings, but for the twin in Meta's place, and visitors on loopback or without a window."""
    return Settings(
        server=Server(
            public_url=relay_url,
            graph_url=meta_url,
            accept_private_addresses=True,
            accept_headless=True,
            shutdown_seconds=5.0,
        ),
        store=StoreSettings(path=str(folder / "counterfoil.db")),
        site=(
            Site(key=SITE_KEY, origins=(shop_url,), pixels=(Pixel(id=PIXEL, token_env=next(iter(ENVIRON))),)),
        ),
    )
