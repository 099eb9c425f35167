"""Make sure that what the browser tests need is there: a Chromium, and for the network tests a few of Debian's tools.

A Chromium is an installed one, else Debian's package, else Playwright's own download. `python -m e2e.browser` is what
`make test` runs before the browser tests; it prints what it found or did.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from e2e import hosts
from e2e.firefox import find_firefox
from e2e.network import COMMANDS
from relay.sandbox.browser import find_chromium

POLICY = Path("/usr/sbin/policy-rc.d")


def has_apt() -> bool:
    return shutil.which("apt-get") is not None and os.geteuid() == 0


def apt_install(*packages: str) -> None:
    print(f"Installing Debian's {' '.join(packages)}.", flush=True)
    with no_services():
        for command in (
            ["apt-get", "update", "-qq"],
            ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages],
        ):
            subprocess.run(command, check=False, stdout=subprocess.DEVNULL)


@contextmanager
def no_services() -> Iterator[None]:
    """Debian starts what it installs; the tests want servers as files, not running on port 80."""
    if POLICY.exists():
        yield
        return
    POLICY.write_text("#!/bin/sh\nexit 101\n")
    POLICY.chmod(0o755)
    try:
        yield
    finally:
        POLICY.unlink()


def install_chromium() -> str | None:
    """Install a Chromium and return its path; says why where that is not possible."""
    if has_apt():
        apt_install("chromium")
        if found := find_chromium():
            return found
    print("No Chromium found: asking Playwright for its own.", flush=True)
    subprocess.run([sys.executable, "-m", "playwright", "install", "--with-deps", "chromium"], check=False)
    return find_chromium()


def install_network_tools() -> None:
    missing = {command: package for command, package in COMMANDS.items() if shutil.which(command) is None}
    if missing and has_apt():
        apt_install(*missing.values())
    elif missing:
        print(f"The network tests will be skipped: they need {', '.join(missing.values())}, and root.")


def install_servers_and_php() -> None:
    wanted = hosts.COMMANDS | {"php": "php-cli"}
    missing = {command: package for command, package in wanted.items() if not shutil.which(command)}
    if missing and has_apt():
        apt_install(*missing.values())
    elif missing:
        print(f"Tests with web servers or PHP will be skipped: they need {', '.join(missing.values())}.")


def install_curl() -> None:
    if not shutil.which("curl") and has_apt():
        apt_install("curl")


def install_firefox() -> None:
    if find_firefox() is None and has_apt():
        apt_install("firefox-esr")
    if find_firefox() is None:
        print(
            "The Firefox tests will be skipped: no Firefox. Install one, or set COUNTERFOIL_FIREFOX to its path."
        )


def main() -> int:
    install_network_tools()
    install_servers_and_php()
    install_curl()
    install_firefox()
    found = find_chromium() or install_chromium()
    if found is None:
        print(
            "No Chromium could be found or installed. Install one, or set COUNTERFOIL_CHROMIUM to its path."
        )
        return 1
    print(f"Browser tests use {found}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
