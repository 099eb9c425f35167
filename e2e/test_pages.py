"""Every page a person sees, in a real browser: at two widths, light and dark, by keyboard, with no stranger called."""

import asyncio
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from playwright.sync_api import Browser, BrowserContext, Page

from e2e.lab import POLL_MS, wait_until
from e2e.seed import seed
from relay.sandbox.run import PIXEL, SITE_KEY, Sandbox, open_sandbox
from relay.web.navigation import MENU

AXE: Final = Path(__file__).parent.parent / "node_modules" / "axe-core" / "axe.min.js"
AXE_RUN: Final = """axe.run({
  runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa'], resultTypes: ['violations'],
}).then((run) => run.violations)"""
SEEDED_MINUTES: Final = 90
WIDTHS: Final = (1280, 1024, 390)
SCHEMES: Final = ("light", "dark")
BRIGHTNESS: Final = """(() => {
  const colours = [document.body, document.documentElement].map((e) => getComputedStyle(e).backgroundColor);
  const [red, green, blue] = colours.find((colour) => colour !== 'rgba(0, 0, 0, 0)').match(/[0-9.]+/g).map(Number);
  return (red + green + blue) / 3;
})()"""
FOCUS: Final = """(() => {
  const element = document.activeElement, style = getComputedStyle(element);
  const outlined = style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) > 0;
  return {tag: element.tagName, seen: outlined || style.boxShadow !== 'none'};
})()"""


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """The whole sandbox in a thread of its own, with some hours of a shop behind it."""
    opened: list[Sandbox] = []
    loop = asyncio.new_event_loop()
    done = asyncio.Event()

    async def run(folder: Path) -> None:
        now_ms = time.time_ns() // 1_000_000
        await seed(folder / "counterfoil.db", SITE_KEY, PIXEL, until_ms=now_ms, minutes=SEEDED_MINUTES)
        async with open_sandbox(folder, None) as sandbox:
            opened.append(sandbox)
            await done.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(run(tmp_path_factory.mktemp("sandbox"))))
    thread.start()
    wait_until(lambda: opened or not thread.is_alive(), "the sandbox starts")
    yield opened[0]
    loop.call_soon_threadsafe(done.set)
    thread.join()
    loop.close()


@pytest.fixture(scope="module")
def visitor(browser: Browser, sandbox: Sandbox) -> Iterator[BrowserContext]:
    """A person who has bought once and signed in."""
    context = browser.new_context()
    page = context.new_page()
    page.goto(sandbox.shop)
    page.wait_for_function("window.fbq && !!window.fbq.callMethod && !window.counterfoil.q", polling=POLL_MS)
    page.get_by_role("button", name="Buy").click()
    event_id = page.locator("[data-event-id]").inner_text()
    page.goto(sandbox.sign_in_link())
    page.wait_for_url(f"{sandbox.links.relay}/")
    page.goto(f"{sandbox.links.relay}/receipts/{event_id}")
    while not page.get_by_text("delivered").count():
        page.reload()
    page.close()
    yield context
    context.close()


def pages(sandbox: Sandbox, visitor: BrowserContext) -> dict[str, str]:
    """Every page by name; the receipt's address is the one of the purchase."""
    console, shop, twin = sandbox.links.relay, sandbox.shop, sandbox.links.meta
    receipt = visitor.request.get(f"{console}/api/receipts?event_name=Purchase").json()["receipts"][0][
        "event_id"
    ]
    return {
        "receipts": f"{console}/receipts",
        "receipt": f"{console}/receipts/{receipt}",
        **{entry.label: f"{console}{entry.path}" for group in MENU for entry in group.entries},
        "overview of a month": f"{console}/?range=30d",
        "no such receipt": f"{console}/receipts/none",
        "sign-in without a code": f"{console}/sign-in",
        "shop": f"{shop}/",
        "product": f"{shop}/product/ledger",
        "cart": f"{shop}/cart",
        "thanks": f"{shop}/thanks",
        "twin overview": f"{twin}/",
        "twin test events": f"{twin}/test-events",
        "twin diagnostics": f"{twin}/diagnostics",
    }


class Watch:
    """What a page did that it should not: messages, refused sources, requests to strangers."""

    def __init__(self, page: Page, own: set[str]) -> None:
        self.faults: list[str] = []
        page.on("pageerror", lambda error: self.faults.append(f"error: {error}"))
        page.on("console", lambda message: self._message(message.type, message.text))
        page.on("request", lambda request: self._request(request.url, own))

    def _message(self, kind: str, text: str) -> None:
        # The address itself answers 404 or 403 on some of these pages; the browser says so.
        if kind in ("error", "warning") and "status of 40" not in text:
            self.faults.append(f"console: {text}")

    def _request(self, url: str, own: set[str]) -> None:
        if not url.startswith(("data:", *own)):
            self.faults.append(f"stranger: {url}")


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("width", WIDTHS)
def test_every_page_fits_its_width_calls_no_stranger_and_breaks_no_policy(
    sandbox: Sandbox, visitor: BrowserContext, width: int, scheme: str
) -> None:
    own = {sandbox.links.relay, sandbox.shop, sandbox.links.meta}
    page = visitor.new_page()
    page.set_viewport_size({"width": width, "height": 800})
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    watch = Watch(page, own)
    for name, url in pages(sandbox, visitor).items():
        page.goto(url)
        assert page.get_by_role("heading").count(), f"{name}: no heading"
        overflow = page.evaluate(
            "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        )
        assert overflow == 0, f"{name} is {overflow} px too wide at {width}"
        is_dark = page.evaluate(BRIGHTNESS) < 128
        assert is_dark == (scheme == "dark"), f"{name} is not {scheme}"
    page.close()
    assert watch.faults == []


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_no_page_of_the_console_is_hard_to_use_for_anybody(
    sandbox: Sandbox, visitor: BrowserContext, width: int, scheme: str
) -> None:
    """By axe-core's rules, whose script goes into the page beside its policy; nothing serious is left."""
    page = visitor.new_page()
    page.set_viewport_size({"width": width, "height": 800})
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    axe = AXE.read_text("utf-8")
    found = {}
    for name, url in pages(sandbox, visitor).items():
        if url.startswith(sandbox.links.relay):
            page.goto(url)
            page.evaluate(axe)
            violations = page.evaluate(AXE_RUN)
            serious = [
                (each["id"], each["nodes"][0]["html"][:200], each["nodes"][0]["failureSummary"][:300])
                for each in violations
                if each["impact"] in ("serious", "critical")
            ]
            if serious:
                found[name] = serious
    page.close()
    assert found == {}


def test_every_page_can_be_walked_by_keyboard_with_the_focus_in_sight(
    sandbox: Sandbox, visitor: BrowserContext
) -> None:
    page = visitor.new_page()
    for name, url in pages(sandbox, visitor).items():
        page.goto(url)
        page.keyboard.press("Tab")
        focus = page.evaluate(FOCUS)
        assert focus["tag"] != "BODY", f"{name}: nothing takes the focus"
        assert focus["seen"], f"{name}: the focus is not visible"
    page.close()


def test_no_receipt_is_shown_to_who_has_not_signed_in(sandbox: Sandbox, browser: Browser) -> None:
    context = browser.new_context()
    page = context.new_page()
    page.goto(f"{sandbox.links.relay}/receipts")
    assert page.url == f"{sandbox.links.relay}/sign-in"
    assert page.get_by_text("counterfoil sign-in").count()
    assert not page.get_by_text("Purchase").count()
    context.close()
