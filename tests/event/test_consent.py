"""What may leave, and how Limited Data Use is said."""

from typing import Any

import pytest

from relay.event.consent import consent_refusal, processing_options
from relay.event.outcome import Refusal
from relay.event.records import BrowserEvent, RequestFacts
from relay.event.wire import parse_event
from tests.event.malformed import PIXEL_ID, good_event

COUNTRY = "data_processing_options_country"
STATE = "data_processing_options_state"


def event(**changes: Any) -> BrowserEvent:
    parsed = parse_event(good_event(**changes), pixel_ids=[PIXEL_ID])
    assert isinstance(parsed, BrowserEvent)
    return parsed


def facts(sec_purpose: str | None = None) -> RequestFacts:
    return RequestFacts(
        received_ms=1_763_859_600_000,
        peer="203.0.113.7",
        forwarded_for=(),
        forwarded=(),
        user_agent="Mozilla/5.0",
        cookies={},
        sec_purpose=sec_purpose,
        sec_gpc=False,
    )


@pytest.mark.parametrize(
    ("consent", "refusal"), [("denied", Refusal.CONSENT_DENIED), ("granted", None), (None, None)]
)
def test_only_a_denial_stops_an_event(consent: str | None, refusal: Refusal | None) -> None:
    assert consent_refusal(event(consent=consent), facts()) is refusal


@pytest.mark.parametrize("sec_purpose", ["prefetch", "prefetch;prerender", "Prefetch"])
def test_a_page_that_nobody_has_seen_is_no_event(sec_purpose: str) -> None:
    assert consent_refusal(event(), facts(sec_purpose)) is Refusal.PREFETCH


def test_a_denial_outranks_a_prefetch() -> None:
    assert consent_refusal(event(consent="denied"), facts("prefetch")) is Refusal.CONSENT_DENIED


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ({}, {}),
        ({COUNTRY: 1, STATE: 1000}, {}),
        ({"data_processing_options": []}, {"data_processing_options": []}),
        ({"data_processing_options": [], COUNTRY: 1}, {"data_processing_options": []}),
        (
            {"data_processing_options": ["LDU"]},
            {"data_processing_options": ["LDU"], COUNTRY: 0, STATE: 0},
        ),
        (
            {"data_processing_options": ["LDU"], COUNTRY: 1, STATE: 1000},
            {"data_processing_options": ["LDU"], COUNTRY: 1, STATE: 1000},
        ),
    ],
)
def test_the_three_fields_of_limited_data_use_go_together_or_not_at_all(
    given: dict[str, Any], sent: dict[str, Any]
) -> None:
    assert processing_options(event(**given)) == sent
