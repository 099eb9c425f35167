"""No container engine runs here: the Dockerfile is linted, and its steps are followed in a clean place."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.ports import free_port

ROOT = Path(__file__).parent.parent
LINES = re.sub(r"\\\n\s*", "", (ROOT / "Dockerfile").read_text()).splitlines()
# Needs a root's rights outside the image's own folder; the tests take a folder of their own for /data.
ONLY_IN_A_CONTAINER = ["install -d -o 10001 -g 10001 -m 0700 /data"]
CONFIG = """
[[site]]
key = "demo-shop"
origins = ["https://shop.example"]
[[site.pixels]]
id = "1234567890"
"""


def instructions(name: str) -> list[str]:
    return [line.removeprefix(f"{name} ") for line in LINES if line.startswith(f"{name} ")]


def environment() -> dict[str, str]:
    return dict(word.split("=", 1) for line in instructions("ENV") for word in shlex.split(line))


def copied() -> list[list[str]]:
    return [line.split() for line in instructions("COPY")]


def test_hadolint_has_nothing_to_say() -> None:
    hadolint = Path(sys.executable).with_name("hadolint")
    said = subprocess.run([hadolint, ROOT / "Dockerfile"], capture_output=True, text=True)
    assert (said.returncode, said.stdout) == (0, "")


def test_the_image_runs_as_nobody_and_installs_by_hash() -> None:
    assert instructions("USER") == ["10001:10001"]
    assert instructions("RUN")[1] == "pip install --require-hashes -r requirements/core.txt"


def test_everything_copied_passes_the_dockerignore_and_nothing_else_does() -> None:
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert {source for source, _ in copied()} == allowed


def test_the_locks_name_no_registry() -> None:
    for lock in (ROOT / "requirements").glob("*.txt"):
        assert "://" not in lock.read_text()


@pytest.mark.install
@pytest.mark.timeout(300)
def test_its_steps_in_a_clean_environment_give_a_relay_that_is_healthy(tmp_path: Path) -> None:
    app, data, venv = tmp_path / "app", tmp_path / "data", tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", venv], check=True)
    for source, target in copied():
        copy = shutil.copytree if (ROOT / source).is_dir() else shutil.copy
        (app / target).parent.mkdir(parents=True, exist_ok=True)
        copy(ROOT / source, app / target)
    port = str(free_port())
    environ = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("RELAY_", "PYTHON"))},
        **environment(),
        "PATH": f"{venv / 'bin'}:{os.environ['PATH']}",
        "PIP_NO_CACHE_DIR": "0",
        "RELAY_CONFIG": str(tmp_path / "relay.toml"),
        "RELAY_HOST": "127.0.0.1",
        "RELAY_PORT": port,
        "RELAY_STORE_PATH": str(data / "counterfoil.db"),
    }
    (tmp_path / "relay.toml").write_text(CONFIG)

    steps = [step for step in instructions("RUN") if step not in ONLY_IN_A_CONTAINER]
    assert len(steps) == len(instructions("RUN")) - len(ONLY_IN_A_CONTAINER)
    for step in steps:
        subprocess.run(["sh", "-c", step], cwd=app, env=environ, check=True, capture_output=True, timeout=240)

    (entrypoint,), (command,) = instructions("ENTRYPOINT"), instructions("CMD")
    relay = subprocess.Popen([*json.loads(entrypoint), *json.loads(command)], cwd=app, env=environ, text=True)
    try:
        health = json.loads(instructions("HEALTHCHECK")[0].split("CMD ", 1)[1])
        assert becomes_healthy(health, environ, relay)
    finally:
        relay.terminate()
        assert relay.wait(timeout=30) == 0
    assert (data / "counterfoil.db").exists()


def becomes_healthy(command: list[str], environ: dict[str, str], relay: subprocess.Popen[str]) -> bool:
    """What a container engine does: ask again until the answer is yes, or the process has ended."""
    end = time.monotonic() + 60
    while relay.poll() is None and time.monotonic() < end:
        if subprocess.run(command, env=environ, capture_output=True).returncode == 0:
            return True
    return False
