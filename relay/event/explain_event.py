"""`counterfoil explain event`: one event in any of the forms that the relay takes → the event as Graph would get it."""

from typing import Any, Final

import msgspec

from relay.event.build import assemble
from relay.event.enrich import connection_address, enrich
from relay.event.enrich_server import enrich_server
from relay.event.explain import TIMESTAMP, Asked, error_of, id_of, proxies, shown_fbc
from relay.event.fields import Refused
from relay.event.ga4 import Choices, map_event, purchase_lacks, read_push
from relay.event.outcome import IGNORED_SENTENCES, REFUSAL_SENTENCES, Ignored, Refusal
from relay.event.records import BrowserEvent, Json, OutboxEvent, RequestFacts, ServerSideEvent
from relay.event.segment import NoEvent, read_message, stated_now_ms
from relay.event.server_wire import parse_server_event
from relay.event.wire import parse_event
from relay.settings import Pixel, Settings, Site

FORMS: Final = ("snippet", "segment", "ga4", "graph")
NEW_ID: Final = "<ID>"  # stands where the page or the relay would make an id

_SITE: Final = Site(key="example", origins=("https://shop.example",), pixels=(Pixel(id="1"),))
# Stand in for what the row does not tell of the request; they are taken out of the answer again.
_SOME_PEER: Final = "192.0.2.1"
_SOME_USER_AGENT: Final = "Mozilla/5.0"
_SOME_PAGE: Final = "https://shop.example/"


class _EventRow(Asked, kw_only=True):
    form: Any = msgspec.field(name="as")
    event: Any
    site: dict[str, Any] | None = None  # a table of relay.toml; what it leaves out is made up
    user_agent: str | None = None
    choices: Choices = Choices()  # of the tag, for "ga4"


class _Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where the event is explained."""

    site: Site
    settings: Settings
    asked: _EventRow
    row: object


def explain_event(row: object, settings: Settings | None = None) -> Json:
    """`{"id","as","event","site"?}` → `{"id","event","refused","why"}`; one of event and refused is null.

    `site` is a table of relay.toml; left out, the first of `settings`, else one that takes any pixel. For a page's
    event the row may tell of the request what a row of `explain_request` tells, and its `user_agent`.
    """
    try:
        asked = msgspec.convert(row, _EventRow)
        place = _place(row, asked, settings or Settings())
    except ValueError as error:
        return error_of(row, error)
    match asked.form:
        case "snippet":
            return _of_page(asked.event, place)
        case "ga4":
            return _of_ga4(place)
        case "segment":
            return _of_segment(place)
        case "graph":
            return _of_graph(place)
        case _:
            return _answer(row, None, "unknown_as", {"as": f"must be one of: {', '.join(FORMS)}"})


def _of_page(wire: object, place: _Place, why: Json | None = None) -> Json:
    """One event of the wire."""
    row, site, settings = place.row, place.site, place.settings
    event = parse_event(wire, pixel_ids=_pixel_ids(place, wire))
    if isinstance(event, Refused):
        return _refused(row, event.reason)
    facts = _facts(place.asked, event)
    connection = connection_address(facts, settings)
    outbox = enrich(event, facts, site, connection=connection, settings=settings)
    if isinstance(outbox, Refused):
        return _refused(row, outbox.reason)
    first = outbox[0]  # the pixels' events differ in nothing that is sent
    if first.fate is not None:
        return _answer(row, None, str(first.fate_reason), first.why)
    return _answer(row, _sent(first, event, place.asked), None, _why(first, place.asked) | (why or {}))


def _of_ga4(place: _Place) -> Json:
    """What the page's script would make of a push, and send."""
    event, values = read_push(place.asked.event)
    mapped = map_event(event, values, place.asked.choices)
    if mapped is None:
        lack = purchase_lacks(event, values)
        return _ignored(place.row, Ignored.NOT_MAPPED) if lack is None else _refused(place.row, lack)
    page = values.get("page_location")
    wire = {
        "event_name": mapped.name,
        "event_id": mapped.event_id or NEW_ID,
        "age_ms": 0,
        "url": page or _SOME_PAGE,
        "referrer": values.get("page_referrer"),
        "custom_data": mapped.data,
        "user_data": mapped.user_data,
        "pixel": {"state": "sent"},
    }
    why = {
        "event_name": f"GA4's {event}",
        "event_id": "made by the page" if mapped.event_id is None else "the name and transaction_id",
    }
    answer = _of_page(wire, place, why)
    if page is None and answer["event"] is not None:
        del answer["event"]["event_source_url"]
        answer["why"]["event_source_url"] = "left out here: the push does not name the page by page_location"
    return answer


def _of_segment(place: _Place) -> Json:
    """One message of a server's batch."""
    raw = place.asked.event
    if isinstance(raw, dict) and not raw.get("messageId"):
        raw = {**raw, "messageId": NEW_ID}
    now_ms = stated_now_ms(raw) if place.asked.now_ms is None else place.asked.now_ms
    event = read_message(raw, place.site.mapping, now_ms=now_ms or 0)
    if isinstance(event, NoEvent):
        return _ignored(place.row, event.reason)
    return _of_server(event, place, now_ms)


def _of_graph(place: _Place) -> Json:
    """One event as it would be sent to Graph."""
    raw = place.asked.event
    if isinstance(raw, dict) and raw.get("event_id") is None:
        raw = {**raw, "event_id": NEW_ID}
    time = raw.get("event_time") if isinstance(raw, dict) else None
    stated_ms = time * 1_000 if isinstance(time, int) and not isinstance(time, bool) else None
    now_ms = stated_ms if place.asked.now_ms is None else place.asked.now_ms
    event = parse_server_event(raw, pixel_ids=_pixel_ids(place, raw), received_ms=now_ms or 0, sender="Graph")
    return _of_server(event, place, now_ms)


def _of_server(event: ServerSideEvent | Refused, place: _Place, now_ms: int | None) -> Json:
    """A server's event; where the row has no clock, it is explained at the time that it states itself."""
    if isinstance(event, Refused):
        return _refused(place.row, event.reason)
    received_ms = event.event_time_ms if place.asked.now_ms is None else place.asked.now_ms
    outbox = enrich_server(event, received_ms=received_ms, site=place.site, settings=place.settings)
    if isinstance(outbox, Refused):
        return _refused(place.row, outbox.reason)
    first = outbox[0]
    if first.fate is not None:
        return _answer(place.row, None, str(first.fate_reason), first.why)
    sent = assemble(first.server_event, first.client_ip_address, first.client_user_agent)
    if now_ms is None:
        sent["event_time"] = TIMESTAMP
    return _answer(place.row, sent, None, first.why)


def _place(row: object, asked: _EventRow, settings: Settings) -> _Place:
    if asked.trusted_proxies is not None or not settings.server.trusted_proxies:
        server = msgspec.structs.replace(settings.server, trusted_proxies=proxies(asked))
        settings = msgspec.structs.replace(settings, server=server)
    site = next(iter(settings.site), _SITE)
    if asked.site is not None:
        site = msgspec.convert(msgspec.to_builtins(_SITE) | asked.site, Site)
    return _Place(site=site, settings=settings, asked=asked, row=row)


def _pixel_ids(place: _Place, event: object) -> tuple[str, ...]:
    named = event.get("pixel_ids") if place.site is _SITE and isinstance(event, dict) else None
    if isinstance(named, list):
        return tuple(pixel for pixel in named if isinstance(pixel, str))
    return place.site.pixel_ids()


def _facts(asked: _EventRow, event: BrowserEvent) -> RequestFacts:
    return RequestFacts(
        received_ms=event.age_ms if asked.now_ms is None else asked.now_ms,
        peer=_SOME_PEER if asked.remote is None else asked.remote,
        forwarded_for=asked.lines(asked.xff),
        forwarded=asked.lines(asked.forwarded),
        user_agent=_SOME_USER_AGENT if asked.user_agent is None else asked.user_agent,
        cookies=asked.cookies or {},
        sec_purpose=None,
        sec_gpc=False,
    )


def _sent(outbox: OutboxEvent, posted: BrowserEvent, asked: _EventRow) -> Json:
    """The event as Graph would get it, without what only a clock or the request could tell."""
    event = assemble(
        outbox.server_event,
        None if asked.remote is None else outbox.client_ip_address,
        None if asked.user_agent is None else outbox.client_user_agent,
    )
    if asked.now_ms is None:
        event["event_time"] = TIMESTAMP
    if fbc := shown_fbc(event["user_data"].get("fbc"), asked, posted.fbc):
        event["user_data"]["fbc"] = fbc
    return event


def _why(outbox: OutboxEvent, asked: _EventRow) -> Json:
    why = dict(outbox.why)
    if asked.remote is None:
        why["client_ip_address"] = "left out here: the row does not name the connection's other end by remote"
        why["client_ip_address_source"] = "none"
    if asked.user_agent is None:
        why["client_user_agent"] = why["agent"] = "left out here: the row gives no user_agent"
    return why


def _refused(row: object, reason: Refusal) -> Json:
    return _answer(row, None, reason, {"refused": REFUSAL_SENTENCES[reason]})


def _ignored(row: object, reason: Ignored) -> Json:
    return _answer(row, None, reason, {"refused": IGNORED_SENTENCES[reason]})


def _answer(row: object, event: Json | None, refused: str | None, why: Json) -> Json:
    return {"id": id_of(row), "event": event, "refused": refused, "why": why}
