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
from relay.event.identity import cookie_domain, resolve_identity, subdomain_index
from relay.event.normalise import USER_DATA_KEYS, normalise
from relay.event.records import Json

TIMESTAMP: Final = "<TS>"

# Who counts as a proxy where the row names none: whatever cannot be a visitor on the internet.
PRIVATE_NETWORKS: Final = (
    *("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "127.0.0.0/8", "169.254.0.0/16", "100.64.0.0/10"),
    *("fc00::/7", "fe80::/10", "::1/128"),
)

Headers = str | list[str] | None


class _HashRow(msgspec.Struct, kw_only=True):
    field: str
    value: Any
    country: str | None = None


class Asked(msgspec.Struct, kw_only=True):
    """The HTTP request of a row. `remote` is the connection's other end."""

    cookies: dict[str, str] | None = None
    remote: str | None = None
    xff: Headers = None
    forwarded: Headers = None
    trusted_proxies: list[str] | None = None
    now_ms: int | None = None

    def lines(self, headers: Headers) -> tuple[str, ...]:
        return (headers,) if isinstance(headers, str) else tuple(headers or ())


class _RequestRow(Asked, kw_only=True):
    host: str | None = None
    query: dict[str, list[str] | str | None] | None = None
    referer: str | None = None


def explain_hash(row: object) -> Json:
    """`{"id","field","value","country"?}` → `{"id","field","normalized","sha256","why"}`."""
    try:
        asked = msgspec.convert(row, _HashRow)
    except msgspec.ValidationError as error:
        return error_of(row, error)
    if asked.field not in USER_DATA_KEYS:
        return error_of(row, f"field must be one of {', '.join(USER_DATA_KEYS)}")
    text = text_of(asked.value)
    if text is None:
        answer = {"normalized": None, "sha256": None, "why": "not a string"}
    else:
        result = normalise(asked.field, text, asked.country)
        answer = {"normalized": result.normalized, "sha256": result.sha256, "why": result.why}
    return {"id": id_of(row), "field": asked.field, **answer}


def explain_request(row: object) -> Json:
    """`{"id","host","query","cookies","referer","xff","remote","trusted_proxies","now_ms"}` →
    `{"id","fbc","fbp","client_ip_address","cookie_domain","subdomain_index","why"}`.

    Where `trusted_proxies` is left out, every private address counts as one.
    """
    try:
        asked = msgspec.convert(row, _RequestRow)
        networks = parse_networks(proxies(asked))
        page = _page(asked.host or "", asked.query or {})
    except ValueError as error:
        return error_of(row, error)
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
        "id": id_of(row),
        "fbc": shown_fbc(identity.fbc, asked),
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


def shown_fbc(fbc: str | None, asked: Asked, posted: str | None = None) -> str | None:
    """The fbc with `<TS>` for its time where it was made just now and the row does not say when that is."""
    if fbc is None or asked.now_ms is not None or fbc in (posted, (asked.cookies or {}).get("_fbc")):
        return fbc
    prefix, index, _, click_id = fbc.split(".", 3)
    return ".".join((prefix, index, TIMESTAMP, click_id))


def proxies(asked: Asked) -> tuple[str, ...]:
    return PRIVATE_NETWORKS if asked.trusted_proxies is None else tuple(asked.trusted_proxies)


def id_of(row: object) -> object:
    return row.get("id") if isinstance(row, dict) else None


def error_of(row: object, error: object) -> Json:
    return {"id": id_of(row), "error": f"{error}. docs/normalisation.md describes the rows."}
