"""Who has loaded the snippet and not been heard of since: how a policy that blocks the posts gives itself away.

Kept in memory: it is about the last minutes, and one number for each site.
"""

from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit

import msgspec

from relay.settings import Site
from relay.web.origin import is_allowed


class Loads(msgspec.Struct, frozen=True, kw_only=True):
    """Of one site, since it was last heard of."""

    unheard: int  # times that its pages loaded the script
    origin: str  # of the last such page
    first_ms: int
    last_ms: int
    heard_ms: int | None  # when a post last came, whatever became of it


class LoadLog:
    """A word for each site, of this process."""

    def __init__(self, sites: Sequence[Site]) -> None:
        self._sites = sites
        self._loads: dict[str, Loads] = {}

    def of_sites(self) -> Mapping[str, Loads]:
        return self._loads

    def loaded(self, referer: str | None, now_ms: int) -> None:
        """A page has loaded the script; which site's, its Referer tells, where it sends one."""
        try:
            parts = urlsplit(referer or "")
        except ValueError:
            return
        origin = f"{parts.scheme}://{parts.netloc}"
        site = next((site for site in self._sites if is_allowed(origin, [site])), None)
        if site is None:
            return
        before = self._loads.get(site.key)
        self._loads[site.key] = Loads(
            unheard=before.unheard + 1 if before else 1,
            origin=origin,
            first_ms=before.first_ms if before and before.unheard else now_ms,
            last_ms=now_ms,
            heard_ms=before.heard_ms if before else None,
        )

    def heard(self, site: str, origin: str, now_ms: int) -> None:
        """A page of the site has posted."""
        self._loads[site] = Loads(unheard=0, origin=origin, first_ms=now_ms, last_ms=now_ms, heard_ms=now_ms)
