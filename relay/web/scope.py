"""What a page of the console is about: one site or all of them, and how far back it looks."""

from typing import Final, NamedTuple, Self
from urllib.parse import urlencode

from starlette.exceptions import HTTPException
from starlette.requests import Request

MINUTE_MS: Final = 60_000
HOUR_MS: Final = 60 * MINUTE_MS
DAY_MS: Final = 24 * HOUR_MS


class Range(NamedTuple):
    """One choice of the period switch."""

    name: str
    words: str
    length_ms: int


RANGES: Final = (
    Range("1h", "the last hour", HOUR_MS),
    Range("24h", "the last 24 hours", DAY_MS),
    Range("7d", "the last 7 days", 7 * DAY_MS),
    Range("30d", "the last 30 days", 30 * DAY_MS),
)
USUAL: Final = RANGES[1]


class Scope(NamedTuple):
    """Travels in the address of each page, so that a link to a page shows the same to somebody else."""

    site: str | None  # None: all sites
    range: Range

    @property
    def query(self) -> str:
        """`?site=…&range=…` without what is usual; empty for all sites and the usual period."""
        named = {"site": self.site or "", "range": "" if self.range is USUAL else self.range.name}
        told = urlencode({name: value for name, value in named.items() if value})
        return f"?{told}" if told else ""

    def of_site(self, site: str | None) -> Self:
        return self._replace(site=site)

    def of_range(self, range_: Range) -> Self:
        return self._replace(range=range_)


def read_scope(request: Request) -> Scope:
    """Raises a 400 where `range` is none of the four."""
    named = request.query_params.get("range") or USUAL.name
    found = next((each for each in RANGES if each.name == named), None)
    if found is None:
        raise HTTPException(400, f"range must be one of {', '.join(each.name for each in RANGES)}.")
    return Scope(request.query_params.get("site") or None, found)


def scope_or_usual(request: Request) -> Scope:
    """For the links of a page that may be about the mistake itself."""
    try:
        return read_scope(request)
    except HTTPException:
        return Scope(None, USUAL)
