"""Make sure that a Chromium is there: an installed one, else Debian's package, else Playwright's own download.

`python -m e2e.browser` is what `make test` runs before the browser tests; it prints what it found or did.
"""

import os
import shutil
import subprocess
import sys

from relay.sandbox.browser import find_chromium


def install() -> str | None:
    """Install a Chromium and return its path; says why where that is not possible."""
    if shutil.which("apt-get") and os.geteuid() == 0:
        print("No Chromium found: installing Debian's package.", flush=True)
        for command in (["apt-get", "update", "-qq"], ["apt-get", "install", "-y", "-qq", "chromium"]):
            subprocess.run(command, check=False, stdout=subprocess.DEVNULL)
        if found := find_chromium():
            return found
    print("No Chromium found: asking Playwright for its own.", flush=True)
    subprocess.run([sys.executable, "-m", "playwright", "install", "--with-deps", "chromium"], check=False)
    return find_chromium()


def main() -> int:
    found = find_chromium() or install()
    if found is None:
        print(
            "No Chromium could be found or installed. Install one, or set COUNTERFOIL_CHROMIUM to its path."
        )
        return 1
    print(f"Browser tests use {found}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
