"""A page whose own security policy keeps its posts in says so by the address of a script."""

from pathlib import Path

import pytest

from relay.event.issue import IssueKind
from relay.web.policy import PAGE_POLICY
from tests.event.malformed import SITE_KEY
from tests.web.lab import ORIGIN, Relay

ROOT = Path(__file__).parent.parent.parent
pytestmark = pytest.mark.anyio


async def test_the_report_is_counted_and_answered_with_an_empty_script(relay: Relay) -> None:
    response = await relay.http.get("/policy.js", params={"site": SITE_KEY}, headers={"origin": ORIGIN})
    assert (response.status_code, response.text) == (200, "")
    assert response.headers["content-type"].startswith("text/javascript")
    assert response.headers["access-control-allow-origin"] == ORIGIN
    assert response.headers["cache-control"] == "no-store"
    assert (await relay.store.totals()).refused == 1
    (issue,) = await relay.store.issues()
    assert (issue.kind, issue.site, issue.place) == (IssueKind.PAGE_POLICY, SITE_KEY, ORIGIN)


@pytest.mark.parametrize(
    ("site", "origin"),
    [("no-such", ORIGIN), ("", ORIGIN), (SITE_KEY, "https://evil.example"), (SITE_KEY, None)],
)
async def test_nobody_else_is_counted(relay: Relay, site: str, origin: str | None) -> None:
    headers = {"origin": origin} if origin else {}
    response = await relay.http.get("/policy.js", params={"site": site}, headers=headers)
    assert response.status_code == 403
    assert response.json()["error"]["reason"] in ("unknown_site", "origin_missing", "origin_not_allowed")
    assert (await relay.store.totals()).refused == 0


def test_its_reason_is_documented() -> None:
    assert f"`{PAGE_POLICY}`" in (ROOT / "docs" / "refusals.md").read_text("utf-8")
