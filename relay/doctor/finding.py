"""What a check found: one row of the report."""

from enum import StrEnum
from typing import Final

import msgspec


class Status(StrEnum):
    OK = "ok"
    WARN = "warn"  # events are sent and count, but worse than they could be
    FAIL = "fail"  # events are lost, refused, counted twice, or carry something wrong
    SKIPPED = "skipped"  # it could not be looked at from here, or does not apply


class Check(StrEnum):
    """Everything that is looked at, in the order of the report. docs/doctor.md has a section for each."""

    DNS = "dns"
    TLS = "tls"
    HEALTH = "health"
    READY = "ready"
    SCRIPT = "script"
    CORS = "cors"
    COOKIE_DOMAIN = "cookie_domain"
    SAFARI = "safari"
    ADDRESS = "address"
    SPOOFING = "spoofing"
    CLOCK = "clock"
    GRAPH = "graph"
    PAGE = "page"
    SNIPPET = "snippet"
    BASE_CODE = "base_code"
    CSP = "csp"
    LOADERS = "loaders"


WHY: Final[dict[Check, str]] = {
    Check.DNS: (
        "Browsers reach Meta over IPv6 where they can. A relay without AAAA sees another address than Meta does."
    ),
    Check.TLS: "A page over https loads nothing over http, and nothing behind a certificate that is not valid.",
    Check.HEALTH: "Whoever does not answer at public_url takes no events.",
    Check.READY: "A relay that is not ready answers 503, or takes events and sends none.",
    Check.SCRIPT: "Without c.js no page posts anything.",
    Check.CORS: "A browser hides answers without these headers, and the snippet then posts again and again.",
    Check.COOKIE_DOMAIN: "Only a host on the page's own registrable domain can renew _fbp and _fbc for 90 days.",
    Check.SAFARI: "Safari keeps such cookies 7 days where the answer looks like a third party's, by CNAME or address.",
    Check.ADDRESS: "Meta compares the event's address with the one that the Pixel's own request came from.",
    Check.SPOOFING: "Where a visitor's own header is believed, anybody can put any address on an event.",
    Check.CLOCK: "Event times are the relay's. Meta refuses events from the future and those older than seven days.",
    Check.GRAPH: "Without a token that may write to the pixel its events wait here, and are given up after seven days.",
    Check.PAGE: "Only pages of the site's origins may post.",
    Check.SNIPPET: "The tag's data-site decides where a page's events belong; without it none are posted.",
    Check.BASE_CODE: "The snippet fires the page's own Pixel. Without one there is no browser half to pair with.",
    Check.CSP: "What the page's Content-Security-Policy does not name, the browser blocks without a sign.",
    Check.LOADERS: "Whoever else sends Meta events of this page sends them without our event_id: they count again.",
}


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing looked at. `about` is the host, origin, pixel or page; `fix` is there unless all is well."""

    check: Check
    about: str
    status: Status
    seen: str
    why: str
    fix: str | None = None


def well(check: Check, about: str, seen: str) -> Finding:
    return Finding(check=check, about=about, status=Status.OK, seen=seen, why=WHY[check])


def warned(check: Check, about: str, seen: str, fix: str) -> Finding:
    return Finding(check=check, about=about, status=Status.WARN, seen=seen, why=WHY[check], fix=fix)


def failed(check: Check, about: str, seen: str, fix: str) -> Finding:
    return Finding(check=check, about=about, status=Status.FAIL, seen=seen, why=WHY[check], fix=fix)


def skipped(check: Check, about: str, seen: str, fix: str) -> Finding:
    return Finding(check=check, about=about, status=Status.SKIPPED, seen=seen, why=WHY[check], fix=fix)
