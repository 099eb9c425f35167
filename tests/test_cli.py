"""The command: what it prints, where, and with which exit code."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import anyio
import httpx
import msgspec
import pytest
from click.testing import CliRunner, Result

from relay import __version__
from relay.assets import find_assets
from relay.cli import main
from relay.event.normalise import normalise
from relay.event.outcome import BrowserState, Fate, FateReason, Transport
from relay.event.records import BrowserLeg, OutboxEvent
from relay.loading import load_settings
from relay.store.sqlite import SqliteStore
from relay.tag import PINNED, STUB, integrity
from tests.ports import free_port

CONFIG = """
[server]
port = {port}
public_url = "http://127.0.0.1:{port}"
[[site]]
key = "demo-shop"
origins = ["https://shop.example"]
[[site.pixels]]
id = "1234567890"
token_env = "SHOP_TOKEN"
"""
pytestmark = pytest.mark.usefixtures("untouched_logging")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a relay.toml, and none of the machine's own settings."""
    for name in [*os.environ]:
        if name.startswith("RELAY_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("SHOP_TOKEN", "EAAtoken")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "relay.toml").write_text(CONFIG.format(port=free_port()))
    return tmp_path


def counterfoil(*arguments: str, given: str | bytes | None = None) -> Result:
    result = CliRunner().invoke(main, arguments, input=given)
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def refused(*arguments: str) -> str:
    """The one line on stderr of a command that could not be tried."""
    result = counterfoil(*arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    (line,) = result.stderr.splitlines()
    return line


@contextmanager
def running(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    """The command in a process of its own; it must end well when it is told to."""
    command = [sys.executable, "-m", "relay", *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        yield process
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == 0
    finally:
        process.kill()
        process.communicate()


def lines_until(process: subprocess.Popen[str], marker: str) -> list[str]:
    assert process.stdout is not None
    lines: list[str] = []
    while not any(marker in line for line in lines):
        line = process.stdout.readline()
        assert line, f"ended before it said {marker!r}: {lines}"
        lines.append(line.rstrip())
    return lines


def test_version_is_the_packages() -> None:
    assert counterfoil("--version").stdout == f"counterfoil, version {__version__}\n"


def test_every_command_has_a_sentence_of_help() -> None:
    for name, command in main.commands.items():
        assert command.help, name
        assert counterfoil(name, "--help").exit_code == 0


# serve


def test_serve_prints_one_sign_in_link_that_works_and_where_receipts_are(folder: Path) -> None:
    with running("serve") as process:
        said = lines_until(process, "Sign in")
        (link,) = re.findall(r"http://\S+/sign-in\?code=\S+", "\n".join(said))
        url = link.partition("/sign-in")[0]
        assert f"Receipts: {url}/receipts" in said
        assert httpx.get(f"{url}/healthz").json() == {"status": "ok"}
        assert httpx.get(link).status_code == 200
        assert httpx.get(link).status_code == 403


def test_serve_takes_host_and_port_from_flags(folder: Path) -> None:
    port = str(free_port())
    with running("serve", "--port", port) as process:
        assert lines_until(process, "listens")[-1].endswith(f"listens on 127.0.0.1 port {port}.")


def test_serve_says_which_pixel_has_no_token(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SHOP_TOKEN")
    with running("serve") as process:
        assert process.stderr is not None
        assert (
            process.stderr.readline()
            == "Pixel 1234567890 has no access token: its events wait until it has one.\n"
        )


def test_serve_without_a_file_says_how_to_get_one(folder: Path) -> None:
    assert "Write one with `counterfoil init`" in refused("serve", "--config", "none.toml")


def test_serve_without_a_site_is_refused(folder: Path) -> None:
    (folder / "empty.toml").write_text("")
    assert "no [[site]]" in refused("serve", "--config", "empty.toml")


def test_serve_on_a_file_in_use_is_one_line_and_exit_code_2(folder: Path) -> None:
    with running("serve") as first:
        lines_until(first, "Sign in")
        port = str(free_port())
        assert "is in use by another Counterfoil" in refused("serve", "--port", port)


def test_serve_on_an_address_in_use_is_one_line_and_exit_code_2(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert f"port {port}: Address already in use" in refused("serve", "--port", str(port))


# sandbox, twin


def test_the_sandbox_prints_three_addresses_that_answer(folder: Path) -> None:
    base = free_port()
    with running("sandbox", "--port-base", str(base), "--data", str(folder / "kept")) as process:
        said = lines_until(process, "Ctrl-C")
        addresses = re.findall(r"http://\S+", "\n".join(said))
        assert len(addresses) == 3
        assert [httpx.get(address).status_code for address in addresses] == [200, 200, 200]
    assert (folder / "kept" / "counterfoil.db").exists()


def test_the_check_passes_without_a_browser_and_leaves_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COUNTERFOIL_CHROMIUM", str(folder / "none"))
    monkeypatch.setattr("tempfile.tempdir", str(folder / "temporary"))
    (folder / "temporary").mkdir()
    result = counterfoil("sandbox", "--check")
    assert result.exit_code == 0
    assert "plain HTTP requests" in result.stdout
    assert result.stdout.endswith("Passed: browser first, and one event counts under every dedup profile.\n")
    assert [*(folder / "temporary").iterdir()] == []


def test_the_twin_runs_alone(folder: Path) -> None:
    with running("twin", "--port", "0") as process:
        (address,) = re.findall(r"http://\S+/", lines_until(process, "Meta twin")[-1])
        state = httpx.get(f"{address}twin/state").json()
        assert (state["browser"], state["server"], state["rejected"]) == ([], [], [])


# snippet, sign-in


def test_snippet_pins_the_script_by_its_hash(folder: Path) -> None:
    body = (find_assets("static") / "js" / PINNED).read_bytes()
    said = counterfoil("snippet", "--pinned").stdout
    assert f'/c.v1.js" integrity="{integrity(body)}"' in said


def test_snippet_prints_shopifys_pixel_with_the_sites_own_settings(folder: Path) -> None:
    assert "Set opaque_origins = true" in refused("snippet", "--shopify")
    config = (folder / "relay.toml").read_text()
    (folder / "relay.toml").write_text(config.replace("origins = [", "opaque_origins = true\norigins = ["))
    code = counterfoil("snippet", "--shopify").stdout
    (line,) = re.findall(r"^const SETTINGS = (.*);$", code, re.MULTILINE)
    assert msgspec.json.decode(line) == {
        "relay": load_settings(folder / "relay.toml", {}, {}).server.public_url,
        "site": "demo-shop",
        "pixels": ["1234567890"],
        "contentId": "variant",
        "tr": "https://www.facebook.com/tr/",
    }
    assert "Name one of demo-shop by --site" in refused("snippet", "--shopify", "--site", "other")


def test_snippet_prints_the_tag_the_stub_and_the_policy(folder: Path) -> None:
    said = counterfoil("snippet").stdout
    assert re.search(
        r'<script async src="http://127\.0\.0\.1:\d+/c\.js" data-site="demo-shop" data-radar="0.1"></script>',
        said,
    )
    assert f"<script>{STUB}</script>" in said
    assert "script-src http://127.0.0.1:" in said


def test_sign_in_prints_a_new_link_each_time(folder: Path) -> None:
    first, second = counterfoil("sign-in").stdout, counterfoil("sign-in").stdout
    assert "/sign-in?code=" in first
    assert first != second


# explain


@pytest.mark.parametrize("kind", ["hash", "request", "event"])
def test_explain_answers_each_line_and_fails_at_the_end_for_a_bad_one(kind: str) -> None:
    rows = b'{"id": 1, "field": [], "host": [], "as": []}\n\nnot json\n"\xff"\n[1]\n' + b"[" * 100_000 + b"\n"
    result = counterfoil("explain", kind, given=rows)
    answers = [json.loads(line) for line in result.stdout.splitlines()]
    assert result.exit_code == 1
    assert len(answers) == 5
    assert all(answer["error"] for answer in answers)


def test_explain_hash_gives_what_would_be_sent_and_why() -> None:
    result = counterfoil("explain", "hash", given='{"id": 7, "field": "em", "value": " Ada@Example.com "}\n')
    assert result.exit_code == 0
    answer = json.loads(result.stdout)
    assert (answer["id"], answer["normalized"]) == (7, "ada@example.com")
    assert re.fullmatch("[0-9a-f]{64}", answer["sha256"])


def test_explain_answers_while_its_input_is_still_open() -> None:
    command = [sys.executable, "-m", "relay", "explain", "hash"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write('{"id": 1, "field": "ct", "value": "Paris"}\n')
        process.stdin.flush()
        assert json.loads(process.stdout.readline())["normalized"] == "paris"
        process.stdin.close()
        assert process.wait(timeout=30) == 0


# replay, status


def outbox_event(event_id: str, fate: Fate | None) -> OutboxEvent:
    return OutboxEvent(
        key=event_id.encode().ljust(16, b"0"),
        site="demo-shop",
        pixel="1234567890",
        event_name="Purchase",
        event_id=event_id,
        event_time_ms=1_795_000_000_000,
        received_ms=1_795_000_000_000,
        not_before_ms=1_795_000_000_000,
        leg=BrowserLeg(
            state=BrowserState.SENT,
            evidence="load",
            transport=Transport.IMAGE,
            dispatched_ms=None,
            settled_ms=None,
            reported_ms=1_795_000_000_000,
        ),
        server_event=b"{}",
        client_ip_address=None,
        client_user_agent="Mozilla/5.0",
        why={},
        fate=fate,
        fate_reason=FateReason.REJECTED_BY_META if fate else None,
    )


@pytest.fixture
def store(folder: Path) -> Path:
    """A stopped relay's file: one event that waits, one that Meta has rejected."""
    path = folder / "counterfoil-data" / "counterfoil.db"

    async def fill() -> None:
        async with await SqliteStore.open(path) as store:
            await store.admit([outbox_event("waits", None), outbox_event("rejected", Fate.REJECTED)])

    anyio.run(fill)
    return path


def test_replay_needs_to_know_which_events(folder: Path) -> None:
    assert "--event-id ID" in refused("replay")


def test_replay_before_the_first_start_says_so(folder: Path) -> None:
    assert "There is no counterfoil-data/counterfoil.db yet" in refused("replay", "--fate", "rejected")


@pytest.mark.parametrize(
    "which",
    [("--event-id", "rejected"), ("--fate", "rejected"), ("--since", "2026-11-18", "--until", "2026-11-19")],
)
def test_replay_puts_ended_events_back_once(store: Path, which: tuple[str, ...]) -> None:
    assert counterfoil("replay", *which).stdout == "1 put back; they are sent at the next start.\n"
    assert counterfoil("replay", *which).stdout == "Nothing to put back.\n"


def test_a_running_relay_replays_itself(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SHOP_TOKEN")  # so that what is put back waits
    with running("serve") as process:
        lines_until(process, "Sign in")
        assert counterfoil("replay", "--fate", "rejected").stdout == "1 put back; they are sent now.\n"
        assert "Waiting: 2" in counterfoil("status").stdout
        assert counterfoil("replay", "--fate", "rejected").stdout == "Nothing to put back.\n"


# prune, erase, export

ADA = normalise("external_id", "Customer-7").sha256 or ""
PERSON = ("--external-id", " customer-7 ")


@pytest.fixture
def kept(store: Path) -> Path:
    """The same file with two events of one customer, one of them delivered."""

    async def fill() -> None:
        user_data = msgspec.json.encode({"user_data": {"external_id": [ADA], "em": [ADA[::-1]]}})
        hers = [outbox_event("hers", None), outbox_event("sent", Fate.DELIVERED)]
        async with await SqliteStore.open(store) as opened:
            await opened.admit([msgspec.structs.replace(each, server_event=user_data) for each in hers])

    anyio.run(fill)
    return store


@pytest.mark.parametrize("who", [PERSON, ("--external-id", ADA), ("--email-hash", ADA[::-1].upper())])
def test_erase_removes_one_person_and_reports_what_it_was(kept: Path, who: tuple[str, ...]) -> None:
    kept.with_name(f"{kept.name}.version-1.backup").write_bytes(b"")
    lines = counterfoil("erase", *who).stdout.splitlines()
    assert lines[:3] == [
        "1 of site demo-shop, pixel 1234567890: delivered",
        "1 of site demo-shop, pixel 1234567890: waiting",
        "2 erased.",
    ]
    assert any("Meta has those" in line for line in lines)
    assert any("version-1.backup is an older copy" in line for line in lines)
    assert ADA.encode() not in b"".join(file.read_bytes() for file in kept.parent.iterdir())
    assert counterfoil("erase", *who).stdout.splitlines()[0] == "0 erased."


def test_erase_needs_to_know_whose_events(kept: Path) -> None:
    assert "--email-hash HASH" in refused("erase")
    assert "--external-id is empty" in refused("erase", "--external-id", " ")


def test_erase_takes_no_address_in_clear(kept: Path) -> None:
    said = refused("erase", "--email-hash", "ada@example.com")
    assert "explain hash" in said
    assert "ada@" not in said


def test_a_running_relay_erases_and_forgets_itself(kept: Path) -> None:
    with running("serve") as process:
        lines_until(process, "Sign in")
        assert "2 erased." in counterfoil("erase", *PERSON).stdout.splitlines()
        assert ADA.encode() not in b"".join(file.read_bytes() for file in kept.parent.iterdir())
        assert "Forgotten" in counterfoil("prune").stdout
        assert exported() == ["waits", "rejected"]


def test_a_command_of_another_key_is_refused_by_a_running_relay(kept: Path) -> None:
    with running("serve") as process:
        lines_until(process, "Sign in")
        kept.with_name("signing.key").write_text("another" * 10)
        assert "does not know this key" in refused("prune")


def test_a_command_says_where_it_looked_for_the_relay_that_has_the_file(
    kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running("serve") as process:
        lines_until(process, "Sign in")
        monkeypatch.setenv("RELAY_PORT", str(free_port()))
        assert f"http://127.0.0.1:{os.environ['RELAY_PORT']}" in refused("erase", *PERSON)


def exported(*arguments: str) -> list[str]:
    return [
        json.loads(line)["row"]["event_id"] for line in counterfoil("export", *arguments).stdout.splitlines()
    ]


def test_export_prints_every_receipt_as_a_line_and_a_person_s_alone(kept: Path) -> None:
    assert exported() == ["waits", "rejected", "hers", "sent"]
    assert exported(*PERSON) == ["hers", "sent"]
    assert exported("--external-id", "nobody") == []


def test_export_does_not_disturb_a_running_relay(kept: Path) -> None:
    with running("serve") as process:
        lines_until(process, "Sign in")
        assert len(exported()) == 4


def test_prune_forgets_what_is_past_its_time(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "Forgotten" in counterfoil("prune").stdout
    assert "sent" in exported()
    year_2030_ns = 1_893_456_000_000_000_000
    monkeypatch.setattr("relay.clock.time.time_ns", lambda: year_2030_ns)
    counterfoil("prune")
    assert exported() == ["waits", "hers"], "what waits has not ended"


def test_status_of_a_stopped_relay_tells_what_waits(store: Path) -> None:
    result = counterfoil("status")
    assert result.exit_code == 1
    assert "Waiting: 1, the first of them due at 2026-11-18 11:06:40 UTC\nRejected: 1\n" in result.stdout
    assert result.stderr == "The relay is stopped.\n"


def test_status_of_a_running_relay_is_well(folder: Path) -> None:
    with running("serve") as process:
        lines_until(process, "Sign in")
        result = counterfoil("status")
    assert (result.exit_code, result.stderr) == (0, "")
    assert (
        result.stdout == "The relay is running.\nWaiting: 0\nRefused: 0\nDuplicates: 0\nAmbiguous sends: 0\n"
    )


def test_status_of_a_running_relay_says_why_a_pixel_is_parked(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SHOP_TOKEN")
    with running("serve") as process:
        lines_until(process, "Sign in")
        deadline = time.monotonic() + 20
        while "is parked since" not in (result := counterfoil("status")).stderr:
            assert time.monotonic() < deadline, result.stderr
    assert result.exit_code == 1
    assert "its events wait: There is no access token for pixel 1234567890." in result.stderr


def test_status_of_a_damaged_file_says_how_to_recover_it(store: Path) -> None:
    store.write_bytes(b"x" * 100 + store.read_bytes()[100:])
    assert "run `counterfoil rescue`" in refused("status")
    assert "2 rows of event\n" in counterfoil("rescue").stdout
    assert "Waiting: 1" in counterfoil("status").stdout


def test_rescue_beside_a_running_relay_is_refused(folder: Path) -> None:
    with running("serve") as process:
        lines_until(process, "Sign in")
        assert "is in use by another Counterfoil" in refused("rescue")


def test_status_tells_of_a_pixel_without_a_token(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SHOP_TOKEN")
    assert "Pixel 1234567890 has no access token." in counterfoil("status").stderr


def test_config_shows_what_is_in_force_and_where_it_comes_from(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RELAY_LOG_FORMAT", "json")
    plain = counterfoil("config", "show")
    lines = counterfoil("config", "show", "--origin").stdout.splitlines()
    assert plain.exit_code == 0
    assert 'log_format = "json"\n' in plain.stdout
    assert 'log_format = "json"  # RELAY_LOG_FORMAT' in lines
    assert "batch_max = 1000  # default" in lines
    assert 'id = "1234567890"  # relay.toml' in lines
    assert 'token_env = "SHOP_TOKEN"  # relay.toml, secret is set' in lines
    assert "[site[0].pixels[0]]" in lines
    assert "EAAtoken" not in "".join(lines)


def test_config_of_a_file_that_is_wrong_is_one_line(folder: Path) -> None:
    (folder / "relay.toml").write_text("[server]\nprot = 1\n")
    assert "Did you mean port?" in refused("config", "show")
