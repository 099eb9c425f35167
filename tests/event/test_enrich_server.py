"""What a server sends becomes one outbox event per pixel, or is refused for the reason that Meta would have."""

from typing import Any

import msgspec
import pytest

from relay.event.build import assemble
from relay.event.enrich_server import enrich_server
from relay.event.fields import Refused
from relay.event.outcome import ActionSource, BrowserState, Fate, FateReason, Refusal
from relay.event.records import OutboxEvent, ServerSideEvent
from relay.event.schedule import EVENT_AGE_MAX_MS, STORE_AGE_MAX_MS
from relay.settings import EventRules, Pixel, Settings, Site
from relay.twin.rules import first_fault
from tests.event.server_side import NOW_MS, partial, server_side

APP_DATA = {"advertiser_tracking_enabled": 1, "application_tracking_enabled": 1, "extinfo": ["i2"]}
SITE = Site(
    key="demo-shop", origins=("https://shop.example",), pixels=(Pixel(id="111"),), default_country="DE"
)


def result(event: ServerSideEvent, **site: Any) -> tuple[OutboxEvent, ...] | Refused:
    return enrich_server(
        event, received_ms=NOW_MS, site=msgspec.structs.replace(SITE, **site), settings=Settings()
    )


def enriched(event: ServerSideEvent, **site: Any) -> OutboxEvent:
    events = result(event, **site)
    assert not isinstance(events, Refused), events
    return events[0]


def refusal(event: ServerSideEvent, **site: Any) -> Refusal | None:
    events = result(event, **site)
    return events.reason if isinstance(events, Refused) else None


def sent(event: OutboxEvent) -> dict[str, Any]:
    return assemble(event.server_event, event.client_ip_address, event.client_user_agent)


def test_the_customer_is_hashed_and_what_the_sender_states_of_the_visitor_is_taken() -> None:
    event = enriched(server_side())
    assert b"ada@" not in msgspec.json.encode(event.why) + event.server_event
    user_data = sent(event)["user_data"]
    assert (len(user_data["em"][0]), user_data["client_ip_address"]) == (64, "2001:db8::7")
    assert (event.why["fbp"], event.why["client_ip_address"]) == ("as the sender states it",) * 2


def test_an_address_of_the_senders_own_network_is_left_out() -> None:
    event = enriched(server_side(client_ip_address="10.0.0.7"))
    assert event.client_ip_address is None
    assert "no public address" in event.why["client_ip_address"]


def test_a_website_event_waits_for_its_browser_half_and_others_go_at_once() -> None:
    website = enriched(server_side())
    assert (website.leg.state, website.not_before_ms) == (BrowserState.AWAITED, NOW_MS + 60_000)
    call = enriched(server_side(action_source=ActionSource.PHONE_CALL))
    assert (call.leg.state, call.not_before_ms) == (BrowserState.ABSENT, NOW_MS)


@pytest.mark.parametrize("mode", ["split", "server"])
def test_where_the_page_sends_no_such_event_none_is_waited_for(mode: Any) -> None:
    event = enriched(server_side(), events={"*": EventRules(mode=mode)})
    assert (event.leg.state, event.not_before_ms, event.fate) == (BrowserState.ABSENT, NOW_MS, None)


def test_a_partial_event_sleeps_until_what_it_completes_has_come() -> None:
    event = enriched(partial(custom_data={}))
    assert (event.fate, event.fate_reason) == (Fate.FILTERED, FateReason.INCOMPLETE)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"url": None}, Refusal.MISSING_URL),
        ({"client_user_agent": " "}, Refusal.MISSING_USER_AGENT),
        ({"custom_data": {"currency": "EUR"}}, Refusal.MISSING_VALUE),
        ({"custom_data": {"value": 1}}, Refusal.MISSING_CURRENCY),
        ({"action_source": ActionSource.APP}, Refusal.MISSING_APP_DATA),
        ({"event_time_ms": NOW_MS - EVENT_AGE_MAX_MS}, Refusal.TOO_OLD),
        ({"event_time_ms": NOW_MS + 61_000}, Refusal.INVALID_EVENT_TIME),
        ({"event_id": "ada@example.com"}, Refusal.PERSONAL_DATA),
        ({"user_data": {}, "fbp": None, "client_ip_address": None}, Refusal.TOO_BROAD),
    ],
)
def test_what_meta_would_refuse_is_refused_here_with_the_reason(
    changes: dict[str, Any], reason: Refusal
) -> None:
    assert refusal(server_side(**changes)) == reason


def test_explicit_consent_has_to_be_stated_where_the_site_asks_for_it() -> None:
    assert refusal(server_side(), consent="required") is Refusal.CONSENT_MISSING
    assert enriched(server_side(consent=True), consent="required").why["consent"].startswith("granted")


def test_a_physical_store_may_report_62_days_late() -> None:
    store = {"action_source": ActionSource.PHYSICAL_STORE}
    assert refusal(server_side(**store, event_time_ms=NOW_MS - STORE_AGE_MAX_MS + 1)) is None
    assert refusal(server_side(**store, event_time_ms=NOW_MS - STORE_AGE_MAX_MS)) is Refusal.TOO_OLD


@pytest.mark.parametrize("action_source", list(ActionSource))
def test_the_twin_takes_an_event_of_every_action_source(action_source: ActionSource) -> None:
    event = enriched(server_side(action_source=action_source, extra={"app_data": APP_DATA}))
    assert first_fault(sent(event), 0, NOW_MS) is None


def test_a_leads_own_id_and_its_stage_reach_meta_as_they_are() -> None:
    event = enriched(
        server_side(
            event_name="Qualified",
            action_source=ActionSource.SYSTEM_GENERATED,
            user_ids={"lead_id": 1234567890123456},
            custom_data={"lead_event_source": "CRM", "event_source": "crm", "value": "120.50"},
        )
    )
    assert sent(event)["user_data"]["lead_id"] == 1234567890123456
    assert sent(event)["custom_data"]["value"] == 120.5
