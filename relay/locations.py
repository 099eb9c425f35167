"""How addresses in the settings must be written: of servers, of pages that may post, of proxies.

Each check raises ValueError with what is wrong and the next step; the caller adds the path.
"""

import ipaddress
import re
from typing import Final
from urllib.parse import SplitResult, urlsplit

from relay.proxies import NAMED_PROXIES

_DEFAULT_PORTS: Final = {"http": 80, "https": 443}


def check_url(url: str) -> None:
    """A server's address: http or https, a host, perhaps a path; nothing after that."""
    parts, _ = _split(url)
    if parts.query or parts.fragment or url.endswith("/"):
        raise ValueError(f"{url} must end without `/`, `?` and `#`. Write it like https://relay.shop.example")


def check_webhook(url: str, *, allow_http: bool) -> None:
    """An address that alerts are posted to: https, with a path and a query if need be. It is not repeated whole."""
    try:
        parts, origin = _split(url)
    except ValueError:
        raise ValueError("an address is not one such as https://hooks.example/relay?key=…") from None
    if parts.fragment or (parts.scheme != "https" and not allow_http):
        raise ValueError(f"the address at {origin} must begin with https:// and have no #")


def check_origin(origin: str) -> None:
    """An origin is compared with the Origin header byte by byte, so it must be spelt as browsers spell it."""
    if origin in ("*", "null"):
        raise ValueError(
            f"{origin} would let every page on the web post. List your shop's own origins; "
            "for sandboxed frames of theirs set opaque_origins = true"
        )
    _, spelt = _split(origin)
    if origin != spelt:
        raise ValueError(f"{origin} is not what a browser sends as Origin. Write {spelt}")


def check_proxy(proxy: str) -> None:
    """A proxy's network, or a name for some. Everybody is not one: any visitor could then claim any address."""
    if proxy not in NAMED_PROXIES:
        _check_network(proxy)


def check_database(url: str) -> None:
    """A PostgreSQL address that may stand in a settings file. What is wrong is told without showing it."""
    scheme, _, rest = url.partition("://")
    authority = rest.partition("/")[0].partition("?")[0]
    if scheme not in ("postgresql", "postgres") or not rest:
        raise ValueError("the address of a database starts with postgresql://")
    if ":" in authority.rpartition("@")[0] or "password=" in rest.partition("?")[2]:
        raise ValueError(
            "the address of the database holds a password. Put the whole address into a variable and name it by "
            "url_env, or into a file and name it by url_file"
        )


def _check_network(network: str) -> None:
    if network == "*" or _is_everybody(_network(network)):
        raise ValueError(
            f"{network} would trust everybody, and any visitor could then claim any address. "
            "List the networks of your own proxies"
        )


def _network(network: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    try:
        return ipaddress.ip_network(network)
    except ValueError as error:
        raise ValueError(
            f"{error}. Write a CIDR such as 10.0.0.0/8 or fd00::/8, or one of {', '.join(NAMED_PROXIES)}"
        ) from None


def _is_everybody(network: ipaddress.IPv4Network | ipaddress.IPv6Network) -> bool:
    """Wider than any network of one owner: the widest in use are 10.0.0.0/8 and fc00::/7."""
    return network.prefixlen < (8 if network.version == 4 else 7)


def _split(url: str) -> tuple[SplitResult, str]:
    """The parts of an http or https address, and its origin as browsers spell it."""
    try:
        parts = urlsplit(url)
        host = (parts.hostname or "").encode("ascii" if url.isascii() else "idna").decode()
        port = "" if parts.port in (None, _DEFAULT_PORTS.get(parts.scheme)) else f":{parts.port}"
    except ValueError as error:
        raise ValueError(
            f"{url} is not an address: {error}. Write one such as https://shop.example"
        ) from None
    if (
        parts.scheme not in _DEFAULT_PORTS
        or not re.fullmatch(r"[a-z0-9._:-]+", host)
        or parts.username is not None
    ):
        raise ValueError(f"{url} is not an http or https address with a host, such as https://shop.example")
    return parts, f"{parts.scheme}://{f'[{host}]' if ':' in host else host}{port}"
