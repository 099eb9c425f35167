"""One event that a server sent → one outbox event per pixel: `enrich` for what has no browser behind it.

The sender is authenticated, so what it states of the visitor is taken; what the page itself has posted under
the same name and id is put together with it by `pairing`.
"""

from collections.abc import Mapping
from typing import Final

import msgspec

from relay.event.address import is_public, parse_hop
from relay.event.agent import Agent, read_agent
from relay.event.build import build_server_side, encode, is_too_broad
from relay.event.consent import CONSENT_OF_SENDER, NOT_ASKED_OF_SENDER, VOUCHED, limited
from relay.event.enrich import USER_AGENT_MAX, held_for, is_crawler, order_key, outbox_key
from relay.event.fields import Refused, RefusedError, read_custom_data
from relay.event.identity import BY_SNIPPET, resolve_identity
from relay.event.normalise import hash_user_data
from relay.event.outcome import ActionSource, BrowserState, Fate, FateReason, Refusal, Transport
from relay.event.personal import Kind, personal_kind, scrub_server_side
from relay.event.records import BrowserLeg, Json, OutboxEvent, ServerSideEvent
from relay.event.schedule import age_max_ms, not_before_ms
from relay.event.sentinel import personal_findings
from relay.settings import Settings, Site

FUTURE_MAX_MS: Final = 60_000  # clocks differ; Meta names no figure
STATES_NONE: Final = "the sender states none"
BY_SENDER: Final = "as the sender states it"
APP_DATA_NEEDED: Final = frozenset({"advertiser_tracking_enabled", "application_tracking_enabled", "extinfo"})


def enrich_server(
    event: ServerSideEvent, *, received_ms: int, site: Site, settings: Settings
) -> tuple[OutboxEvent, ...] | Refused:
    """Everything between a server's event and the disk. No raw customer data is in what comes out.

    Refuses what Meta would: what an `action_source` needs, how old an event may be, a Purchase's value.
    """
    try:
        event = _checked(event, received_ms, site)
        return _outbox_events(event, received_ms, site, settings)
    except RefusedError as refused:
        return Refused(event_id=event.event_id, reason=refused.reason)


def _outbox_events(
    event: ServerSideEvent, received_ms: int, site: Site, settings: Settings
) -> tuple[OutboxEvent, ...]:
    agent = read_agent(event.client_user_agent or "")
    fate, fate_reason = _early_fate(event, agent, settings)
    event, removed = scrub_server_side(event)  # from here on nothing sees what the sender posted
    identity = resolve_identity(
        url=event.url or "",
        referrer=event.referrer,
        cookies={},
        posted_fbp=event.fbp,
        posted_fbc=event.fbc,
        now_ms=event.event_time_ms,
    )
    address, address_why = _address(event, accept_private=settings.server.accept_private_addresses)
    hashed = hash_user_data(event.user_data, site.default_country)
    processing, processing_why = _processing_options(event)
    server_event = build_server_side(
        event, hashed=hashed.hashed, fbp=identity.fbp, fbc=identity.fbc, processing=processing
    )
    _check_breadth(event, server_event, address)
    leg = _leg(event, site, received_ms)
    not_before = not_before_ms(
        leg.state,
        event_time_ms=event.event_time_ms,
        dispatched_ms=None,
        received_ms=received_ms,
        delivery=settings.delivery,
    )
    why = {
        "sender": event.sender,
        **{name: told.replace(BY_SNIPPET, BY_SENDER) for name, told in identity.why.items()},
        "client_ip_address": address_why,
        **hashed.why,
        **_agent_why(event, agent),
        **processing_why,
        **_personal_why(removed),
        "hold": f"the browser half is {leg.state}: {held_for(not_before - received_ms)}",
        "consent": _consent_sentence(event, site),
    }
    why |= _together(event.why, why)
    return tuple(
        OutboxEvent(
            key=outbox_key(pixel, event.event_name, event.event_id),
            site=site.key,
            pixel=pixel,
            event_name=event.event_name,
            event_id=event.event_id,
            event_time_ms=event.event_time_ms,
            received_ms=received_ms,
            not_before_ms=not_before,
            paired_ms=_paired_ms(site, settings, received_ms),
            leg=leg,
            server_event=encode(server_event),
            client_ip_address=address,
            client_user_agent=event.client_user_agent,
            why=why,
            fate=fate,
            fate_reason=fate_reason,
            order_key=order_key(pixel, event) if fate is None else None,
            findings=tuple(personal_findings(removed)),
        )
        for pixel in event.pixel_ids or site.pixel_ids()
    )


def _together(from_where: Json, told: Json) -> Json:
    """Where the sender had each field from, and what became of it here."""
    return {
        name: place if told.get(name, BY_SENDER) == BY_SENDER else f"{place}; {told[name]}"
        for name, place in from_where.items()
    }


def _checked(event: ServerSideEvent, received_ms: int, site: Site) -> ServerSideEvent:
    """The event with its money in Meta's types, and a time that is not to come. Raises RefusedError."""
    if site.consent == "required" and not event.consent:
        raise RefusedError(Refusal.CONSENT_MISSING)
    if personal_kind(event.event_name) or personal_kind(event.event_id):
        raise RefusedError(Refusal.PERSONAL_DATA)
    if event.event_time_ms > received_ms + FUTURE_MAX_MS:
        raise RefusedError(Refusal.INVALID_EVENT_TIME)
    if received_ms - event.event_time_ms >= age_max_ms(event.action_source):
        raise RefusedError(Refusal.TOO_OLD)
    if not event.partial:
        _check_needs(event)
    agent = (event.client_user_agent or "").strip()[:USER_AGENT_MAX]
    return msgspec.structs.replace(
        event,
        event_time_ms=min(event.event_time_ms, received_ms),
        client_user_agent=agent or None,
        custom_data=read_custom_data(event.custom_data, "" if event.partial else event.event_name),
    )


def _check_needs(event: ServerSideEvent) -> None:
    """What Meta asks for beyond the members that every event has."""
    if event.action_source is ActionSource.WEBSITE:
        if event.url is None:
            raise RefusedError(Refusal.MISSING_URL)
        if not (event.client_user_agent or "").strip():
            raise RefusedError(Refusal.MISSING_USER_AGENT)
    if event.action_source is ActionSource.APP and not _has_app_data(event):
        raise RefusedError(Refusal.MISSING_APP_DATA)


def _has_app_data(event: ServerSideEvent) -> bool:
    app_data = event.extra.get("app_data")
    return isinstance(app_data, Mapping) and app_data.keys() >= APP_DATA_NEEDED


def _early_fate(
    event: ServerSideEvent, agent: Agent, settings: Settings
) -> tuple[Fate, FateReason] | tuple[None, None]:
    """The end of an event that is recorded and not sent, or not before its other half has come."""
    if event.action_source is ActionSource.WEBSITE and is_crawler(agent, settings):
        return Fate.FILTERED, FateReason.BOT
    if event.partial:
        return Fate.FILTERED, FateReason.INCOMPLETE
    return None, None


def _check_breadth(event: ServerSideEvent, server_event: Json, address: str | None) -> None:
    visitor = {"client_user_agent": event.client_user_agent, "client_ip_address": address}
    keys = {name for name, value in visitor.items() if value} | set(server_event["user_data"])
    if not event.partial and is_too_broad(keys):
        raise RefusedError(Refusal.TOO_BROAD)


def _leg(event: ServerSideEvent, site: Site, received_ms: int) -> BrowserLeg:
    """A browser half is expected where the page and the backend send the same events."""
    is_websites = event.action_source is ActionSource.WEBSITE and event.has_own_id
    is_paired = is_websites and site.rules_of(event.event_name).mode == "both"
    return BrowserLeg(
        state=BrowserState.AWAITED if is_paired else BrowserState.ABSENT,
        evidence="",
        transport=Transport.NONE,
        dispatched_ms=None,
        settled_ms=None,
        reported_ms=received_ms,
    )


def _paired_ms(site: Site, settings: Settings, received_ms: int) -> int:
    """With a browser half that has reported, only a page that may learn its other address is waited for."""
    waits = site.address_hosts.ipv6 is not None
    return received_ms + (round(settings.delivery.hold_address_seconds * 1_000) if waits else 0)


def _address(event: ServerSideEvent, *, accept_private: bool) -> tuple[str | None, str]:
    stated = event.client_ip_address
    if not stated:
        return None, STATES_NONE
    address = parse_hop(stated)
    if address is None or not (accept_private or is_public(address)):
        return None, "left out: what the sender states is no public address"
    return str(address), BY_SENDER


def _processing_options(event: ServerSideEvent) -> tuple[Json, Json]:
    options = event.data_processing_options
    if options is None:
        return {}, {}
    if not options:
        return {"data_processing_options": []}, {"data_processing_options": "explicitly off, by the sender"}
    return limited(event), {"data_processing_options": "limited, by the sender"}


def _agent_why(event: ServerSideEvent, agent: Agent) -> Json:
    if event.client_user_agent is None:
        return {"client_user_agent": STATES_NONE}
    why = {"client_user_agent": BY_SENDER, "agent": agent.label}
    return why | ({"bot": f"the user agent matches the crawler pattern {agent.bot}"} if agent.bot else {})


def _personal_why(removed: Mapping[str, Kind]) -> Json:
    if not removed:
        return {}
    return {"personal_data": {place: f"{kind} was removed" for place, kind in removed.items()}}


def _consent_sentence(event: ServerSideEvent, site: Site) -> str:
    if event.consent:
        return CONSENT_OF_SENDER
    return VOUCHED if site.consent == "granted" else NOT_ASKED_OF_SENDER
