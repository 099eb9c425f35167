"""What looks wrong with the events, as a page and as JSON: what it means, an event that shows it, how to mend it."""

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from relay.event.issue import ISSUE_WORDS, IssueKind, Severity
from relay.store.protocol import Issue, Store
from relay.web.errors import JsonResponse
from relay.web.headers import NO_STORE
from relay.web.pages import show


class IssueView(msgspec.Struct, frozen=True, kw_only=True):
    """One issue with its words."""

    kind: IssueKind
    severity: Severity
    title: str
    sentence: str
    fix: str
    site: str
    event_name: str
    place: str
    event_id: str
    first_ms: int
    last_ms: int
    count: int
    sample: str
    resolved_ms: int | None


class IssueList(msgspec.Struct, frozen=True, kw_only=True):
    """The costly ones first, then the newest."""

    issues: list[IssueView]


async def issues_page(request: Request) -> Response:
    return show(request, "console/issues.html", issues=await read_issues(request))


async def issues_json(request: Request) -> Response:
    return JsonResponse(IssueList(issues=await read_issues(request)), headers=NO_STORE)


async def read_issues(request: Request) -> list[IssueView]:
    store: Store = request.app.state.store
    views = [in_words(issue) for issue in await store.issues()]
    return sorted(views, key=lambda view: (list(Severity).index(view.severity), -view.last_ms))


def in_words(issue: Issue) -> IssueView:
    words = ISSUE_WORDS[issue.kind]
    return IssueView(**msgspec.structs.asdict(issue), **msgspec.structs.asdict(words))
