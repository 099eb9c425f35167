"""A visitor for the demo shop: a headless Chromium where there is one, else the same requests over HTTP."""

import importlib.util
import os
import shutil
import sys
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import httpx
import msgspec

from relay.errors import RelayError
from relay.sandbox.shop import CURRENCY, PRODUCTS, Links

NAMES: Final = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome", "chrome")

# Headless Chromium calls itself HeadlessChrome, which is on the crawler list, and crawlers are recorded, not
# sent. The check is about an ordinary visitor, so it says what an ordinary Chromium says: by the browser's own
# argument, since what Playwright sets for a context or a page is not obeyed by a beacon at unload.
USER_AGENT: Final = (
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Safari/537.36"
)


def find_chromium() -> str | None:
    """Path of a Chromium: `COUNTERFOIL_CHROMIUM`, else one on the PATH, else Playwright's own download."""
    if named := os.environ.get("COUNTERFOIL_CHROMIUM"):
        return named if os.access(named, os.X_OK) else None
    installed = next((path for name in NAMES if (path := shutil.which(name))), None)
    return installed or _downloaded()


def _downloaded() -> str | None:
    mac = sys.platform == "darwin"
    otherwise = Path.home() / ("Library/Caches" if mac else ".cache") / "ms-playwright"
    folder = Path(os.environ.get("PLAYWRIGHT_BROWSERS_PATH") or otherwise)
    inside = "chrome-mac*/*.app/Contents/MacOS/*" if mac else "chrome-linux*/chrome"
    found = sorted(path for path in folder.glob(f"chromium-*/{inside}") if os.access(path, os.X_OK))
    return str(found[-1]) if found else None


def browser_to_use() -> str | None:
    """A Chromium that can be driven here; None without the `browser` extra or without a Chromium."""
    return find_chromium() if importlib.util.find_spec("playwright") else None


@asynccontextmanager
async def buying_in_browser(chromium: str, shop: str) -> AsyncIterator[str]:
    """Walk through the shop as a visitor does, and buy; gives the event_id while the page is open."""
    from playwright.async_api import Error, async_playwright

    arguments = [f"--user-agent={USER_AGENT}"]
    if not os.geteuid():
        arguments.append("--no-sandbox")  # Chromium's own sandbox refuses to run as root
    try:
        async with (
            async_playwright() as playwright,
            await playwright.chromium.launch(executable_path=chromium, args=arguments) as browser,
        ):
            page = await browser.new_page()
            await page.goto(f"{shop}/product/{PRODUCTS[1].id}")
            await page.get_by_role("button", name="Add to cart").click()
            await page.get_by_role("link", name="Go to the cart").click()
            await page.get_by_role("button", name="Buy").click()
            yield await page.locator("[data-event-id]").inner_text()
    except Error as error:
        raise RelayError(
            f"The browser could not buy in the demo shop: {error.message.splitlines()[0]}"
        ) from error


@asynccontextmanager
async def buying_over_http(links: Links, shop: str) -> AsyncIterator[str]:
    """What a browser would send for one Purchase: the Pixel's request, then the snippet's post about it."""
    product = PRODUCTS[1]
    event_id, fbp, page = str(uuid.uuid4()), "fb.1.1763859600000.1234567890", f"{shop}/thanks"
    async with httpx.AsyncClient(headers={"user-agent": USER_AGENT}) as client:
        pixel = {"id": links.pixel, "ev": "Purchase", "dl": page, "eid": event_id, "fbp": fbp}
        pixel |= {"cd[value]": str(product.price), "cd[currency]": CURRENCY}
        (await client.get(f"{links.meta}/tr/", params=pixel)).raise_for_status()
        event = {
            "event_name": "Purchase",
            "event_id": event_id,
            "age_ms": 0,
            "url": page,
            "fbp": fbp,
            "custom_data": {"value": product.price, "currency": CURRENCY},
            "pixel": {"state": "sent", "evidence": "load", "transport": "image", "dispatched_ms": 0},
        }
        answer = await client.post(
            f"{links.relay}/v1/events",
            content=msgspec.json.encode({"site": links.site_key, "events": [event]}),
            headers={"origin": shop, "content-type": "text/plain"},
        )
        answer.raise_for_status()
    yield event_id
