"""Who is examined: one site of one relay's settings."""

from collections.abc import Mapping
from ipaddress import ip_address
from urllib.parse import urlsplit

import msgspec

from relay.errors import RelayError
from relay.settings import Settings, Site


class Subject(msgspec.Struct, frozen=True, kw_only=True):
    settings: Settings
    site: Site
    environ: Mapping[str, str]
    url: str | None = None  # one of the shop's pages

    @property
    def relay(self) -> str:
        """The relay's public address."""
        return self.settings.server.public_url

    @property
    def in_laboratory(self) -> bool:
        """Loopback stands for the internet."""
        return self.settings.server.accept_private_addresses


def choose_subject(
    settings: Settings, environ: Mapping[str, str], *, site_key: str | None, url: str | None
) -> Subject:
    """The site of this key, or the only one there is. Raises RelayError."""
    keys = ", ".join(site.key for site in settings.site) or "none"
    if site_key is None and len(settings.site) != 1:
        raise RelayError(f"Say which site by --site KEY. There are: {keys}.")
    site = settings.site[0] if site_key is None else settings.site_by_key(site_key)
    if site is None:
        raise RelayError(f"There is no site {site_key}. There are: {keys}.")
    if url is not None and not _is_page(url):
        raise RelayError(f"{url} is not a page's address. Give --url one such as {site.origins[0]}/")
    return Subject(settings=settings, site=site, environ=environ, url=url)


def _is_page(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def host_of(url: str) -> str:
    return urlsplit(url).hostname or ""


def port_of(url: str) -> int:
    parts = urlsplit(url)
    return parts.port or (443 if parts.scheme == "https" else 80)


def is_name(host: str) -> bool:
    """Whether the host is a name that DNS could know, and not an address or this machine."""
    if host == "localhost" or host.endswith(".localhost"):
        return False
    try:
        ip_address(host)
    except ValueError:
        return True
    return False
