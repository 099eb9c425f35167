"""Tamper-evident conversions: does the shop's own server vouch for this event?

The shop signs event_name, order_id, value and currency with a key that it shares with the relay, in one of two
forms; `docs/signing.md` has both, with recipes. What a browser sends can be forged by any script; what a
server has signed cannot.
"""

import hashlib
import hmac
import re
from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Final

from itsdangerous import BadData, URLSafeSerializer

from relay.event.build import text_of
from relay.event.fields import plain_number
from relay.event.outcome import FateReason
from relay.event.records import BrowserEvent, Json

SALT: Final = "counterfoil.conversion"  # for itsdangerous; the first line of the canonical text
_MAC: Final = re.compile(r"[0-9a-fA-F]{64}")


def quarantine_reason(event: BrowserEvent, keys: Sequence[str]) -> FateReason | None:
    """Why an event that has to be signed is not sent; None where one of the keys vouches for it."""
    order_id = text_of(event.custom_data.get("order_id"))
    if event.signature is None or order_id is None:
        return FateReason.UNSIGNED
    signed = {
        "event_name": event.event_name,
        "order_id": order_id,
        "value": event.custom_data.get("value"),
        "currency": event.custom_data.get("currency"),
    }
    check = _is_mac if _MAC.fullmatch(event.signature) else _is_token
    # Every key is tried, whichever fits, so that the time taken tells nothing of which.
    fits = [check(event.signature, signed, key) for key in keys]
    return None if any(fits) else FateReason.ALTERED


def canonical(signed: Json) -> str:
    """The text under the plain HMAC: five lines, without a line end after the last."""
    value = signed["value"]
    return "\n".join(
        [
            SALT,
            signed["event_name"],
            signed["order_id"],
            "" if value is None else _amount(value),
            signed["currency"] or "",
        ]
    )


def _amount(value: float) -> str:
    """A plain decimal with two decimals, or with all it has where it has more."""
    amount = Decimal(str(value))
    exponent = amount.as_tuple().exponent
    has_more = isinstance(exponent, int) and exponent < -2
    return f"{amount:f}" if has_more else f"{amount:.2f}"


def _is_mac(signature: str, signed: Json, key: str) -> bool:
    expected = hmac.new(key.encode(), canonical(signed).encode(), hashlib.sha256).hexdigest()
    return hmac.compare_digest(expected.encode(), signature.lower().encode())


def _is_token(signature: str, signed: Json, key: str) -> bool:
    try:
        vouched = URLSafeSerializer(key, salt=SALT).loads(signature)
    except BadData:
        return False
    return isinstance(vouched, dict) and all(
        _plain(name, vouched.get(name)) == _plain(name, value) for name, value in signed.items()
    )


def _plain(name: str, value: Any) -> Any:
    """A value in the form in which two of them are compared: `"49.90"` is 49.9, `1001` is "1001"."""
    if value is None:
        return None
    if name == "value":
        return plain_number(value)
    text = text_of(value)
    return text.upper() if text is not None and name == "currency" else text
