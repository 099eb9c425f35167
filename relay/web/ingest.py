"""`POST /v1/events`: authenticate, bound, check, enrich, commit; only then 202. See docs/wire.md."""

import asyncio
from collections.abc import Sequence
from typing import Final, NamedTuple

import msgspec
import structlog
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response

from relay.errors import StoreError
from relay.event.address import ClientAddress, Family
from relay.event.enrich import connection_address, enrich
from relay.event.fields import STANDARD_EVENTS, Refused
from relay.event.issue import IssueKind
from relay.event.outcome import (
    BODY_SENTENCES,
    BODY_STATUS,
    REFUSAL_SENTENCES,
    Admission,
    BodyReason,
    Refusal,
)
from relay.event.records import OutboxEvent, RequestFacts
from relay.event.wire import BODY_MAX_BYTES, WireError, parse_body, parse_event
from relay.forms import read_body
from relay.metrics import Metrics
from relay.proxies import CLIENT_HEADERS
from relay.settings import Settings, Site
from relay.store.protocol import IssueSeen, Store
from relay.web.cookies import acknowledge, renew_cookies
from relay.web.errors import JsonResponse, error
from relay.web.headers import NO_STORE
from relay.web.origin import OPAQUE, is_allowed, is_of_site, origin_of, readable_by_pages
from relay.web.rates import Limited, Rates, asker
from relay.web.waking import wake

log = structlog.get_logger("relay.web")

CONTENT_TYPES: Final = frozenset({"text/plain", "application/json"})
RETRY_AFTER_SECONDS: Final = 5
BEST_FIRST: Final = tuple(Admission)

OF_PROVIDERS: Final = {name.encode(): name for name in CLIENT_HEADERS}
OF_FACTS: Final = OF_PROVIDERS.keys() | {
    b"x-forwarded-for", b"forwarded", b"user-agent", b"sec-purpose", b"sec-gpc",
}  # fmt: skip

# The visitor's choice, or no visitor at all: nothing to mend.
BY_CHOICE: Final = frozenset(
    {Refusal.CONSENT_DENIED, Refusal.CONSENT_MISSING, Refusal.PRIVACY_CONTROL, Refusal.PREFETCH}
)


class Keys(NamedTuple):
    """What an event's tokens and signature are checked with."""

    relay: Sequence[str]  # this relay's own
    shop: Sequence[str]  # shared with the shop's server


class RefusedEvent(msgspec.Struct, frozen=True, kw_only=True):
    event_id: str | None
    reason: Refusal
    message: str


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """The 202's body. The first four add up to the number of events posted."""

    accepted: int
    updated: int
    duplicates: int
    refused: tuple[RefusedEvent, ...]
    family: Family | None  # of the connection's address, so that the page knows whether to look for another


async def post_events(request: Request) -> Response:
    """One post of a snippet: whole posts are refused with a 4xx, single events inside the 202."""
    state = request.app.state
    settings: Settings = state.settings
    origin = origin_of(request.headers)
    site_key = ""  # an unknown key is not counted by name: the sender could make up any number of them
    rates: Rates = state.rates
    try:
        facts = request_facts(request, state.clock_ms())
        connection = connection_address(facts, settings)
        if (who := asker(facts, connection, settings)) is not None:
            rates.addresses.take(who)
        check_head(request.headers, origin)
        post = parse_body(await read_post(request))
        site = known_site(settings, post.site_key)
        site_key = site.key
        page = page_origin(origin, site)
        state.loads.heard(site.key, page, facts.received_ms)
        rates.sites.take(site.key, len(post.events))
        response = await take(request, site, page, post.events, facts, connection)
    except Limited as limited:
        response = await rates.answer(limited)
    except WireError as refused:
        await count_refused(request, site_key, [refused.reason])
        if refused.reason is BodyReason.ORIGIN_NOT_ALLOWED and site_key and origin is not None:
            await _note(request, [IssueSeen(site_key, IssueKind.ORIGIN_NOT_ALLOWED, "", origin[:200], "")])
        response = error(BODY_STATUS[refused.reason], refused.reason, BODY_SENTENCES[refused.reason])
    except StoreError as failure:
        response = store_unavailable(failure, site_key)
    return readable_by_pages(request, response)


def store_unavailable(failure: StoreError, site_key: str = "") -> Response:
    """Nothing was taken, whoever sent it; the sender keeps it."""
    log.error("store_unavailable", kind=type(failure).__name__, site=site_key)
    message = "The relay cannot commit events now. Keep them and come back."
    return error(503, "store_unavailable", message, {"retry-after": str(RETRY_AFTER_SECONDS)})


def check_head(headers: Headers, origin: str | None) -> None:
    """What can be refused before the body is read: a page's text or JSON, uncompressed, of a size we take.

    A compressed body of that size could unfold into a large one.
    """
    if origin is None:
        raise WireError(BodyReason.ORIGIN_MISSING)
    content_type = headers.get("content-type", "").partition(";")[0].strip().lower()
    if content_type not in CONTENT_TYPES:
        raise WireError(BodyReason.CONTENT_TYPE)
    if "content-encoding" in headers:
        raise WireError(BodyReason.CONTENT_ENCODING)
    length = headers.get("content-length", "")
    if length.isascii() and length.isdigit() and int(length[:20]) > BODY_MAX_BYTES:
        raise WireError(BodyReason.BODY_TOO_LARGE)


async def read_post(request: Request) -> bytes:
    return await read_body(request, BODY_MAX_BYTES, WireError(BodyReason.BODY_TOO_LARGE))


def known_site(settings: Settings, key: str) -> Site:
    site = settings.site_by_key(key)
    if site is None:
        raise WireError(BodyReason.UNKNOWN_SITE)
    return site


def page_origin(origin: str | None, site: Site) -> str:
    """The posting page's origin, one of the site's own."""
    if origin is None:
        raise WireError(BodyReason.ORIGIN_MISSING)
    if not is_allowed(origin, [site]):
        raise WireError(BodyReason.ORIGIN_NOT_ALLOWED)
    return origin


def request_facts(request: Request, received_ms: int) -> RequestFacts:
    """What this relay saw of the request by itself; which of it to believe is decided in `enrich`."""
    lines: dict[bytes, tuple[str, ...]] = {}
    for name, value in request.scope["headers"]:  # one look at each, of which a browser sends some twenty
        if name in OF_FACTS:
            lines[name] = (*lines.get(name, ()), value.decode("latin-1"))
    return RequestFacts(
        received_ms=received_ms,
        peer=request.client.host if request.client else None,
        forwarded_for=lines.get(b"x-forwarded-for", ()),
        forwarded=lines.get(b"forwarded", ()),
        provider_headers={name: lines[raw] for raw, name in OF_PROVIDERS.items() if raw in lines},
        user_agent=next(iter(lines.get(b"user-agent", ())), None),
        cookies=request.cookies,
        sec_purpose=next(iter(lines.get(b"sec-purpose", ())), None),
        sec_gpc=next(iter(lines.get(b"sec-gpc", ())), "").strip() == "1",
    )


async def take(
    request: Request,
    site: Site,
    page: str,
    raw_events: Sequence[object],
    facts: RequestFacts,
    connection: ClientAddress,
) -> Response:
    """Commit what is good in one transaction, and say what was not and why."""
    state = request.app.state
    settings: Settings = state.settings
    keys = Keys(relay=state.signing_keys, shop=state.conversion_keys.get(site.key, ()))
    outcomes = [check_event(raw, facts, connection, site, settings, keys, page=page) for raw in raw_events]
    rows = [outcome for outcome in outcomes if not isinstance(outcome, Refused)]
    refused = [outcome for outcome in outcomes if isinstance(outcome, Refused)]
    admissions = await admit_rows(request, rows)
    if refused:
        await count_refused(request, site.key, [outcome.reason for outcome in refused])
        await _note(request, refusals(site.key, raw_events, outcomes))
    answer = summary(admissions, refused, connection.family)
    response = JsonResponse(answer, status_code=202, headers=NO_STORE)
    if rows:
        renew_cookies(response, rows[-1][0], page, settings.server.public_url)
    if request.headers.get("sec-fetch-mode") == "no-cors":  # a beacon
        taken = [
            raw
            for raw, outcome in zip(raw_events, outcomes, strict=True)
            if isinstance(raw, dict) and not isinstance(outcome, Refused)
        ]
        acknowledge(response, taken, page, settings.server.public_url)
    return response


async def admit_rows(request: Request, rows: Sequence[tuple[OutboxEvent, ...]]) -> list[Admission]:
    """Commit the rows of several events in one transaction; an admission for each event, in order.

    One that fanned out counts once, as the best that any of its pixels got.
    """
    if not rows:
        return []
    state = request.app.state
    store: Store = state.store
    metrics: Metrics = state.metrics
    settings: Settings = state.settings
    events = [event for fanned_out in rows for event in fanned_out]
    admissions = await store.admit(events)
    due_ms = [
        due
        for event, admission in zip(events, admissions, strict=True)
        if (due := _due_ms(event, admission)) is not None
    ]
    if due_ms:
        wake(request, min(due_ms))
    best = best_of(rows, admissions)
    for (event, *_), admission in zip(rows, best, strict=True):
        metrics.admitted(event, admission)
        if settings.telemetry.log_events:
            log.info(
                "event_admitted",
                site=event.site,
                event_name=event.event_name,
                event_id=event.event_id,
                admission=admission.value,
            )
    return best


def _due_ms(event: OutboxEvent, admission: Admission) -> int | None:
    """When a courier has to look; one that is better known now may be due sooner than this post says."""
    if admission is Admission.DUPLICATE:
        return None
    return 0 if admission is Admission.UPDATED else event.not_before_ms


def check_event(
    raw: object,
    facts: RequestFacts,
    connection: ClientAddress,
    site: Site,
    settings: Settings,
    keys: Keys,
    *,
    page: str,
) -> tuple[OutboxEvent, ...] | Refused:
    """One event of the post: a row for each pixel, or why it was not accepted."""
    event = parse_event(raw, pixel_ids=site.pixel_ids())
    if isinstance(event, Refused):
        return event
    if page == OPAQUE and not is_of_site(event.url, site):
        return Refused(event_id=event.event_id, reason=Refusal.FOREIGN_URL)
    return enrich(
        event,
        facts,
        site,
        connection=connection,
        settings=settings,
        signing_keys=keys.relay,
        conversion_keys=keys.shop,
    )


def refusals(
    site: str, raw_events: Sequence[object], outcomes: Sequence[tuple[OutboxEvent, ...] | Refused]
) -> list[IssueSeen]:
    """The refused events that somebody should look at: not those of visitors who said no."""
    return [
        IssueSeen(site, IssueKind.REFUSED, event_name(raw), outcome.reason, "")
        for raw, outcome in zip(raw_events, outcomes, strict=True)
        if isinstance(outcome, Refused) and outcome.reason not in BY_CHOICE
    ]


def event_name(raw: object) -> str:
    """What a refused event calls itself, as far as it can be shown: only Meta's own names are certain."""
    name = raw.get("event_name") if isinstance(raw, dict) else None
    return name if isinstance(name, str) and name in STANDARD_EVENTS else ""


def summary(
    admissions: Sequence[Admission], refused: Sequence[Refused] = (), family: Family | None = None
) -> Answer:
    """Counts per event, as `admit_rows` answers them."""
    return Answer(
        accepted=admissions.count(Admission.ACCEPTED),
        updated=admissions.count(Admission.UPDATED),
        duplicates=admissions.count(Admission.DUPLICATE),
        refused=tuple(
            RefusedEvent(event_id=r.event_id, reason=r.reason, message=REFUSAL_SENTENCES[r.reason])
            for r in refused
        ),
        family=family,
    )


def best_of(rows: Sequence[tuple[OutboxEvent, ...]], admissions: Sequence[Admission]) -> list[Admission]:
    """For each event, the best that any of its pixels got."""
    if len(rows) == len(admissions):
        return list(admissions)
    rest = iter(admissions)
    return [min((next(rest) for _ in fanned_out), key=BEST_FIRST.index) for fanned_out in rows]


async def _note(request: Request, seen: Sequence[IssueSeen]) -> None:
    store: Store = request.app.state.store
    now_ms: int = request.app.state.clock_ms()
    try:
        for each in seen:
            await store.note(each, now_ms=now_ms)
    except StoreError as failure:  # as for a count
        log.warning("issue_not_noted", kind=type(failure).__name__)


async def count_refused(request: Request, site: str, reasons: Sequence[str]) -> None:
    store: Store = request.app.state.store
    metrics: Metrics = request.app.state.metrics
    now_ms: int = request.app.state.clock_ms()
    metrics.refused(site, reasons)
    counts = (store.count_refused(site, reason, now_ms) for reason in reasons)
    # A count that cannot be kept must not change the answer: what was accepted is committed already.
    for outcome in await asyncio.gather(*counts, return_exceptions=True):
        if isinstance(outcome, StoreError):
            log.warning("refusal_not_counted", site=site, kind=type(outcome).__name__)
        elif isinstance(outcome, BaseException):
            raise outcome
