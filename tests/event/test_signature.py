"""An event goes out only as the shop's server signed it."""

import hashlib
import hmac
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from itsdangerous import URLSafeSerializer, URLSafeTimedSerializer

from relay.event.fields import Refused
from relay.event.outcome import FateReason, Refusal
from relay.event.records import BrowserEvent, Json
from relay.event.signature import SALT, canonical, quarantine_reason
from relay.event.wire import parse_event
from tests.event.malformed import PIXEL_ID, good_event

KEY = "0123456789abcdef0123456789abcdef"
OTHER_KEY = "fedcba9876543210fedcba9876543210"
ORDER = {"event_name": "Purchase", "order_id": "1001", "value": 49.9, "currency": "EUR"}


def token(key: str = KEY, *, salt: str = SALT, **changes: Any) -> str:
    return URLSafeSerializer(key, salt=salt).dumps(ORDER | changes)


def mac(key: str = KEY, text: str | None = None) -> str:
    return hmac.new(key.encode(), (text or canonical(ORDER)).encode(), hashlib.sha256).hexdigest()


def reason(
    signature: object, *keys: str, event_name: str = "Purchase", **custom_data: Any
) -> FateReason | None:
    data = {"order_id": "1001", "value": 49.9, "currency": "EUR"} | custom_data
    raw = good_event(event_name=event_name, signature=signature, custom_data=data)
    event = parse_event(raw, pixel_ids=[PIXEL_ID])
    assert isinstance(event, BrowserEvent), event
    return quarantine_reason(event, keys or (KEY,))


FORMS = pytest.mark.parametrize("signature", [token(), mac(), mac().upper()], ids=["token", "mac", "MAC"])


@FORMS
def test_what_was_signed_is_sent(signature: str) -> None:
    assert reason(signature) is None


@FORMS
@pytest.mark.parametrize(
    "change",
    [{"value": 49.91}, {"value": 4990}, {"currency": "USD"}, {"order_id": "1002"}, {"order_id": "1001 "}],
)
def test_an_altered_event_is_quarantined(signature: str, change: Json) -> None:
    assert reason(signature, **change) is FateReason.ALTERED


@FORMS
def test_another_events_signature_is_worth_nothing(signature: str) -> None:
    assert reason(signature, event_name="Subscribe") is FateReason.ALTERED


@FORMS
def test_any_key_of_the_list_vouches_and_no_other(signature: str) -> None:
    assert reason(signature, OTHER_KEY, KEY) is None
    assert reason(signature, KEY, OTHER_KEY) is None
    assert reason(signature, OTHER_KEY) is FateReason.ALTERED


def test_without_a_key_nothing_is_vouched_for() -> None:
    event = parse_event(good_event(signature=mac(), custom_data=ORDER), pixel_ids=[PIXEL_ID])
    assert isinstance(event, BrowserEvent)
    assert quarantine_reason(event, ()) is FateReason.ALTERED


@pytest.mark.parametrize("signature", [None, "", ...])
def test_without_a_signature_it_is_unsigned(signature: object) -> None:
    assert reason(signature) is FateReason.UNSIGNED


@pytest.mark.parametrize("order_id", [None, "", {}, True])
def test_without_an_order_it_is_unsigned(order_id: object) -> None:
    assert reason(token(), order_id=order_id) is FateReason.UNSIGNED


@pytest.mark.parametrize("signature", ["x" * 1_025, 5, ["a"], {"a": 1}, True])
def test_what_can_be_no_signature_is_refused(signature: object) -> None:
    event = parse_event(good_event(signature=signature), pixel_ids=[PIXEL_ID])
    assert event == Refused(event_id="e-1", reason=Refusal.INVALID_SIGNATURE)


@pytest.mark.parametrize(
    "signature", [token(salt="another"), "a.b", ".", "=", "\u2028", "ümlaut", "0" * 64, "g" * 64]
)
def test_nonsense_is_altered_and_raises_nothing(signature: str) -> None:
    assert reason(signature) is FateReason.ALTERED


@pytest.mark.parametrize("signed", [[1], "text", None, 5, {}, {"event_name": "Purchase"}])
def test_a_token_of_something_else_is_altered(signed: object) -> None:
    made = URLSafeSerializer(KEY, salt=SALT).dumps(signed)
    assert reason(made) is FateReason.ALTERED


def test_a_timed_token_is_not_this_token() -> None:
    assert reason(URLSafeTimedSerializer(KEY, salt=SALT).dumps(ORDER)) is FateReason.ALTERED


@pytest.mark.parametrize("value", [49.9, "49.9", "49.90"])
def test_values_are_compared_as_numbers(value: object) -> None:
    assert reason(token(value=value)) is None
    assert reason(token(), value=value) is None
    assert reason(mac(), value=value) is None


def test_an_order_number_may_be_a_number() -> None:
    assert reason(token(order_id=1001)) is None
    assert reason(token(), order_id=1001) is None
    assert reason(mac(), order_id=1001) is None


def test_the_case_of_a_currency_does_not_matter() -> None:
    assert reason(token(currency="eur")) is None
    assert reason(token(), currency="eur") is None


def test_an_event_without_money_can_be_signed() -> None:
    lead: Json = {"event_name": "Lead", "order_id": "1001", "value": None, "currency": None}
    assert reason(token(**lead), event_name="Lead", value=None, currency=None) is None
    text = "counterfoil.conversion\nLead\n1001\n\n"
    assert reason(mac(text=text), event_name="Lead", value=None, currency=None) is None
    assert reason(mac(text=text), event_name="Lead", value=1, currency=None) is FateReason.ALTERED


@pytest.mark.parametrize(
    ("value", "text"),
    [(5, "5.00"), (49.9, "49.90"), (1.234, "1.234"), (0, "0.00"), (-3.5, "-3.50"), (1e-7, "0.0000001")],
)  # fmt: skip
def test_the_canonical_value_has_two_decimals_or_more(value: float, text: str) -> None:
    assert canonical(ORDER | {"value": value}).split("\n")[3] == text


def test_a_line_end_in_an_order_number_moves_no_line() -> None:
    """Name, value and currency hold no line end, so that one text stands for one event."""
    assert reason(mac(), order_id="1001\n49.90", value=1) is FateReason.ALTERED


@given(st.integers(0, 7), st.integers(0, 10_000))
def test_every_changed_bit_is_noticed(bit: int, position: int) -> None:
    for signature in (token(), mac()):
        at = position % (len(signature) - 1)  # the last letter of Base64 has bits that mean nothing
        changed = signature[:at] + chr(ord(signature[at]) ^ (1 << bit)) + signature[at + 1 :]
        if changed.lower() != signature.lower():
            assert reason(changed) is FateReason.ALTERED


@given(st.text(max_size=200))
def test_no_text_raises(signature: str) -> None:
    assert reason(signature) in (FateReason.ALTERED, FateReason.UNSIGNED)
