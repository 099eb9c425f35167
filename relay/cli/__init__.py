"""The command `counterfoil`. Printing and exit codes live only in this package.

Exit codes: 0 done; 1 the answer is no (a check failed, a line could not be explained); 2 it could not be
tried, with one line on stderr that says why and what to do.
"""

import click

from relay import __version__
from relay.cli.config import config
from relay.cli.init import init
from relay.cli.run import sandbox, serve, sign_in, status, twin
from relay.cli.shop import doctor, explain, snippet
from relay.cli.upkeep import erase, export, prune, replay, rescue
from relay.errors import RelayError


class Commands(click.Group):
    """Commands whose expected errors are one line on stderr and exit code 2."""

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except RelayError as error:
            click.echo(f"counterfoil: {error}", err=True)
            ctx.exit(2)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="counterfoil")
def main() -> None:
    """First-party relay for Meta Pixel + Conversions API: browser first, counted once, with a receipt."""


for command in (
    init,
    snippet,
    explain,
    doctor,
    serve,
    sandbox,
    twin,
    sign_in,
    status,
    config,
    replay,
    rescue,
    prune,
    erase,
    export,
):
    main.add_command(command)
