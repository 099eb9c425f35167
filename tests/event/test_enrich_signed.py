"""What becomes of events that need a signature, name an order, or leak contact data, on their way to the outbox."""

import hashlib
import hmac
from typing import Any

import msgspec
import pytest

from relay.event.enrich import connection_address, enrich
from relay.event.fields import Refused
from relay.event.issue import Finding, IssueKind
from relay.event.outcome import Fate, FateReason, Refusal
from relay.event.records import BrowserEvent, OutboxEvent
from relay.event.wire import parse_event
from tests.event.malformed import good_event
from tests.event.test_enrich import SETTINGS, SITE, facts

KEY = "0123456789abcdef0123456789abcdef"
SIGNED_SITE = msgspec.structs.replace(SITE, require_signature=("Purchase",), conversion_key_env="KEY")
ORDER = {"value": 49.9, "currency": "EUR", "order_id": "1001"}
SIGNATURE = hmac.new(
    KEY.encode(), b"counterfoil.conversion\nPurchase\n1001\n49.90\nEUR", hashlib.sha256
).hexdigest()


def result(raw: dict[str, Any], **changes: Any) -> tuple[OutboxEvent, ...] | Refused:
    event = parse_event(raw, pixel_ids=SITE.pixel_ids())
    assert isinstance(event, BrowserEvent), event
    seen = facts(**changes)
    return enrich(
        event,
        seen,
        SIGNED_SITE,
        connection=connection_address(seen, SETTINGS),
        settings=SETTINGS,
        signing_keys=("relay" * 8,),
        conversion_keys=(KEY,),
    )


def enriched(*, custom_data: Any = None, **changes: Any) -> OutboxEvent:
    events = result(good_event(custom_data=ORDER if custom_data is None else custom_data, **changes))
    assert not isinstance(events, Refused), events
    return events[0]


def test_a_signed_event_waits_to_be_sent() -> None:
    event = enriched(signature=SIGNATURE)
    assert (event.fate, event.fate_reason, event.findings) == (None, None, ())
    assert event.order_key is not None


@pytest.mark.parametrize(
    ("changes", "reason", "kind"),
    [
        ({}, FateReason.UNSIGNED, IssueKind.UNSIGNED),
        ({"signature": "0" * 64}, FateReason.ALTERED, IssueKind.ALTERED),
        (
            {"signature": SIGNATURE, "custom_data": ORDER | {"value": 1}},
            FateReason.ALTERED,
            IssueKind.ALTERED,
        ),
    ],
)
def test_what_nobody_vouches_for_is_quarantined(
    changes: dict[str, Any], reason: FateReason, kind: IssueKind
) -> None:
    event = enriched(**changes)
    assert (event.fate, event.fate_reason) == (Fate.QUARANTINED, reason)
    assert event.findings == (Finding(kind=kind),)
    assert event.order_key is None


def test_a_quarantined_event_does_not_take_the_genuine_ones_key() -> None:
    assert enriched().key != enriched(signature=SIGNATURE).key
    assert enriched().key == enriched(signature="0" * 64).key


def test_other_events_of_the_site_need_no_signature() -> None:
    assert enriched(event_name="Lead").fate is None


def test_the_signature_is_stored_nowhere() -> None:
    assert SIGNATURE.encode() not in msgspec.json.encode(enriched(signature=SIGNATURE))


def test_an_order_is_known_by_pixel_and_number_and_only_for_purchases() -> None:
    first, second = _rows(result(good_event(signature=SIGNATURE, custom_data=ORDER)))
    again = enriched(signature=SIGNATURE, event_id="e-2")
    assert first.order_key == again.order_key != second.order_key
    assert enriched(event_name="Subscribe").order_key is None
    crawler = _rows(result(good_event(custom_data=ORDER), user_agent="Googlebot/2.1"))[0]
    assert (crawler.fate_reason, crawler.order_key) == (FateReason.BOT, None)


@pytest.mark.parametrize("member", ["event_name", "event_id"])
@pytest.mark.parametrize("text", ["Signup jane@example.com", "+4917012345678"])
def test_a_name_or_an_id_with_contact_data_is_refused(member: str, text: str) -> None:
    refused = result(good_event(**{member: text}))
    assert isinstance(refused, Refused)
    assert refused.reason is Refusal.PERSONAL_DATA


def test_the_place_of_contact_data_is_told_and_the_value_is_not() -> None:
    data = ORDER | {"coupon": "jane@example.com"}
    event = enriched(
        signature=SIGNATURE,
        custom_data=data,
        url="https://shop.example/thanks?mail=jane@example.com&fbclid=Click-1",
        fbc=None,
    )
    assert event.why["personal_data"] == {
        "url.query.mail": "an e-mail address was removed",
        "custom_data.coupon": "an e-mail address was removed",
    }
    assert {finding.place for finding in event.findings} == {"url.query.mail", "custom_data.coupon"}
    assert b"jane" not in msgspec.json.encode(event)
    assert "Click-1" in msgspec.json.decode(event.server_event)["user_data"]["fbc"]


def test_a_signature_is_judged_by_what_the_page_posted() -> None:
    """What the tripwire takes out afterwards makes no signed event an altered one."""
    text = b"counterfoil.conversion\nPurchase\njane@example.com\n49.90\nEUR"
    signature = hmac.new(KEY.encode(), text, hashlib.sha256).hexdigest()
    event = enriched(signature=signature, custom_data=ORDER | {"order_id": "jane@example.com"})
    assert (event.fate, event.order_key) == (None, None)
    assert b"jane" not in msgspec.json.encode(event)


def test_a_visitor_is_marked_by_a_keyed_hash() -> None:
    event, other = enriched(), enriched(fbp="fb.1.1763859600000.999")
    assert event.visitor is not None
    assert event.visitor == enriched(event_name="Lead").visitor != other.visitor


def _rows(rows: tuple[OutboxEvent, ...] | Refused) -> tuple[OutboxEvent, ...]:
    assert not isinstance(rows, Refused)
    return rows
