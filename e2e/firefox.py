"""A headless Firefox, driven over Marionette, its own protocol: JSON with its length before it, on a TCP connection.

Playwright drives only its own patched Firefox, and its WebDriver BiDi asks an ESR for commands that it does not have.
"""

import json
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from e2e.lab import META_HOST, RELAY_HOST, SHOP_HOST, loopback_listener, wait_until

START_SECONDS = 60.0


def find_firefox() -> str | None:
    """Path of a Firefox: `COUNTERFOIL_FIREFOX`, else one on the PATH."""
    return os.environ.get("COUNTERFOIL_FIREFOX") or shutil.which("firefox-esr") or shutil.which("firefox")


class Firefox:
    """One window; its commands are those of WebDriver."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._stream = connection.makefile("rb")
        self._number = 0
        self._read()  # it introduces itself
        self._command("WebDriver:NewSession", acceptInsecureCerts=True)

    def goto(self, url: str) -> None:
        self._command("WebDriver:Navigate", url=url)

    def evaluate(self, expression: str) -> Any:
        script = "return window.eval(arguments[0])"  # in the page's own world
        return self._command("WebDriver:ExecuteScript", script=script, args=[expression])["value"]

    def quit(self) -> None:
        self._command("Marionette:Quit", flags=["eForceQuit"])
        self._stream.close()
        self._connection.close()

    def _command(self, name: str, **parameters: Any) -> Any:
        self._number += 1
        message = json.dumps([0, self._number, name, parameters]).encode()
        self._connection.sendall(b"%d:%s" % (len(message), message))
        _, _, error, result = self._read()
        if error:
            raise RuntimeError(f"{name}: {error['error']}: {error['message']}")
        return result

    def _read(self) -> Any:
        size = b""
        while (character := self._stream.read(1)) != b":":
            if not character:
                raise RuntimeError("Firefox has closed the connection")
            size += character
        return json.loads(self._stream.read(int(size)))


@contextmanager
def open_firefox(path: str, profile: Path) -> Iterator[Firefox]:
    """With a fresh profile, in which the laboratory's three names are those of this machine."""
    with loopback_listener() as free:
        port = free.getsockname()[1]
    preferences = {
        "marionette.port": port,
        "network.dns.localDomains": f"{SHOP_HOST},{RELAY_HOST},{META_HOST}",
        "privacy.globalprivacycontrol.enabled": False,
    }
    profile.mkdir()
    lines = (f"user_pref({json.dumps(name)}, {json.dumps(value)});" for name, value in preferences.items())
    (profile / "user.js").write_text("\n".join(lines))
    running = subprocess.Popen(
        [path, "--headless", "--marionette", "--no-remote", "--profile", str(profile)],
        env={**os.environ, "HOME": str(profile)},  # as root it refuses the home of another
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_until(lambda: _accepts(port), "Firefox starts", seconds=START_SECONDS)
        firefox = Firefox(socket.create_connection(("127.0.0.1", port)))  # it answers when it is ready
        yield firefox
        firefox.quit()
    finally:
        running.terminate()
        running.wait(timeout=30)


def _accepts(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
