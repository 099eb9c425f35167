"""What the snippet costs a page's main thread: its load and 20 events (`python -m bench.page`).

`[--rounds 15] [--throttle 1]`. Two pages take turns in a real Chromium, each visit with an empty cache: one has
Meta's base code with the twin's script alone, the other the snippet too. Both fire 20 events and stay until each has
been answered. Printed: the median processor time that the page's main thread spent in tasks, and in scripts of them, as
Chromium's own counters tell (CDP `Performance.getMetrics`), and the ratio of the two. `--throttle 4` makes the
processor four times as slow, as DevTools does for a phone. The twin's script is a twentieth of the size of Meta's
own, so beside Meta's own the ratio would be smaller.
"""

import argparse
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Final

from playwright.sync_api import Browser, CDPSession, sync_playwright

from e2e.lab import CHROMIUM_ARGUMENTS, LOOPBACK_NAMES, Lab, open_lab, wait_for
from relay.sandbox.browser import find_chromium

EVENTS: Final = 20
FIRE: Final = "for (let n = 0; n < {}; n++) fbq('trackCustom', 'Bench' + n, {{ value: n, currency: 'EUR' }})"
COUNTERS: Final = {"tasks": "TaskDuration", "scripts": "ScriptDuration"}


def visit(lab: Lab, browser: Browser, path: str, throttle: float) -> dict[str, float]:
    """One visit; milliseconds by counter."""
    lab.http.delete("/twin/state").raise_for_status()
    context = browser.new_context()
    page = context.new_page()
    devtools = context.new_cdp_session(page)
    devtools.send("Performance.enable", {"timeDomain": "threadTicks"})  # processor time, not wall time
    devtools.send("Emulation.setCPUThrottlingRate", {"rate": throttle})
    before = counters(devtools)
    page.goto(lab.shop_url + path)
    page.wait_for_function("!!(window.fbq && fbq.callMethod) && fbq.queue.length === 0")
    page.evaluate(FIRE.format(EVENTS))
    halves = ("browser", "server") if path == "/with" else ("browser",)
    wait_for(page, lambda: all(len(lab.meta()[half]) == EVENTS for half in halves), "all are at Meta")
    after = counters(devtools)
    context.close()
    return {name: after[name] - before[name] for name in COUNTERS}


def counters(devtools: CDPSession) -> dict[str, float]:
    metrics = {each["name"]: each["value"] for each in devtools.send("Performance.getMetrics")["metrics"]}
    return {name: metrics[counter] * 1000 for name, counter in COUNTERS.items()}


def run(rounds: int, throttle: float) -> str:
    spent: dict[str, list[dict[str, float]]] = {"/alone": [], "/with": []}
    with (
        tempfile.TemporaryDirectory() as folder,
        open_lab(Path(folder)) as lab,
        sync_playwright() as playwright,
    ):
        base = lab.base_code(page_view=False)
        lab.page("/alone", head=base)
        lab.page("/with", head=lab.snippet() + base)
        browser = playwright.chromium.launch(
            executable_path=find_chromium(), args=[*CHROMIUM_ARGUMENTS, LOOPBACK_NAMES]
        )
        for _ in range(rounds):
            for path, visits in spent.items():
                visits.append(visit(lab, browser, path, throttle))
        browser.close()
    return table(spent, throttle)


def table(spent: dict[str, list[dict[str, float]]], throttle: float) -> str:
    lines = [
        f"main thread, load and {EVENTS} events; processor slowed {throttle:g} times;"
        f" median of {len(spent['/alone'])} visits",
        f"{'':<10}{'base code alone':>18}{'with the snippet':>18}{'ratio':>8}{'more':>10}",
    ]
    for name in COUNTERS:
        alone, both = (statistics.median(each[name] for each in spent[path]) for path in ("/alone", "/with"))
        lines.append(
            f"{name:<10}{alone:>15.1f} ms{both:>15.1f} ms{both / alone:>8.2f}{both - alone:>7.1f} ms"
        )
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--throttle", type=float, default=1)
    asked = parser.parse_args()
    print(run(asked.rounds, asked.throttle))
    return 0


if __name__ == "__main__":
    sys.exit(main())
