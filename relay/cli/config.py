"""`counterfoil config show`: what is in force, and where it comes from."""

import os
from itertools import groupby
from pathlib import Path
from typing import Final

import click

from relay.cli.options import config_option
from relay.loading import read_sources, settings_of
from relay.origins import InForce, Origin, in_force

WORDS: Final = {Origin.DEFAULT: "default", Origin.PROGRAM: "program"}


@click.command("config")
@click.argument("action", type=click.Choice(["show"]))
@config_option
@click.option("--origin", is_flag=True, help="Say behind each value where it comes from.")
def config(action: str, config: Path, origin: bool) -> None:  # noqa: ARG001 - the one thing that can be done
    """Print every setting that is in force; secrets are not among them, only whether they are there."""
    sources = read_sources(config, os.environ, {})
    rows = in_force(settings_of(sources, os.environ), sources, os.environ)
    for section, group in groupby(rows, key=lambda row: row.section):
        click.echo(f"[{section}]")
        for row in group:
            click.echo(_line(row, with_origin=origin))
        click.echo()


def _line(row: InForce, *, with_origin: bool) -> str:
    notes = [WORDS.get(row.origin) or row.place] if with_origin else []
    notes += [f"secret is {row.secret}"] if row.secret else []
    return f"{row.name} = {row.value}" + (f"  # {', '.join(notes)}" if notes else "")
