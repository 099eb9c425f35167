"""Randomised page visits in a real Chromium: order, loss and double counting (`python -m bench.order --browser`).

A visit is a fresh browser context with a network latency of its own. It buys once, in one of many ways: by the
snippet's own call or the page's `fbq`, on a page whose tag stands before or after Meta's base code, with a
connection to Meta that is warm or cold, a Pixel request that fits into an image or needs a form, a Pixel, script
or configuration that is blocked; and it stays, follows a link after a while, or closes the tab. Holds are a third
of the defaults.
"""

import asyncio
import random
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Final

import msgspec
from playwright.async_api import Browser, Page, async_playwright

from bench.tally import Tally
from e2e.lab import CHROMIUM_ARGUMENTS, LOOPBACK_NAMES, Json, Lab, Posts, open_lab
from relay.sandbox.browser import find_chromium
from relay.settings import Delivery

HOLDS: Final = Delivery(hold_pending_seconds=7, hold_undispatched_seconds=10)
AT_ONCE: Final = 6
TOLD_SECONDS: Final = 15.0
LOOK_SECONDS: Final = 0.1
LONG: Final = "x" * 2_400  # makes the Pixel's address too long for an image


class Visit(msgspec.Struct, frozen=True, kw_only=True):
    """What one visitor does; times in milliseconds."""

    event_id: str
    latency_ms: int  # of every request
    tag_first: bool
    by_fbq: bool
    warm: bool  # a PageView goes out before
    long: bool
    blocked: str  # "", or the part of an address that the browser refuses
    leave: str  # "stay", "link", "close"
    leave_after_ms: int
    next_page_has_snippet: bool


class Delay(msgspec.Struct, frozen=True, kw_only=True):
    """Of an event whose Pixel request was answered."""

    round_trip_ms: int  # the Pixel's request and its answer
    to_relay_ms: int  # from then on until the relay has the post


def draw_visit(number: int, rng: random.Random) -> Visit:
    return Visit(
        event_id=f"visit-{number}",
        latency_ms=rng.choice((0, 0, 30, 100, 150)),
        tag_first=rng.random() < 0.7,
        by_fbq=rng.random() < 0.4,
        warm=rng.random() < 0.5,
        long=rng.random() < 0.2,
        blocked=rng.choice(("", "", "", "", "", "/tr/", "fbevents.js", "signals/config")),
        leave=rng.choice(("stay", "link", "link", "close")),
        leave_after_ms=rng.choice((0, 0, 50, 300, 600)),
        next_page_has_snippet=rng.random() < 0.7,
    )


async def play(browser: Browser, lab: Lab, posts: Posts, visit: Visit) -> None:
    context = await browser.new_context()
    page = await context.new_page()
    devtools = await context.new_cdp_session(page)
    await devtools.send("Network.enable")
    conditions = {
        "offline": False,
        "latency": visit.latency_ms,
        "downloadThroughput": -1,
        "uploadThroughput": -1,
    }
    await devtools.send("Network.emulateNetworkConditions", conditions)
    if visit.blocked:
        await devtools.send("Network.setBlockedURLs", {"urls": [f"*{visit.blocked}*"]})
    await page.goto(shop_page(lab, visit))
    await page.wait_for_function("window.counterfoil && !window.counterfoil.q")
    if visit.blocked != "fbevents.js":
        await page.wait_for_function("!!window.fbq.callMethod")
    await buy_and_leave(page, visit)
    await told(posts, visit)
    await context.close()


async def told(posts: Posts, visit: Visit) -> None:
    """Wait for the post, for a while: with a context Chromium ends what is still under way; no closed tab does that."""
    for _ in range(round(TOLD_SECONDS / LOOK_SECONDS)):
        if posts.told(visit.event_id):
            return
        await asyncio.sleep(LOOK_SECONDS)


def shop_page(lab: Lab, visit: Visit) -> str:
    path, after = f"/{visit.event_id}", f"/{visit.event_id}/next"
    lab.page(after, "<p>Thanks</p>", head=lab.snippet() if visit.next_page_has_snippet else "")
    parts = [lab.snippet(), lab.base_code(page_view=visit.warm)]
    return lab.page(
        path, f"<a id=go href={after}>go</a>", head="".join(parts if visit.tag_first else reversed(parts))
    )


async def buy_and_leave(page: Page, visit: Visit) -> None:
    data: Json = {"value": 1, "currency": "EUR"} | ({"note": LONG} if visit.long else {})
    name = "fbq('track'," if visit.by_fbq else "counterfoil('track',"
    buy = f"{name}'Purchase',{msgspec.json.encode(data).decode()},{{eventID:'{visit.event_id}'}})"
    go = f"setTimeout(() => document.getElementById('go').click(), {visit.leave_after_ms})"
    if visit.leave == "link":
        await page.evaluate(f"{buy}; {go}")
        await page.wait_for_url("**/next")
        # The next page sends again what was not acknowledged 3 s after it has loaded.
        await page.wait_for_timeout(4_000 if visit.next_page_has_snippet else 100)
        return
    await page.evaluate(buy)
    await page.wait_for_timeout(visit.leave_after_ms if visit.leave == "close" else 3_500)
    await page.close(run_before_unload=True)


def judge(lab: Lab, visits: list[Visit]) -> tuple[dict[str, Tally], Counter[str], list[Delay]]:
    """The figures, the browser states reached, and the times of the events that are known to be sent."""
    state = lab.meta()
    halves = {
        half: [e for e in state[half] if e["event_name"] == "Purchase"] for half in ("browser", "server")
    }
    by_id = {half: {e["event_id"]: e for e in reversed(events)} for half, events in halves.items()}
    sends = Counter(e["event_id"] for e in halves["server"])
    tallies: dict[str, Tally] = {}
    states: Counter[str] = Counter()
    delays: list[Delay] = []
    for visit in visits:
        tally = tallies.setdefault(visit.leave, Tally())
        browser, server = by_id["browser"].get(visit.event_id), by_id["server"].get(visit.event_id)
        tally.visits += 1
        tally.lost += server is None
        tally.counted_otherwise += sends[visit.event_id] > 1 or not counts_once(lab, visit.event_id)
        if browser and server:
            tally.pairs += 1
            tally.order_violations += server["sequence"] < browser["sequence"]
        if server:
            leg = lab.receipt(visit.event_id)["receipts"][0]["browser"]
            states[f"{leg['state']}/{leg['evidence']}"] += 1
            if leg["state"] == "sent" and leg["settled_ms"]:
                delays.append(
                    Delay(
                        round_trip_ms=leg["settled_ms"] - leg["dispatched_ms"],
                        to_relay_ms=leg["reported_ms"] - leg["settled_ms"],
                    )
                )
    return tallies, states, delays


def counts_once(lab: Lab, event_id: str) -> bool:
    counted = lab.http.get("/twin/state", params={"event_id": event_id}).json()["counted"]
    return all(names == {"Purchase": 1} for names in counted.values())


async def play_all(lab: Lab, visits: list[Visit], failures: list[str]) -> None:
    posts = Posts(lab)
    slots = asyncio.Semaphore(AT_ONCE)

    async def one(browser: Browser, visit: Visit) -> None:
        async with slots:
            try:
                await play(browser, lab, posts, visit)
            except Exception as error:
                failures.append(f"{visit}: {error}")

    async with async_playwright() as playwright:
        arguments = [*CHROMIUM_ARGUMENTS, LOOPBACK_NAMES]
        browser = await playwright.chromium.launch(executable_path=find_chromium(), args=arguments)
        await asyncio.gather(*(one(browser, visit) for visit in visits))
        await browser.close()


def drained(lab: Lab, number: int) -> None:
    """Wait until every purchase is at the twin, or every hold is long over."""
    end = time.monotonic() + 30
    while time.monotonic() < end and len({e["event_id"] for e in lab.half("server", "Purchase")}) < number:
        time.sleep(0.5)


def run(trials: int, seed: int) -> tuple[dict[str, Tally], str, list[str]]:
    rng = random.Random(seed)
    visits = [draw_visit(number, rng) for number in range(trials)]
    failures: list[str] = []
    with tempfile.TemporaryDirectory() as folder, open_lab(Path(folder), delivery=HOLDS) as lab:
        asyncio.run(play_all(lab, visits, failures))
        drained(lab, trials)
        tallies, states, delays = judge(lab, visits)
    return tallies, report(states, delays), failures


def report(states: Counter[str], delays: list[Delay]) -> str:
    lines = ["", f"{'browser leg, as last reported':<34}{'visits':>6}"]
    lines += [f"{state:<34}{number:>6}" for state, number in states.most_common()]
    if delays:
        lines += ["", f"{'milliseconds (latency 0 to 150)':<34}{'p50':>6}{'p95':>6}"]
        for name, times in (
            ("the Pixel's round trip", [delay.round_trip_ms for delay in delays]),
            ("from its answer to the relay", [delay.to_relay_ms for delay in delays]),
        ):
            times.sort()
            p50, p95 = (times[int((len(times) - 1) * share)] for share in (0.5, 0.95))
            lines.append(f"{name:<34}{p50:>6}{p95:>6}")
    return "\n".join(lines)
