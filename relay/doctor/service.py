"""What the relay answers to anybody: its health, its script, and its CORS headers."""

from collections.abc import Mapping
from typing import Final

import msgspec

from relay.doctor.finding import Check, Finding, failed, well
from relay.doctor.network import Answer, Network, NoAnswer
from relay.doctor.subject import Subject
from relay.settings import Site

FOREIGN: Final = "https://counterfoil-doctor.invalid"  # no browser can ever send this origin
NO_EVENTS: Final = "no_events"  # what the relay says to an empty post; it stores nothing
REACH: Final = "Start the relay, let its proxy pass public_url on to it, and see that public_url is right."


async def check_health(subject: Subject, network: Network) -> list[Finding]:
    return [
        await _expect(network, Check.HEALTH, f"{subject.relay}/healthz", "ok"),
        await _expect(network, Check.READY, f"{subject.relay}/readyz", "ready"),
    ]


async def _expect(network: Network, check: Check, url: str, status: str) -> Finding:
    try:
        answer = await network.ask("GET", url)
    except NoAnswer as silent:
        return failed(check, url, str(silent), REACH)
    if answer.status == 200 and answer.json().get("status") == status:
        return well(check, url, f"HTTP 200, {status}")
    if message := answer.error().get("message"):
        return failed(check, url, f"HTTP {answer.status}, {answer.error().get('reason')}", str(message))
    return failed(check, url, _elsewhere(answer), REACH)


async def check_script(subject: Subject, network: Network) -> list[Finding]:
    """The snippet, and the parts of it that the site's settings make the tag load."""
    return [await _script(subject, network, name) for name in ("c.js", *_parts(subject.site))]


def _parts(site: Site) -> list[str]:
    parts = ["address.js"] if site.address_hosts.urls() else []
    if site.consent_source or site.consent == "required":
        parts.append("consent.js")
    if site.consent_source:
        parts.append(f"consent/{site.consent_source}.js")
    return parts


async def _script(subject: Subject, network: Network, name: str) -> Finding:
    url = f"{subject.relay}/{name}"
    try:
        answer = await network.ask("GET", url)
    except NoAnswer as silent:
        return failed(Check.SCRIPT, url, str(silent), REACH)
    kind = answer.headers.get("content-type", "")
    if answer.status != 200 or "javascript" not in kind:
        fix = f"Let the proxy pass /{name} on to the relay. {REACH}"
        return failed(Check.SCRIPT, url, f"{_elsewhere(answer)} ({kind or 'no content type'})", fix)
    if (
        answer.headers.get("access-control-allow-origin") != "*"
    ):  # modules and pinned scripts are loaded with CORS
        fix = f"Let the proxy leave the headers of /{name} as the relay sends them."
        return failed(Check.SCRIPT, url, "no Access-Control-Allow-Origin: *", fix)
    return well(Check.SCRIPT, url, f"HTTP 200, {len(answer.body):,} bytes")


async def check_cors(subject: Subject, network: Network) -> list[Finding]:
    """Each origin's preflight and an empty post, and that a foreign origin is let in to nothing."""
    url = f"{subject.relay}/v1/events"
    try:
        return [
            *[await _own(network, url, origin, subject.site.key) for origin in subject.site.origins],
            await _foreign(network, url),
        ]
    except NoAnswer as silent:
        return [failed(Check.CORS, url, str(silent), REACH)]


async def _own(network: Network, url: str, origin: str, site: str) -> Finding:
    preflight = await network.ask("OPTIONS", url, headers=_preflight(origin))
    post = await network.ask(
        "POST",
        url,
        headers={"origin": origin, "content-type": "text/plain;charset=UTF-8"},
        content=msgspec.json.encode({"site": site, "events": []}),
    )
    faults = [*_faults("the preflight", preflight, origin, 204), *_faults("an empty post", post, origin, 400)]
    if not faults and post.error().get("reason") != NO_EVENTS:
        faults = [f"an empty post was answered by somebody else: {post.starts()}"]
    if not faults:
        return well(
            Check.CORS, origin, "the preflight and an empty post are answered, readable for this origin"
        )
    fix = (
        "Let the relay alone answer /v1/events, with OPTIONS and POST: a proxy must neither add, change nor remove "
        f"Access-Control-* headers. A 403 means that the running relay does not list {origin}: restart it."
    )
    return failed(Check.CORS, origin, "; ".join(faults), fix)


async def _foreign(network: Network, url: str) -> Finding:
    answer = await network.ask("OPTIONS", url, headers=_preflight(FOREIGN))
    allowed = answer.headers.get("access-control-allow-origin")
    if allowed is None:
        return well(Check.CORS, "any other origin", f"HTTP {answer.status}, not let in")
    fix = "Remove the Access-Control-* headers from the proxy's configuration; the relay sends its own."
    seen = f"Access-Control-Allow-Origin: {allowed} for {FOREIGN}"
    return failed(Check.CORS, "any other origin", seen, fix)


def _preflight(origin: str) -> Mapping[str, str]:
    return {
        "origin": origin,
        "access-control-request-method": "POST",
        "access-control-request-headers": "content-type",
    }


def _faults(what: str, answer: Answer, origin: str, status: int) -> list[str]:
    faults = []
    if answer.status != status:
        faults.append(f"{what} got {answer.starts()}")
    allowed = answer.headers.get("access-control-allow-origin")  # several are joined, and then differ
    if allowed != origin:
        faults.append(f"{what} got Access-Control-Allow-Origin: {allowed or 'none'}")
    if answer.headers.get("access-control-allow-credentials") != "true":
        faults.append(f"{what} got no Access-Control-Allow-Credentials: true")
    return faults


def _elsewhere(answer: Answer) -> str:
    """For an answer that is not the relay's: a redirect says where public_url has moved."""
    if location := answer.headers.get("location"):
        return f"HTTP {answer.status} to {location}"
    return answer.starts()
