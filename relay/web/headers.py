"""The headers that every answer carries."""

from typing import Final

from starlette.datastructures import Headers

CONTENT_SECURITY_POLICY: Final = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)

NO_STORE: Final = {"cache-control": "no-store"}

SECURITY_HEADERS: Final[dict[str, str]] = {
    "content-security-policy": CONTENT_SECURITY_POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}
_RAW_HEADERS: Final = [(name.encode(), value.encode()) for name, value in SECURITY_HEADERS.items()]


def bearer(headers: Headers) -> str | None:
    """The secret of an `Authorization: Bearer` header, where there is one."""
    scheme, _, key = headers.get("authorization", "").partition(" ")
    return key.strip() or None if scheme.lower() == "bearer" else None


def secure(headers: list[tuple[bytes, bytes]]) -> None:
    """Add the security headers of which the endpoint has not set its own."""
    set_already = {name for name, _ in headers}
    headers += [each for each in _RAW_HEADERS if each[0] not in set_already]
