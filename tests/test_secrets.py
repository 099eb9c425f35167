"""Secrets planted as canaries stay where they were put: in no log, page, JSON, error, command's output or store."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import httpx
import msgspec
import pytest
from click.testing import CliRunner

from relay.cli import main
from relay.errors import SettingsError
from relay.loading import load_settings, read_token
from relay.settings import Pixel
from relay.twin.fixture import MetaTwin
from tests.event.malformed import good_event
from tests.ports import free_port
from tests.web.lab import HEADERS

TOKEN: Final = "EAAcanarytoken0123456789abcdef"
FILE_TOKEN: Final = "EAAcanaryfiletoken0123456789"
OLD_KEY, NEW_KEY = "canary-old-key-" * 4, "canary-new-key-" * 4
SHOP_KEY: Final = "canary-shop-key-" * 4
SECRETS: Final = (TOKEN, FILE_TOKEN, OLD_KEY, NEW_KEY, SHOP_KEY)
ENVIRON: Final = {"SHOP_TOKEN": TOKEN, "RELAY_KEYS": f"{OLD_KEY} {NEW_KEY}", "SHOP_KEY": SHOP_KEY}
CONFIG: Final = """
[server]
port = {port}
public_url = "http://127.0.0.1:{port}"
graph_url = "{graph}"
secret_key_env = "RELAY_KEYS"
log_format = "{log_format}"
[[site]]
key = "demo-shop"
origins = ["https://shop.example"]
conversion_key_env = "SHOP_KEY"
require_signature = ["Lead"]
[[site.pixels]]
id = "1234567890"
token_env = "SHOP_TOKEN"
[[site.pixels]]
id = "2222222222"
token_file = "token.txt"
"""
PAGES: Final = (
    "/",
    "/receipts",
    "/receipts/good",
    "/receipts/unsigned",
    "/receipts/nothing",
    "/issues",
    "/addresses",
    "/sign-in",
    "/sign-in?code=wrong",
    "/readyz",
    "/healthz",
    "/api/receipts",
    "/api/receipts/good",
    "/api/issues",
    "/api/addresses",
    "/api/address-echo",
    "/nothing",
    "/c.js",
)


@pytest.fixture(params=["text", "json"])
def folder(request: pytest.FixtureRequest, tmp_path: Path, meta_twin: MetaTwin) -> Path:
    port = free_port()
    text = CONFIG.format(port=port, graph=meta_twin.url, log_format=request.param)
    (tmp_path / "relay.toml").write_text(text)
    (tmp_path / "token.txt").write_text(f"{FILE_TOKEN}\n")
    return tmp_path


@pytest.fixture
def meta_twin() -> Iterator[MetaTwin]:
    with MetaTwin() as twin:
        # Meta complains of the token first, then throttles, then takes everything.
        twin.fault("graph_error", status=400, code=100)
        twin.fault("html")
        twin.fault("throttle")
        yield twin


def command(*arguments: str) -> str:
    """Everything that the command says."""
    return CliRunner(env=ENVIRON).invoke(main, arguments).output


def whole_run(folder: Path) -> str:
    """Serve, post, look at every page as a person and as a program, stop: all that was said meanwhile."""
    relay = subprocess.Popen(
        [sys.executable, "-m", "relay", "serve"],
        cwd=folder,
        env=os.environ | ENVIRON | {"PYTHONPATH": str(Path(__file__).parent.parent)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert relay.stdout is not None
        said: list[str] = []
        while not (link := re.search(r"http://\S+/sign-in\?code=\S+", said[-1] if said else "")):
            said.append(relay.stdout.readline())
            assert said[-1], "the relay ended"
        said += visit(link[0])
        relay.send_signal(signal.SIGTERM)
        out, err = relay.communicate(timeout=60)
    finally:
        relay.kill()
        relay.communicate()
    return "".join([*said, out, err])


def visit(link: str) -> Iterator[str]:
    url = link.partition("/sign-in")[0]
    with httpx.Client(base_url=url, follow_redirects=True) as client:
        for event in (
            good_event(event_id="good"),
            good_event(event_id="unsigned", event_name="Lead"),
        ):
            body = msgspec.json.encode({"site": "demo-shop", "events": [event]})
            yield client.post("/v1/events", content=body, headers=HEADERS).text
        yield client.post("/v1/events", content=b"{", headers=HEADERS).text
        yield client.get(link).text
        for path in PAGES:
            for accept in ("text/html", "application/json"):
                answer = client.get(path, headers={"accept": accept})
                yield answer.text + str(answer.headers)


def test_no_secret_is_shown_logged_or_stored(
    folder: Path, monkeypatch: pytest.MonkeyPatch, untouched_logging: None
) -> None:
    monkeypatch.chdir(folder)
    said = [whole_run(folder)]
    for arguments in (
        ("status",),
        ("snippet",),
        ("export",),
        ("replay", "--fate", "rejected"),
        ("prune",),
        ("erase", "--external-id", "x"),
        ("sign-in",),
        ("doctor", "--json"),
        ("serve", "--port", "99999"),
    ):
        said.append(command(*arguments))
    stored = b"".join(file.read_bytes() for file in (folder / "counterfoil-data").iterdir())
    assert "demo-shop" in said[0]
    for secret in SECRETS:
        assert not any(secret in text for text in said)
        assert secret.encode() not in stored


@pytest.mark.parametrize("token", [f"{TOKEN} {TOKEN}", f"{TOKEN}\u00e9", f"Bearer\n{TOKEN}"])
def test_a_token_that_cannot_be_one_is_refused_without_quoting_it(token: str) -> None:
    with pytest.raises(SettingsError) as refused:
        read_token(Pixel(id="1234567890", token_env="SHOP_TOKEN"), {"SHOP_TOKEN": token})
    assert "1234567890" in str(refused.value)
    assert TOKEN not in str(refused.value)


def test_a_token_in_the_settings_file_is_refused_without_quoting_it(tmp_path: Path) -> None:
    (tmp_path / "relay.toml").write_text(CONFIG.replace("token_env", "token").replace("SHOP_TOKEN", TOKEN))
    filled = (tmp_path / "relay.toml").read_text().format(port=1, graph="http://x.example", log_format="text")
    (tmp_path / "relay.toml").write_text(filled)
    result = CliRunner().invoke(main, ["snippet", "--config", str(tmp_path / "relay.toml")])
    assert result.exit_code == 2
    assert "token is not a setting" in result.output
    assert TOKEN not in result.output


def test_the_settings_as_a_whole_hold_no_secret(tmp_path: Path) -> None:
    (tmp_path / "relay.toml").write_text(CONFIG.format(port=1, graph="http://x.example", log_format="text"))
    settings = load_settings(tmp_path / "relay.toml", ENVIRON, {})
    shown = repr(settings) + json.dumps(msgspec.to_builtins(settings))
    assert not any(secret in shown for secret in SECRETS)
