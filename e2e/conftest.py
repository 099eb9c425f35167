"""Browser tests: one Chromium a worker, one context and one laboratory a test."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Playwright, sync_playwright

from e2e.lab import CHROMIUM_ARGUMENTS, LOOPBACK_NAMES, PIXEL, SECOND_PIXEL, WAIT_SECONDS, Lab, open_lab
from relay.sandbox.browser import find_chromium
from relay.settings import Delivery

# Long enough for any answer of a loopback Pixel, short enough for a test.
QUICK = Delivery(hold_pending_seconds=4, hold_undispatched_seconds=9)


@pytest.fixture(scope="session")
def playwright() -> Iterator[Playwright]:
    with sync_playwright() as playwright:
        yield playwright


@pytest.fixture(scope="session")
def browser(playwright: Playwright) -> Iterator[Browser]:
    chromium = playwright.chromium.launch(
        executable_path=find_chromium(), args=[*CHROMIUM_ARGUMENTS, LOOPBACK_NAMES]
    )
    yield chromium
    chromium.close()


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    fresh = browser.new_context()
    fresh.set_default_timeout(WAIT_SECONDS * 1000)
    yield fresh
    fresh.close()


@pytest.fixture
def page(context: BrowserContext) -> Page:
    return context.new_page()


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    with open_lab(tmp_path, delivery=QUICK) as opened:
        yield opened


@pytest.fixture
def two_pixel_lab(tmp_path: Path) -> Iterator[Lab]:
    with open_lab(tmp_path, delivery=QUICK, pixels=(PIXEL, SECOND_PIXEL)) as opened:
        yield opened
