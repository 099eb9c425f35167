"""The documentation as a site: built strictly, searchable, and asking nothing of any other host."""

import functools
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As `make docs` builds it; a link or an anchor that leads nowhere fails."""
    folder = tmp_path_factory.mktemp("site")
    mkdocs = Path(sys.executable).with_name("mkdocs")
    command = [str(mkdocs), "build", "--strict", "--quiet", "--site-dir", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None: ...


@pytest.fixture(scope="module")
def url(site: Path) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(site)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_every_page_and_every_integration_is_there(site: Path) -> None:
    expected = {file.with_suffix(".html").name for file in (ROOT / "docs").glob("*.md")}
    assert expected <= {file.name for file in site.glob("*.html")}
    integrations = {file.parent.name for file in (ROOT / "integrations").glob("*/README.md")}
    assert integrations == {file.stem for file in (site / "integrations").glob("*.html")}


def test_no_page_loads_anything_from_elsewhere(site: Path) -> None:
    for file in site.rglob("*.html"):
        loaded = re.findall(r"<(?:script|img|link|iframe)\b[^>]*(?:src|href)=\"?([^\" >]+)", file.read_text())
        assert [url for url in loaded if re.match(r"(https?:)?//", url)] == [], file.name


def test_search_finds_the_way_from_a_symptom_to_its_page_and_nothing_is_asked_of_others(
    url: str, page: Page
) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"{url}/index.html")
    box = page.get_by_role("textbox", name="Search")
    box.click()
    ready = page.get_by_text("Type to start searching")  # the index has been read
    expect(ready).to_be_visible(timeout=30_000)
    box.press_sequentially("mismatched IP")
    result = page.locator(".md-search-result__link").first
    expect(result).to_contain_text("Mismatched IP", timeout=30_000)
    result.click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Mismatched IP", timeout=30_000)
    page.get_by_role("img", name="Addresses: families of pages").scroll_into_view_if_needed()
    assert {address.partition("//")[2].partition("/")[0] for address in asked if "://" in address} == {
        url.removeprefix("http://")
    }


@pytest.mark.parametrize("name", ["index", "duplicates", "install", "integrations/wordpress"])
def test_no_page_is_wider_than_a_phone(url: str, page: Page, name: str) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(f"{url}/{name}.html")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
