"""Both halves of an event, field by field: what the Pixel's request carried and what the server's does."""

from decimal import Decimal, InvalidOperation
from enum import StrEnum
from ipaddress import ip_address
from typing import Final

import msgspec

from relay.event.consent import GRANTED, NOT_ASKED, VOUCHED
from relay.event.records import Json, PixelSeen
from relay.store.protocol import StoredReceipt
from relay.web.twin_view import Arrived

CONSENT_WORDS: Final = {GRANTED: "granted", VOUCHED: "vouched for by the site", NOT_ASKED: "not asked"}


class Mark(StrEnum):
    SAME = "same"
    DIFFERS = "differs"
    BROWSER_ONLY = "browser only"
    SERVER_ONLY = "server only"
    NEITHER = "in neither"
    UNSEEN = "not seen"  # the snippet could not look, and no twin saw it arrive


class Compared(msgspec.Struct, frozen=True, kw_only=True):
    """One field of both halves. `browser` is what the snippet saw, else what the twin received."""

    field: str
    browser: str | None
    server: str | None
    mark: Mark


def compare(stored: StoredReceipt, seen: PixelSeen | None, arrived: Arrived | None) -> tuple[Compared, ...]:
    """`seen` is the snippet's look at the Pixel's request; `arrived` is the same as a twin received it."""
    event = stored.server_event
    user_data: Json = event.get("user_data") or {}
    custom_data: Json = event.get("custom_data") or {}
    server: dict[str, object] = {
        "event_name": event.get("event_name"),
        "event_id": event.get("event_id"),
        "fbp": user_data.get("fbp"),
        "fbc": user_data.get("fbc"),
        "value": custom_data.get("value"),
        "currency": custom_data.get("currency"),
        "limited data use": _processing(event.get("data_processing_options")),
    }
    looked = seen is not None or arrived is not None
    rows = [_row(name, _browser(name, seen, arrived), value, looked) for name, value in server.items()]
    if word := CONSENT_WORDS.get(str(stored.why.get("consent"))):
        # One statement of the page lets both halves go, so they can only agree; what it was is the point.
        rows.append(Compared(field="consent", browser=word, server=word, mark=Mark.SAME))
    if arrived is not None:
        family = address_family(stored.client_ip_address)
        rows.append(_row("address family", address_family(arrived.ip), family, looked))
        rows.append(_row("user agent", arrived.user_agent, stored.client_user_agent, looked))
    return tuple(rows)


def _processing(options: list[str] | str | None) -> str | None:
    """`["LDU"]` of the server's half and "LDU" of the Pixel's read alike; an empty one says off."""
    if options is None:
        return None
    return (options if isinstance(options, str) else ",".join(options)) or "off"


def address_family(address: str | None) -> str | None:
    try:
        return f"IPv{ip_address(address).version}" if address else None
    except ValueError:
        return None


def _browser(name: str, seen: PixelSeen | None, arrived: Arrived | None) -> object:
    if name == "limited data use":
        params = arrived.params if arrived is not None and isinstance(arrived.params, dict) else {}
        return _processing(seen.dpo if seen is not None and seen.dpo is not None else params.get("dpo"))
    own = getattr(seen, name) if seen is not None else None
    return own if own is not None or arrived is None else getattr(arrived, name)


def _row(field: str, browser: object, server: object, looked: bool) -> Compared:
    ours, theirs = _text(browser), _text(server)
    return Compared(field=field, browser=ours, server=theirs, mark=_mark(field, ours, theirs, looked))


def _mark(field: str, browser: str | None, server: str | None, looked: bool) -> Mark:
    if browser is None and not looked:
        return Mark.UNSEEN
    if browser is None or server is None:
        if browser == server:
            return Mark.NEITHER
        return Mark.SERVER_ONLY if browser is None else Mark.BROWSER_ONLY
    same = _amount(browser) == _amount(server) if field == "value" else browser == server
    return Mark.SAME if same else Mark.DIFFERS


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _amount(text: str) -> Decimal | str:
    """The Pixel says "49.90" where the server says 49.9."""
    try:
        amount = Decimal(text)
    except InvalidOperation:
        return text
    return amount if amount.is_finite() else text  # comparing a signalling NaN would raise
