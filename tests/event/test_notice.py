"""The message of an alert: signed so that another's library verifies it, and tried a bounded number of times."""

import base64
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from relay.event.alert import AlertKind, AlertState
from relay.event.notice import (
    PREFIX,
    RETRY_SECONDS,
    Notice,
    after_try,
    alert_body,
    headers_of,
    read_secret_bytes,
    sample_body,
    target_of,
)

SECRET = PREFIX + base64.b64encode(b"s" * 32).decode()
STATE = AlertState(
    kind=AlertKind.TOKEN_INVALID, subject="123", raised=True, since_ms=1_763_859_600_123, detail="Expired."
)
URL = "https://console.shop.example"


def notice(body: bytes | None = None) -> Notice:
    return Notice(
        id="msg_1", target="t", created_ms=0, body=alert_body(STATE, URL) if body is None else body, due_ms=0
    )


def now() -> int:
    return int(datetime.now(UTC).timestamp())


def test_a_library_of_others_verifies_the_signature() -> None:
    sent = notice()
    body: Any = Webhook(SECRET).verify(sent.body, headers_of(sent, read_secret_bytes(SECRET), now()))
    assert body == {
        "type": "alert.raised",
        "timestamp": "2025-11-23T01:00:00.123Z",
        "data": {
            "kind": "token_invalid",
            "subject": "123",
            "title": "Meta refuses the token",
            "detail": "Expired.",
            "fix": body["data"]["fix"],
            "console": f"{URL}/alerts",
        },
    }


def test_a_resolved_alert_and_a_test_are_told_apart() -> None:
    resolved = msgspec.json.decode(alert_body(msgspec.structs.replace(STATE, raised=False), URL))
    assert resolved["type"] == "alert.resolved"
    assert msgspec.json.decode(sample_body(0, URL))["type"] == "alert.test"


@pytest.mark.parametrize("changed", ["body", "id", "time", "secret"])
def test_whatever_is_changed_breaks_the_signature(changed: str) -> None:
    sent = notice()
    secret = read_secret_bytes(
        PREFIX + base64.b64encode(b"x" * 32).decode() if changed == "secret" else SECRET
    )
    headers = headers_of(sent, secret, now())
    if changed == "id":
        headers["webhook-id"] = "msg_2"
    if changed == "time":
        headers["webhook-timestamp"] = str(now() + 1)
    body = sent.body + b" " if changed == "body" else sent.body
    with pytest.raises(WebhookVerificationError):
        Webhook(SECRET).verify(body, headers)


@pytest.mark.parametrize(
    "text",
    ["", "whsec_", "s" * 40, PREFIX + "not base64!", PREFIX + base64.b64encode(b"short").decode()],
)
def test_a_secret_that_is_none_is_refused_with_the_way_to_one(text: str) -> None:
    with pytest.raises(ValueError, match="whsec_ and 24 to 64 bytes"):
        read_secret_bytes(text)


def test_a_notice_is_tried_again_with_growing_pauses_and_then_given_up() -> None:
    tried, waits = notice(), []
    while tried.due_ms is not None:
        after = after_try(tried, "HTTP 500.", gone=False, now_ms=0, jitter=0)
        waits.append(after.due_ms)
        tried = after
    assert waits == [*(seconds * 1_000 for seconds in RETRY_SECONDS), None]
    assert (tried.told_ms, tried.problem, tried.attempts) == (None, "HTTP 500.", len(RETRY_SECONDS) + 1)


def test_a_notice_that_was_taken_has_ended_and_one_that_nobody_wants_too() -> None:
    told = after_try(notice(), None, gone=False, now_ms=7, jitter=0)
    assert (told.due_ms, told.told_ms, told.problem, told.attempts) == (None, 7, None, 1)
    gone = after_try(notice(), "HTTP 410.", gone=True, now_ms=7, jitter=0)
    assert (gone.due_ms, gone.told_ms, gone.problem) == (None, None, "HTTP 410.")


def test_an_address_is_named_without_giving_it_away() -> None:
    assert target_of("https://hooks.example/key") != target_of("https://hooks.example/other")
    assert "hooks" not in target_of("https://hooks.example/key")
