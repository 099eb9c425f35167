"""What the snippet and the Pixel ask of a page's Content-Security-Policy, and what of it is lacking."""

from collections.abc import Iterator
from typing import Final
from urllib.parse import urlsplit

from relay.doctor.finding import Check, Finding, failed, warned, well
from relay.doctor.markup import Markup
from relay.doctor.network import Answer
from relay.doctor.policy import (
    Directives,
    Need,
    amended,
    blocks_inline,
    hash_source,
    lacking,
    parse_policies,
)
from relay.doctor.subject import Subject
from relay.tag import META_PIXEL, META_SCRIPTS, policy_sources

# An event of 2,048 characters or more leaves Chromium by a form, others do not.
LONG_EVENTS_ONLY: Final = {"form-action", "frame-src"}


def judge_policy(subject: Subject, page: Markup, answer: Answer) -> Finding:
    policies = parse_policies(answer.headers.get_list("content-security-policy"), page.policies)
    if not policies:
        return well(Check.CSP, page.url, "no policy is enforced")
    found = [(policy, _blocked(subject, page, policy)) for policy in policies]
    lacks = [_line(directive, named) for _, sources in found for directive, named in sources.items()]
    if not lacks:
        return well(Check.CSP, page.url, "the policy allows what the snippet and the Pixel need")
    merged = [
        "; ".join(amended(policy, directive, named) for directive, named in sources.items())
        for policy, sources in found
        if sources
    ]
    fix = f"Merge into the page's policy: {', and into another of its policies: '.join(merged)}"
    directives = {directive for _, sources in found for directive in sources}
    result = warned if directives <= LONG_EVENTS_ONLY else failed
    return result(Check.CSP, page.url, f"lacking: {'; '.join(lacks)}", fix)


def _blocked(subject: Subject, page: Markup, policy: Directives) -> dict[str, list[str]]:
    """By directive, the sources that this policy lacks; for Meta's base code in the page, its hash."""
    sources = lacking(policy, needs(subject, page), page.url)
    code = page.base_code()
    if code is not None and code.src is None and blocks_inline(policy, code):
        sources.setdefault("script-src", []).append(hash_source(code))
    return sources


def needs(subject: Subject, page: Markup) -> Iterator[Need]:
    """What must leave the page, by the sources of `policy_sources`, each with an address that is asked."""
    script = page.meta_script() or f"{META_SCRIPTS}/en_US/fbevents.js"
    scripts = _origin(script)
    pixel = META_PIXEL if scripts == META_SCRIPTS else scripts  # a twin is both
    probed = tuple(subject.site.address_hosts.urls().values())
    sources = policy_sources(subject.relay, scripts=scripts, pixel=pixel, address_hosts=probed)
    tag = page.tags()[0] if page.tags() else None
    relay = _origin(subject.relay)
    asked = {scripts: script, pixel: f"{pixel}/tr/", **{_origin(url): f"{url}/v1/address" for url in probed}}
    for directive, named in sources.items():
        for source in dict.fromkeys(named):
            if directive == "script-src":
                url = f"{subject.relay}/c.js" if source == relay else script
            else:
                url = f"{subject.relay}/v1/events" if source == relay else asked[source]
            nonce = tag.attributes.get("nonce") if tag and source == relay else None
            yield Need(directive=directive, source=source, url=url, nonce=nonce, by_script=source != relay)


def _line(directive: str, sources: list[str]) -> str:
    return " ".join((directive, *sources))


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"
