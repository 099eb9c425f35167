"""The npm package in a React application: every page of it is one PageView on both sides, and none comes by itself."""

import os
import subprocess
from pathlib import Path

import pytest
from playwright.sync_api import Page

from e2e.lab import PIXEL, SITE, Lab

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "static" / "js" / "npm"
APPLICATION = f"""
import {{ createElement, StrictMode }} from 'react';
import {{ createRoot }} from 'react-dom/client';
import {{ track }} from '{PACKAGE / "index.js"}';
import {{ Counterfoil }} from '{PACKAGE / "next.js"}';
Object.assign(window, {{ track, go(url) {{ history.pushState({{}}, '', url); dispatchEvent(new Event('route')); }} }});
createRoot(document.body).render(createElement(StrictMode, null, createElement(Counterfoil, window.options)));
"""
# Next's router, as far as its two hooks can be seen from outside.
NAVIGATION = """
import { useSyncExternalStore } from 'react';
const listen = (then) => (addEventListener('route', then), () => removeEventListener('route', then));
export const usePathname = () => useSyncExternalStore(listen, () => location.pathname);
export const useSearchParams = () => new URLSearchParams(useSyncExternalStore(listen, () => location.search));
"""


@pytest.fixture(scope="module")
def application(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The application as a bundler makes it for development, where strict mode runs effects twice."""
    folder = tmp_path_factory.mktemp("application")
    (folder / "application.js").write_text(APPLICATION)
    (folder / "navigation.js").write_text(NAVIGATION)
    subprocess.run(
        [
            ROOT / "node_modules" / ".bin" / "esbuild",
            "application.js",
            "--bundle",
            "--outfile=bundle.js",
            "--alias:next/navigation=./navigation.js",
            "--define:process.env.NODE_ENV='development'",
            "--log-level=error",
        ],
        cwd=folder,
        env=os.environ
        | {
            "NODE_PATH": str(ROOT / "node_modules"),
            "PATH": f"{ROOT / '.venv' / 'bin'}:{os.environ['PATH']}",
        },
        check=True,
    )
    return (folder / "bundle.js").read_text()


def open_application(lab: Lab, page: Page, application: str, **options: object) -> None:
    fixed = {
        "relay": lab.relay_url,
        "site": SITE,
        "pixel": PIXEL,
        "fbevents": f"{lab.meta_url}/en_US/fbevents.js",
    }
    page.add_init_script(f"window.options = { ({**fixed, **options})!r}")
    page.goto(lab.page("/"))
    page.evaluate(application)


def views(lab: Lab, half: str) -> list[tuple[str, str]]:
    """Address and id of every PageView."""
    key = "dl" if half == "browser" else "event_source_url"
    return sorted((event["params"][key], event["event_id"]) for event in lab.half(half, "PageView"))


def test_every_page_of_the_application_is_one_pageview_on_both_sides(
    lab: Lab, page: Page, application: str
) -> None:
    open_application(lab, page, application)
    lab.wait_for_server("PageView")
    page.evaluate("go('/shirts')")
    lab.wait_for_server("PageView", 2)
    page.evaluate("go('/shirts?colour=blue')")
    lab.wait_for_server("PageView", 3)
    assert views(lab, "browser") == views(lab, "server")
    assert [url.removeprefix(lab.shop_url) for url, _ in views(lab, "server")] == [
        "/",
        "/shirts",
        "/shirts?colour=blue",
    ]
    assert set(lab.counted("PageView").values()) == {3}


def test_events_go_through_the_package_and_tell_their_id(lab: Lab, page: Page, application: str) -> None:
    open_application(lab, page, application)
    event_id = page.evaluate("track('Purchase', {value: 5, currency: 'EUR'})")
    (server,) = lab.wait_for_server("Purchase")
    (browser,) = lab.half("browser", "Purchase")
    assert browser["event_id"] == server["event_id"] == event_id
    assert set(lab.counted("Purchase").values()) == {1}


def test_an_application_waits_for_consent(lab: Lab, page: Page, application: str) -> None:
    open_application(lab, page, application, consent="")
    page.wait_for_timeout(1000)
    assert (lab.meta()["browser"], lab.meta()["server"]) == ([], [])
    page.evaluate("counterfoil('consent', 'grant')")
    lab.wait_for_server("PageView")
    assert views(lab, "browser") == views(lab, "server")
