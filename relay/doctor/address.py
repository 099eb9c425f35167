"""What address the relay would send to Meta, asked over each family that its name has, and with forged headers."""

from collections.abc import Mapping
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Final

import msgspec

from relay.doctor.finding import Check, Finding, failed, skipped, warned, well
from relay.doctor.network import Network, NoAnswer, Version, has_route
from relay.doctor.service import REACH
from relay.doctor.subject import Subject, host_of
from relay.errors import SettingsError
from relay.event.address import is_public, parse_hop
from relay.proxies import CLIENT_HEADERS, NAMED_PROXIES
from relay.web.address_echo import AddressEcho
from relay.web.keys import KEY_FILE
from relay.web.signin import open_sign_in

PATH: Final = "/api/address-echo"
# Documentation addresses (RFC 5737, RFC 3849): nobody has them, so only a believed header can bring them back.
FORGED: Final[Mapping[str, str]] = {
    "x-forwarded-for": "203.0.113.66",
    **dict.fromkeys(CLIENT_HEADERS, "2001:db8::66"),
}
ELSEWHERE: Final = "Run the doctor on a machine of the internet, with the relay's settings and key."


async def check_address(subject: Subject, network: Network) -> list[Finding]:
    """The address per family, and then whether forged headers change it."""
    about = f"{subject.relay}{PATH}"
    try:
        token = doctor_token(subject, network.clock_ms())
        versions = await _versions(subject, network)
    except SettingsError as problem:
        return _both_skipped(about, str(problem), "Run the doctor where the relay runs, with its settings.")
    except NoAnswer as silent:
        return _both_skipped(about, str(silent), "See dns.")
    if not versions:
        return _both_skipped(about, "This machine knows no way to the relay.", "See dns.")
    findings = []
    for version in versions:
        about = f"{host_of(subject.relay)} over IPv{version}"
        try:
            echo = await ask_echo(subject, network, token, version=version)
            forged = await ask_echo(subject, network, token, version=version, headers=FORGED)
        except NoAnswer as silent:
            findings.append(failed(Check.ADDRESS, about, str(silent), REACH))
        else:
            findings += [judge_address(subject, about, echo, version), judge_spoofing(about, echo, forged)]
    return findings


def doctor_token(subject: Subject, now_ms: int) -> str:
    """Proof that we may read the relay's key. Raises SettingsError; it never makes a key, as `serve` would."""
    server = subject.settings.server
    file = Path(subject.settings.store.path).parent / KEY_FILE
    if not server.secret_key_env and not server.secret_key_file and not file.exists():
        raise SettingsError(f"There is no signing key in {file} yet, so the relay cannot be asked.")
    return open_sign_in(subject.settings, subject.environ).issue("doctor", now_ms)


async def ask_echo(
    subject: Subject,
    network: Network,
    token: str,
    *,
    version: Version | None = None,
    headers: Mapping[str, str] | None = None,
) -> AddressEcho:
    """Raises NoAnswer, also where the relay refuses the token."""
    url = f"{subject.relay}{PATH}"
    sent = {"authorization": f"Bearer {token}", **(headers or {})}
    answer = await network.ask("GET", url, headers=sent, version=version)
    if answer.status == 401:
        raise NoAnswer(f"{url} refuses this key: the relay signs with another, or its clock is minutes away.")
    try:
        return msgspec.json.decode(answer.body, type=AddressEcho)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise NoAnswer(f"{url} is not answered by this version of the relay: {answer.starts()}.") from None


async def _versions(subject: Subject, network: Network) -> list[Version]:
    name = await network.name(host_of(subject.relay))
    both: tuple[Version, ...] = (4, 6)
    return [version for version in both if any(map(has_route, name.of(version)))]


def judge_address(subject: Subject, about: str, echo: AddressEcho, version: Version) -> Finding:
    chain = _chain(echo)
    seen = f"peer {echo.peer}, {'; '.join(chain) or 'no proxy header'}"
    proxy = provider_of(echo.peer) or echo.peer
    trust = (
        f'If {echo.peer} is your own proxy, add "{proxy}" to [server] trusted_proxies, and restart the relay.'
    )
    if echo.address is None:
        seen = f"{seen}: no address would be sent, since {echo.why}"
        if chain:
            return failed(Check.ADDRESS, about, seen, trust)
        fix = f"If there is a proxy at {echo.peer}, let it write X-Forwarded-For. If not: {ELSEWHERE}"
        return warned(Check.ADDRESS, about, seen, fix)
    seen = f"{seen}: {echo.address} would be sent ({echo.why})"
    if chain and echo.source == "peer":
        return failed(Check.ADDRESS, about, f"{seen}, though that peer forwards for somebody else", trust)
    if provider := provider_of(echo.address):
        fix = f'Add "{provider}" to [server] trusted_proxies, and restart the relay.'
        return failed(Check.ADDRESS, about, f"{seen}, but that is {provider}'s, not a visitor's", fix)
    if not is_public(ip_address(echo.address)) and not subject.in_laboratory:
        return warned(Check.ADDRESS, about, f"{seen}; it is not public", ELSEWHERE)
    if ip_address(echo.address).version != version:
        fix = (
            "Let what stands before the relay pass the visitor's own address on: a CDN or a load balancer that "
            f"turns IPv{version} into IPv4 hides it. Else publish the relay's name without it."
        )
        return warned(Check.ADDRESS, about, f"{seen}; this connection is IPv{version}", fix)
    return well(Check.ADDRESS, about, seen)


def provider_of(address: str | None) -> str | None:
    """The name that `trusted_proxies` takes for the provider of a public address; None for anybody else's."""
    ip = parse_hop(address or "")
    if ip is None or not is_public(ip):
        return None
    named = ((name, network) for name, proxy in NAMED_PROXIES.items() for network in proxy.networks)
    return next((name for name, network in named if ip in ip_network(network)), None)


def judge_spoofing(about: str, echo: AddressEcho, forged: AddressEcho) -> Finding:
    if echo.address is None and not _chain(echo):
        seen = "The doctor itself may stand where the relay trusts a proxy."
        return skipped(Check.SPOOFING, about, seen, ELSEWHERE)
    fix = (
        "Let the proxy overwrite the header that it writes, or append to it, and list in [server] "
        "trusted_proxies the addresses of your own proxies only."
    )
    if forged.address in FORGED.values():
        return failed(Check.SPOOFING, about, f"a forged header put {forged.address} on the event", fix)
    if forged.address != echo.address:
        seen = f"forged headers made {forged.address or 'nothing'} of {echo.address}: {forged.why}"
        return warned(Check.SPOOFING, about, seen, fix)
    return well(Check.SPOOFING, about, "forged X-Forwarded-For and provider headers changed nothing")


def _chain(echo: AddressEcho) -> list[str]:
    """The proxy headers that arrived, each with what it said."""
    headers = {
        "X-Forwarded-For": echo.forwarded_for,
        "Forwarded": echo.forwarded,
        **{name.title(): values for name, values in echo.provider_headers.items()},
    }
    return [f"{name}: {', '.join(values)}" for name, values in headers.items() if values]


def _both_skipped(about: str, seen: str, fix: str) -> list[Finding]:
    return [skipped(check, about, seen, fix) for check in (Check.ADDRESS, Check.SPOOFING)]
