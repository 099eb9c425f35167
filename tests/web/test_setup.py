"""The set-up list: each point ticks itself, and says the exact next step until it does."""

from html import unescape
from pathlib import Path
from typing import Any

import pytest

from relay.event.outcome import BrowserState
from tests.event.malformed import PIXEL_ID, SITE_KEY
from tests.store.samples import REVOKED, claim, end_all, event, leg
from tests.web.lab import NOW_MS, Relay, lab_settings, open_relay

pytestmark = pytest.mark.anyio

HOST, ORIGIN, SNIPPET, PIXEL, TOKEN, TAKEN, PAIR = range(7)


async def steps(console: Relay) -> Any:
    response = await console.http.get("/api/setup")
    assert (response.status_code, response.headers["cache-control"]) == (200, "no-store")
    return response.json()["steps"]


async def states(console: Relay) -> list[str]:
    return [step["state"] for step in await steps(console)]


def ours(event_id: str, **changes: Any) -> Any:
    return event(event_id, pixel=PIXEL_ID, site=SITE_KEY, **changes)


async def test_at_first_the_next_step_is_the_shop_s_page_with_the_tag_to_copy(console: Relay) -> None:
    assert await states(console) == ["done", "next", *["waiting"] * 5]
    html = unescape((await console.http.get("/setup")).text)
    assert '<script async src="https://relay.shop.example/c.js" data-site="demo-shop"' in html
    assert "connect-src https://relay.shop.example" in html
    assert "load({ relay: 'https://relay.shop.example', site: 'demo-shop'" in html


async def test_a_page_that_loads_the_snippet_and_posts_nothing_is_told_about_its_policy(
    console: Relay,
) -> None:
    await console.http.get("/c.js", headers={"referer": "https://shop.example/"})
    assert (await states(console))[:3] == ["done", "done", "next"]
    step = (await steps(console))[SNIPPET]
    assert "loaded it, 1 times" in step["sentence"]
    assert "connect-src https://relay.shop.example" in step["line"]


async def test_the_first_pair_completes_the_list(console: Relay) -> None:
    await console.store.admit([ours("e1")])
    await end_all(console.store)
    listed = await steps(console)
    assert [step["state"] for step in listed] == ["done"] * 7
    assert listed[TAKEN]["sentence"] == "Its fbtrace_id is AbC."
    assert (await console.http.get("/api/setup")).json()["is_done"]
    assert "All is in place" in (await console.http.get("/setup")).text


async def test_an_origin_that_is_refused_fails_its_point_with_the_line_that_adds_it(console: Relay) -> None:
    await console.post(origin="https://www.shop.example")
    step = (await steps(console))[ORIGIN]
    assert step["state"] == "failing"
    assert step["line"] == 'origins = ["https://shop.example", "https://www.shop.example"]'
    assert "next" not in await states(console), "what fails comes first"


async def test_a_pixel_that_never_goes_out_fails_its_point(console: Relay) -> None:
    await console.store.admit([ours("e1", leg=leg(BrowserState.UNDISPATCHED))])
    await end_all(console.store)
    listed = await steps(console)
    assert (listed[PIXEL]["state"], listed[PAIR]["state"]) == ("failing", "waiting")
    assert "fbq('init', …)" in listed[PIXEL]["next_step"]


async def test_a_refused_token_is_told_in_meta_s_words(console: Relay) -> None:
    await console.store.admit([ours("e1")])
    lease = await claim(console.store)
    attempt = await console.store.begin_attempt(lease, [lease.events[0].key], NOW_MS)
    await console.store.park(lease, now_ms=NOW_MS, attempt=(attempt, REVOKED))
    step = (await steps(console))[TOKEN]
    assert (step["state"], step["sentence"]) == ("failing", f"Meta refuses pixel {PIXEL_ID}: Token expired.")


async def test_a_console_under_another_name_than_public_url_says_so(tmp_path: Path) -> None:
    async with open_relay(lab_settings(tmp_path)) as relay:
        await relay.sign_in()
        cookies = {"cookie": "; ".join(f"{name}={value}" for name, value in relay.http.cookies.items())}
        answer = await relay.http.get("/api/setup", headers={**cookies, "host": "203.0.113.9"})
        step = answer.json()["steps"][HOST]
        assert step["state"] == "failing"
        assert "203.0.113.9" in step["sentence"]


async def test_another_site_has_its_own_list(console: Relay) -> None:
    await console.store.admit([ours("e1")])
    await end_all(console.store)
    other = (await console.http.get("/api/setup?site=other-shop")).json()
    assert (other["site"], other["steps"][PAIR]["state"]) == ("other-shop", "waiting")


@pytest.mark.parametrize("path", ["/setup", "/api/setup"])
async def test_nobody_reads_it_without_a_session(relay: Relay, path: str) -> None:
    assert (await relay.http.get(path)).status_code == 401
