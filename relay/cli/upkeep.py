"""Commands for the store: replay, prune, erase and export, beside a running relay too; rescue for a stopped one."""

import os
import re
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, TypeVar

import click
import msgspec

from relay.cli.options import config_option
from relay.cli.running import ask
from relay.clock import wall_clock_ms
from relay.errors import RelayError, StoreLocked
from relay.event.normalise import normalise
from relay.event.outcome import Fate
from relay.loading import load_settings, read_store_url
from relay.serving import run
from relay.settings import Settings
from relay.store.opening import open_database
from relay.store.protocol import Store
from relay.store.sqlite import SqliteStore
from relay.store.sqlite.person import export as export_receipts
from relay.store.sqlite.rescue import rescue as rescue_store
from relay.web import upkeep

T = TypeVar("T")
TIME: Final = click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"])
REPLAYABLE: Final = (Fate.REJECTED, Fate.EXPIRED, Fate.UNKNOWN, Fate.QUARANTINED)


@click.command()
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
    """Put ended events back into the outbox; delivered ones never.

    The options narrow together.
    """
    if not event_ids and (fate, since, until) == (None, None, None):
        raise RelayError(
            "Say which events: --event-id ID (several times if need be), --fate rejected, "
            "or --since 2026-11-01T08:00 and --until."
        )
    settings = load_settings(config, os.environ, {})
    asked = upkeep.ReplayAsked(
        event_ids=event_ids,
        fate=Fate(fate) if fate else None,
        since_ms=_ms(since),
        until_ms=_ms(until),
    )
    done, is_running = _done(
        settings,
        lambda store: upkeep.replay(store, asked, wall_clock_ms()),
        lambda: ask(settings, "/api/replay", asked, upkeep.Replayed),
    )
    when = "now" if is_running else "at the next start"
    click.echo(
        f"{done.replayed} put back; they are sent {when}." if done.replayed else "Nothing to put back."
    )


def _ms(moment: datetime | None) -> int | None:
    return None if moment is None else round(moment.replace(tzinfo=UTC).timestamp() * 1_000)


@click.command()
@config_option
def rescue(config: Path) -> None:
    """Save what can be read of a damaged store of a stopped relay into a new file."""
    settings = load_settings(config, os.environ, {})
    if settings.store.is_shared():
        raise RelayError("The store is a database, and this mends files. Restore a backup: docs/scale.md.")
    path = existing_store(settings)
    saved = rescue_store(path)
    click.echo(f"{path} is a new file. The damaged one is {path.name}.damaged, in the same folder.")
    for table, rows in saved.items():
        click.echo(f"{rows:>10} rows of {table}")


@click.command()
@config_option
def prune(config: Path) -> None:
    """Forget now what was kept as long as the settings say, and write the file anew; a relay forgets every hour."""
    settings = load_settings(config, os.environ, {})
    _done(
        settings,
        lambda store: upkeep.prune(store, settings, wall_clock_ms()),
        lambda: ask(settings, "/api/prune", upkeep.PruneAsked(), upkeep.Pruned),
    )
    click.echo("Forgotten, and the file written anew without it.")


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


@click.command()
@config_option
@email_hash_option
@external_id_option
def erase(config: Path, email_hashes: tuple[str, ...], external_ids: tuple[str, ...]) -> None:
    """Erase every event of one person, and report what it was."""
    settings = load_settings(config, os.environ, {})
    hashes = _person(email_hashes, external_ids)
    if not hashes:
        raise RelayError(
            "Say whose events: --email-hash HASH or --external-id ID, each several times if need be."
        )
    asked = upkeep.EraseAsked(hashes=tuple(hashes))
    done, _ = _done(
        settings,
        lambda store: upkeep.erase(store, asked),
        lambda: ask(settings, "/api/erase", asked, upkeep.ErasedEvents),
    )
    gone = done.erased
    for each in sorted(gone, key=lambda each: (each.site, each.pixel, each.was)):
        click.echo(f"{each.events} of site {each.site}, pixel {each.pixel}: {each.was}")
    click.echo(f"{sum(each.events for each in gone)} erased.")
    if any(each.was in (Fate.DELIVERED, Fate.UNKNOWN, "sending") for each in gone):
        click.echo(
            "Meta has those that were delivered, and may have the unknown ones and those that were being"
        )
        click.echo("sent; ask it to delete them, too.")
    for copy in sorted(Path(settings.store.path).parent.glob(f"{Path(settings.store.path).name}.*")):
        if copy.suffix in (".backup", ".damaged"):
            click.echo(f"{copy} is an older copy and was not touched; delete it where it is not needed.")


@click.command()
@config_option
@email_hash_option
@external_id_option
def export(config: Path, email_hashes: tuple[str, ...], external_ids: tuple[str, ...]) -> None:
    """Print receipts as JSON lines, oldest first: all of the store, or those of one person."""
    settings = load_settings(config, os.environ, {})
    hashes = _person(email_hashes, external_ids)
    if (url := read_store_url(settings.store, os.environ)) is not None:
        run(_export(url, hashes or None))
        return
    store = existing_store(settings)
    wanted = msgspec.json.encode(hashes).decode() if hashes else None
    for receipt in export_receipts(store, wanted, wall_clock_ms()):
        click.echo(msgspec.json.encode(receipt))


async def _export(url: str, hashes: list[str] | None) -> None:
    async with open_database(url, wall_clock_ms) as store:
        async for receipt in store.export(hashes):
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


def _done(
    settings: Settings, alone: Callable[[Store], Coroutine[Any, Any, T]], beside: Callable[[], T]
) -> tuple[T, bool]:
    """What came of it, and whether a relay runs: such a one does it itself, since one process has the file."""
    if (url := read_store_url(settings.store, os.environ)) is not None:
        return run(_in_database(url, alone)), True

    async def on_stopped() -> T:
        async with await SqliteStore.open(existing_store(settings)) as store:
            return await alone(store)

    try:
        return run(on_stopped()), False
    except StoreLocked:
        return beside(), True


async def _in_database(url: str, work: Callable[[Store], Coroutine[Any, Any, T]]) -> T:
    """A database serves everybody at once."""
    async with open_database(url, wall_clock_ms) as store:
        return await work(store)


def existing_store(settings: Settings) -> Path:
    path = Path(settings.store.path)
    if not path.exists():
        raise RelayError(
            f"There is no {path} yet: the relay has not run with these settings, or not from this folder."
        )
    return path
