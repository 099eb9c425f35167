"""Alerts: what is wrong now, what was, and who was told; as a page and as JSON."""

from typing import Any, Final
from urllib.parse import urlsplit

import msgspec
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from relay.delivery.watch import Watch
from relay.event.alert import ALERT_WORDS, AlertKind, AlertState
from relay.event.notice import Notice, target_of
from relay.settings import Settings
from relay.store.protocol import Store
from relay.web.errors import JsonResponse, error
from relay.web.headers import NO_STORE
from relay.web.pages import show
from relay.web.signin import comes_from_here

NOTICES_SHOWN: Final = 50


class AlertView(msgspec.Struct, frozen=True, kw_only=True):
    """One alert in words."""

    kind: AlertKind
    subject: str
    raised: bool
    since_ms: int
    title: str
    detail: str
    fix: str


class NoticeView(msgspec.Struct, frozen=True, kw_only=True):
    """One message to one address; of the address only the host."""

    id: str
    type: str
    about: str
    host: str  # empty where the address is no longer among the settings
    created_ms: int
    due_ms: int | None
    attempts: int
    told_ms: int | None
    problem: str | None


class AlertReport(msgspec.Struct, frozen=True, kw_only=True):
    """Raised alerts first, then the newest."""

    hosts: tuple[str, ...]
    alerts: tuple[AlertView, ...]
    notices: tuple[NoticeView, ...]


async def alerts_page(request: Request) -> Response:
    settings: Settings = request.app.state.settings
    return show(request, "console/alerts.html", report=await read_alerts(request), limits=settings.alerts)


async def alerts_json(request: Request) -> Response:
    return JsonResponse(await read_alerts(request), headers=NO_STORE)


async def post_test(request: Request) -> Response:
    if not comes_from_here(request):
        return error(403, "cross_site", "This must be sent from the relay's own page.")
    watch: Watch = request.app.state.watch
    await watch.send_test()
    return RedirectResponse("/alerts", status_code=303, headers=NO_STORE)


async def read_alerts(request: Request) -> AlertReport:
    store: Store = request.app.state.store
    settings: Settings = request.app.state.settings
    hosts = {target_of(url): urlsplit(url).netloc for url in settings.alerts.urls}
    states = sorted(await store.alerts(), key=lambda state: (not state.raised, -state.since_ms))
    return AlertReport(
        hosts=tuple(hosts.values()),
        alerts=tuple(map(_view, states)),
        notices=tuple(
            _notice(notice, hosts.get(notice.target, ""))
            for notice in await store.notices(limit=NOTICES_SHOWN)
        ),
    )


def _view(state: AlertState) -> AlertView:
    words = ALERT_WORDS[state.kind]
    return AlertView(**msgspec.structs.asdict(state), title=words.title, fix=words.fix)


def _notice(notice: Notice, host: str) -> NoticeView:
    body: dict[str, Any] = msgspec.json.decode(notice.body)
    data = body["data"]
    return NoticeView(
        id=notice.id,
        type=body["type"],
        about=" ".join(filter(None, (data.get("title"), data.get("subject")))),
        host=host,
        created_ms=notice.created_ms,
        due_ms=notice.due_ms,
        attempts=notice.attempts,
        told_ms=notice.told_ms,
        problem=notice.problem,
    )
