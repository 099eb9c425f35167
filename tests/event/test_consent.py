"""What may leave, and how Limited Data Use is said: the same on both legs."""

from typing import Any, Literal

import msgspec
import pytest

from relay.event.consent import (
    GRANTED,
    NOT_ASKED,
    VOUCHED,
    consent_refusal,
    consent_sentence,
    processing_options,
)
from relay.event.outcome import Refusal
from relay.event.records import BrowserEvent, RequestFacts
from relay.event.wire import parse_event
from relay.settings import Pixel, Site
from tests.event.malformed import PIXEL_ID, good_event

COUNTRY = "data_processing_options_country"
STATE = "data_processing_options_state"
SITE = Site(key="demo-shop", origins=("https://shop.example",), pixels=(Pixel(id=PIXEL_ID),))
LDU = {"data_processing_options": ["LDU"], COUNTRY: 0, STATE: 0}
OFF: dict[str, Any] = {"data_processing_options": []}


def event(**changes: Any) -> BrowserEvent:
    parsed = parse_event(good_event(**changes), pixel_ids=[PIXEL_ID])
    assert isinstance(parsed, BrowserEvent)
    return parsed


def facts(sec_purpose: str | None = None, *, sec_gpc: bool = False) -> RequestFacts:
    return RequestFacts(
        received_ms=1_763_859_600_000,
        peer="203.0.113.7",
        forwarded_for=(),
        forwarded=(),
        user_agent="Mozilla/5.0",
        cookies={},
        sec_purpose=sec_purpose,
        sec_gpc=sec_gpc,
    )


def site(**changes: Any) -> Site:
    return msgspec.structs.replace(SITE, **changes)


def seen(dpo: str | None) -> dict[str, Any]:
    return {"pixel": {"state": "sent", "seen": {"dpo": dpo}}}


@pytest.mark.parametrize(
    ("mode", "consent", "refusal", "why"),
    [
        ("pixel", None, None, NOT_ASKED),
        ("pixel", "granted", None, GRANTED),
        ("required", None, Refusal.CONSENT_MISSING, NOT_ASKED),
        ("required", "granted", None, GRANTED),
        ("granted", None, None, VOUCHED),
        ("granted", "granted", None, GRANTED),
    ],
)
def test_the_site_says_which_word_an_event_needs(
    mode: Literal["pixel", "required", "granted"], consent: str | None, refusal: Refusal | None, why: str
) -> None:
    given = event(consent=consent)
    assert consent_refusal(given, facts(), site(consent=mode)) is refusal
    assert consent_sentence(given, site(consent=mode)) == why


@pytest.mark.parametrize("sec_purpose", ["prefetch", "prefetch;prerender", "Prefetch"])
def test_a_page_that_nobody_has_seen_is_no_event(sec_purpose: str) -> None:
    assert consent_refusal(event(consent="granted"), facts(sec_purpose), SITE) is Refusal.PREFETCH


@pytest.mark.parametrize("header", [True, False])
@pytest.mark.parametrize("flag", [True, False, "yes", None])
@pytest.mark.parametrize("gpc", ["ldu", "drop", "ignore"])
def test_global_privacy_control_means_what_the_site_says(gpc: str, flag: object, header: bool) -> None:
    given, asked, its_site = event(gpc=flag, consent="granted"), facts(sec_gpc=header), site(gpc=gpc)
    there = header or flag is True
    assert consent_refusal(given, asked, its_site) is (
        Refusal.PRIVACY_CONTROL if there and gpc == "drop" else None
    )
    assert processing_options(given, asked, its_site)[0] == (LDU if there and gpc == "ldu" else {})


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ({}, {}),
        ({COUNTRY: 1, STATE: 1000}, {}),
        (OFF, OFF),
        (OFF | {COUNTRY: 1}, OFF),
        ({"data_processing_options": ["LDU"]}, LDU),
        (LDU | {COUNTRY: 1, STATE: 1000}, LDU | {COUNTRY: 1, STATE: 1000}),
        (seen("LDU"), LDU),
        (OFF | seen("LDU"), LDU),
        (OFF | seen(""), OFF),
        (seen(""), {}),
        (seen(None), {}),
    ],
)
def test_the_three_fields_of_limited_data_use_go_together_or_not_at_all(
    given: dict[str, Any], sent: dict[str, Any]
) -> None:
    assert processing_options(event(**given), facts(), SITE)[0] == sent


def test_a_page_may_switch_limited_data_use_off_for_an_event_in_spite_of_the_signal() -> None:
    assert processing_options(event(**OFF), facts(sec_gpc=True), SITE)[0] == OFF


def test_what_is_sent_always_tells_why() -> None:
    for given in ({}, OFF, LDU, seen("LDU")):
        fields, why = processing_options(event(**given), facts(), SITE)
        assert bool(fields) is bool(why)
