"""The command `counterfoil`. Printing and exit codes live only here.

Exit codes: 0 done; 1 the answer is no (a check failed, a line could not be explained); 2 it could not be
tried, with one line on stderr that says why and what to do.
"""

import json
import logging
import os
import re
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Final, TypeVar
from urllib.parse import urlsplit

import click
import httpx
import msgspec

from relay import __version__
from relay.assets import find_assets
from relay.clock import wall_clock_ms
from relay.doctor.finding import Finding
from relay.doctor.network import open_network
from relay.doctor.report import has_failed, report_json, report_text
from relay.doctor.run import examine
from relay.doctor.subject import Subject, choose_subject
from relay.errors import RelayError, StoreLocked
from relay.event.explain import explain_event, explain_hash, explain_request
from relay.event.normalise import normalise
from relay.event.outcome import Fate
from relay.event.records import Json
from relay.loading import load_settings, read_token
from relay.logs import configure_logs
from relay.sandbox.check import check, receipt_text
from relay.sandbox.run import PORT_BASE, open_sandbox
from relay.serving import listen, run, serving, stop_signals
from relay.settings import Settings
from relay.store.protocol import PixelState, Totals
from relay.store.sqlite import SqliteStore
from relay.store.sqlite.look import look
from relay.store.sqlite.person import export as export_receipts
from relay.store.sqlite.rescue import rescue as rescue_store
from relay.tag import PINNED, STUB, integrity, policy_line, site_tag
from relay.twin.app import create_twin
from relay.web.app import create_app, prune_once
from relay.web.signin import make_sign_in_link

T = TypeVar("T")

GRACE_SECONDS: Final = 5
TIME: Final = click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"])
REPLAYABLE: Final = (Fate.REJECTED, Fate.EXPIRED, Fate.UNKNOWN, Fate.QUARANTINED)
EXPLAIN: Final[dict[str, Callable[[object], Json]]] = {
    "hash": explain_hash,
    "request": explain_request,
    "event": explain_event,
}


class Commands(click.Group):
    """Commands whose expected errors are one line on stderr and exit code 2."""

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except RelayError as error:
            click.echo(f"counterfoil: {error}", err=True)
            ctx.exit(2)


config_option = click.option(
    "--config",
    type=click.Path(path_type=Path),
    default="relay.toml",
    show_default=True,
    envvar="RELAY_CONFIG",
    help="The settings file.",
)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="counterfoil")
def main() -> None:
    """First-party relay for Meta Pixel + Conversions API: browser first, counted once, with a receipt."""


@main.command()
@config_option
@click.option(
    "--site", prompt="The shop's address, such as https://shop.example", help="Origin of the shop's pages."
)
@click.option("--pixel", prompt="The pixel's id, from Events Manager", help="The pixel's id.")
@click.option(
    "--token-env", prompt="The variable that will hold its access token", default="META_ACCESS_TOKEN"
)
@click.option("--public-url", help="The relay's address as browsers see it; left out: relay.<shop's host>.")
@click.option("--force", is_flag=True, help="Overwrite a file that is there.")
def init(config: Path, site: str, pixel: str, token_env: str, public_url: str | None, force: bool) -> None:
    """Write relay.toml for one shop."""
    text = starter(site, pixel, token_env, public_url)
    try:
        with config.open("w" if force else "x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise RelayError(f"{config} is there already. Edit it, or overwrite it with --force.") from None
    except OSError as error:
        raise RelayError(f"{config} cannot be written: {error.strerror}. Name another by --config.") from None
    click.echo(f"Wrote {config}. Next: put the access token into {token_env}, then `counterfoil serve`.")


def starter(site: str, pixel: str, token_env: str, public_url: str | None) -> str:
    """A relay.toml for one shop. Raises SettingsError for what `serve` would refuse."""
    parts = urlsplit(site)
    public_url = public_url or f"{parts.scheme}://relay.{(parts.hostname or '').removeprefix('www.')}"
    key = "".join(letter if letter.isalnum() else "-" for letter in parts.hostname or "")[:64]
    pixels = [{"id": pixel, "token_env": token_env}]
    sites = [{"key": key, "origins": [site], "pixels": pixels}]
    load_settings(None, {}, {"server": {"public_url": public_url}, "site": sites})
    # A JSON text is a TOML text; that is all the quoting there is to do.
    return (
        "# Counterfoil. docs/settings.md lists every setting, its default and its variable.\n\n"
        f"[server]\npublic_url = {json.dumps(public_url)}\n"
        '# trusted_proxies = ["10.0.0.0/8"]  # your own; else theirs is taken for the visitor\'s address\n\n'
        f"[[site]]\nkey = {json.dumps(key)}\norigins = [{json.dumps(site)}]\n\n"
        f"[[site.pixels]]\nid = {json.dumps(pixel)}\ntoken_env = {json.dumps(token_env)}\n"
    )


@main.command()
@config_option
@click.option("--host", help="Overrides [server] host.")
@click.option("--port", type=int, help="Overrides [server] port.")
def serve(config: Path, host: str | None, port: int | None) -> None:
    """Run the relay until Ctrl-C or SIGTERM."""
    settings = load_settings(config, os.environ, {"server": {"host": host, "port": port}})
    if not settings.site:
        raise RelayError(f"{config} has no [[site]], so the relay would refuse every event. Add one.")
    configure_logs(settings.server.log_format)
    run(_serve(settings))


async def _serve(settings: Settings) -> None:
    server = settings.server
    app = create_app(settings, environ=os.environ)
    with stop_signals() as stopped, listen(server.host, server.port) as listener:
        async with serving(app, listener, grace_seconds=GRACE_SECONDS, limits=server):
            click.echo(
                f"Counterfoil {__version__} listens on {server.host} port {listener.getsockname()[1]}."
            )
            click.echo(f"Receipts: {server.public_url}/receipts")
            click.echo(f"Sign in with this link, once and within 15 minutes: {_sign_in_link(settings)}")
            for pixel in _pixels_without_token(settings):
                click.echo(f"Pixel {pixel} has no access token: its events wait until it has one.", err=True)
            await stopped.wait()
            click.echo("Stopping: no new events are taken, calls under way are waited for.")


@main.command()
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


@main.command()
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


@main.command()
@config_option
@click.option(
    "--pinned", is_flag=True, help="Name the script by version and hash; later fixes need a new tag."
)
def snippet(config: Path, pinned: bool) -> None:
    """Print what goes into the shop's pages, and what its Content-Security-Policy must allow."""
    settings = load_settings(config, os.environ, {})
    body = (find_assets("static") / "js" / PINNED).read_bytes() if pinned else None
    for site in settings.site:
        click.echo(f"<!-- {site.key}: into the <head> of every page, before other scripts -->")
        click.echo(f"<script>{STUB}</script>")
        tag = site_tag(
            settings.server.public_url, site, integrity=integrity(body) if body is not None else None
        )
        click.echo(tag)
        click.echo()
        click.echo("Where the shop sends a Content-Security-Policy, add to it:")
        click.echo(policy_line(settings.server.public_url, tuple(site.address_hosts.urls().values())))
        click.echo()


@main.command()
@click.argument("kind", type=click.Choice(list(EXPLAIN)))
def explain(kind: str) -> None:
    """What would be sent, and why: JSON lines from stdin to stdout; exit code 1 if one was no good."""
    failed = False
    for line in sys.stdin.buffer:
        if line.strip():
            answer = _explain_line(EXPLAIN[kind], line)
            failed = failed or "error" in answer
            click.echo(msgspec.json.encode(answer))
            sys.stdout.flush()
    sys.exit(1 if failed else 0)


def _explain_line(explain_row: Callable[[object], Json], line: bytes) -> Json:
    try:
        row = msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return {"error": f"This line is not JSON: {error}. Write one JSON object per line."}
    return explain_row(row)


@main.command()
@config_option
@click.option("--event-id", "event_ids", multiple=True, help="May be given several times.")
@click.option(
    "--fate", type=click.Choice([fate.value for fate in REPLAYABLE]), help="Every event that ended so."
)
@click.option("--since", type=TIME, help="Every event that ended at this time (UTC) or later.")
@click.option("--until", type=TIME, help="Every event that ended before this time (UTC).")
def replay(
    config: Path, event_ids: tuple[str, ...], fate: str | None, since: datetime | None, until: datetime | None
) -> None:
    """Put ended events back into the outbox of a stopped relay; delivered ones never.

    The options narrow together.
    """
    if not event_ids and (fate, since, until) == (None, None, None):
        raise RelayError(
            "Say which events: --event-id ID (several times if need be), --fate rejected, "
            "or --since 2026-11-01T08:00 and --until."
        )
    settings = load_settings(config, os.environ, {})
    put_back = run(_replay(settings, event_ids, Fate(fate) if fate else None, _ms(since), _ms(until)))
    click.echo(
        f"{put_back} put back; they are sent at the next start." if put_back else "Nothing to put back."
    )


def _ms(moment: datetime | None) -> int | None:
    return None if moment is None else round(moment.replace(tzinfo=UTC).timestamp() * 1_000)


async def _replay(
    settings: Settings,
    event_ids: tuple[str, ...],
    fate: Fate | None,
    since_ms: int | None,
    until_ms: int | None,
) -> int:
    again = partial(SqliteStore.replay, event_ids=event_ids, fate=fate, since_ms=since_ms, until_ms=until_ms)
    return await _with_store(settings, "replay", lambda store: again(store, now_ms=wall_clock_ms()))


@main.command()
@config_option
def rescue(config: Path) -> None:
    """Save what can be read of a damaged store of a stopped relay into a new file."""
    path = _existing_store(load_settings(config, os.environ, {}))
    saved = rescue_store(path)
    click.echo(f"{path} is a new file. The damaged one is {path.name}.damaged, in the same folder.")
    for table, rows in saved.items():
        click.echo(f"{rows:>10} rows of {table}")


@main.command()
@config_option
def prune(config: Path) -> None:
    """Forget now what a stopped relay has kept as long as the settings say; a running one does so every hour."""
    settings = load_settings(config, os.environ, {})
    run(_with_store(settings, "prune", partial(_prune, settings)))
    click.echo("Forgotten, and the file written anew without it.")


async def _prune(settings: Settings, store: SqliteStore) -> None:
    await prune_once(store, settings, wall_clock_ms())
    await store.rewrite()


email_hash_option = click.option(
    "--email-hash",
    "email_hashes",
    multiple=True,
    help="SHA-256 of the normalised e-mail address; repeatable.",
)
external_id_option = click.option(
    "--external-id",
    "external_ids",
    multiple=True,
    help="As the shop's pages pass it, or its hash; repeatable.",
)


@main.command()
@config_option
@email_hash_option
@external_id_option
def erase(config: Path, email_hashes: tuple[str, ...], external_ids: tuple[str, ...]) -> None:
    """Erase every event of one person from the store of a stopped relay, and report what it was."""
    settings = load_settings(config, os.environ, {})
    hashes = _person(email_hashes, external_ids)
    if not hashes:
        raise RelayError(
            "Say whose events: --email-hash HASH or --external-id ID, each several times if need be."
        )
    gone = run(_with_store(settings, "erase", lambda store: store.erase(hashes)))
    for each in sorted(gone, key=lambda each: (each.site, each.pixel, each.was)):
        click.echo(f"{each.events} of site {each.site}, pixel {each.pixel}: {each.was}")
    click.echo(f"{sum(each.events for each in gone)} erased.")
    if any(each.was in (Fate.DELIVERED, Fate.UNKNOWN) for each in gone):
        click.echo("Meta has those that were delivered; ask it to delete them, too.")
    for copy in sorted(Path(settings.store.path).parent.glob(f"{Path(settings.store.path).name}.*")):
        if copy.suffix in (".backup", ".damaged"):
            click.echo(f"{copy} is an older copy and was not touched; delete it where it is not needed.")


@main.command()
@config_option
@email_hash_option
@external_id_option
def export(config: Path, email_hashes: tuple[str, ...], external_ids: tuple[str, ...]) -> None:
    """Print receipts as JSON lines, oldest first: all of the store, or those of one person."""
    store = _existing_store(load_settings(config, os.environ, {}))
    hashes = _person(email_hashes, external_ids)
    wanted = msgspec.json.encode(hashes).decode() if hashes else None
    for receipt in export_receipts(store, wanted, wall_clock_ms()):
        click.echo(msgspec.json.encode(receipt))


def _person(email_hashes: tuple[str, ...], external_ids: tuple[str, ...]) -> list[str]:
    """The hashes by which a person's events are found."""
    for text in email_hashes:
        if not re.fullmatch(r"[0-9A-Fa-f]{64}|[0-9A-Fa-f]{32}", text):
            raise RelayError(
                "--email-hash takes the hash, so that no address stands in a shell's history. "
                "Make it with `counterfoil explain hash`."
            )
    hashes = [text.lower() for text in email_hashes]
    for text in external_ids:
        digest = normalise("external_id", text).sha256
        if digest is None:
            raise RelayError("--external-id is empty. Pass the id as the shop's pages do.")
        hashes.append(digest)
    return hashes


async def _with_store(settings: Settings, what: str, work: Callable[[SqliteStore], Awaitable[T]]) -> T:
    """Do something with the store of a stopped relay."""
    try:
        store = await SqliteStore.open(_existing_store(settings))
    except StoreLocked as error:
        raise RelayError(f"{error} This works on a stopped relay: stop, {what}, start.") from error
    try:
        return await work(store)
    finally:
        await store.close()


def _existing_store(settings: Settings) -> Path:
    path = Path(settings.store.path)
    if not path.exists():
        raise RelayError(
            f"There is no {path} yet: the relay has not run with these settings, or not from this folder."
        )
    return path


@main.command("sign-in")
@config_option
def sign_in(config: Path) -> None:
    """Print a new one-time link into the console."""
    click.echo(_sign_in_link(load_settings(config, os.environ, {})))


def _sign_in_link(settings: Settings) -> str:
    return make_sign_in_link(settings, os.environ, time.time())


@main.command()
@config_option
@click.option("--site", "site_key", help="The site's key; needed where there are several.")
@click.option("--url", help="One of the shop's pages, to look at its tag, its policy and other loaders too.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of lines.")
def doctor(config: Path, site_key: str | None, url: str | None, as_json: bool) -> None:
    """Look at one site from outside, and say what to mend; exit code 1 if a check failed."""
    settings = load_settings(config, os.environ, {})
    subject = choose_subject(settings, os.environ, site_key=site_key, url=url)
    findings = run(_examine(subject))
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(report_json(subject, findings))))
    else:
        click.echo("\n".join(report_text(subject, findings)))
    sys.exit(1 if has_failed(findings) else 0)


async def _examine(subject: Subject) -> list[Finding]:
    async with open_network() as network:
        return await examine(subject, network)


@main.command()
@config_option
def status(config: Path) -> None:
    """Say whether the relay runs, what waits, and which pixels cannot send; exit code 1 if not well."""
    settings = load_settings(config, os.environ, {})
    troubles = [f"Pixel {pixel} has no access token." for pixel in _pixels_without_token(settings)]
    seen = look(_existing_store(settings))
    troubles += [_why_parked(pixel) for pixel in seen.parked]
    troubles += _not_ready(settings) if seen.running else ["The relay is stopped."]
    for line in [*(["The relay is running."] if seen.running else []), *_counts(seen.totals)]:
        click.echo(line)
    for trouble in troubles:
        click.echo(trouble, err=True)
    sys.exit(1 if troubles else 0)


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
        "Put a working token in place and restart the relay."
    )


def _utc(at_ms: int) -> str:
    return f"{datetime.fromtimestamp(at_ms // 1_000, UTC):%Y-%m-%d %H:%M:%S} UTC"


def _not_ready(settings: Settings) -> list[str]:
    """Ask the running relay itself."""
    every_address = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}  # noqa: S104 - asked, not bound
    host = every_address.get(settings.server.host, settings.server.host)
    try:
        answer = httpx.get(f"http://{host}:{settings.server.port}/readyz", timeout=5)
    except httpx.HTTPError as error:
        return [
            f"The relay holds its file but does not answer on {host} port {settings.server.port}: {error}."
        ]
    return [] if answer.is_success else [f"The relay is not ready: {answer.text}"]


def _pixels_without_token(settings: Settings) -> list[str]:
    pixels = [pixel for site in settings.site for pixel in site.pixels]
    return [pixel.id for pixel in pixels if read_token(pixel, os.environ) is None]
