"""TLS as a browser meets it: one handshake per address family."""

import asyncio
import os
import ssl
from contextlib import suppress
from typing import Final

from relay.doctor.finding import Check, Finding, failed, skipped, warned, well
from relay.doctor.network import CONNECT_SECONDS, Address, Network, NoAnswer, has_route
from relay.doctor.subject import Subject, host_of, is_name, port_of

RENEW_DAYS: Final = 14
DAY_SECONDS: Final = 86_400


async def check_tls(subject: Subject, network: Network) -> list[Finding]:
    urls = (subject.relay, *subject.site.address_hosts.urls().values())
    return [finding for url in urls for finding in await _certificate(network, url)]


async def _certificate(network: Network, url: str) -> list[Finding]:
    host = host_of(url)
    if not url.startswith("https:"):
        if is_name(host):
            fix = f"Put a proxy with a certificate before the relay, and set [server] public_url to https://{host}."
            return [failed(Check.TLS, host, f"{url} is not https", fix)]
        fix = "Nothing to do on this machine; a deployed relay needs https."
        return [skipped(Check.TLS, host, f"{url} is not https.", fix)]
    try:
        addresses = (await network.name(host)).addresses
    except NoAnswer as silent:
        return [skipped(Check.TLS, host, str(silent), "See dns.")]
    one_per_family = {address.version: address for address in reversed(addresses) if has_route(address)}
    if not one_per_family:
        return [skipped(Check.TLS, host, f"This machine knows no way to {host}.", "See dns.")]
    return [await _handshake(network, host, port_of(url), address) for address in one_per_family.values()]


async def _handshake(network: Network, host: str, port: int, address: Address) -> Finding:
    where = f"{host} ({address})"
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            _, writer = await asyncio.open_connection(
                str(address), port, ssl=network.tls, server_hostname=host
            )
    except ssl.SSLCertVerificationError as error:
        fix = f"Give the proxy a certificate for {host} from an authority that browsers know, with its whole chain."
        return failed(Check.TLS, where, f"the certificate is not valid: {error.verify_message}", fix)
    except (OSError, TimeoutError) as error:
        fix = f"Let the proxy of {host} listen on {address} port {port}, or remove that address from its records."
        return failed(Check.TLS, where, f"no TLS: {_reason(error)}", fix)
    seen, ends = _read(writer)
    await _hang_up(writer)
    days = int(ends - network.clock_ms() / 1000) // DAY_SECONDS
    seen = f"{seen}, valid for {days} more days"
    if days < RENEW_DAYS:
        return warned(
            Check.TLS, where, seen, "Renew the certificate, and see why the renewal did not come by itself."
        )
    return well(Check.TLS, where, seen)


def _reason(error: OSError | TimeoutError) -> str:
    if isinstance(error, ssl.SSLError):
        return error.reason or str(error)
    return os.strerror(error.errno) if error.errno else "no answer in time"


async def _hang_up(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with suppress(OSError, TimeoutError):
        async with asyncio.timeout(CONNECT_SECONDS):
            await writer.wait_closed()


def _read(writer: asyncio.StreamWriter) -> tuple[str, float]:
    """The protocol's version, and when the verified certificate ends, as Unix seconds."""
    certificate = writer.get_extra_info("peercert")
    return writer.get_extra_info("ssl_object").version(), ssl.cert_time_to_seconds(certificate["notAfter"])
