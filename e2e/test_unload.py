"""The page ends in the moment of the event: whatever the browser cancels, exactly one event counts and none is lost.

Each test opens one page a cell of the grid, each in a context of its own and so with its own connections, lets all of
them end, and then looks at what Meta's twin got.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final, NamedTuple

import pytest
from playwright.sync_api import Browser, Page

from e2e.lab import POLL_MS, WAIT_SECONDS, Lab, open_lab, wait_until
from relay.settings import Delivery

HOLDS: Final = Delivery(hold_pending_seconds=3, hold_undispatched_seconds=4)
LONG_ENOUGH_FOR_A_FORM: Final = 3000
ANSWERS_MS: Final = (0, 50, 300)


class Cell(NamedTuple):
    """One way for a page to end right after an event."""

    transport: str
    connection: str
    trigger: str
    next_page_ms: int = 0

    @property
    def event(self) -> str:
        return f"{self.transport}-{self.connection}-{self.trigger}-{self.next_page_ms}"


def cells(transport: str, trigger: str) -> list[Cell]:
    """A page without a Pixel has no connection to warm, and a closed tab no next page."""
    connections = ["none"] if transport == "none" else ["cold", "warm"]
    answers = [0] if trigger == "close" else ANSWERS_MS
    return [Cell(transport, connection, trigger, ms) for connection in connections for ms in answers]


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    with open_lab(tmp_path, delivery=HOLDS) as opened:
        for ms in ANSWERS_MS:
            opened.page(f"/next-{ms}", head=opened.base_code(page_view=False) + opened.snippet())
            opened.shop.delay_seconds[f"/next-{ms}"] = ms / 1000
        yield opened


@contextmanager
def opened_page(lab: Lab, browser: Browser, cell: Cell) -> Iterator[Page]:
    """The shop's page, at rest; warm where a PageView of it has been answered by Meta."""
    has_pixel = cell.transport != "none"
    body = f"<a href=/next-{cell.next_page_ms}>on</a><form action=/next-{cell.next_page_ms}></form>"
    base = lab.base_code(page_view=cell.connection == "warm") if has_pixel else ""
    head = lab.snippet().replace(" async", "") + base
    context = browser.new_context()
    context.set_default_timeout(WAIT_SECONDS * 1000)
    page = context.new_page()
    page.goto(lab.page("/", body, head=head))
    page.wait_for_function(
        "hasPixel => window.counterfoil?.live && /_fbp=/.test(document.cookie)"
        " && (!hasPixel || !!window.fbq.callMethod)",
        arg=has_pixel,
        polling=POLL_MS,
    )
    yield page
    context.close()


END: Final = {
    "link": "{};document.querySelector('a').click()",
    "form": "{};document.querySelector('form').requestSubmit()",
    "close": "{}",
}


def end(page: Page, cell: Cell) -> None:
    """The event and the page's end in one task of the page, as a click handler does it."""
    note = "x" * (LONG_ENOUGH_FOR_A_FORM if cell.transport == "form" else 1)
    fire = f"counterfoil('track','{cell.event}',{{note:'{note}'}},{{eventID:'id-{cell.event}'}})"
    page.evaluate(END[cell.trigger].format(fire))
    if cell.trigger == "close":
        page.close(run_before_unload=True)


@pytest.mark.parametrize("trigger", END)
@pytest.mark.parametrize("transport", ["image", "form", "none"])
def test_an_event_of_an_ending_page_counts_once_and_never_from_the_server_first(
    browser: Browser, lab: Lab, transport: str, trigger: str
) -> None:
    grid = cells(transport, trigger)
    with ExitStack() as pages:
        opened = [(pages.enter_context(opened_page(lab, browser, cell)), cell) for cell in grid]
        warm = sum(cell.connection == "warm" for cell in grid)
        wait_until(lambda: len(lab.half("browser", "PageView")) == warm, "the warm pages have Meta's answer")
        for page, cell in opened:
            end(page, cell)
        for cell in grid:
            lab.wait_for_server(cell.event)
        wait_until(
            lambda: len(lab.half("server", "PageView")) == warm, "the warm pages' views have both halves"
        )
    for cell in grid:
        (server,) = lab.half("server", cell.event)
        assert server["event_id"] == f"id-{cell.event}"
        browsers = lab.half("browser", cell.event)
        assert [browser["event_id"] for browser in browsers] in ([], [server["event_id"]])
        assert all(browser["sequence"] < server["sequence"] for browser in browsers)
        assert lab.counted(cell.event) == dict.fromkeys(lab.counted(cell.event), 1)
        assert len(lab.counted(cell.event)) == 4
    assert lab.meta()["rejected"] == []
