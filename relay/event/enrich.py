"""The composition of the ground floor: one checked event and its request → one outbox event per pixel.

`why` tells for each value where it came from, as sentences without raw personal data; the receipt shows them.
"""

from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import Final

from relay.event.address import ClientAddress, client_address, parse_networks, parse_providers
from relay.event.agent import HEADLESS, Agent, read_agent
from relay.event.build import build, encode, is_too_broad, text_of
from relay.event.consent import consent_refusal, consent_sentence, processing_options
from relay.event.fields import Refused
from relay.event.identity import Identity, resolve_identity
from relay.event.normalise import HashedUserData, hash_user_data
from relay.event.observation import addresses_why, sent_address, weigh
from relay.event.outcome import Fate, FateReason, Refusal
from relay.event.personal import Kind, personal_kind, scrub
from relay.event.records import (
    BrowserEvent,
    BrowserLeg,
    Json,
    OutboxEvent,
    RequestFacts,
    SeenAddress,
    ServerSideEvent,
)
from relay.event.schedule import not_before_ms
from relay.event.sentinel import (
    fate_findings,
    half_findings,
    personal_findings,
    request_findings,
    unusable_findings,
    visitor_mark,
)
from relay.event.signature import quarantine_reason
from relay.settings import Delivery, EventRules, Settings, Site

USER_AGENT_MAX: Final = 2_048  # no browser's is as long; what is over would only fill the disk


def enrich(
    event: BrowserEvent,
    facts: RequestFacts,
    site: Site,
    *,
    connection: ClientAddress,
    settings: Settings,
    signing_keys: Sequence[str] = (),
    conversion_keys: Sequence[str] = (),
) -> tuple[OutboxEvent, ...] | Refused:
    """Everything between the wire and the disk. No raw customer data is in what comes out.

    `connection` is the `connection_address` of these facts; all events of a post share it.
    `signing_keys` are this relay's own, for the address tokens of the event; without them none is believed.
    `conversion_keys` are those that the relay shares with the shop's server.
    """
    user_agent = (facts.user_agent or "").strip()[:USER_AGENT_MAX]
    if (refusal := _refusal(event, facts, site, user_agent)) is not None:
        return Refused(event_id=event.event_id, reason=refusal)
    agent = read_agent(user_agent)
    crawler = is_crawler(agent, settings)
    fate, fate_reason = _early_fate(event, site, crawler, conversion_keys)
    halves = tuple(half_findings(event))
    event, removed = scrub(event)  # from here on nothing sees what the page posted
    event_time_ms = facts.received_ms - event.age_ms
    identity = _identity(event, facts, event_time_ms)
    addresses = _addresses(connection, event, facts.received_ms, site, settings, signing_keys)
    address = sent_address(addresses)
    hashed = hash_user_data(event.user_data, site.default_country)
    processing, processing_why = processing_options(event, facts, site)
    server_event = build(
        event,
        event_time_ms=event_time_ms,
        hashed=hashed.hashed,
        fbp=identity.fbp,
        fbc=identity.fbc,
        processing=processing,
    )
    visitor = {"client_user_agent"} | ({"client_ip_address"} if address else set())
    if is_too_broad(visitor | set(server_event["user_data"])):
        return Refused(event_id=event.event_id, reason=Refusal.TOO_BROAD)
    leg = _leg(event, event_time_ms, facts.received_ms)
    paired_ms, hold = _hold(leg, event_time_ms, settings.delivery, waits=_waits(event, addresses, site))
    not_before, hold = _completion_hold(leg, paired_ms, hold, site.rules_of(event.event_name))
    why = _why(identity, addresses, hashed, agent, processing_why, removed)
    why |= {"hold": hold, "consent": consent_sentence(event, site)}
    mark = visitor_mark(
        next(iter(signing_keys), ""), fbp=identity.fbp, address=address, user_agent=user_agent
    )
    findings = (
        *halves,
        *personal_findings(removed),
        *unusable_findings(hashed.unusable),
        *request_findings(facts, connection, identity),
        *fate_findings(fate_reason),
    )
    return tuple(
        OutboxEvent(
            key=outbox_key(pixel, event.event_name, event.event_id, _apart(fate, fate_reason)),
            site=site.key,
            pixel=pixel,
            event_name=event.event_name,
            event_id=event.event_id,
            event_time_ms=event_time_ms,
            received_ms=facts.received_ms,
            not_before_ms=not_before,
            paired_ms=paired_ms,
            leg=leg,
            server_event=encode(server_event),
            client_ip_address=address,
            client_user_agent=user_agent,
            why=why,
            addresses=addresses,
            fate=fate,
            fate_reason=fate_reason,
            order_key=order_key(pixel, event) if fate is None else None,
            visitor=mark,
            findings=findings,
        )
        for pixel in event.pixel_ids or site.pixel_ids()
    )


def outbox_key(pixel: str, event_name: str, event_id: str, apart: Fate | FateReason | None = None) -> bytes:
    """16 bytes that stand for the three; `apart` where the event must not stand in the way of another of that id."""
    return _key(pixel, event_name, event_id, *([apart] if apart is not None else []))


def _apart(fate: Fate | None, reason: FateReason | None) -> Fate | FateReason | None:
    """Nobody may shut the door on the genuine event by being first: neither who has no signature nor a crawler."""
    if reason is FateReason.BOT:
        return reason
    return fate if fate is Fate.QUARANTINED else None


def order_key(pixel: str, event: BrowserEvent | ServerSideEvent) -> bytes | None:
    """What makes two Purchases of one pixel the same order; other events may share one."""
    order_id = text_of(event.custom_data.get("order_id"))
    return key_of_order(pixel, order_id) if order_id and event.event_name == "Purchase" else None


def key_of_order(pixel: str, order_id: str) -> bytes:
    """16 bytes that stand for an order of a pixel; its order_id is not kept by itself."""
    return _key("order", pixel, order_id)


def _key(*parts: str) -> bytes:
    """16 bytes; each part is preceded by its length, so that no two lists of parts read alike."""
    digest = blake2b(digest_size=16)
    for part in parts:
        text = part.encode()
        digest.update(len(text).to_bytes(4, "big") + text)
    return digest.digest()


def _refusal(event: BrowserEvent, facts: RequestFacts, site: Site, user_agent: str) -> Refusal | None:
    """Why nothing of the event is looked at any further."""
    if (refusal := consent_refusal(event, facts, site)) is not None:
        return refusal
    if not user_agent:
        return Refusal.MISSING_USER_AGENT
    if personal_kind(event.event_name) or personal_kind(event.event_id):
        return Refusal.PERSONAL_DATA
    return None


def _early_fate(
    event: BrowserEvent, site: Site, crawler: bool, keys: Sequence[str]
) -> tuple[Fate, FateReason] | tuple[None, None]:
    """The end of an event that is recorded and not sent."""
    if crawler:
        return Fate.FILTERED, FateReason.BOT
    if event.event_name in site.require_signature and (reason := quarantine_reason(event, keys)):
        return Fate.QUARANTINED, reason
    if site.rules_of(event.event_name).mode == "split":
        return Fate.FILTERED, FateReason.BROWSER_ONLY
    return None, None


def is_crawler(agent: Agent, settings: Settings) -> bool:
    return agent.bot is not None and not (settings.server.accept_headless and agent.bot == HEADLESS)


def _identity(event: BrowserEvent, facts: RequestFacts, event_time_ms: int) -> Identity:
    """Now is the time of the event: a post that comes a day later must not make the click look younger."""
    return resolve_identity(
        url=event.url,
        referrer=event.referrer,
        cookies=facts.cookies,
        posted_fbp=event.fbp,
        posted_fbc=event.fbc,
        now_ms=event_time_ms,
    )


def connection_address(facts: RequestFacts, settings: Settings) -> ClientAddress:
    """The visitor's address as this relay saw it, and why."""
    return client_address(
        peer=facts.peer,
        forwarded_for=facts.forwarded_for,
        forwarded=facts.forwarded,
        trusted_proxies=parse_networks(settings.server.trusted_proxies),
        accept_private=settings.server.accept_private_addresses,
        providers=parse_providers(settings.server.trusted_proxies),
        provider_headers=facts.provider_headers,
    )


def _addresses(
    connection: ClientAddress,
    event: BrowserEvent,
    received_ms: int,
    site: Site,
    settings: Settings,
    signing_keys: Sequence[str],
) -> tuple[SeenAddress, ...]:
    return weigh(
        connection,
        event,
        keys=signing_keys,
        site=site.key,
        hosts=site.address_hosts,
        accept_private=settings.server.accept_private_addresses,
        now_ms=received_ms,
    )


def _waits(event: BrowserEvent, addresses: Sequence[SeenAddress], site: Site) -> bool:
    """Whether the page may still learn an IPv6 address: it says that it has asked by naming its nonce."""
    has_ipv6 = any(word.sent and word.family == "ipv6" for word in addresses)
    return site.address_hosts.ipv6 is not None and event.address_nonce is None and not has_ipv6


def _leg(event: BrowserEvent, event_time_ms: int, received_ms: int) -> BrowserLeg:
    report = event.pixel
    dispatched, settled = report.dispatched_after_ms, report.settled_after_ms
    return BrowserLeg(
        state=report.state,
        evidence=report.evidence,
        transport=report.transport,
        dispatched_ms=None if dispatched is None else event_time_ms + dispatched,
        settled_ms=None if settled is None else event_time_ms + settled,
        reported_ms=received_ms,
        seen=report.seen,
    )


def _hold(leg: BrowserLeg, event_time_ms: int, delivery: Delivery, *, waits: bool) -> tuple[int, str]:
    """Until when the event is held, and why."""
    by_leg_ms = not_before_ms(
        leg.state,
        event_time_ms=event_time_ms,
        dispatched_ms=leg.dispatched_ms,
        received_ms=leg.reported_ms,
        delivery=delivery,
    )
    by_address_ms = leg.reported_ms + round(delivery.hold_address_seconds * 1_000)
    if waits and by_address_ms > by_leg_ms:
        hold_ms = by_address_ms - leg.reported_ms
        return by_address_ms, f"the page may still learn an IPv6 address: {held_for(hold_ms)}"
    return by_leg_ms, f"the browser leg is {leg.state}: {held_for(by_leg_ms - leg.reported_ms)}"


def _completion_hold(leg: BrowserLeg, paired_ms: int, hold: str, rules: EventRules) -> tuple[int, str]:
    """The hold of an event that the backend may still complete, and why."""
    until_ms = leg.reported_ms + round(rules.hold_completion_seconds * 1_000)
    if until_ms <= paired_ms:
        return paired_ms, hold
    return until_ms, f"the backend may still complete it: {held_for(until_ms - leg.reported_ms)}"


def held_for(hold_ms: int) -> str:
    return f"held for {hold_ms / 1_000:.1f} s after receipt" if hold_ms else "no hold"


def _why(
    identity: Identity,
    addresses: Sequence[SeenAddress],
    hashed: HashedUserData,
    agent: Agent,
    processing: str | None,
    removed: Mapping[str, Kind],
) -> Json:
    why: Json = {
        **identity.why,
        **addresses_why(addresses),
        **hashed.why,
        "client_user_agent": "the User-Agent header of the post",
        "agent": agent.label,
    }
    if agent.bot is not None:
        why["bot"] = f"the user agent matches the crawler pattern {agent.bot}"
    if processing is not None:
        why["data_processing_options"] = processing
    if removed:
        why["personal_data"] = {place: f"{kind} was removed" for place, kind in removed.items()}
    return why
