"""What looks wrong, as a page and as JSON: what it means, since when, an event that shows it, how to mend it."""

from collections.abc import Sequence
from hashlib import blake2b
from typing import Final

import msgspec
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from relay.event.issue import ISSUE_WORDS, IssueKind, Severity
from relay.event.outcome import REFUSAL_SENTENCES, Refusal
from relay.settings import Settings, Site
from relay.store.protocol import Issue, Store
from relay.tag import policy_line
from relay.web.conditions import is_open, read_conditions
from relay.web.errors import JsonResponse, error
from relay.web.headers import NO_STORE
from relay.web.pages import show
from relay.web.scope import Scope, read_scope
from relay.web.signin import comes_from_here

# Where the evidence is, for those that no single receipt shows.
EVIDENCE: Final[dict[IssueKind, tuple[str, str]]] = {
    IssueKind.TOKEN_REFUSED: ("/delivery", "what waits, and Meta's answers"),
    IssueKind.PIXEL_REFUSED: ("/delivery", "what waits, and Meta's answers"),
    IssueKind.LATE: ("/delivery", "what waits, and Meta's answers"),
    IssueKind.REJECTED: ("/receipts?fate=rejected", "the refused events"),
    IssueKind.OTHER_FAMILY: ("/addresses", "the way of the addresses"),
    IssueKind.FOREIGN_SENDER: ("/radar", "the radar"),
    IssueKind.UNTRUSTED_PROXY: ("/addresses", "the way of the addresses"),
    IssueKind.SNIPPET_SILENT: ("/setup", "the steps of the set-up"),
    IssueKind.UNUSABLE_KEY: ("/match-keys", "the match keys"),
    IssueKind.PIXEL_BLOCKED: ("/dedup", "the pairs"),
}


class IssueView(msgspec.Struct, frozen=True, kw_only=True):
    """One issue with its words."""

    id: str  # its name on the page
    kind: IssueKind
    severity: Severity
    title: str
    sentence: str
    fix: str
    line: str | None  # to be copied into a settings file or a policy
    site: str
    event_name: str
    place: str
    event_id: str
    first_ms: int | None  # None: since before the period
    last_ms: int
    count: int
    sample: str
    resolved_ms: int | None
    is_open: bool
    can_resolve: bool  # what the relay's state shows goes by itself


class IssueList(msgspec.Struct, frozen=True, kw_only=True):
    """Open ones first, then the costly, then the newest."""

    issues: list[IssueView]


async def issues_page(request: Request) -> Response:
    return show(request, "console/issues.html", issues=await read_issues(request), evidence=EVIDENCE)


async def issues_json(request: Request) -> Response:
    return JsonResponse(IssueList(issues=await read_issues(request)), headers=NO_STORE)


async def post_resolve(request: Request) -> Response:
    """Call an issue mended; seen again later, it is open again."""
    if not comes_from_here(request):
        return error(403, "cross_site", "This must be sent from the relay's own page.")
    store: Store = request.app.state.store
    asked = request.path_params["id"]
    found = next((issue for issue in await store.issues() if id_of(issue) == asked), None)
    if found is None:
        return error(404, "unknown_issue", "There is no such issue; it may have been forgotten meanwhile.")
    await store.resolve(found, now_ms=request.app.state.clock_ms())
    return RedirectResponse("/issues", status_code=303, headers=NO_STORE)


async def read_issues(request: Request) -> list[IssueView]:
    """All that the store keeps of the site or of all, and what is the matter in the period."""
    scope = read_scope(request)
    store: Store = request.app.state.store
    kept = [issue for issue in await store.issues() if scope.site in (None, issue.site)]
    return in_order(kept, await read_conditions(request, scope), request.app.state.settings)


async def read_open(request: Request, scope: Scope) -> list[IssueView]:
    """What is open and was seen in the period."""
    store: Store = request.app.state.store
    since_ms = request.app.state.clock_ms() - scope.range.length_ms
    kept = [
        issue
        for issue in await store.issues()
        if scope.site in (None, issue.site) and issue.last_ms >= since_ms and is_open(issue)
    ]
    return in_order(kept, await read_conditions(request, scope), request.app.state.settings)


def in_order(kept: Sequence[Issue], conditions: Sequence[Issue], settings: Settings) -> list[IssueView]:
    views = [in_words(issue, settings, can_resolve=True) for issue in kept]
    views += [in_words(issue, settings, can_resolve=False) for issue in conditions]
    rank = list(Severity).index
    return sorted(views, key=lambda view: (not view.is_open, rank(view.severity), -view.last_ms))


def in_words(issue: Issue, settings: Settings, *, can_resolve: bool) -> IssueView:
    words = ISSUE_WORDS[issue.kind]
    title, sentence = words.title, words.sentence
    if issue.kind is IssueKind.REFUSED and issue.place in list(Refusal):
        title, sentence = f"Events are refused: {issue.place}", REFUSAL_SENTENCES[Refusal(issue.place)]
    return IssueView(
        id=id_of(issue),
        kind=issue.kind,
        severity=words.severity,
        title=title,
        sentence=sentence,
        fix=words.fix,
        line=line_of(issue, settings),
        site=issue.site,
        event_name=issue.event_name,
        place=issue.place,
        event_id=issue.event_id,
        first_ms=issue.first_ms or None,
        last_ms=issue.last_ms,
        count=issue.count,
        sample=issue.sample,
        resolved_ms=issue.resolved_ms,
        is_open=is_open(issue),
        can_resolve=can_resolve,
    )


def id_of(issue: Issue) -> str:
    """The same for the same cause, and no text of a stranger's."""
    cause = "\0".join((issue.site, issue.kind, issue.event_name, issue.place))
    return blake2b(cause.encode("utf-8", "surrogatepass"), digest_size=6).hexdigest()


def line_of(issue: Issue, settings: Settings) -> str | None:
    """The very line that mends it, where there is one."""
    site = settings.site_by_key(issue.site)
    if issue.kind is IssueKind.UNTRUSTED_PROXY:
        return f'trusted_proxies = ["{issue.place}"]'
    if issue.kind is IssueKind.ORIGIN_NOT_ALLOWED and site is not None:
        return origins_line(site, issue.place)
    if issue.kind in (IssueKind.SNIPPET_SILENT, IssueKind.PAGE_POLICY):
        hosts = tuple(site.address_hosts.urls().values()) if site else ()
        return policy_line(settings.server.public_url, hosts)
    return None


def origins_line(site: Site, origin: str) -> str | None:
    """Only what can be an origin is offered for copying."""
    if (
        not origin.startswith(("https://", "http://"))
        or not origin.isprintable()
        or '"' in origin
        or "\\" in origin
    ):
        return None
    quoted = ", ".join(f'"{each}"' for each in (*site.origins, origin))
    return f"origins = [{quoted}]"
