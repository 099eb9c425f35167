"""The composition root: every part of the relay is made here, and stopped here."""

import asyncio
import os
import random
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Final

from starlette.applications import Starlette
from starlette.datastructures import State
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect

from relay.assets import find_assets
from relay.clock import steady_clock_ms, wall_clock_ms
from relay.delivery.courier import SLEEP_MAX_MS, Courier
from relay.delivery.graph import PixelAccess, open_graph
from relay.delivery.quality import QualityPoll
from relay.delivery.watch import Watch
from relay.delivery.webhook import Webhooks
from relay.errors import SettingsError, StoreError
from relay.event.mapping_preview import MappedMessage
from relay.event.notice import read_secret_bytes
from relay.loading import Sources, read_secret, read_token
from relay.metrics import Metrics
from relay.origins import in_force
from relay.settings import Settings
from relay.store.opening import Opened, open_store
from relay.web.errors import on_disconnect, on_exception, on_http_exception
from relay.web.keys import conversion_keys, metrics_keys, signing_keys, write_keys
from relay.web.live import Feed
from relay.web.loads import LoadLog
from relay.web.mapping import RECENT_MAX
from relay.web.marks import note_marks
from relay.web.pages import open_pages
from relay.web.rates import Rates
from relay.web.requests import Requests
from relay.web.retention import prune_regularly
from relay.web.routes import routes
from relay.web.script import load_scripts
from relay.web.signin import open_sign_in

DELIVERS: Final = ("all", "courier")
ASKS: Final = ("all", "console")  # Meta, for its judgement: seldom, so it matters little if several do
SHARED_LOOK_MS: Final = 500  # other machines admit without waking this one's courier


def create_app(
    settings: Settings,
    *,
    environ: Mapping[str, str] = os.environ,
    sources: Sources | None = None,
    clock_ms: Callable[[], int] = wall_clock_ms,
    steady_ms: Callable[[], int] = steady_clock_ms,
) -> Starlette:
    """The relay as one ASGI app. Its lifespan opens the store, runs the courier, and ends both.

    `sources`: what the settings were read from, for the page that shows them.

    Raises SettingsError where a token or the signing key cannot be read.
    """
    read_pixels = partial(pixel_access, settings, environ)
    pixels = read_pixels()
    static = find_assets("static")
    metrics = Metrics({pixel: site.key for site in settings.site for pixel in site.pixel_ids()})
    app = Starlette(
        routes=routes(static, settings.server.role),
        # From the outside in; Starlette's own handling of exceptions stands on both sides of it.
        middleware=[
            *traces(settings),
            Middleware(Requests, metrics=metrics, steady_ms=steady_ms),
        ],
        exception_handlers={
            HTTPException: on_http_exception,
            ClientDisconnect: on_disconnect,
            Exception: on_exception,
        },
        lifespan=lambda app: lifespan(app, environ, pixels, read_pixels),
    )
    app.router.redirect_slashes = False  # an address that is not on the list of routes is not one of ours
    app.state.settings = settings
    app.state.read_in_force = partial(in_force, settings, sources, environ)
    app.state.clock_ms = clock_ms
    app.state.steady_ms = steady_ms
    app.state.pages = open_pages(find_assets("templates"))
    app.state.scripts = load_scripts(static)
    app.state.sign_in = open_sign_in(settings, environ)
    app.state.signing_keys = signing_keys(settings, environ)
    app.state.conversion_keys = conversion_keys(settings, environ)
    app.state.recent_messages = deque[MappedMessage](maxlen=RECENT_MAX)
    app.state.write_keys = write_keys(settings, environ)
    app.state.rates = Rates(
        settings.limits,
        len(settings.site),
        lambda: steady_ms() / 1_000,
        held_back_max=settings.server.connections_max // 2,
    )
    app.state.loads = LoadLog(settings.site)
    app.state.feed = Feed()
    app.state.metrics = metrics
    app.state.metrics_keys = metrics_keys(settings, environ)
    app.state.pixels = pixels
    app.state.webhooks = open_webhooks(settings, environ)
    app.state.draining = False
    return app


def traces(settings: Settings) -> list[Middleware]:
    """The outermost middleware, where spans are asked for. Raises SettingsError where they cannot be had."""
    if not settings.telemetry.traces:
        return []
    try:
        from relay.web.traces import Traces, start_exporting

        start_exporting()
    except ImportError:
        raise SettingsError(
            "telemetry.traces needs OpenTelemetry, which is not installed. Next step: pip install counterfoil[otel]"
        ) from None
    return [Middleware(Traces)]


@asynccontextmanager
async def lifespan(
    app: Starlette,
    environ: Mapping[str, str],
    pixels: Mapping[str, PixelAccess],
    read_pixels: Callable[[], Mapping[str, PixelAccess]],
) -> AsyncIterator[None]:
    """Store, then courier; at the end the courier first, so that every answer from Graph finds its store."""
    state = app.state
    settings: Settings = state.settings
    opened = await open_store(settings, environ, state.clock_ms)
    state.store, state.clock_ms = opened.store, opened.clock_ms
    state.graph = open_graph(settings.server.graph_url, settings.delivery)
    state.quality_poll = QualityPoll(
        opened.store, state.graph, read_pixels, settings.delivery.quality_hours, state.clock_ms, random.random
    )
    state.watch = Watch(opened.store, settings, state.webhooks, state.clock_ms, random.random)
    try:
        async with working(state, opened, pixels, read_pixels):
            try:
                yield
            finally:
                state.draining = True
        await state.graph.aclose()
        if state.webhooks is not None:
            await state.webhooks.aclose()
    finally:
        await opened.store.close()


@asynccontextmanager
async def working(
    state: State,
    opened: Opened,
    pixels: Mapping[str, PixelAccess],
    read_pixels: Callable[[], Mapping[str, PixelAccess]],
) -> AsyncIterator[None]:
    """Inside the block the process does what its role has beside requests: deliver, forget, ask Meta."""
    settings: Settings = state.settings
    role = settings.server.role
    state.courier, state.courier_task = None, None

    def make_courier() -> Courier:
        return Courier(
            opened.store,
            state.graph,
            pixels,
            settings.delivery,
            opened.clock_ms,
            random.random,
            state.steady_ms,
            read_pixels,
            state.metrics.called,
            circuits=opened.circuits,
            look_ms=SLEEP_MAX_MS if opened.found is None else SHARED_LOOK_MS,
        )

    async def deliver_once_found(found: asyncio.Event) -> None:
        await found.wait()  # only then the clock of its rows is known
        state.courier = make_courier()
        await state.courier.run()

    async def mark_once_found(found: asyncio.Event) -> None:
        await found.wait()
        with suppress(StoreError):  # a bend in a plot goes without its reason
            await note_marks(opened.store, pixels, state.scripts, state.signing_keys, state.clock_ms())

    beside = []
    if opened.found is None:
        # Nobody else works on a file: what is leased there was left by the process before.
        await opened.store.recover(now_ms=state.clock_ms(), on_unknown=settings.delivery.on_unknown)
        await note_marks(opened.store, pixels, state.scripts, state.signing_keys, state.clock_ms())
        state.courier = make_courier()
        state.courier_task = asyncio.create_task(state.courier.run())
    else:
        beside.append(asyncio.create_task(mark_once_found(opened.found)))
        if role in DELIVERS:
            state.courier_task = asyncio.create_task(deliver_once_found(opened.found))
    if role in DELIVERS:
        beside.append(asyncio.create_task(prune_regularly(opened.store, settings, opened.clock_ms)))
        beside.append(asyncio.create_task(state.watch.run()))
    if role in ASKS:
        beside.append(asyncio.create_task(state.quality_poll.run()))
    try:
        yield
    finally:
        for task in beside:
            task.cancel()
        if beside:
            await asyncio.wait(beside)
        if state.courier is not None:
            await state.courier.stop(settings.server.shutdown_seconds)
            await state.courier_task
        elif state.courier_task is not None:
            state.courier_task.cancel()


def open_webhooks(settings: Settings, environ: Mapping[str, str]) -> Webhooks | None:
    """The way out for alerts; None where nobody is to be told. Raises SettingsError for a secret that is none."""
    alerts = settings.alerts
    if not alerts.urls:
        return None
    try:
        secret = read_secret_bytes(read_secret(alerts.secret_env, alerts.secret_file, environ) or "")
    except ValueError as error:
        raise SettingsError(str(error)) from None
    return Webhooks(secret, allow_private=alerts.allow_private)


def pixel_access(settings: Settings, environ: Mapping[str, str]) -> dict[str, PixelAccess]:
    """What the courier needs for each pixel. One without a token is parked, and its events wait."""
    return {
        pixel.id: PixelAccess(
            id=pixel.id,
            token=read_token(pixel, environ),
            graph_version=pixel.graph_version or settings.server.graph_version,
            test_event_code=pixel.test_event_code,
            test_until_ms=pixel.test_until_ms(),
            shadow=site.shadow,
        )
        for site in settings.site
        for pixel in site.pixels
    }
