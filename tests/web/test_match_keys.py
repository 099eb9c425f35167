"""The Match keys page: coverage, ages, what could not be used, and the estimate."""

from html import unescape
from typing import Any

import pytest

from relay.event.issue import Finding, IssueKind
from relay.web.match_keys import BEST_PRACTICES, HELP_PAGE, KEYS, missing
from tests.store.samples import NOW_MS, end_all, event
from tests.web.lab import Relay

pytestmark = pytest.mark.anyio

HASH = "a" * 64
DAY_MS = 86_400_000


async def read(console: Relay, query: str = "") -> Any:
    response = await console.http.get(f"/api/match-keys{query}")
    assert (response.status_code, response.headers["cache-control"]) == (200, "no-store")
    return response.json()


async def test_coverage_is_the_share_of_delivered_events_that_carry_the_key(console: Relay) -> None:
    fbc = f"fb.1.{NOW_MS - 3 * DAY_MS}.click"
    await console.store.admit(
        [
            event("p1", user_data={"em": [HASH], "fbc": fbc}),
            event("p2", user_data={"em": [HASH]}),
            event("v1", event_name="PageView", client_ip_address=None),
        ]
    )
    assert (await read(console))["delivered"] == 0, "what waits is not counted yet"
    await end_all(console.store)
    report = await read(console)
    told = {each["event_name"]: each for each in report["events"]}
    assert list(told) == ["Purchase", "PageView"]
    assert told["Purchase"]["shares"]["em"] == 1.0
    assert told["Purchase"]["shares"]["fbc"] == 0.5
    assert told["PageView"]["shares"]["client_ip_address"] == 0.0
    assert set(told["PageView"]["shares"]) == set(KEYS)
    assert report["fbc_age_days"] == {"3": 1}
    html = unescape((await console.http.get("/match-keys")).text)
    assert 'title="em in 100 % of Purchase"' in html
    assert HASH not in html


async def test_a_value_that_could_not_be_used_shows_its_shape(console: Relay) -> None:
    finding = Finding(kind=IssueKind.UNUSABLE_KEY, place="user_data.ph", sample="999-xx: not 7 to 15 digits")
    await console.store.admit([event("e1", findings=(finding,)), event("e2", findings=(finding,))])
    (unusable,) = (await read(console))["unusable"]
    assert (unusable["place"], unusable["count"]) == ("user_data.ph", 2)
    assert "999-xx: not 7 to 15 digits" in (await console.http.get("/match-keys")).text


async def test_the_estimate_is_called_one_and_says_that_meta_s_pages_disagree(console: Relay) -> None:
    await console.store.admit([event()])
    await end_all(console.store)
    html = (await console.http.get("/match-keys")).text
    assert "an estimate" in html
    assert "They disagree" in html
    assert "Meta publishes no formula" in html


def test_what_is_missing_costs_by_the_higher_priority_and_the_share() -> None:
    rows = {row.key: row for row in missing({"em": 10, "fn": 0, "fbc": 5, "ct": 0}, 10)}
    assert "em" not in rows, "it is there"
    assert (rows["fbc"].share, rows["fbc"].cost) == (0.5, 0.5)
    assert (rows["fn"].help_page, rows["fn"].best_practices, rows["fn"].cost) == ("low", True, 1.0)
    assert rows["ct"].cost < rows["fbc"].cost
    assert rows["client_ip_address"].help_page is None
    assert "client_user_agent" not in rows, "neither page names it"
    costs = [row.cost for row in missing({}, 10)]
    assert costs == sorted(costs, reverse=True)


def test_of_nothing_delivered_nothing_is_missing() -> None:
    assert missing({}, 0) == ()


def test_every_published_key_is_one_that_is_counted() -> None:
    assert {*HELP_PAGE, *BEST_PRACTICES} <= set(KEYS)


@pytest.mark.parametrize("path", ["/match-keys", "/api/match-keys"])
async def test_nobody_reads_it_without_a_session(relay: Relay, path: str) -> None:
    assert (await relay.http.get(path)).status_code == 401
