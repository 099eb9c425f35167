"""The one table that the benches print: a figure a line, beside the figure of the same run that it is a ratio to."""

from collections.abc import Iterable
from typing import Final, NamedTuple

HEAD: Final = f"{'part':<12}{'case':<40}{'figure':<36}{'value':>10}{'ratio':>8}  to"


class Row(NamedTuple):
    part: str
    case: str
    figure: str  # its name, with its unit
    value: float
    base: float | None = None  # the same figure of what it is compared with
    to: str = ""  # what that is


def print_table(rows: Iterable[Row]) -> list[Row]:
    """Each row as soon as it is there, since a part takes minutes; all of them at the end."""
    print(HEAD, flush=True)
    told = []
    for row in rows:
        print(_line(row), flush=True)
        told.append(row)
    return told


def _line(row: Row) -> str:
    ratio = f"{row.value / row.base:.2f}" if row.base else ""
    return (
        f"{row.part:<12}{row.case:<40}{row.figure:<36}{_number(row.value):>10}{ratio:>8}  {row.to}".rstrip()
    )


def _number(value: float) -> str:
    """Three figures are as many as a run on a shared machine is good for."""
    decimals = 0 if value >= 100 else 1 if value >= 10 else 2 if value >= 1 else 3
    return f"{value:,.{decimals}f}"
