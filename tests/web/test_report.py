"""`POST /v1/report`: taken from the site's own pages only, and counted."""

from pathlib import Path

import msgspec
import pytest

from relay.event.outcome import BodyReason
from relay.settings import Limits
from relay.store.protocol import SenderCount
from tests.event.malformed import SITE_KEY
from tests.web.lab import HEADERS, NOW_MS, ORIGIN, Relay, lab_settings, open_relay

pytestmark = pytest.mark.anyio

SEEN = [{"sender": "page"}, {"sender": "gtm", "count": 3}]


async def report(relay: Relay, *, site: str = SITE_KEY, seen: object = SEEN, **headers: str) -> int:
    body = msgspec.json.encode({"site": site, "seen": seen})
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return (await relay.http.post("/v1/report", content=body, headers=HEADERS | named)).status_code


async def test_a_report_is_counted_by_site_and_page(relay: Relay) -> None:
    assert [await report(relay), await report(relay)] == [204, 204]
    page, gtm = sorted(await relay.store.senders(since_ms=NOW_MS), key=lambda row: -len(row.sender))
    assert (page.sender, page.pages, page.count) == ("page", 2, 2)
    assert gtm == SenderCount(
        site=SITE_KEY,
        sender="gtm",
        pixel="",
        event_name="",
        ids="",
        first_ms=NOW_MS,
        last_ms=NOW_MS,
        pages=2,
        count=6,
    )


@pytest.mark.parametrize(
    ("status", "what"),
    [
        (403, {"site": "no-such-site"}),
        (403, {"origin": "https://evil.example"}),
        (403, {"origin": "null"}),
        (415, {"content_type": "image/png"}),
        (415, {"content_encoding": "gzip"}),
        (400, {"seen": []}),
    ],
)
async def test_what_an_event_could_not_be_posted_with_a_report_cannot_either(
    relay: Relay, status: int, what: dict[str, str]
) -> None:
    assert await report(relay, **what) == status
    assert await relay.store.senders(since_ms=0) == []


async def test_a_refusal_says_what_is_wrong(relay: Relay) -> None:
    answer = await relay.http.post("/v1/report", content=b'{"site": 1}', headers=HEADERS)
    assert answer.json()["error"]["reason"] == BodyReason.INVALID_REPORT
    assert answer.headers["access-control-allow-origin"] == ORIGIN


async def test_reports_use_up_the_budgets_of_events(tmp_path: Path) -> None:
    settings = msgspec.structs.replace(
        lab_settings(tmp_path), limits=Limits(address_posts_per_minute=2, answer_delay_ms=0)
    )
    async with open_relay(settings) as relay:
        assert [await report(relay) for _ in range(3)] == [204, 204, 429]


async def test_a_page_may_ask_first(relay: Relay) -> None:
    answer = await relay.http.options("/v1/report", headers={"origin": ORIGIN})
    assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (204, ORIGIN)
