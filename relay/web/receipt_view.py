"""What a receipt says, for the page and for `GET /api/receipts/{event_id}` alike. Values in, values out."""

from collections.abc import Mapping, Sequence
from typing import Final, Literal, assert_never

import msgspec

from relay.event.enrich_server import STATES_NONE
from relay.event.gap import gap
from relay.event.outcome import FATE_SENTENCES, AttemptOutcome, BrowserState, Fate, Transport
from relay.event.pair import PairVerdict, ServerSend, pair_verdicts
from relay.event.records import BrowserLeg, Json, PixelSeen
from relay.event.verdict import Profile
from relay.store.protocol import Attempt, FateRecord, PixelState, Status, StoredReceipt
from relay.web.address_view import Addresses, addresses_of, shown, shown_twin
from relay.web.compare import Compared, compare
from relay.web.timeline import Moment, timeline
from relay.web.twin_view import TwinState, read_twin
from relay.web.words import iso

BROWSER_SENTENCES: Final[dict[BrowserState, str]] = {
    BrowserState.SENT: "The Pixel's request was answered by Meta's host.",
    BrowserState.LATE: "The Pixel's request went out after all, after it had first been reported otherwise.",
    BrowserState.BLOCKED: "The browser or an extension blocked the Pixel's request.",
    BrowserState.OFF: "The site sends this event from the server only.",
    BrowserState.PENDING: "The Pixel's request was still under way when the page ended or stopped waiting.",
    BrowserState.UNDISPATCHED: "Meta's script never took the event off its queue.",
    BrowserState.AWAITED: "A server sent this event; no page has reported its browser half.",
    BrowserState.ABSENT: "A server sent this event; it has no browser half.",
}

STATUS_SENTENCES: Final[dict[Status, str]] = {
    "held": "The server half is held until the browser half has had its time.",
    "due": "The server half is due and goes with the next call to Graph.",
    "sending": "The server half is on its way to Meta.",
    "parked": "The server half waits: Meta refuses the pixel's token or permission.",
    "ended": "",
}

# As the store has it: not what Meta has, and not what was never meant to be sent.
REPLAYABLE: Final = (Fate.REJECTED, Fate.EXPIRED, Fate.UNKNOWN)

First = Literal["browser", "server", "together", "browser_alone", "server_alone", "unknown", "none"]


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """Which half went first. `delay_ms`: from the browser half's settlement to the call to Graph."""

    first: First
    delay_ms: int | None
    sentence: str


class Browser(msgspec.Struct, frozen=True, kw_only=True):
    """The browser half as the snippet reported it last; `reports` holds every report, oldest first."""

    state: BrowserState
    sentence: str
    evidence: str
    transport: Transport
    dispatched_ms: int | None
    settled_ms: int | None
    reported_ms: int
    seen: PixelSeen | None
    reports: tuple[BrowserLeg, ...]


class Server(msgspec.Struct, frozen=True, kw_only=True):
    """The server half: the event as it is stored and sent."""

    event: Json
    client_ip_address: str | None
    client_user_agent: str | None
    forgotten: bool  # the address and the user agent were kept as long as the settings say, and are gone
    held_until_ms: int
    due_ms: int | None  # None once ended
    sent_ms: int | None  # of the call that this receipt rests on
    answered_ms: int | None


class Ending(msgspec.Struct, frozen=True, kw_only=True):
    fate: Fate
    reason: str
    sentence: str
    detail: str | None  # Meta's own words
    at_ms: int


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What Meta counts under one dedup profile. The two numbers differ where something cannot be known."""

    profile: Profile
    counted: int
    counted_at_least: int
    sentence: str


class Receipt(msgspec.Struct, frozen=True, kw_only=True):
    """One event for one pixel."""

    site: str
    pixel: str
    event_name: str
    event_id: str
    event_time_ms: int
    received_ms: int
    status: Status
    fate: Ending | None
    headline: str
    order: Order
    browser: Browser | None
    server: Server
    addresses: Addresses
    compared: tuple[Compared, ...]
    timeline: tuple[Moment, ...]
    verdicts: tuple[Verdict, ...]
    answer: Attempt | None  # Graph's answer that the receipt rests on
    attempts: tuple[Attempt, ...]
    ambiguous: int
    duplicates: int
    why: Json
    parked: PixelState | None
    keys: tuple[str, ...]  # the match keys that the server half carries; never their values
    can_replay: bool
    support: str  # what Meta's support asks for, to be copied
    twin: TwinState | None  # what a twin saw of this pixel's event; None where Meta itself is the other end


class ReceiptsOfEvent(msgspec.Struct, frozen=True, kw_only=True):
    """Every receipt with one event_id: one per pixel and event name."""

    event_id: str
    receipts: tuple[Receipt, ...]
    twin_counted: dict[str, dict[str, int]] | None  # dedup profile → event name → events, over all pixels


def receipts_of_event(
    event_id: str, found: Sequence[StoredReceipt], state: Json | None, *, anonymised: bool = False
) -> ReceiptsOfEvent:
    """`state` is a twin's `/twin/state` for this event_id; None where Meta itself is the other end.

    `anonymised`: of visitors' addresses only their networks are told.
    """
    twin = read_twin(state)
    return ReceiptsOfEvent(
        event_id=event_id,
        receipts=tuple(receipt(stored, twin, anonymised=anonymised) for stored in found),
        twin_counted=twin.counted if twin else None,
    )


def receipt(stored: StoredReceipt, twin: TwinState | None, *, anonymised: bool = False) -> Receipt:
    row, leg = stored.row, stored.legs[-1] if stored.legs else None
    saw = twin.of(row.pixel, row.event_name) if twin else None
    seen = next((each.seen for each in reversed(stored.legs) if each.seen is not None), None)
    arrived = saw.browser[0] if saw and saw.browser else None
    compared = compare(stored, seen, arrived)
    sends = server_sends(stored.attempts)
    order = order_of(leg, sends)
    verdicts = verdicts_of(leg, sends, compared)
    deciding = deciding_attempt(stored.attempts)
    return Receipt(
        site=row.site,
        pixel=row.pixel,
        event_name=row.event_name,
        event_id=row.event_id,
        event_time_ms=row.event_time_ms,
        received_ms=row.received_ms,
        status=row.status,
        fate=ending(stored.fate),
        headline=f"{order.sentence} {outcome_sentence(stored, sends, verdicts)}",
        order=order,
        browser=browser_half(stored.legs),
        server=server_half(stored, deciding, anonymised=anonymised),
        addresses=addresses_of(stored, arrived, anonymised=anonymised),
        compared=compared,
        timeline=timeline(stored, leg, deciding),
        verdicts=verdicts,
        answer=deciding,
        attempts=stored.attempts,
        ambiguous=stored.ambiguous,
        duplicates=stored.duplicates,
        why=stored.why,
        parked=stored.parked,
        keys=keys_of(stored),
        can_replay=stored.fate is not None and stored.fate.fate in REPLAYABLE,
        support=support_text(stored, leg, deciding),
        twin=shown_twin(saw, anonymised=anonymised) if saw else None,
    )


def keys_of(stored: StoredReceipt) -> tuple[str, ...]:
    """The match keys that the event carries; never a value."""
    user_data: Json = stored.server_event.get("user_data") or {}
    visitor = {
        "client_ip_address": stored.client_ip_address,
        "client_user_agent": stored.client_user_agent,
    }
    return (*user_data, *(name for name, value in visitor.items() if value is not None))


def support_text(stored: StoredReceipt, leg: BrowserLeg | None, deciding: Attempt | None) -> str:
    """Ids and times, and no personal data: what finds the event in Meta's logs."""
    row = stored.row
    told: list[tuple[str, str | None]] = [
        ("pixel", row.pixel),
        ("event_name", row.event_name),
        ("event_id", row.event_id),
        ("event_time", iso(row.event_time_ms)),
        ("browser event", leg.state if leg else None),
        ("browser event settled", iso(leg.settled_ms) if leg and leg.settled_ms is not None else None),
        ("server event sent", iso(deciding.started_ms) if deciding else None),
        ("server event answered", iso(deciding.finished_ms) if deciding and deciding.finished_ms else None),
        ("fbtrace_id", deciding.fbtrace_id if deciding else None),
        ("error", _error_of(deciding)),
    ]
    return "\n".join(f"{name}: {text}" for name, text in told if text is not None)


def _error_of(attempt: Attempt | None) -> str | None:
    if attempt is None or attempt.code is None:
        return None
    subcode = f"/{attempt.subcode}" if attempt.subcode is not None else ""
    return f"{attempt.code}{subcode} {attempt.message or ''}".strip()


def browser_half(legs: Sequence[BrowserLeg]) -> Browser | None:
    if not legs:
        return None
    leg = legs[-1]
    return Browser(
        state=leg.state,
        sentence=BROWSER_SENTENCES[leg.state],
        evidence=leg.evidence,
        transport=leg.transport,
        dispatched_ms=leg.dispatched_ms,
        settled_ms=leg.settled_ms,
        reported_ms=leg.reported_ms,
        seen=leg.seen,
        reports=tuple(legs),
    )


def server_half(stored: StoredReceipt, deciding: Attempt | None, *, anonymised: bool) -> Server:
    return Server(
        event=stored.server_event,
        client_ip_address=shown(stored.client_ip_address, anonymised=anonymised),
        client_user_agent=stored.client_user_agent,
        # A page's event always had a user agent, so one without has been pruned; a server's may never have had one.
        forgotten=stored.client_user_agent is None and stored.why.get("client_user_agent") != STATES_NONE,
        held_until_ms=stored.not_before_ms,
        due_ms=stored.due_ms,
        sent_ms=deciding.started_ms if deciding else None,
        answered_ms=deciding.finished_ms if deciding else None,
    )


def ending(fate: FateRecord | None) -> Ending | None:
    if fate is None:
        return None
    sentence = FATE_SENTENCES[fate.reason]
    return Ending(fate=fate.fate, reason=fate.reason, sentence=sentence, detail=fate.detail, at_ms=fate.at_ms)


def deciding_attempt(attempts: Sequence[Attempt]) -> Attempt | None:
    """The call that Meta confirmed, else the last one."""
    confirmed = (attempt for attempt in attempts if attempt.outcome is AttemptOutcome.RECEIPT)
    return next(confirmed, attempts[-1] if attempts else None)


def server_sends(attempts: Sequence[Attempt]) -> tuple[ServerSend, ...]:
    """The calls that Meta took, or may have taken: an answer that refuses them is no send."""
    sends = []
    for attempt in attempts:
        if attempt.outcome is AttemptOutcome.RECEIPT:
            sends.append(ServerSend(sent_ms=attempt.started_ms, answered_ms=attempt.finished_ms))
        elif attempt.outcome in (AttemptOutcome.UNKNOWN, None):
            sends.append(ServerSend(sent_ms=attempt.started_ms, answered_ms=None))
    return tuple(sends)


def order_of(leg: BrowserLeg | None, sends: Sequence[ServerSend]) -> Order:
    """Which half reached Meta first, as far as it is known."""
    sent_ms = min((send.sent_ms for send in sends), default=None)
    if leg is None:
        return _order("none" if sent_ms is None else "server_alone", "Nothing is known of the browser half.")
    match leg.state:
        case BrowserState.SENT | BrowserState.LATE:
            return _order_of_arrived(leg, sends, sent_ms)
        case BrowserState.BLOCKED | BrowserState.OFF | BrowserState.ABSENT:
            alone = "" if sent_ms is None else " The server's event goes alone."
            return _order("none" if sent_ms is None else "server_alone", BROWSER_SENTENCES[leg.state] + alone)
        case BrowserState.PENDING:
            if sent_ms is None or leg.dispatched_ms is None:
                return _order("unknown", BROWSER_SENTENCES[leg.state])
            held = f"The server's event waited until {gap(sent_ms - leg.dispatched_ms)} after it had left."
            return _order("unknown", f"{BROWSER_SENTENCES[leg.state]} {held}")
        case BrowserState.UNDISPATCHED | BrowserState.AWAITED:
            return _order("unknown" if sent_ms is None else "server_alone", BROWSER_SENTENCES[leg.state])
        case _:
            assert_never(leg.state)


def _order_of_arrived(leg: BrowserLeg, sends: Sequence[ServerSend], sent_ms: int | None) -> Order:
    if sent_ms is None:
        return _order("browser_alone", "The browser half has arrived.")
    settled_ms = leg.settled_ms if leg.settled_ms is not None else leg.reported_ms
    if settled_ms <= sent_ms:
        after_ms = sent_ms - settled_ms
        return _order("browser", f"Browser first, server {gap(after_ms)} later.", after_ms)
    ends = [send.answered_ms for send in sends]
    if leg.dispatched_ms is not None and all(end is not None and end <= leg.dispatched_ms for end in ends):
        before_ms = leg.dispatched_ms - sent_ms
        return _order("server", f"Server first, browser {gap(before_ms)} later.", -before_ms)
    return _order("together", "Both halves were under way at once; either may have arrived first.")


def _order(first: First, sentence: str, delay_ms: int | None = None) -> Order:
    return Order(first=first, delay_ms=delay_ms, sentence=sentence)


def verdicts_of(
    leg: BrowserLeg | None, sends: Sequence[ServerSend], compared: Sequence[Compared]
) -> tuple[Verdict, ...]:
    halves = {row.field: row for row in compared}
    event_id, fbp = halves["event_id"], halves["fbp"]
    pairs: Mapping[Profile, PairVerdict] = pair_verdicts(
        leg,
        sends,
        # What was not seen of the Pixel's request is taken to be what the snippet gave it.
        same_event_id=event_id.browser is None or event_id.browser == event_id.server,
        same_person=fbp.server is not None and fbp.browser in (None, fbp.server),
    )
    return tuple(
        Verdict(
            profile=profile,
            counted=pair.counted,
            counted_at_least=pair.counted_at_least,
            sentence=pair.sentence,
        )
        for profile, pair in pairs.items()
    )


def outcome_sentence(stored: StoredReceipt, sends: Sequence[ServerSend], verdicts: Sequence[Verdict]) -> str:
    """What has become of the event: how often it counts once it was sent, and until then why it was not."""
    if not sends:
        return FATE_SENTENCES[stored.fate.reason] if stored.fate else STATUS_SENTENCES[stored.row.status]
    if all(verdict.counted == verdict.counted_at_least == 1 for verdict in verdicts):
        return "One event counts under every dedup profile."
    doubtful = [str(verdict.profile) for verdict in verdicts if verdict.counted > 1]
    if doubtful:
        return f"It may count twice under {', '.join(doubtful)}."
    return "It may not count at all."
