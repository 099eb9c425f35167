"""The doctor's way out: names, connections and answers. Tests hand in names and certificates of their own.

Every check resolves by the one function given here, and requests connect to what it says: what a name means
is the same for all of them.
"""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any, Final, Literal

import httpx
import msgspec

from relay import __version__
from relay.clock import wall_clock_ms

CONNECT_SECONDS: Final = 5.0
ANSWER_SECONDS: Final = 15.0  # a whole answer; a shop's page may be slow
BODY_MAX_BYTES: Final = 4 * 1024 * 1024
REDIRECTS_MAX: Final = 5
FAMILY: Final = "counterfoil.family"  # extension of a request: connect over this IP version only

_NO_SUCH_NAME: Final = {socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)}

Address = IPv4Address | IPv6Address
Version = Literal[4, 6]


class Name(msgspec.Struct, frozen=True, kw_only=True):
    """What a host name stands for. `canonical` is where its CNAMEs end, if it has any."""

    addresses: tuple[Address, ...] = ()
    canonical: str | None = None

    def of(self, version: Version) -> tuple[Address, ...]:
        return tuple(address for address in self.addresses if address.version == version)


Resolve = Callable[[str], Awaitable[Name]]


class NoAnswer(Exception):
    """Nobody answered; the message says who and how."""


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """An answer, its body cut at BODY_MAX_BYTES; `url` is where redirects have led."""

    url: str
    status: int
    headers: httpx.Headers
    body: bytes

    def starts(self) -> str:
        """The status and the first words, for a sentence."""
        words = " ".join(self.body[:200].decode("utf-8", "replace").split())
        return f"HTTP {self.status} {words}".strip()

    def json(self) -> dict[str, Any]:
        """The body as a JSON object; empty where it is none."""
        try:
            return msgspec.json.decode(self.body, type=dict[str, Any])
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return {}

    def error(self) -> dict[str, Any]:
        """What the relay says in its one error shape: `reason` and `message`; empty where it does not."""
        said = self.json().get("error")
        return said if isinstance(said, dict) else {}


class Network(msgspec.Struct, frozen=True, kw_only=True):
    resolve: Resolve
    http: httpx.AsyncClient
    tls: ssl.SSLContext
    clock_ms: Callable[[], int]

    async def name(self, host: str) -> Name:
        """Raises NoAnswer where the name servers do not answer; an unknown name has no addresses."""
        try:
            return await self.resolve(host)
        except OSError as error:
            raise NoAnswer(f"{host} could not be looked up: {error.strerror or error}.") from error

    async def ask(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        content: bytes | None = None,
        version: Version | None = None,
        follow: bool = False,
    ) -> Answer:
        """One request. Raises NoAnswer."""
        try:
            request = self.http.build_request(
                method, url, headers=headers, content=content, extensions={FAMILY: version}
            )
            async with asyncio.timeout(ANSWER_SECONDS):
                response = await self.http.send(request, stream=True, follow_redirects=follow)
                try:
                    body = await _bounded(response)
                finally:
                    await response.aclose()
        except TimeoutError:
            raise NoAnswer(f"{url} gave no whole answer within {ANSWER_SECONDS:g} s.") from None
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError) as error:
            raise NoAnswer(f"{url} does not answer: {str(error) or type(error).__name__}.") from error
        return Answer(url=str(response.url), status=response.status_code, headers=response.headers, body=body)


@asynccontextmanager
async def open_network(
    *,
    resolve: Resolve | None = None,
    tls: ssl.SSLContext | None = None,
    clock_ms: Callable[[], int] = wall_clock_ms,
) -> AsyncIterator[Network]:
    """The machine's own names and certificates, unless given."""
    resolve, tls = resolve or resolve_by_system, tls or ssl.create_default_context()
    async with httpx.AsyncClient(
        transport=ByAddress(resolve, tls),
        headers={"user-agent": f"counterfoil-doctor/{__version__}"},
        max_redirects=REDIRECTS_MAX,
        timeout=httpx.Timeout(ANSWER_SECONDS, connect=CONNECT_SECONDS),
    ) as http:
        yield Network(resolve=resolve, http=http, tls=tls, clock_ms=clock_ms)


async def resolve_by_system(host: str) -> Name:
    """By the machine's resolver. Raises OSError where it gets no answer."""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(
            host, None, type=socket.SOCK_STREAM, flags=socket.AI_CANONNAME
        )
    except socket.gaierror as error:
        if error.errno in _NO_SUCH_NAME:
            return Name()
        raise
    canonical = found[0][3].rstrip(".").lower() if found else ""
    addresses = dict.fromkeys(ip_address(str(row[4][0]).partition("%")[0]) for row in found)
    return Name(addresses=tuple(addresses), canonical=canonical or None)


class ByAddress(httpx.AsyncBaseTransport):
    """Connects to the addresses of `resolve`, in their order, and speaks to the name that was asked for."""

    def __init__(self, resolve: Resolve, tls: ssl.SSLContext) -> None:
        self._resolve = resolve
        # A kept connection would be reused for another name behind the same address.
        self._inner = httpx.AsyncHTTPTransport(verify=tls, limits=httpx.Limits(max_keepalive_connections=0))

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        host, version = request.url.raw_host.decode(), request.extensions.get(FAMILY)
        try:
            addresses = (await self._resolve(host)).addresses
        except OSError as error:
            raise httpx.ConnectError(f"{host} could not be looked up") from error
        problem: httpx.TransportError = httpx.ConnectError(f"{host} has no address")
        for address in addresses:
            if version in (None, address.version):
                try:
                    return await self._inner.handle_async_request(_at(request, str(address)))
                except (httpx.ConnectError, httpx.ConnectTimeout) as error:
                    problem = error
        raise problem

    async def aclose(self) -> None:
        await self._inner.aclose()


def has_route(address: Address) -> bool:
    """Whether this machine knows a way to the address. Nothing is sent."""
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((str(address), 9))
    except OSError:
        return False
    return True


def _at(request: httpx.Request, address: str) -> httpx.Request:
    """The same request to this address: `Host` and the certificate's name stay those of the name."""
    return httpx.Request(
        request.method,
        request.url.copy_with(host=address),
        headers=request.headers,
        stream=request.stream,
        extensions={**request.extensions, "sni_hostname": request.url.raw_host.decode()},
    )


async def _bounded(response: httpx.Response) -> bytes:
    body = bytearray()
    async for chunk in response.aiter_bytes():
        body += chunk
        if len(body) >= BODY_MAX_BYTES:
            break
    return bytes(body[:BODY_MAX_BYTES])
