"""The address hosts: whether a page of the site would get a token there, and of the right family."""

import secrets
from urllib.parse import urlencode

from relay.doctor.finding import Check, Finding, failed, skipped, warned, well
from relay.doctor.names import VERSIONS
from relay.doctor.network import Network, NoAnswer, has_route
from relay.doctor.subject import Subject, host_of
from relay.event.address import Family


async def check_address_hosts(subject: Subject, network: Network) -> list[Finding]:
    hosts = subject.site.address_hosts.urls()
    return [await _token(subject, network, family, url) for family, url in hosts.items()]


async def _token(subject: Subject, network: Network, family: Family, url: str) -> Finding:
    origin, version = subject.site.origins[0], VERSIONS[family]
    query = urlencode({"site": subject.site.key, "nonce": secrets.token_urlsafe(16)})
    reach = f"Let {host_of(url)} lead to the relay, with a certificate of its own."
    try:
        if not any(map(has_route, (await network.name(host_of(url))).of(version))):
            seen = f"This machine knows no way to {host_of(url)} over IPv{version}."
            return skipped(Check.ADDRESS, url, seen, "Run the doctor on a machine that has both families.")
        answer = await network.ask(
            "GET", f"{url}/v1/address?{query}", headers={"origin": origin}, version=version
        )
    except NoAnswer as silent:
        return failed(Check.ADDRESS, url, str(silent), reach)
    body = answer.json()
    if answer.status != 200 or "token" not in body:
        return failed(Check.ADDRESS, url, answer.starts(), str(answer.error().get("message") or reach))
    if answer.headers.get("access-control-allow-origin") != origin:
        fix = "Let the relay alone send Access-Control-* headers; its proxy must not change them."
        return failed(Check.ADDRESS, url, f"the token cannot be read by a page of {origin}", fix)
    if body.get("family") != family:
        fix = f"Let what stands before {host_of(url)} pass the visitor's own address on."
        return warned(Check.ADDRESS, url, f"over IPv{version} the relay saw {body.get('family')}", fix)
    return well(Check.ADDRESS, url, f"a page of {origin} gets a token for its {family} address")
