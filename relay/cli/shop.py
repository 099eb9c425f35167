"""Commands that look at a shop and what is sent of it: snippet, explain, doctor."""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

import click
import msgspec

from relay.assets import find_assets
from relay.cli.options import config_option
from relay.doctor.finding import Finding
from relay.doctor.network import open_network
from relay.doctor.report import has_failed, report_json, report_text
from relay.doctor.run import examine
from relay.doctor.subject import Subject, choose_subject
from relay.errors import RelayError
from relay.event.explain import explain_hash, explain_request
from relay.event.explain_event import explain_event
from relay.event.records import Json
from relay.loading import load_settings
from relay.serving import run
from relay.settings import Settings
from relay.tag import PINNED, STUB, integrity, policy_line, shopify_pixel, site_tag

EXPLAIN: Final[dict[str, Callable[[object], Json]]] = {
    "hash": explain_hash,
    "request": explain_request,
    "event": explain_event,
}


@click.command()
@config_option
@click.option(
    "--pinned", is_flag=True, help="Name the script by version and hash; later fixes need a new tag."
)
@click.option("--shopify", is_flag=True, help="Print the code of a Shopify custom pixel instead.")
@click.option("--site", "site_key", help="The site's key; with --shopify, where there are several.")
def snippet(config: Path, pinned: bool, shopify: bool, site_key: str | None) -> None:
    """Print what goes into the shop's pages, and what its Content-Security-Policy must allow."""
    settings = load_settings(config, os.environ, {})
    if shopify:
        click.echo(_shopify(settings, site_key), nl=False)
        return
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


def _shopify(settings: Settings, site_key: str | None) -> str:
    sites = [site for site in settings.site if site_key in (None, site.key)]
    if len(sites) != 1:
        keys = ", ".join(site.key for site in settings.site)
        raise RelayError(f"Which site? Name one of {keys} by --site.")
    if not sites[0].opaque_origins:
        raise RelayError(
            f"Shopify runs custom pixels in a frame without an origin, and the site {sites[0].key} refuses those. "
            "Set opaque_origins = true under its [[site]], restart the relay, and come again."
        )
    source = (find_assets("templates") / "shopify" / "custom-pixel.js").read_text("utf-8")
    return shopify_pixel(settings.server.public_url, sites[0], source)


@click.command()
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


@click.command()
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
