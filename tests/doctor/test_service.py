"""Health, script and CORS of a real relay, and of what may stand in its place."""

from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import msgspec
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from relay.doctor.finding import Check, Finding, Status
from relay.doctor.service import FOREIGN, check_cors, check_health, check_script
from relay.settings import AddressHosts
from relay.store.protocol import Filters, Store
from tests.doctor.lab import (
    SHOP,
    Front,
    network_of,
    only,
    relay_on_loopback,
    served,
    settings_for,
    statuses,
    subject_of,
)

pytestmark = pytest.mark.anyio

ORIGIN = f"https://{SHOP}"


async def instead(check: Any, answer: Response | None) -> list[Finding]:
    """What the check finds where the relay should be: this answer to everything, or nobody."""
    app = Starlette(routes=[Route("/{path:path}", lambda _: answer, methods=["GET", "POST", "OPTIONS"])])
    async with AsyncExitStack() as stack:
        network = await stack.enter_async_context(network_of())
        port = 9 if answer is None else await stack.enter_async_context(served(app))
        found: list[Finding] = await check(
            subject_of(settings_for(Path(), f"http://127.0.0.1:{port}")), network
        )
    return found


async def test_a_running_relay_is_well_in_every_respect(tmp_path: Path) -> None:
    async with relay_on_loopback(tmp_path) as subject, network_of() as network:
        found = [
            *await check_health(subject, network),
            *await check_script(subject, network),
            *await check_cors(subject, network),
        ]
    assert set(statuses(found).values()) == {Status.OK}
    assert [finding.check for finding in found] == [
        Check.HEALTH,
        Check.READY,
        Check.SCRIPT,
        Check.CORS,
        Check.CORS,
    ]


async def test_the_parts_that_the_settings_want_are_looked_at_too(tmp_path: Path) -> None:
    async with relay_on_loopback(tmp_path) as subject, network_of() as network:
        hosts = AddressHosts(ipv4="http://127.0.0.1:1")
        site = msgspec.structs.replace(subject.site, consent_source="tcf", address_hosts=hosts)
        found = await check_script(msgspec.structs.replace(subject, site=site), network)
    assert statuses(found) == {
        f"script {subject.relay}/{name}": Status.OK
        for name in ("c.js", "address.js", "consent.js", "consent/tcf.js")
    }


async def test_a_script_without_its_cors_header_fails() -> None:
    finding = only(await instead(check_script, Response("1", media_type="text/javascript")))
    assert (finding.status, finding.seen) == (Status.FAIL, "no Access-Control-Allow-Origin: *")


async def test_looking_stores_no_event(tmp_path: Path) -> None:
    kept: list[Any] = []

    def keep(app: Any) -> Any:
        kept.append(app)
        return app

    async with (
        relay_on_loopback(tmp_path, front=keep) as subject,
        network_of() as network,
    ):
        await check_cors(subject, network)
        store: Store = kept[0].state.store
        assert await store.recent(Filters()) == []
        assert (await store.totals()).waiting == 0


async def test_nobody_at_public_url_fails() -> None:
    for check in (check_health, check_script, check_cors):
        for finding in await instead(check, None):
            assert finding.status is Status.FAIL
            assert "does not answer" in finding.seen
            assert "Start the relay" in (finding.fix or "")


async def test_somebody_else_at_public_url_fails() -> None:
    page = PlainTextResponse("It works!")
    health, ready = await instead(check_health, page)
    assert (health.status, health.seen, ready.status) == (Status.FAIL, "HTTP 200 It works!", Status.FAIL)
    script = only(await instead(check_script, page))
    assert (script.status, script.seen) == (Status.FAIL, "HTTP 200 It works! (text/plain; charset=utf-8)")
    own, foreign = await instead(check_cors, page)
    assert (own.status, foreign.status) == (Status.FAIL, Status.OK)
    assert "the preflight got HTTP 200" in own.seen


async def test_a_firewall_that_answers_posts_with_the_right_headers_is_told() -> None:
    headers = {"access-control-allow-origin": ORIGIN, "access-control-allow-credentials": "true"}

    def answer(request: Request) -> Response:
        if request.method == "OPTIONS":
            return Response(status_code=204, headers=headers)
        return PlainTextResponse("Bad request, id 7", 400, headers)

    app = Starlette(routes=[Route("/v1/events", answer, methods=["POST", "OPTIONS"])])
    async with served(app) as port, network_of() as network:
        subject = subject_of(settings_for(Path(), f"http://127.0.0.1:{port}"))
        own, _ = await check_cors(subject, network)
    assert (own.status, own.seen) == (
        Status.FAIL,
        "an empty post was answered by somebody else: HTTP 400 Bad request, id 7",
    )


async def test_a_redirect_says_where_public_url_has_moved() -> None:
    health, _ = await instead(check_health, RedirectResponse("https://relay.example/healthz", 301))
    assert health.seen == "HTTP 301 to https://relay.example/healthz"


async def test_a_relay_that_is_not_ready_says_itself_what_to_do() -> None:
    answer = JSONResponse({"error": {"reason": "store_not_ready", "message": "Look for a full disk."}}, 503)
    _, ready = await instead(check_health, answer)
    assert (ready.check, ready.status) == (Check.READY, Status.FAIL)
    assert (ready.seen, ready.fix) == ("HTTP 503, store_not_ready", "Look for a full disk.")


@pytest.mark.parametrize(
    ("added", "said"),
    [
        ({"access-control-allow-origin": "*"}, f"Access-Control-Allow-Origin: {ORIGIN}, *"),
        ({"access-control-allow-credentials": "true"}, "no Access-Control-Allow-Credentials"),
    ],
)
async def test_a_proxy_that_adds_cors_headers_is_told(
    tmp_path: Path, added: dict[str, str], said: str
) -> None:
    def front(app: Any) -> Front:
        return Front(app, answers=added)

    async with relay_on_loopback(tmp_path, front=front) as subject, network_of() as network:
        own, foreign = await check_cors(subject, network)
    assert (own.about, own.status) == (ORIGIN, Status.FAIL)
    assert said in own.seen
    if "access-control-allow-origin" in added:
        assert (foreign.status, foreign.seen) == (
            Status.FAIL,
            f"Access-Control-Allow-Origin: * for {FOREIGN}",
        )


async def test_a_relay_that_runs_without_the_origin_is_told_to_restart(tmp_path: Path) -> None:
    async with relay_on_loopback(tmp_path) as subject, network_of() as network:
        new = "https://new.example"
        changed = subject_of(settings_for(tmp_path, subject.relay, origins=[new]))
        own, _ = await check_cors(changed, network)
    assert own.status is Status.FAIL
    assert "the preflight got HTTP 403" in own.seen
    assert f"does not list {new}: restart it" in (own.fix or "")
