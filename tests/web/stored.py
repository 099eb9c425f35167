"""Stored receipts for the view's tests; each test says only what it needs different."""

from typing import Any

import msgspec

from relay.event.outcome import AttemptOutcome, BrowserState, Fate, FateReason, Transport
from relay.event.records import BrowserLeg
from relay.store.protocol import Attempt, EventRow, FateRecord, StoredReceipt

EVENT_MS = 1_763_859_600_000
DELIVERED = FateRecord(fate=Fate.DELIVERED, reason=FateReason.RECEIVED, detail=None, at_ms=EVENT_MS + 700)


def leg(state: BrowserState = BrowserState.SENT, **changes: Any) -> BrowserLeg:
    """Dispatched 3 ms and settled 118 ms after the event, reported after 412."""
    plain = BrowserLeg(
        state=state,
        evidence="load",
        transport=Transport.IMAGE,
        dispatched_ms=EVENT_MS + 3,
        settled_ms=EVENT_MS + 118,
        reported_ms=EVENT_MS + 412,
    )
    return msgspec.structs.replace(plain, **changes)


def attempt(outcome: AttemptOutcome | None = AttemptOutcome.RECEIPT, **changes: Any) -> Attempt:
    """Called 500 ms after the event, answered 200 ms later."""
    plain = Attempt(
        started_ms=EVENT_MS + 500,
        finished_ms=EVENT_MS + 700,
        events=1,
        outcome=outcome,
        http_status=200,
        code=None,
        subcode=None,
        message=None,
        fbtrace_id="AbC",
    )
    return msgspec.structs.replace(plain, **changes)


def row(**changes: Any) -> EventRow:
    plain = EventRow(
        row_id=1,
        site="demo-shop",
        pixel="111",
        event_name="Purchase",
        event_id="e1",
        event_time_ms=EVENT_MS,
        received_ms=EVENT_MS + 412,
        state="sent",
        status="held",
        fate=None,
        fate_reason=None,
        ended_ms=None,
    )
    return msgspec.structs.replace(plain, **changes)


def stored_receipt(**changes: Any) -> StoredReceipt:
    """A held event with one report and no call yet."""
    plain = StoredReceipt(
        row=row(),
        not_before_ms=EVENT_MS + 412,
        due_ms=EVENT_MS + 412,
        legs=(leg(),),
        server_event={"event_name": "Purchase", "event_id": "e1", "user_data": {"fbp": "fb.1.2.3"}},
        client_ip_address="2001:db8::7",
        client_user_agent="Browser/1",
        why={"fbp": "cookie"},
        duplicates=0,
        attempts=(),
        ambiguous=0,
        fate=None,
        parked=None,
    )
    return msgspec.structs.replace(plain, **changes)
