"""Telling somebody: the message of an alert, its signature (Standard Webhooks), and when to try again. Pure."""

import base64
import binascii
import hashlib
import hmac
from datetime import UTC, datetime
from typing import Final

import msgspec

from relay.event.alert import ALERT_WORDS, AlertState

PREFIX: Final = "whsec_"
SECRET_BYTES: Final = range(24, 65)
# After each failure in turn; then it is given up.
RETRY_SECONDS: Final = (5, 60, 300, 1_800, 7_200, 21_600)


class Notice(msgspec.Struct, frozen=True, kw_only=True):
    """One message for one address."""

    id: str  # the webhook-id: the same for every try, so that the receiver can drop a second copy
    target: str  # of which address, as `target_of` names it
    created_ms: int
    body: bytes
    due_ms: int | None  # None: told, or given up
    attempts: int = 0
    told_ms: int | None = None
    problem: str | None = None  # of the last try


def target_of(url: str) -> str:
    """A name for an address that does not give it away: it may be a secret."""
    return hashlib.sha256(url.encode()).hexdigest()[:16]


def read_secret_bytes(text: str) -> bytes:
    """`whsec_` and 24 to 64 bytes in base64. Raises ValueError with the next step."""
    try:
        secret = base64.b64decode(text.removeprefix(PREFIX), validate=True)
    except binascii.Error:
        secret = b""
    if not text.startswith(PREFIX) or len(secret) not in SECRET_BYTES:
        raise ValueError(
            "The secret of [alerts] must be whsec_ and 24 to 64 bytes in base64. Make one with "
            '`echo "whsec_$(head -c 32 /dev/urandom | base64)"`.'
        )
    return secret


def headers_of(notice: Notice, secret: bytes, now_seconds: int) -> dict[str, str]:
    """The three headers of Standard Webhooks, and the content's type."""
    signed = f"{notice.id}.{now_seconds}.".encode() + notice.body
    signature = base64.b64encode(hmac.new(secret, signed, hashlib.sha256).digest()).decode()
    return {
        "content-type": "application/json",
        "webhook-id": notice.id,
        "webhook-timestamp": str(now_seconds),
        "webhook-signature": f"v1,{signature}",
    }


def alert_body(state: AlertState, console_url: str) -> bytes:
    words = ALERT_WORDS[state.kind]
    return _body(
        "alert.raised" if state.raised else "alert.resolved",
        state.since_ms,
        {
            "kind": state.kind,
            "subject": state.subject,
            "title": words.title,
            "detail": state.detail,
            "fix": words.fix,
            "console": f"{console_url}/alerts",
        },
    )


def sample_body(now_ms: int, console_url: str) -> bytes:
    """What the console's button sends."""
    said = "Somebody pressed the button on the relay's Alerts page. Alerts will come here."
    return _body("alert.test", now_ms, {"detail": said, "console": f"{console_url}/alerts"})


def _body(kind: str, at_ms: int, data: dict[str, str]) -> bytes:
    moment = datetime.fromtimestamp(at_ms / 1_000, UTC).isoformat(timespec="milliseconds")
    return msgspec.json.encode({"type": kind, "timestamp": moment.replace("+00:00", "Z"), "data": data})


def after_try(notice: Notice, problem: str | None, *, gone: bool, now_ms: int, jitter: float) -> Notice:
    """The notice after one more try. `gone`: the receiver wants no more of it; `jitter` from 0 to 1."""
    attempts = notice.attempts + 1
    if problem is None:
        return msgspec.structs.replace(notice, attempts=attempts, due_ms=None, told_ms=now_ms, problem=None)
    is_last = gone or attempts > len(RETRY_SECONDS)
    wait_ms = 0 if is_last else round(RETRY_SECONDS[attempts - 1] * 1_000 * (1 + jitter / 4))
    due_ms = None if is_last else now_ms + wait_ms
    return msgspec.structs.replace(notice, attempts=attempts, due_ms=due_ms, problem=problem)
