"""The TCP connection under an ASGI request: who is at its other end, and how to cut it.

ASGI has no word for "close without an answer", and a server may have replaced the peer in the scope by what a
forwarding header claims. Both uvicorn protocols keep the transport beside the `receive` callable that they
hand out, and middleware passes `receive` on as it is; so it is looked up there. Under another server `reset`
raises instead, which is how httpx's in-process transport shows a broken connection.
"""

import asyncio
import contextlib
import ipaddress
import socket
import struct

from starlette.requests import HTTPConnection
from starlette.types import Receive

LINGER_ZERO = struct.pack("ii", 1, 0)


def _transport(receive: Receive) -> asyncio.Transport | None:
    transport = getattr(getattr(receive, "__self__", None), "transport", None)
    return transport if hasattr(transport, "abort") else None


def peer_address(request: HTTPConnection, receive: Receive, *, trust_forwarded_for: bool) -> str | None:
    """The address at the other end of the socket; X-Forwarded-For's last entry where the twin is told to."""
    if trust_forwarded_for and (hops := request.headers.getlist("x-forwarded-for")):
        return plain_address(hops[-1].rsplit(",", 1)[-1])
    if (transport := _transport(receive)) and (peer := transport.get_extra_info("peername")):
        return plain_address(peer[0])
    return plain_address(request.client.host) if request.client else None


def plain_address(text: str) -> str | None:
    """The address in its shortest form, IPv4 out of its IPv6 wrapping; None for what is no address."""
    try:
        address = ipaddress.ip_address(text.strip().split("%", 1)[0])
    except ValueError:
        return None
    return str(getattr(address, "ipv4_mapped", None) or address)


async def reset(receive: Receive) -> None:
    """End the connection at once, with a TCP reset where the socket allows one."""
    transport = _transport(receive)
    if transport is None:
        raise ConnectionResetError("The twin reset this connection, as a fault told it to.")
    if (connection := transport.get_extra_info("socket")) is not None:
        # uvloop's sockets take no options, and TLS writes its own goodbye: then it is a plain close.
        with contextlib.suppress(OSError, AttributeError, TypeError):
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_ZERO)
    transport.abort()
    await until_disconnected(receive)


async def until_disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
