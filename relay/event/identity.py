"""Which fbp and fbc an event carries, and on which domain their cookies belong.

The browser's half is sent with what the `_fbp` and `_fbc` cookies hold, so the same values are adopted as
they are, down to the letter: click ids are case-sensitive. An fbp is never minted here, because the browser's
half would not carry it. Nothing raises; what is malformed counts as absent.
"""

import ipaddress
import re
from collections.abc import Mapping
from functools import cache, lru_cache
from typing import Final
from urllib.parse import parse_qs, urlsplit

import msgspec
from publicsuffixlist import PublicSuffixList

from relay.event.normalise import APPENDIX

# fb.<subdomain index>.<Unix milliseconds>.<payload>, and perhaps the parameter builder's mark. Strict: Meta refuses a
# batch for one value that is none.
_HEAD: Final = r"fb\.[0-9]\.[0-9]{10,13}\."
_FBP: Final = re.compile(rf"{_HEAD}([0-9]{{1,20}})(?:\.{APPENDIX})?")
_FBC: Final = re.compile(rf"{_HEAD}([A-Za-z0-9_-]{{1,500}})(?:\.{APPENDIX})?")
_CLICK_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,500}")
_LABEL: Final = re.compile(r"[\w-]{1,63}")

BY_SNIPPET: Final = "as posted by the snippet"


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """The two browser identifiers of an event. `why` has a sentence for each."""

    fbp: str | None
    fbc: str | None
    why: dict[str, str]


def resolve_identity(
    *,
    url: str,
    referrer: str | None,
    cookies: Mapping[str, str],
    posted_fbp: str | None,
    posted_fbc: str | None,
    now_ms: int,
) -> Identity:
    """The identifiers of an event on the page `url`; a click id seen for the first time was seen at `now_ms`.

    What the snippet posted wins over the cookies of its request: it was read when the Pixel fired.
    """
    fbp, why_fbp = _adopt(posted_fbp, cookies.get("_fbp"), "_fbp", _FBP)
    fbc, why_fbc = _adopt(posted_fbc, cookies.get("_fbc"), "_fbc", _FBC)
    click_id, where = _click_id(url, referrer)
    if fbp is None:
        why_fbp += "; only the browser mints one, so that both halves carry the same"
    if click_id is not None and click_id == _payload(fbc):
        why_fbc += f"; {where} carries the same click id, so its first time stays"
    elif click_id is not None:
        fbc = f"fb.{subdomain_index(url)}.{now_ms}.{click_id}"
        why_fbc = f"made of the click id that {where} carries; {why_fbc}"
    return Identity(fbp=fbp, fbc=fbc, why={"fbp": why_fbp, "fbc": why_fbc})


@lru_cache(maxsize=1_024)
def cookie_domain(host: str) -> str | None:
    """The widest domain that may hold the host's cookies (eTLD+1); None for a host-only cookie.

    `host` may carry a scheme and a port. Addresses, single labels and public suffixes are host-only.
    """
    name = _host(host)
    if name is None or name.rpartition(".")[2].isdigit():
        return None
    try:
        domain: str | None = _public_suffixes().privatesuffix(name)
    except UnicodeError:
        return None
    return domain


def subdomain_index(host: str) -> int:
    """The second part of an fbp or fbc: 1 for cookies on example.com, 2 on example.co.uk, 0 for host-only."""
    return (cookie_domain(host) or "").count(".")


@cache
def _public_suffixes() -> PublicSuffixList:
    return PublicSuffixList()


def _adopt(
    posted: str | None, cookie: str | None, name: str, form: re.Pattern[str]
) -> tuple[str | None, str]:
    if posted and form.fullmatch(posted):
        return posted, BY_SNIPPET
    if cookie and form.fullmatch(cookie):
        return cookie, f"the {name} cookie of the request"
    return None, f"{name} was malformed and is ignored" if posted or cookie else f"there was no {name}"


def _payload(fbc: str | None) -> str | None:
    parts = _FBC.fullmatch(fbc or "")
    return parts[1] if parts else None


def _click_id(url: str, referrer: str | None) -> tuple[str | None, str]:
    if click_id := _fbclid(url):
        return click_id, "the page's address"
    return _fbclid(referrer or ""), "the referrer"


def _fbclid(address: str) -> str | None:
    """The first fbclid of an address, if it can be one."""
    if "fbclid" not in address and "%" not in address:  # most addresses; it might be written with escapes
        return None
    try:
        values = parse_qs(urlsplit(address).query, keep_blank_values=True)
    except ValueError:
        return None
    first = values.get("fbclid", [""])[0]
    return first if _CLICK_ID.fullmatch(first) else None


def _host(text: str) -> str | None:
    """The DNS name in a host or an address, in lower case; None where there is none."""
    try:
        ipaddress.ip_address(text.strip())
    except ValueError:
        pass
    else:
        return None
    try:
        name = urlsplit(text if "//" in text else f"//{text}").hostname or ""
    except ValueError:
        return None
    name = name.strip().lower().removesuffix(".")
    labels = name.split(".")
    if len(name) > 253 or len(labels) < 2 or not all(map(_LABEL.fullmatch, labels)):
        return None
    return name
