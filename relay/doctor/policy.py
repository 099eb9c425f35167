"""What a page's Content-Security-Policy would block of the snippet and the Pixel.

Matching follows CSP Level 3 as far as these needs go: hosts with wildcards, schemes, ports and paths, `'self'`,
nonces and hashes of inline scripts, `'strict-dynamic'`. Several policies all apply.
"""

import base64
import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final
from urllib.parse import SplitResult, urlsplit

import msgspec

from relay.doctor.markup import Script

Directives = Mapping[str, tuple[str, ...]]

# Where a directive is absent, the next of its list decides; at the end, nothing does.
_FALLBACK: Final[Mapping[str, tuple[str, ...]]] = {
    "script-src": ("script-src-elem", "script-src", "default-src"),
    "connect-src": ("connect-src", "default-src"),
    "img-src": ("img-src", "default-src"),
    "frame-src": ("frame-src", "child-src", "default-src"),
    "form-action": ("form-action",),
}
_HOST: Final = re.compile(
    r"(?:([a-z][a-z0-9+.-]*)://)?(\*|(?:\*\.)?[^:/*]+)(?::(\d+|\*))?(/.*)?", re.IGNORECASE
)
_PORTS: Final = {"http": 80, "https": 443}


class Need(msgspec.Struct, frozen=True, kw_only=True):
    """A request that must leave the page. `nonce` is that of the tag that makes it."""

    directive: str
    source: str  # what to write into the policy
    url: str
    nonce: str | None = None
    by_script: bool = False  # loaded by a script of the page, as 'strict-dynamic' allows


def parse_policies(headers: Sequence[str], metas: Sequence[str]) -> list[Directives]:
    """Header values, where commas part policies, and the contents of <meta> tags."""
    texts = [text for value in headers for text in value.split(",")] + list(metas)
    return [directives for text in texts if (directives := _parse(text))]


def lacking(policy: Directives, needs: Iterable[Need], page: str) -> dict[str, list[str]]:
    """By directive, the sources of those needs that the policy blocks on the page at this address."""
    own = urlsplit(page)
    sources: dict[str, list[str]] = {}
    for need in needs:
        if not _allows(policy, need, own):
            sources.setdefault(need.directive, []).append(need.source)
    return sources


def blocks_inline(policy: Directives, script: Script) -> bool:
    """Whether the policy blocks a script whose text stands in the page."""
    return not _allows_inline(_sources(policy, "script-src"), script)


def amended(policy: Directives, directive: str, added: Sequence[str]) -> str:
    """What to write: the sources for a directive that is there; for one that is not, those that it has inherited too.

    A new directive alone would end what its fallback has allowed until now.
    """
    decides = _deciding(policy, directive)
    if decides is None or decides in (directive, "script-src-elem"):
        return " ".join((decides or directive, *added))
    inherited = [source for source in policy[decides] if source.lower() != "'none'"]
    return " ".join((directive, *inherited, *added))


def hash_source(script: Script) -> str:
    """The source that allows exactly this text."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.text.encode()).digest()).decode()}'"


def _parse(text: str) -> Directives:
    directives: dict[str, tuple[str, ...]] = {}
    for part in text.split(";"):
        if words := part.split():
            directives.setdefault(words[0].lower(), tuple(words[1:]))  # of two with one name the first counts
    return directives


def _sources(policy: Directives, directive: str) -> tuple[str, ...] | None:
    """What decides; None where nothing does, and so all is allowed."""
    decides = _deciding(policy, directive)
    return None if decides is None else policy[decides]


def _deciding(policy: Directives, directive: str) -> str | None:
    return next((name for name in _FALLBACK[directive] if name in policy), None)


def _allows(policy: Directives, need: Need, page: SplitResult) -> bool:
    sources = _sources(policy, need.directive)
    if sources is None:
        return True
    if need.directive == "script-src":
        if need.nonce and f"'nonce-{need.nonce}'" in sources:
            return True
        if "'strict-dynamic'" in map(str.lower, sources):
            return need.by_script
    url = urlsplit(need.url)
    return any(_matches(source, url, page) for source in sources)


def _allows_inline(sources: tuple[str, ...] | None, script: Script) -> bool:
    if sources is None or hash_source(script) in sources:
        return True
    nonce = script.attributes.get("nonce")
    if nonce and f"'nonce-{nonce}'" in sources:
        return True
    strict = any(source.lower().startswith(("'nonce-", "'sha", "'strict-dynamic'")) for source in sources)
    return not strict and "'unsafe-inline'" in map(str.lower, sources)


def _matches(source: str, url: SplitResult, page: SplitResult) -> bool:
    if source.lower() == "'self'":
        return _same_scheme(page.scheme, url.scheme) and (page.hostname, _port(page)) == (
            url.hostname,
            _port(url),
        )
    if source == "*":
        return url.scheme in _PORTS
    if source.endswith(":"):
        return _same_scheme(source[:-1].lower(), url.scheme)
    parts = _HOST.fullmatch(source)
    if parts is None or source.startswith("'"):
        return False
    scheme, host, port, path = parts.groups()
    return (
        _same_scheme((scheme or page.scheme).lower(), url.scheme)
        and _host_matches(host.lower(), url.hostname or "")
        and (port == "*" or (int(port) if port else _PORTS.get(url.scheme)) == _port(url))
        and _path_matches(path or "", url.path)
    )


def _same_scheme(allowed: str, scheme: str) -> bool:
    return allowed == scheme or (allowed, scheme) == ("http", "https")


def _host_matches(pattern: str, host: str) -> bool:
    if pattern == "*":
        return True
    return host.endswith(pattern[1:]) if pattern.startswith("*.") else host == pattern


def _path_matches(pattern: str, path: str) -> bool:
    return not pattern or (path.startswith(pattern) if pattern.endswith("/") else path == pattern)


def _port(parts: SplitResult) -> int | None:
    return parts.port or _PORTS.get(parts.scheme)
