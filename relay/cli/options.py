"""What several commands take."""

from pathlib import Path

import click

config_option = click.option(
    "--config",
    type=click.Path(path_type=Path),
    default="relay.toml",
    show_default=True,
    envvar="RELAY_CONFIG",
    help="The settings file.",
)
