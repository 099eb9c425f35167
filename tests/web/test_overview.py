"""The Overview: its sentence, its numbers and what stands in its plots."""

from html import unescape
from typing import Any

import pytest

from relay.event.outcome import BrowserState, Fate, FateReason
from relay.event.tally import Outcome
from tests.event.malformed import SITE_KEY
from tests.store.samples import REVOKED, claim, end_all, event, leg
from tests.web.lab import NOW_MS, Relay

pytestmark = pytest.mark.anyio

MINUTE_MS = 60_000


async def read(console: Relay, query: str = "") -> Any:
    response = await console.http.get(f"/api/overview{query}")
    assert (response.status_code, response.headers["cache-control"]) == (200, "no-store")
    return response.json()


async def page(console: Relay, query: str = "") -> str:
    response = await console.http.get(f"/{query}", headers={"accept": "text/html"})
    assert response.status_code == 200
    return unescape(response.text)


async def pairs(console: Relay, paired: int, alone: int = 0, **changes: Any) -> None:
    halves = [leg()] * paired + [leg(BrowserState.UNDISPATCHED)] * alone
    await console.store.admit([event(f"e{n}", leg=half, **changes) for n, half in enumerate(halves)])
    await end_all(console.store)


def tile(view: Any, name: str) -> Any:
    return next(each for each in view["tiles"] if each["name"] == name)


async def test_without_an_event_it_says_so_and_leads_to_the_set_up(console: Relay) -> None:
    view = await read(console)
    assert (view["level"], view["sentence"]) == ("none", "No event in the last 24 hours.")
    assert 'href="/setup"' in await page(console)


async def test_when_all_is_well_one_sentence_says_it(console: Relay) -> None:
    await pairs(console, 3, 1)
    view = await read(console)
    assert (view["level"], view["sentence"]) == (
        "good",
        "All is well: 75 % of what Meta received came in pairs.",
    )
    assert view["issues"] == []
    assert tile(view, "In pairs")["share"] == 0.75
    assert tile(view, "Browser first")["share"] == 1.0
    assert tile(view, "Accepted")["share"] == 1.0
    assert (tile(view, "Events")["number"], tile(view, "Oldest waiting")["ms"]) == (4, None)
    assert view["outcomes"] == {"paired": 3, "server_only": 1}


async def test_a_refused_token_is_the_first_thing_one_reads(console: Relay) -> None:
    pixel = console.settings.site[0].pixels[0].id
    await console.store.admit([event("p", pixel=pixel, site=SITE_KEY)])
    lease = await claim(console.store)
    attempt = await console.store.begin_attempt(lease, [lease.events[0].key], NOW_MS)
    await console.store.park(lease, now_ms=NOW_MS, attempt=(attempt, REVOKED))
    view = await read(console)
    assert (view["level"], view["sentence"]) == ("bad", "Meta refuses the access token.")
    issue = view["issues"][0]
    html = await page(console)
    assert f'href="/issues#issue-{issue["id"]}"' in html
    shown = unescape((await console.http.get("/issues")).text)
    assert f'id="issue-{issue["id"]}"' in shown
    assert issue["fix"] in shown
    assert "Token expired." in shown, "Meta's own words"
    assert [each["code"] for each in view["errors"]] == ["190"]


async def test_events_stand_in_the_step_in_which_they_ended(console: Relay) -> None:
    await pairs(console, 2)
    for range_, step_ms in (("1h", MINUTE_MS), ("24h", 15 * MINUTE_MS), ("7d", 120 * MINUTE_MS)):
        view = await read(console, f"?range={range_}")
        (step,) = view["steps"]
        assert (step["at_ms"], view["step_ms"]) == (NOW_MS - NOW_MS % step_ms, step_ms)
        assert (step["outcomes"], step["pair_rate"]) == ({"paired": 2}, 1.0)
        assert step["delay_p50_ms"] <= step["delay_p95_ms"] <= 50
    console.clock.now_ms = NOW_MS + 2 * 3_600_000
    await console.sign_in()
    assert (await read(console, "?range=1h"))["steps"] == []
    assert len((await read(console, "?range=24h"))["steps"]) == 1


async def test_a_site_sees_its_own_numbers(console: Relay) -> None:
    await pairs(console, 1, site="other-shop")
    assert (await read(console, "?site=other-shop"))["outcomes"] == {"paired": 1}
    assert (await read(console, f"?site={SITE_KEY}"))["outcomes"] == {}


async def test_events_that_failed_lower_what_was_accepted(console: Relay) -> None:
    await console.store.admit([event("bad")])
    await end_all(console.store, Fate.REJECTED, FateReason.REJECTED_BY_META)
    await pairs(console, 3)
    view = await read(console)
    assert (tile(view, "Accepted")["share"], view["sentence"]) == (0.75, "Meta refuses events.")


async def test_what_changed_is_marked(console: Relay) -> None:
    (start,) = [mark for mark in (await read(console))["marks"] if "started" in mark["words"]]
    assert start["at_ms"] == NOW_MS
    assert any(mark["words"] == "another snippet" for mark in (await read(console))["marks"])


async def test_the_plots_draw_every_outcome_with_its_words(console: Relay) -> None:
    await pairs(console, 3, 1)
    html = await page(console)
    assert "3 paired, 1 server only" in html
    assert f'class="fill {Outcome.PAIRED}"' in html
    assert f'class="fill {Outcome.SERVER_ONLY}"' in html
    assert "75 % in pairs" in html
    assert "style=" not in html, "the policy forbids it"


async def test_a_wrong_period_is_a_400(console: Relay) -> None:
    for path in ("/", "/api/overview", "/issues", "/api/issues"):
        assert (await console.http.get(path, params={"range": "2d"})).status_code == 400


@pytest.mark.parametrize("path", ["/", "/api/overview"])
async def test_nobody_reads_it_without_a_session(relay: Relay, path: str) -> None:
    assert (await relay.http.get(path)).status_code == 401
