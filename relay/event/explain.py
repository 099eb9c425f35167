"""`counterfoil explain`: what would be sent, and why. JSON objects in, JSON objects out; nothing raises.

Answers hold what was asked about in clear, so they are for the person who asks and for nobody's log. There is
no clock on this floor: a time that the row does not give by `now_ms` shows as `<TS>`. `docs/normalisation.md`
describes rows and answers.
"""

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlencode

import msgspec

from relay.event.address import client_address, parse_networks
from relay.event.build import assemble
from relay.event.enrich import connection_address, enrich
from relay.event.fields import Refused
from relay.event.identity import cookie_domain, resolve_identity, subdomain_index
from relay.event.normalise import USER_DATA_KEYS, normalise
from relay.event.outcome import REFUSAL_SENTENCES
from relay.event.records import BrowserEvent, Json, OutboxEvent, RequestFacts
from relay.event.wire import parse_event
from relay.settings import Pixel, Settings, Site

TIMESTAMP: Final = "<TS>"
FORMS: Final = ("snippet",)

# Who counts as a proxy where the row names none: whatever cannot be a visitor on the internet.
PRIVATE_NETWORKS: Final = (
    *("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "127.0.0.0/8", "169.254.0.0/16", "100.64.0.0/10"),
    *("fc00::/7", "fe80::/10", "::1/128"),
)

_SITE: Final = Site(key="example", origins=("https://shop.example",), pixels=(Pixel(id="1"),))
# Stand in for what the row does not tell of the request; they are taken out of the answer again.
_SOME_PEER: Final = "192.0.2.1"
_SOME_USER_AGENT: Final = "Mozilla/5.0"

_Headers = str | list[str] | None


class _HashRow(msgspec.Struct, kw_only=True):
    field: str
    value: Any
    country: str | None = None


class _Request(msgspec.Struct, kw_only=True):
    """The HTTP request of a row. `remote` is the connection's other end."""

    cookies: dict[str, str] | None = None
    remote: str | None = None
    xff: _Headers = None
    forwarded: _Headers = None
    trusted_proxies: list[str] | None = None
    now_ms: int | None = None

    def lines(self, headers: _Headers) -> tuple[str, ...]:
        return (headers,) if isinstance(headers, str) else tuple(headers or ())


class _RequestRow(_Request, kw_only=True):
    host: str | None = None
    query: dict[str, list[str] | str | None] | None = None
    referer: str | None = None


class _EventRow(_Request, kw_only=True):
    form: Any = msgspec.field(name="as")
    event: Any
    site: Site | None = None
    user_agent: str | None = None


def explain_hash(row: object) -> Json:
    """`{"id","field","value","country"?}` → `{"id","field","normalized","sha256","why"}`."""
    try:
        asked = msgspec.convert(row, _HashRow)
    except msgspec.ValidationError as error:
        return _error(row, error)
    if asked.field not in USER_DATA_KEYS:
        return _error(row, f"field must be one of {', '.join(USER_DATA_KEYS)}")
    text = text_of(asked.value)
    if text is None:
        answer = {"normalized": None, "sha256": None, "why": "not a string"}
    else:
        result = normalise(asked.field, text, asked.country)
        answer = {"normalized": result.normalized, "sha256": result.sha256, "why": result.why}
    return {"id": _id(row), "field": asked.field, **answer}


def explain_request(row: object) -> Json:
    """`{"id","host","query","cookies","referer","xff","remote","trusted_proxies","now_ms"}` →
    `{"id","fbc","fbp","client_ip_address","cookie_domain","subdomain_index","why"}`.

    Where `trusted_proxies` is left out, every private address counts as one.
    """
    try:
        asked = msgspec.convert(row, _RequestRow)
        networks = parse_networks(_proxies(asked))
        page = _page(asked.host or "", asked.query or {})
    except ValueError as error:
        return _error(row, error)
    host = asked.host or ""
    identity = resolve_identity(
        url=page,
        referrer=asked.referer,
        cookies=asked.cookies or {},
        posted_fbp=None,
        posted_fbc=None,
        now_ms=asked.now_ms or 0,
    )
    address = client_address(
        peer=asked.remote,
        forwarded_for=asked.lines(asked.xff),
        forwarded=asked.lines(asked.forwarded),
        trusted_proxies=networks,
        accept_private=False,
    )
    domain = cookie_domain(host)
    return {
        "id": _id(row),
        "fbc": _shown_fbc(identity.fbc, asked),
        "fbp": identity.fbp,
        "client_ip_address": address.address,
        "cookie_domain": domain,
        "subdomain_index": subdomain_index(host),
        "why": {
            **identity.why,
            "client_ip_address": address.why,
            "cookie_domain": "the host's registrable domain"
            if domain
            else "host-only: the host is in no domain",
        },
    }


def explain_event(row: object, settings: Settings | None = None) -> Json:
    """`{"id","as":"snippet","event","site"?}` → `{"id","event","refused","why"}`; one of the two is null.

    `site` is a table of relay.toml; left out, the first of `settings`, else one that takes any pixel. The row
    may tell of the request what a row of `explain_request` tells, and its `user_agent`.
    """
    try:
        asked = msgspec.convert(row, _EventRow)
        settings = _settings(asked, settings or Settings())
    except ValueError as error:
        return _error(row, error)
    if asked.form not in FORMS:
        return _event_answer(row, None, "unknown_as", {"as": f"must be one of: {', '.join(FORMS)}"})
    parsed = parse_event(asked.event, pixel_ids=_pixel_ids(asked, settings))
    if isinstance(parsed, Refused):
        return _refused(row, parsed)
    facts = _facts(asked, parsed)
    connection = connection_address(facts, settings)
    outbox = enrich(parsed, facts, _site(asked, settings), connection=connection, settings=settings)
    if isinstance(outbox, Refused):
        return _refused(row, outbox)
    first = outbox[0]  # the pixels' events differ in nothing that is sent
    if first.fate is not None:
        return _event_answer(row, None, str(first.fate_reason), first.why)
    return _event_answer(row, _sent(first, parsed, asked), None, _why(first, asked))


def text_of(value: object) -> str | None:
    """A value as the text it stands for: 16505551212.0 as 16505551212, of a list its first; else None."""
    if isinstance(value, list):
        return text_of(value[0]) if value and not isinstance(value[0], list) else None
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    try:
        return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
    except ValueError:  # more digits than Python is willing to write
        return None


def _page(host: str, query: Mapping[str, list[str] | str | None]) -> str:
    """The page's address, as far as it names a host and a click."""
    given = {name: values for name, values in query.items() if values is not None}
    return f"{host if '//' in host else f'https://{host}'}/?{urlencode(given, doseq=True)}"


def _shown_fbc(fbc: str | None, asked: _Request, posted: str | None = None) -> str | None:
    """The fbc with `<TS>` for its time where it was made just now and the row does not say when that is."""
    if fbc is None or asked.now_ms is not None or fbc in (posted, (asked.cookies or {}).get("_fbc")):
        return fbc
    prefix, index, _, click_id = fbc.split(".", 3)
    return ".".join((prefix, index, TIMESTAMP, click_id))


def _proxies(asked: _Request) -> tuple[str, ...]:
    return PRIVATE_NETWORKS if asked.trusted_proxies is None else tuple(asked.trusted_proxies)


def _settings(asked: _EventRow, settings: Settings) -> Settings:
    if asked.trusted_proxies is None and settings.server.trusted_proxies:
        return settings
    server = msgspec.structs.replace(settings.server, trusted_proxies=_proxies(asked))
    return msgspec.structs.replace(settings, server=server)


def _site(asked: _EventRow, settings: Settings) -> Site:
    return asked.site or next(iter(settings.site), _SITE)


def _pixel_ids(asked: _EventRow, settings: Settings) -> tuple[str, ...]:
    site = _site(asked, settings)
    named = asked.event.get("pixel_ids") if site is _SITE and isinstance(asked.event, dict) else None
    if isinstance(named, list):
        return tuple(pixel for pixel in named if isinstance(pixel, str))
    return site.pixel_ids()


def _facts(asked: _EventRow, event: BrowserEvent) -> RequestFacts:
    return RequestFacts(
        received_ms=event.age_ms if asked.now_ms is None else asked.now_ms,
        peer=_SOME_PEER if asked.remote is None else asked.remote,
        forwarded_for=asked.lines(asked.xff),
        forwarded=asked.lines(asked.forwarded),
        user_agent=_SOME_USER_AGENT if asked.user_agent is None else asked.user_agent,
        cookies=asked.cookies or {},
        sec_purpose=None,
        sec_gpc=False,
    )


def _sent(outbox: OutboxEvent, posted: BrowserEvent, asked: _EventRow) -> Json:
    """The event as Graph would get it, without what only a clock or the request could tell."""
    event = assemble(
        outbox.server_event,
        None if asked.remote is None else outbox.client_ip_address,
        None if asked.user_agent is None else outbox.client_user_agent,
    )
    if asked.now_ms is None:
        event["event_time"] = TIMESTAMP
    if fbc := _shown_fbc(event["user_data"].get("fbc"), asked, posted.fbc):
        event["user_data"]["fbc"] = fbc
    return event


def _why(outbox: OutboxEvent, asked: _EventRow) -> Json:
    why = dict(outbox.why)
    if asked.remote is None:
        why["client_ip_address"] = "left out here: the row does not name the connection's other end by remote"
        why["client_ip_address_source"] = "none"
    if asked.user_agent is None:
        why["client_user_agent"] = why["agent"] = "left out here: the row gives no user_agent"
    return why


def _refused(row: object, refused: Refused) -> Json:
    return _event_answer(row, None, refused.reason, {"refused": REFUSAL_SENTENCES[refused.reason]})


def _event_answer(row: object, event: Json | None, refused: str | None, why: Json) -> Json:
    return {"id": _id(row), "event": event, "refused": refused, "why": why}


def _id(row: object) -> object:
    return row.get("id") if isinstance(row, dict) else None


def _error(row: object, error: object) -> Json:
    return {"id": _id(row), "error": f"{error}. docs/normalisation.md describes the rows."}
