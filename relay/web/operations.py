"""What each route takes and answers, in the order of `routes`: the material of `/openapi.json`.

A new route needs an entry here; `tests/test_docs.py` holds the two lists together.
"""

from typing import Final

import msgspec

from relay.event.outcome import ADDRESS_STATUS, BODY_STATUS, CALL_STATUS, BodyReason, Fate, RateReason
from relay.event.records import Json
from relay.event.report import Report
from relay.settings import SiteKey
from relay.web.address import NONCE, AddressToken
from relay.web.address_echo import AddressEcho
from relay.web.addresses import AddressReport
from relay.web.alerts import AlertReport
from relay.web.dedup import DedupReport
from relay.web.delivery import DEAD, Delivery
from relay.web.graph_ingest import VERSION
from relay.web.health import NOT_READY, Health
from relay.web.in_force import SettingsInForce
from relay.web.ingest import CONTENT_TYPES, Answer
from relay.web.issues import IssueList
from relay.web.live import LiveRows
from relay.web.mapping import MappingReport
from relay.web.match_keys import MatchKeyReport
from relay.web.metrics import REASON as METRICS_KEY
from relay.web.operation import (
    FORM,
    HTML,
    JSON,
    NONE,
    SCRIPT,
    TEXT,
    Needs,
    Operation,
    Parameter,
    Reasons,
    Reply,
    by_status,
)
from relay.web.overview import Overview
from relay.web.posted import EXAMPLE, PostedEvents
from relay.web.posted_graph import (
    GRAPH_EXAMPLE,
    GRAPH_REFUSALS,
    GraphReceived,
    GraphRefused,
    PostedGraphCall,
)
from relay.web.posted_server import SERVER_EXAMPLE, PostedServerEvents
from relay.web.quality import QualityReport
from relay.web.radar import RadarReport
from relay.web.receipt_view import ReceiptsOfEvent
from relay.web.receipts import MAX_ROWS, PAGE_ROWS, WAITING, ReceiptList
from relay.web.scope import RANGES, USUAL
from relay.web.segment_operations import segment_operations
from relay.web.server_events import ServerAnswer
from relay.web.setup import Setup
from relay.web.shadow import ShadowReport
from relay.web.upkeep import EraseAsked, ErasedEvents, PruneAsked, Pruned, ReplayAsked, Replayed

COUNT: Final[Json] = {"type": "integer", "minimum": 0, "maximum": 10**18 - 1}
FILTERS: Final = (
    Parameter(name="site", sentence="Only this site's.", schema=TEXT),
    Parameter(name="event_name", sentence="Only events of this name.", schema=TEXT),
    Parameter(
        name="fate",
        sentence="Only events that ended so, or that wait.",
        schema={"type": "string", "enum": [WAITING, *Fate]},
    ),
    Parameter(
        name="before",
        sentence="The cursor: next_before of the page before.",
        schema=COUNT,
    ),
    Parameter(
        name="limit",
        sentence=f"Rows of a page: {PAGE_ROWS}, and {MAX_ROWS} at most.",
        schema=COUNT,
    ),
)
SCOPE: Final = (
    Parameter(name="site", sentence="Only this site's.", schema=TEXT),
    Parameter(
        name="range",
        sentence=f"The period; {USUAL.name} where it is left out.",
        schema={"type": "string", "enum": [each.name for each in RANGES]},
    ),
)
EVENT_ID: Final = Parameter(
    name="event_id", sentence="The shared id.", schema=TEXT, place="path", required=True
)
PAGE: Final = Reply(sentence="A page for people.", media_type=HTML)
SIGN_IN_FIRST: Final = Reply(
    sentence="Where a page was asked for: to the sign-in page.", headers=("Location",)
)


def script(path: str, summary: str, *parameters: Parameter) -> Operation:
    return Operation(
        method="get",
        path=path,
        summary=summary,
        parameters=parameters,
        replies={
            200: Reply(sentence="The script.", media_type=SCRIPT, headers=("ETag",)),
            304: Reply(sentence="If-None-Match names these very bytes.", headers=("ETag",)),
        },
        errors={404: ("not_built", "no_such_script")},
    )


def file(path: str, summary: str, media_type: str) -> Operation:
    name = Parameter(name="file", sentence="The file's path.", schema=TEXT, place="path", required=True)
    return Operation(
        method="get",
        path=path,
        summary=summary,
        parameters=(name,),
        replies={200: Reply(sentence="The file.", media_type=media_type), 304: Reply(sentence="Unchanged.")},
        errors={404: ("not_found",)},
    )


def page(
    path: str, summary: str, *parameters: Parameter, errors: Reasons = NONE, moves: str | None = None
) -> Operation:
    """A page of the console; `moves` says when it leads on to another."""
    return Operation(
        method="get",
        path=path,
        summary=summary,
        parameters=parameters,
        replies={
            200: PAGE,
            303: Reply(sentence=f"{moves} {SIGN_IN_FIRST.sentence}", headers=("Location",))
            if moves
            else SIGN_IN_FIRST,
        },
        errors=errors,
        needs="session",
    )


def view(path: str, summary: str, record: type, *parameters: Parameter, errors: Reasons = NONE) -> Operation:
    """What a page shows, as JSON."""
    return Operation(
        method="get",
        path=path,
        summary=summary,
        parameters=parameters,
        replies={200: Reply(sentence="As the page.", media_type=JSON, record=record), 303: SIGN_IN_FIRST},
        errors=errors,
        needs="session",
    )


def act(
    path: str, summary: str, asked: type, done: type, example: Json, *, needs: Needs, errors: Reasons
) -> Operation:
    """What an operator has the relay do."""
    return Operation(
        method="post",
        path=path,
        summary=summary,
        body=asked,
        body_types=(JSON,),
        example=example,
        replies={200: Reply(sentence="It is done.", media_type=JSON, record=done)},
        errors={
            400: ("bad_request", "body_cut_short"),
            413: (BodyReason.BODY_TOO_LARGE,),
            503: ("store_unavailable",),
            **errors,
        },
        needs=needs,
    )


BAD_FILTER: Final[Reasons] = {400: ("bad_request",)}
NOT_THE_OPERATOR: Final[Reasons] = {401: ("not_the_operator",)}
NO_RECEIPT: Final[Reasons] = {404: ("unknown_event_id",)}
EVENT_REASONS: Final = tuple(reason for reason in BodyReason if reason is not BodyReason.INVALID_REPORT)
REPORT_REASONS: Final = tuple(
    reason
    for reason in BodyReason
    if reason not in (BodyReason.BODY_NOT_OBJECT, BodyReason.NO_EVENTS, BodyReason.TOO_MANY_EVENTS)
)
ORIGIN_REASONS: Final = (BodyReason.ORIGIN_MISSING, BodyReason.ORIGIN_NOT_ALLOWED)

OPERATIONS: Final[tuple[Operation, ...]] = (
    script("/c.js", "The snippet."),
    script("/c.v1.js", "The snippet, to be pinned by its hash."),
    script("/address.js", "The snippet's part for the visitor's other address."),
    Operation(
        method="get",
        path="/policy.js",
        summary="A page's own security policy keeps its posts in.",
        parameters=(
            Parameter(
                name="site",
                sentence="The site's key.",
                schema=msgspec.json.schema(SiteKey),
                required=True,
            ),
        ),
        replies={200: Reply(sentence="It is counted; an empty script.", media_type=SCRIPT)},
        errors={403: (BodyReason.UNKNOWN_SITE, *ORIGIN_REASONS), 429: (RateReason.ADDRESS,)},
        needs="origin",
    ),
    script(
        "/{part}.js",
        "A part of the snippet that only some pages need.",
        Parameter(name="part", sentence="Its name.", schema=TEXT, place="path", required=True),
    ),
    script(
        "/consent/{source}.js",
        "The adapter of one consent platform.",
        Parameter(name="source", sentence="The platform.", schema=TEXT, place="path", required=True),
    ),
    Operation(
        method="post",
        path="/v1/events",
        summary="Take events of a page.",
        body=PostedEvents,
        body_types=tuple(sorted(CONTENT_TYPES)),
        example=EXAMPLE,
        replies={
            202: Reply(
                sentence="What was accepted is committed.",
                media_type=JSON,
                record=Answer,
                example=Answer(accepted=1, updated=0, duplicates=0, refused=(), family="ipv4"),
            )
        },
        errors={
            **by_status(BODY_STATUS, EVENT_REASONS),
            400: (*by_status(BODY_STATUS, EVENT_REASONS)[400], "body_cut_short"),
            429: (RateReason.ADDRESS, RateReason.SITE),
            503: ("store_unavailable",),
        },
        needs="origin",
    ),
    Operation(
        method="options",
        path="/v1/events",
        summary="The preflight of a post as application/json.",
        replies={204: Reply(sentence="The page may post.", headers=("Access-Control-Allow-Origin",))},
        errors=by_status(BODY_STATUS, ORIGIN_REASONS),
        needs="origin",
    ),
    Operation(
        method="post",
        path="/v1/report",
        summary="Take what a page has seen of other senders.",
        body=Report,
        body_types=tuple(sorted(CONTENT_TYPES)),
        example={"site": "demo-shop", "seen": [{"sender": "gtm", "count": 1}]},
        replies={204: Reply(sentence="It is counted.")},
        errors={
            **by_status(BODY_STATUS, REPORT_REASONS),
            400: (*by_status(BODY_STATUS, REPORT_REASONS)[400], "body_cut_short"),
            429: (RateReason.ADDRESS, RateReason.SITE),
            503: ("store_unavailable",),
        },
        needs="origin",
    ),
    Operation(
        method="options",
        path="/v1/report",
        summary="The preflight of the same.",
        replies={204: Reply(sentence="The page may post.", headers=("Access-Control-Allow-Origin",))},
        errors=by_status(BODY_STATUS, ORIGIN_REASONS),
        needs="origin",
    ),
    Operation(
        method="get",
        path="/v1/address",
        summary="A signed observation of where this request came from.",
        parameters=(
            Parameter(
                name="site",
                sentence="The site's key.",
                schema=msgspec.json.schema(SiteKey),
                required=True,
            ),
            Parameter(
                name="nonce",
                sentence="The page's own.",
                schema={"type": "string", "pattern": f"^{NONCE.pattern}$"},
                required=True,
            ),
        ),
        replies={200: Reply(sentence="A token.", media_type=JSON, record=AddressToken)},
        errors={
            **by_status(ADDRESS_STATUS),
            403: (BodyReason.UNKNOWN_SITE, *ORIGIN_REASONS),
            429: (RateReason.ADDRESS,),
        },
        needs="origin",
    ),
    Operation(
        method="post",
        path="/v1/server-events",
        summary="Take events of a shop's servers.",
        body=PostedServerEvents,
        body_types=(JSON,),
        example=SERVER_EXAMPLE,
        replies={
            202: Reply(
                sentence="What was accepted is committed.",
                media_type=JSON,
                record=ServerAnswer,
                example=ServerAnswer(accepted=1, updated=0, duplicates=0, refused=()),
            )
        },
        errors={
            **by_status(CALL_STATUS),
            400: (*by_status(CALL_STATUS)[400], "body_cut_short"),
            429: (RateReason.ADDRESS, RateReason.SERVER),
            503: ("store_unavailable",),
        },
        needs="server",
    ),
    Operation(
        method="post",
        path="/graph/{version}/{pixel}/events",
        summary="Take events of Meta's SDKs, in Graph's own shape.",
        parameters=(
            Parameter(
                name="version",
                sentence="A Graph version, such as v26.0.",
                schema={"type": "string", "pattern": f"^{VERSION.pattern}$"},
                place="path",
                required=True,
            ),
            Parameter(
                name="pixel", sentence="One of the site's pixels.", schema=TEXT, place="path", required=True
            ),
            Parameter(
                name="access_token",
                sentence="As some SDKs send it; a header or the body is better.",
                schema=TEXT,
            ),
        ),
        body=PostedGraphCall,
        body_types=(JSON, FORM),
        example=GRAPH_EXAMPLE,
        replies={
            200: Reply(sentence="The call is committed.", media_type=JSON, record=GraphReceived),
            **{
                status: Reply(sentence=sentence, media_type=JSON, record=GraphRefused)
                for status, sentence in GRAPH_REFUSALS.items()
            },
        },
        needs="graph",
    ),
    Operation(
        method="get",
        path="/healthz",
        summary="Whether the process runs.",
        replies={200: Reply(sentence="It does.", media_type=JSON, record=Health)},
    ),
    Operation(
        method="get",
        path="/readyz",
        summary="Whether events can be taken and sent.",
        replies={200: Reply(sentence="They can.", media_type=JSON, record=Health)},
        errors={503: tuple(NOT_READY)},
    ),
    Operation(
        method="get",
        path="/metrics",
        summary="Counters and gauges for Prometheus.",
        replies={200: Reply(sentence="In Prometheus' text format.", media_type="text/plain")},
        errors={401: (METRICS_KEY,)},
        needs="metrics_key",
    ),
    Operation(
        method="get",
        path="/openapi.json",
        summary="This description.",
        replies={200: Reply(sentence="OpenAPI 3.1.", media_type=JSON, record=dict)},
    ),
    Operation(
        method="get",
        path="/api/address-echo",
        summary="How the relay understood this connection; `counterfoil doctor` asks.",
        replies={200: Reply(sentence="The chain as it arrived.", media_type=JSON, record=AddressEcho)},
        errors={401: ("not_the_doctor",)},
        needs="doctor",
    ),
    act(
        "/api/replay",
        "Put ended events back into the outbox, due now.",
        ReplayAsked,
        Replayed,
        {"fate": "rejected", "since_ms": 1763859600000},
        needs="person_or_command",
        errors={401: ("not_signed_in",), 403: ("cross_site",)},
    ),
    act(
        "/api/prune",
        "Forget now what was kept long enough; `counterfoil prune` asks.",
        PruneAsked,
        Pruned,
        {},
        needs="command",
        errors=NOT_THE_OPERATOR,
    ),
    act(
        "/api/erase",
        "Erase one person's events; `counterfoil erase` asks.",
        EraseAsked,
        ErasedEvents,
        {"hashes": ["62a14e44f765419d10fea99367361a727c12365e2520f32218d505ed9aa0f62f"]},
        needs="command",
        errors=NOT_THE_OPERATOR,
    ),
    page("/", "One sentence, a few numbers, and how they went.", *SCOPE, errors=BAD_FILTER),
    view(
        "/api/overview",
        "One sentence, a few numbers, and how they went.",
        Overview,
        *SCOPE,
        errors=BAD_FILTER,
    ),
    Operation(
        method="get",
        path="/sign-in",
        summary="Open a session with the code of a one-time link.",
        parameters=(Parameter(name="code", sentence="The link's code.", schema=TEXT),),
        replies={
            200: Reply(sentence="Signed in; or, without a code, how to get one.", media_type=HTML),
            403: Reply(sentence="The code is not ours, or is spent.", media_type=HTML),
        },
        errors={429: (RateReason.SIGN_IN,)},
    ),
    Operation(
        method="post",
        path="/sign-out",
        summary="End the session.",
        replies={303: Reply(sentence="To the sign-in page.", headers=("Location",))},
        errors={403: ("cross_site",)},
    ),
    page(
        "/receipts",
        "The list of receipts.",
        *FILTERS,
        Parameter(name="event_id", sentence="Leads to this receipt.", schema=TEXT),
        errors=BAD_FILTER,
        moves="To the receipt of event_id.",
    ),
    page("/receipts/{event_id}", "One event's receipts.", EVENT_ID, errors=NO_RECEIPT),
    view("/api/receipts", "The list of receipts.", ReceiptList, *FILTERS, errors=BAD_FILTER),
    view("/api/receipts/{event_id}", "One event's receipts.", ReceiptsOfEvent, EVENT_ID, errors=NO_RECEIPT),
    page("/addresses", "By which address families events come and go.", *SCOPE, errors=BAD_FILTER),
    view(
        "/api/addresses",
        "By which address families events come and go.",
        AddressReport,
        *SCOPE,
        errors=BAD_FILTER,
    ),
    page("/live", "The newest events, as they come.", *SCOPE, errors=BAD_FILTER),
    Operation(
        method="get",
        path="/live/stream",
        summary="Each row of /live that is new or has changed, as server-sent events, the last hundred first.",
        parameters=SCOPE,
        replies={
            200: Reply(sentence="Until somebody closes it.", media_type="text/event-stream"),
            303: SIGN_IN_FIRST,
        },
        errors={**BAD_FILTER, 503: ("too_many_listeners",)},
        needs="session",
    ),
    view("/api/live", "The newest events.", LiveRows, *SCOPE, errors=BAD_FILTER),
    page("/dedup", "How far apart the halves were, and what keeps them apart.", *SCOPE, errors=BAD_FILTER),
    view("/api/dedup", "How far apart the halves were.", DedupReport, *SCOPE, errors=BAD_FILTER),
    page("/match-keys", "Which events carry which match keys.", *SCOPE, errors=BAD_FILTER),
    view(
        "/api/match-keys", "Which events carry which match keys.", MatchKeyReport, *SCOPE, errors=BAD_FILTER
    ),
    page("/setup", "The next step until the first pair.", SCOPE[0], errors=BAD_FILTER),
    view("/api/setup", "The next step until the first pair.", Setup, SCOPE[0], errors=BAD_FILTER),
    page(
        "/delivery", "What waits, the calls to Graph, and what ended without Meta.", *SCOPE, errors=BAD_FILTER
    ),
    view("/api/delivery", "What waits, and the calls to Graph.", Delivery, *SCOPE, errors=BAD_FILTER),
    Operation(
        method="post",
        path="/replay",
        summary="Send again: one event, or what ended so since the beginning of the period.",
        parameters=(
            Parameter(name="event_id", sentence="One event.", schema=TEXT),
            Parameter(
                name="fate", sentence="Or all that ended so.", schema={"type": "string", "enum": [*DEAD]}
            ),
            SCOPE[1],
        ),
        replies={303: Reply(sentence="Back to the page.", headers=("Location",))},
        errors={**BAD_FILTER, 403: ("cross_site",)},
        needs="session",
    ),
    page("/shadow", "What would have been sent, beside what the incumbent sends.", *SCOPE, errors=BAD_FILTER),
    view(
        "/api/shadow",
        "What would have been sent, beside what the incumbent sends.",
        ShadowReport,
        *SCOPE,
        errors=BAD_FILTER,
    ),
    page("/issues", "What looks wrong, and how to mend it.", *SCOPE, errors=BAD_FILTER),
    view("/api/issues", "What looks wrong, and how to mend it.", IssueList, *SCOPE, errors=BAD_FILTER),
    Operation(
        method="post",
        path="/issues/{id}/resolve",
        summary="Call an issue mended; seen again, it is open again.",
        parameters=(Parameter(name="id", sentence="The issue's.", schema=TEXT, place="path", required=True),),
        replies={303: Reply(sentence="To the issues.", headers=("Location",))},
        errors={403: ("cross_site",), 404: ("unknown_issue",)},
        needs="session",
    ),
    page("/radar", "Who else sends Meta events.", *SCOPE, errors=BAD_FILTER),
    view("/api/radar", "Who else sends Meta events.", RadarReport, *SCOPE, errors=BAD_FILTER),
    page("/mapping", "What became of recent messages in Segment's format.", *SCOPE, errors=BAD_FILTER),
    view("/api/mapping", "The same.", MappingReport, *SCOPE, errors=BAD_FILTER),
    page("/quality", "What Meta says of the events.", *SCOPE, errors=BAD_FILTER),
    Operation(
        method="post",
        path="/quality/ask",
        summary="Ask Meta about the quality of the events now.",
        parameters=SCOPE,
        replies={303: Reply(sentence="Back to the page.", headers=("Location",))},
        errors={**BAD_FILTER, 403: ("cross_site",)},
        needs="session",
    ),
    view("/api/quality", "What Meta says of the events.", QualityReport, *SCOPE, errors=BAD_FILTER),
    page("/alerts", "What somebody should be told, and who was told."),
    Operation(
        method="post",
        path="/alerts/test",
        summary="Send a test to every address of the alerts.",
        replies={303: Reply(sentence="Back to the page.", headers=("Location",))},
        errors={403: ("cross_site",)},
        needs="session",
    ),
    view("/api/alerts", "What somebody should be told, and who was told.", AlertReport),
    page("/settings", "What is in force, and where it comes from."),
    view("/api/settings", "What is in force, and where it comes from.", SettingsInForce),
    *segment_operations("/v1"),
    *segment_operations("/{prefix}/v1"),
    file("/static/css/{file}", "The console's styles.", "text/css"),
    file("/static/js/console/{file}", "The console's scripts.", SCRIPT),
)
