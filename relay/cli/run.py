"""Commands that run something, and those that speak of what runs: serve, sandbox, twin, sign-in, status."""

import gc
import logging
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, get_args

import click
import httpx

from relay import __version__
from relay.cli.options import config_option
from relay.cli.running import address_of
from relay.cli.upkeep import existing_store
from relay.clock import wall_clock_ms
from relay.errors import RelayError
from relay.loading import Sources, load_settings, read_sources, read_store_url, read_token, settings_of
from relay.logs import configure_logs
from relay.sandbox.check import check, receipt_text
from relay.sandbox.run import PORT_BASE, open_sandbox
from relay.serving import listen, run, serving, stop_signals
from relay.settings import Role, Settings
from relay.store.opening import open_database
from relay.store.protocol import PixelState, Totals
from relay.store.sqlite.look import Look, look
from relay.twin.app import create_twin
from relay.web.app import create_app
from relay.web.signin import make_sign_in_link

GRACE_SECONDS: Final = 5

# Python's own 700 are those of a few posts: under load it would look for circles among posts that are under way.
YOUNG_OBJECTS: Final = 10_000


@click.command()
@config_option
@click.option("--host", help="Overrides [server] host.")
@click.option("--port", type=int, help="Overrides [server] port.")
@click.option("--role", type=click.Choice(get_args(Role)), help="Overrides [server] role.")
def serve(config: Path, host: str | None, port: int | None, role: str | None) -> None:
    """Run the relay until Ctrl-C or SIGTERM."""
    sources = read_sources(config, os.environ, {"server": {"host": host, "port": port, "role": role}})
    settings = settings_of(sources, os.environ)
    if not settings.site:
        raise RelayError(f"{config} has no [[site]], so the relay would refuse every event. Add one.")
    configure_logs(settings.server.log_format)
    run(_serve(settings, sources))


async def _serve(settings: Settings, sources: Sources) -> None:
    server = settings.server
    app = create_app(settings, environ=os.environ, sources=sources)
    with stop_signals() as stopped, listen(server.host, server.port) as listener:
        async with serving(app, listener, grace_seconds=GRACE_SECONDS, limits=server):
            click.echo(
                f"Counterfoil {__version__} listens on {server.host} port {listener.getsockname()[1]}."
            )
            click.echo(f"Receipts: {server.console()}/receipts")
            click.echo(f"Sign in with this link, once and within 15 minutes: {_sign_in_link(settings)}")
            for pixel in _pixels_without_token(settings):
                click.echo(f"Pixel {pixel} has no access token: its events wait until it has one.", err=True)
            for site in settings.site:
                if site.shadow:
                    click.echo(f"Site {site.key} is in shadow mode: nothing of it is sent.", err=True)
            # What start-up made stays as long as the process: a tenth of each post's work was looking at it again.
            gc.collect()
            gc.freeze()
            gc.set_threshold(YOUNG_OBJECTS)
            await stopped.wait()
            click.echo("Stopping: no new events are taken, calls under way are waited for.")


@click.command()
@click.option(
    "--check", "checking", is_flag=True, help="Drive one Purchase through, print its receipt, and exit."
)
@click.option(
    "--port-base",
    type=click.IntRange(1, 65_515),
    help=f"Relay here, shop 10 and twin 20 above; {PORT_BASE} by default, free ports for --check.",
)
@click.option(
    "--data", type=click.Path(path_type=Path), help="Keep the relay's file here; left out: nothing stays."
)
def sandbox(checking: bool, port_base: int | None, data: Path | None) -> None:
    """A demo shop, the relay and the Meta twin on loopback, until Ctrl-C."""
    configure_logs("text", level=logging.WARNING if checking else logging.INFO)
    with _folder(data) as folder:
        if checking:
            _check(folder, port_base)
        else:
            run(_sandbox(folder, port_base or PORT_BASE))


@contextmanager
def _folder(data: Path | None) -> Iterator[Path]:
    if data is not None:
        yield data
        return
    with tempfile.TemporaryDirectory(prefix="counterfoil-") as folder:
        yield Path(folder)


async def _sandbox(folder: Path, port_base: int) -> None:
    with stop_signals() as stopped:
        async with open_sandbox(folder, port_base) as opened:
            click.echo(f"Shop:                            {opened.shop}/")
            click.echo(f"Receipts, by this sign-in link:  {opened.sign_in_link()}")
            click.echo(f"Meta twin's Events Manager:      {opened.links.meta}/")
            click.echo("Buy something, then look at its receipt. Ctrl-C ends it all.")
            await stopped.wait()


def _check(folder: Path, port_base: int | None) -> None:
    checked = run(check(folder, port_base))
    click.echo(f"One Purchase, made with {checked.visitor}.\n")
    click.echo("\n".join(receipt_text(checked.view)))
    for trouble in checked.troubles:
        click.echo(f"FAILED: {trouble}", err=True)
    if checked.troubles:
        sys.exit(1)
    click.echo("\nPassed: browser first, and one event counts under every dedup profile.")


@click.command()
@click.option("--port", type=click.IntRange(0, 65_535), default=PORT_BASE + 20, show_default=True)
@click.option(
    "--host", default="127.0.0.1", show_default=True, help="The twin asks for no sign-in: keep it private."
)
def twin(port: int, host: str) -> None:
    """Run the Meta twin alone: the Pixel's script, Graph's /events, an Events Manager, and /twin/state."""
    configure_logs("text")
    run(_twin(host, port))


async def _twin(host: str, port: int) -> None:
    with stop_signals() as stopped, listen(host, port) as listener:
        async with serving(create_twin(), listener, grace_seconds=1):
            shown = f"[{host}]" if ":" in host else host
            click.echo(f"Meta twin: http://{shown}:{listener.getsockname()[1]}/")
            await stopped.wait()


@click.command("sign-in")
@config_option
def sign_in(config: Path) -> None:
    """Print a new one-time link into the console."""
    click.echo(_sign_in_link(load_settings(config, os.environ, {})))


def _sign_in_link(settings: Settings) -> str:
    return make_sign_in_link(settings, os.environ, time.time())


@click.command()
@config_option
def status(config: Path) -> None:
    """Say whether the relay runs, what waits, and which pixels cannot send; exit code 1 if not well."""
    settings = load_settings(config, os.environ, {})
    troubles = [f"Pixel {pixel} has no access token." for pixel in _pixels_without_token(settings)]
    seen = _look(settings)
    troubles += [_why_parked(pixel) for pixel in seen.parked]
    troubles += _not_ready(settings) if seen.running else ["The relay is stopped."]
    for line in [*(["The relay is running."] if seen.running else []), *_counts(seen.totals)]:
        click.echo(line)
    for trouble in troubles:
        click.echo(trouble, err=True)
    sys.exit(1 if troubles else 0)


def _look(settings: Settings) -> Look:
    url = read_store_url(settings.store, os.environ)
    return look(existing_store(settings)) if url is None else run(_look_at(url))


async def _look_at(url: str) -> Look:
    """Of a database nobody can tell from outside who works on it; the relay of these settings is asked all the same."""
    async with open_database(url, wall_clock_ms) as store:
        return Look(running=True, totals=await store.totals(), parked=await store.parked())


def _counts(totals: Totals) -> list[str]:
    oldest = (
        "" if totals.oldest_due_ms is None else f", the first of them due at {_utc(totals.oldest_due_ms)}"
    )
    return [
        f"Waiting: {totals.waiting}{oldest}",
        *(f"{fate.capitalize()}: {number}" for fate, number in sorted(totals.fates.items())),
        f"Refused: {totals.refused}",
        f"Duplicates: {totals.duplicates}",
        f"Ambiguous sends: {totals.ambiguous_attempts}",
    ]


def _why_parked(pixel: PixelState) -> str:
    code = "" if pixel.code is None else f" (code {pixel.code})"
    return (
        f"Pixel {pixel.pixel} is parked since {_utc(pixel.parked_ms)}, its events wait: {pixel.message}{code} "
        "Put a working token in place: in its token_file it is noticed within a minute, in a variable after a restart."
    )


def _utc(at_ms: int) -> str:
    return f"{datetime.fromtimestamp(at_ms // 1_000, UTC):%Y-%m-%d %H:%M:%S} UTC"


def _not_ready(settings: Settings) -> list[str]:
    """Ask the running relay itself."""
    try:
        answer = httpx.get(f"{address_of(settings)}/readyz", timeout=5, trust_env=False)
    except httpx.HTTPError as error:
        return [f"The relay holds its file but does not answer at {address_of(settings)}: {error}."]
    return [] if answer.is_success else [f"The relay is not ready: {answer.text}"]


def _pixels_without_token(settings: Settings) -> list[str]:
    pixels = [pixel for site in settings.site for pixel in site.pixels]
    return [pixel.id for pixel in pixels if read_token(pixel, os.environ) is None]
