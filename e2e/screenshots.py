"""`make screenshots`: the pictures of the documentation, taken from a real sandbox in a real browser."""

import asyncio
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from playwright.async_api import Browser, Page, async_playwright

from e2e.seed import seed
from relay.sandbox.browser import USER_AGENT, find_chromium
from relay.sandbox.run import PIXEL, SITE_KEY, Sandbox, open_sandbox
from relay.web.navigation import MENU

ROOT: Final = Path(__file__).parent.parent
IMAGES: Final = ROOT / "docs" / "images"
EVERY_PAGE: Final = ROOT / "test-output" / "screenshots"
DESKTOP: Final = (1100, 800)
PHONE: Final = (390, 844)


async def take_all() -> None:
    with tempfile.TemporaryDirectory() as folder:
        now_ms = time.time_ns() // 1_000_000
        await seed(Path(folder) / "counterfoil.db", SITE_KEY, PIXEL, until_ms=now_ms)
        async with open_sandbox(Path(folder), None) as sandbox, async_playwright() as playwright:
            browser = await playwright.chromium.launch(
                executable_path=find_chromium(), args=["--no-sandbox", f"--user-agent={USER_AGENT}"]
            )
            event_id = await buy(browser, sandbox)
            for name, (width, height), scheme in (
                ("receipt", DESKTOP, "light"),
                ("receipt-phone", PHONE, "dark"),
            ):
                page = await browser.new_page(viewport={"width": width, "height": height})
                await page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
                await show_receipt(page, sandbox, event_id)
                await page.screenshot(path=IMAGES / f"{name}.png")
            await show_console(browser, sandbox)
            await take_every_page(browser, sandbox, event_id)
            page = await browser.new_page(viewport={"width": DESKTOP[0], "height": 520})
            await page.goto(sandbox.links.meta)
            await page.screenshot(path=IMAGES / "twin.png")
            await browser.close()


async def show_console(browser: Browser, sandbox: Sandbox) -> None:
    """The pages of the console that the documentation's tasks point at, after a few visitors."""
    for number in range(3):  # each with cookies of its own
        visitor = await browser.new_context()
        page = await visitor.new_page()
        await page.goto(f"{sandbox.shop}/{'?fbclid=IwAR2example' * (number == 0)}")
        await page.wait_for_function("window.fbq && !!window.fbq.callMethod && !window.counterfoil.q")
        await page.evaluate("counterfoil('track', 'Lead', {}, {eventID: 'frozen-by-a-cache'})")
        await page.wait_for_load_state("networkidle")
        await visitor.close()
    page = await browser.new_page(viewport={"width": DESKTOP[0], "height": DESKTOP[1]})
    await page.goto(sandbox.sign_in_link())
    await page.wait_for_url(f"{sandbox.links.relay}/")
    await page.goto(f"{sandbox.links.relay}/quality")
    await page.get_by_role("button", name="Ask").click()
    for name in ("overview", "addresses", "delivery", "issues", "quality", "radar"):
        await page.goto(f"{sandbox.links.relay}/{'' if name == 'overview' else name}")
        await page.screenshot(path=IMAGES / f"{name}.png")


async def take_every_page(browser: Browser, sandbox: Sandbox, event_id: str) -> None:
    """Each page of the console at two widths, light and dark, to be looked at; these are not kept."""
    EVERY_PAGE.mkdir(parents=True, exist_ok=True)
    paths = [entry.path for group in MENU for entry in group.entries] + [f"/receipts/{event_id}"]
    for device, (width, height) in (("desktop", DESKTOP), ("phone", PHONE)):
        for scheme in ("light", "dark"):
            page = await browser.new_page(
                viewport={"width": width, "height": height},
                color_scheme="dark" if scheme == "dark" else "light",
            )
            await page.goto(sandbox.sign_in_link())
            await page.wait_for_url(f"{sandbox.links.relay}/")
            for path in paths:
                await page.goto(f"{sandbox.links.relay}{path}")
                name = "receipt" if path.startswith("/receipts/") else path.strip("/") or "overview"
                tall = name not in ("live", "receipts")
                await page.screenshot(path=EVERY_PAGE / f"{name}-{device}-{scheme}.png", full_page=tall)
            await page.close()


async def buy(browser: Browser, sandbox: Sandbox) -> str:
    page = await browser.new_page()
    await page.goto(f"{sandbox.shop}/?fbclid=IwAR2example")
    await page.wait_for_function("window.fbq && !!window.fbq.callMethod && !window.counterfoil.q")
    await page.get_by_role("button", name="Buy").click()
    return await page.locator("[data-event-id]").inner_text()


async def show_receipt(page: Page, sandbox: Sandbox, event_id: str) -> None:
    """Sign in, then look until the event has its fate."""
    await page.goto(sandbox.sign_in_link())
    await page.wait_for_url(f"{sandbox.links.relay}/")
    await page.goto(f"{sandbox.links.relay}/receipts/{event_id}")
    while not await page.get_by_text("delivered").count():
        await page.reload()


def main() -> int:
    IMAGES.mkdir(parents=True, exist_ok=True)
    asyncio.run(asyncio.wait_for(take_all(), timeout=900))
    print("\n".join(str(image.relative_to(IMAGES.parent.parent)) for image in sorted(IMAGES.glob("*.png"))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
