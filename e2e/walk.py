"""`python -m e2e.walk`: the two walks of a newcomer, by the documentation, with commands, answers and seconds counted.

T0: from a clone to a pair in the sandbox. T1: from `init` to an event of a static page at Meta, in test mode; Meta is
the twin, since no account is at hand. `--write` puts the result into docs/walk.md.
"""

import datetime
import functools
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Final

import httpx
import msgspec
from playwright.sync_api import sync_playwright

from e2e.lab import CHROMIUM_ARGUMENTS, POLL_MS, base_code, wait_until
from relay.sandbox.browser import find_chromium
from relay.twin.fixture import MetaTwin

ROOT: Final = Path(__file__).parent.parent
PAGE: Final = ROOT / "docs" / "walk.md"
PIXEL: Final = "1234567890"
ANSWERS: Final = ("{site}", PIXEL, "META_ACCESS_TOKEN", "other", "pixel")


class Walk(msgspec.Struct, kw_only=True):
    """What a person would have typed, and how long the machine took."""

    name: str
    commands: list[str] = msgspec.field(default_factory=list)
    answers: int = 0
    edits: list[str] = msgspec.field(default_factory=list)
    seconds: float = 0.0

    def run(self, shown: str, command: Sequence[str], folder: Path, given: str = "") -> None:
        self.commands.append(shown)
        done = subprocess.run(command, cwd=folder, input=given, capture_output=True, text=True, timeout=600)
        if done.returncode != 0:
            raise SystemExit(f"{shown} failed:\n{done.stdout}{done.stderr}")


def walk_to_the_sandbox(folder: Path) -> Walk:
    """T0."""
    walk, began = Walk(name="T0: clone → a pair in the sandbox"), time.monotonic()
    clone = folder / "counterfoil"
    walk.run("git clone … counterfoil", ["git", "clone", "--quiet", str(ROOT), str(clone)], folder)
    walk.run("make setup", ["make", "setup"], clone)
    checked = [str(clone / ".venv" / "bin" / "counterfoil"), "sandbox", "--check"]
    walk.run(".venv/bin/counterfoil sandbox --check", checked, clone)
    walk.seconds = time.monotonic() - began
    return walk


def walk_to_an_event(folder: Path, counterfoil: Sequence[str], port: int = 8300) -> Walk:
    """T1. `counterfoil`: the command, as words."""
    walk, began = (
        Walk(name="T1: init → serve → a static page's event at Meta, in test mode"),
        time.monotonic(),
    )
    with ExitStack() as stack:
        twin = stack.enter_context(MetaTwin())
        site = stack.enter_context(static_pages(folder / "pages"))
        answers = [answer.format(site=site) for answer in ANSWERS]
        walk.answers = len(answers)
        public = [] if port == 8300 else ["--public-url", f"http://127.0.0.1:{port}"]
        init = [*counterfoil, "init", "--test-event-code", "TEST12345", *public]
        walk.run("counterfoil init --test-event-code TEST12345", init, folder, "\n".join([*answers, ""]))
        walk.edits.append("META_ACCESS_TOKEN exported")
        environ = os.environ | {
            "META_ACCESS_TOKEN": "EAAwalk",
            "RELAY_GRAPH_URL": twin.url,
            "RELAY_PORT": str(port),
            "RELAY_ACCEPT_PRIVATE_ADDRESSES": "true",  # the visitor is on this machine
        }
        walk.commands.append("counterfoil serve")
        serve = stack.enter_context(running([*counterfoil, "serve"], folder, environ))
        wait_until(lambda: is_ready(serve, port), "the relay is ready")
        walk.edits.append("tag.html pasted into the page")
        head = (folder / "tag.html").read_text() + base_code(twin.url, PIXEL, page_view=False)
        (folder / "pages" / "index.html").write_text(f"<!doctype html><title>shop</title>{head}")
        visit(site)
        (event,) = wait_until(lambda: twin.state()["server"], "the event at Meta")
        if event["test_event_code"] != "TEST12345" or not twin.state()["browser"]:
            raise SystemExit(f"the event came otherwise than it should: {event}")
        walk.seconds = time.monotonic() - began
    return walk


@contextmanager
def static_pages(folder: Path) -> Iterator[str]:
    folder.mkdir()
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Quiet, directory=str(folder)))
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None: ...


@contextmanager
def running(
    command: Sequence[str], folder: Path, environ: dict[str, str]
) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        command, cwd=folder, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        yield process
    finally:
        process.terminate()
        process.wait(30)


def is_ready(process: subprocess.Popen[bytes], port: int) -> bool:
    assert process.poll() is None, "the relay ended by itself"
    try:
        return httpx.get(f"http://127.0.0.1:{port}/readyz").status_code == 200
    except httpx.TransportError:
        return False


def visit(site: str) -> None:
    """In a browser of its own, in a thread of its own: Playwright may be at work in this one."""

    def look() -> None:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(
                executable_path=find_chromium(), args=list(CHROMIUM_ARGUMENTS)
            )
            page = browser.new_page()
            page.goto(site)
            # What Meta's script has sent before an async c.js came has no id, and which comes first is chance.
            page.wait_for_function("window.counterfoil && window.counterfoil.live", polling=POLL_MS)
            with page.expect_response("**/v1/events"):
                page.evaluate("fbq('track', 'Lead')")
            browser.close()

    thread = Thread(target=look)
    thread.start()
    thread.join()


HEAD: Final = """# The first minutes, counted

Written by `python -m e2e.walk --write`, which walks as this documentation says and counts what a person types. The
seconds are the machine's: reading, typing, DNS and certificates come on top.

{today}, {cores} cores with a load of {load:.0f}, Python {python}, {system}; packages from a near registry.

| walk | commands | answers | by hand | seconds |
|---|---|---|---|---|
"""
TAIL: Final = """
In T1 Meta is the twin. The event carries the `test_event_code`, and both halves arrived. On a real host the web
server's part and, for a subdomain, two DNS records come on top: [installing](install.md).
"""


def report(walks: Sequence[Walk]) -> str:
    head = HEAD.format(
        today=f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d}",
        cores=os.cpu_count(),
        load=os.getloadavg()[0],
        python=platform.python_version(),
        system=platform.system(),
    )
    rows = [
        f"| {walk.name} | {len(walk.commands)} | {walk.answers} | {len(walk.edits)} | {walk.seconds:.0f} |"
        for walk in walks
    ]
    steps = [
        "\n".join(
            [
                "",
                f"**{walk.name}**",
                "",
                *(f"1. `{each}`" for each in walk.commands),
                *(f"1. {e}" for e in walk.edits),
            ]
        )
        for walk in walks
    ]
    return head + "\n".join([*rows, *steps, TAIL])


def main() -> int:
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as two:
        counterfoil = shutil.which("counterfoil", path=str(Path(sys.executable).parent)) or "counterfoil"
        walks = [walk_to_the_sandbox(Path(one)), walk_to_an_event(Path(two), [counterfoil])]
    text = report(walks)
    print(text)
    if "--write" in sys.argv:
        PAGE.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
