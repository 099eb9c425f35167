"""The scripts that ship are what their sources build, and stay small."""

import gzip
import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).parent.parent
SCRIPTS = ROOT / "static" / "js"
CORE_GZIP_MAX = 3_072  # bytes: 3.0 KiB


def test_the_committed_scripts_are_what_their_sources_build() -> None:
    npm = shutil.which("npm")
    assert npm, "npm is needed here: install Node 20 or newer"
    build = subprocess.run(
        [npm, "run", "--silent", "build", "--", "--check"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (build.returncode, build.stdout) == (0, ""), build.stderr


def test_the_core_keeps_to_its_budget() -> None:
    assert len(gzip.compress((SCRIPTS / "c.js").read_bytes(), 9)) <= CORE_GZIP_MAX


def test_the_core_names_no_machine_and_no_source() -> None:
    text = (SCRIPTS / "c.js").read_text()
    assert "sourceMappingURL" not in text
    assert "/home/" not in text
    assert str(ROOT) not in text


def test_the_lock_names_no_registry() -> None:
    text = (ROOT / "package-lock.json").read_text()
    assert '"resolved"' not in text
    assert "://" not in text
