"""Outgoing webhooks: one post to one address of the settings, and to no place that it should not reach.

The name is looked up here, every address it has must be public, and the connection goes to the address that was
looked at: a name that changes its mind between the look and the call gains nothing. Redirects are not followed.
"""

import asyncio
import ipaddress
import socket
from typing import Any, Final
from urllib.parse import urlsplit

import httpx
import msgspec

from relay import __version__
from relay.event.notice import Notice, headers_of

CALL_SECONDS: Final = 10.0


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """How a try ended."""

    problem: str | None  # None: the receiver has it
    gone: bool = False  # the receiver wants no more of it


class Webhooks:
    """Posts notices; close it with `aclose`."""

    def __init__(
        self, secret: bytes, *, allow_private: bool, client: httpx.AsyncClient | None = None
    ) -> None:
        """`allow_private` lets http and private addresses pass, for a laboratory."""
        self._secret = secret
        self._allow_private = allow_private
        self._client = client or httpx.AsyncClient(trust_env=False)

    async def aclose(self) -> None:
        await self._client.aclose()

    async def post(self, url: str, notice: Notice, now_seconds: int) -> Told:
        """Whatever happens comes back as an answer."""
        try:
            async with asyncio.timeout(CALL_SECONDS):
                return await self._post(url, notice, now_seconds)
        except TimeoutError:
            return Told(problem=f"No answer within {CALL_SECONDS:g} seconds.")
        except _Refused as refused:
            return Told(problem=str(refused))
        except (httpx.HTTPError, httpx.InvalidURL, OSError, UnicodeError) as error:
            return Told(problem=f"The connection failed ({type(error).__name__}).")

    async def _post(self, url: str, notice: Notice, now_seconds: int) -> Told:
        parts = urlsplit(url)
        host = parts.hostname or ""
        if parts.scheme != "https" and not self._allow_private:
            raise _Refused("An alert goes over https only; change [alerts] urls.")
        address = await self._address(host, parts.port or (443 if parts.scheme == "https" else 80))
        literal = f"[{address}]" if ":" in address else address
        port = f":{parts.port}" if parts.port else ""
        headers = headers_of(notice, self._secret, now_seconds) | {
            "host": f"[{host}]{port}" if ":" in host else f"{host}{port}",
            "user-agent": f"counterfoil/{__version__}",
            "accept-encoding": "identity",
        }
        async with self._client.stream(
            "POST",
            parts._replace(netloc=f"{literal}{port}").geturl(),
            content=notice.body,
            headers=headers,
            timeout=CALL_SECONDS,
            follow_redirects=False,
            extensions={"sni_hostname": host},  # the certificate must be the name's, not the address's
        ) as response:
            return _judged(response.status_code)

    async def _address(self, host: str, port: int) -> str:
        """The address to connect to. Raises _Refused where one of the name's is not public."""
        found = await resolve(host, port)
        addresses = [str(each[4][0]).partition("%")[0] for each in found]
        if not self._allow_private and not all(map(_is_public, addresses)):
            raise _Refused(
                "The address leads into a private network, so nothing was sent. Name a public one in [alerts] urls."
            )
        return addresses[0]


async def resolve(host: str, port: int) -> list[Any]:
    return await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)


class _Refused(Exception):
    """Nothing was sent."""


def _is_public(address: str) -> bool:
    parsed = ipaddress.ip_address(address)
    mapped = getattr(parsed, "ipv4_mapped", None) or parsed
    return mapped.is_global and not mapped.is_multicast


def _judged(status: int) -> Told:
    if 200 <= status < 300:
        return Told(problem=None)
    return Told(problem=f"HTTP {status}.", gone=status == 410)
