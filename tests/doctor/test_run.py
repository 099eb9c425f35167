"""The whole examination, and the command, against a real relay, twin and shop."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner, Result

from relay.cli import main
from relay.doctor.finding import WHY, Check, Finding, Status, failed, skipped, warned, well
from relay.doctor.report import report_json, report_text
from relay.doctor.run import examine
from relay.sandbox.run import PIXEL, open_sandbox
from tests.doctor.lab import network_of, settings_for, subject_of
from tests.ports import free_port

CONFIG = """
[server]
public_url = "http://127.0.0.1:{relay}"
graph_url = "http://127.0.0.1:{twin}"
accept_private_addresses = true
[store]
path = {store}
[[site]]
key = "{key}"
origins = ["http://127.0.0.1:{shop}"]
[[site.pixels]]
id = "{pixel}"
token_env = "SHOP_TOKEN"
"""


@contextmanager
def sandbox(folder: Path) -> Iterator[int]:
    """`counterfoil sandbox` in a process of its own; gives the relay's port, shop 10 and twin 20 above it."""
    base = free_port()
    command = [sys.executable, "-m", "relay", "sandbox", "--port-base", str(base), "--data", str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert any("Ctrl-C" in line for line in iter(process.stdout.readline, "")), "it did not start"
            yield base
        finally:
            process.terminate()


def write_config(folder: Path, base: int, *, key: str = "demo-shop") -> Path:
    file = folder / "relay.toml"
    store = json.dumps(str(folder / "data" / "counterfoil.db"))
    ports = {"relay": base, "shop": base + 10, "twin": base + 20}
    file.write_text(CONFIG.format(**ports, store=store, key=key, pixel=PIXEL))
    return file


def doctor(config: Path, *arguments: str) -> Result:
    environ = {"SHOP_TOKEN": "EAAtoken"}
    result = CliRunner().invoke(main, ["doctor", "--config", str(config), *arguments], env=environ)
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def test_the_sandbox_is_well_and_one_wrong_word_is_found(tmp_path: Path) -> None:
    with sandbox(tmp_path / "data") as base:
        page = f"http://127.0.0.1:{base + 10}/"
        good = doctor(write_config(tmp_path, base), "--site", "demo-shop", "--url", page)
        as_json = doctor(tmp_path / "relay.toml", "--url", page, "--json")
        wrong = doctor(write_config(tmp_path, base, key="other-shop"), "--url", page)
        state = httpx.get(f"http://127.0.0.1:{base + 20}/twin/state").json()
    assert good.exit_code == 0, good.stdout
    assert "✗" not in good.stdout
    assert "✓ ok      snippet" in good.stdout
    report = json.loads(as_json.stdout)
    assert (report["well"], report["counts"]["fail"], report["url"]) == (True, 0, page)
    assert {check["check"] for check in report["checks"]} == set(Check)
    assert wrong.exit_code == 1
    assert "✗ fail    snippet" in wrong.stdout
    assert 'data-site="other-shop"' in wrong.stdout
    assert (state["browser"], state["server"]) == ([], [])


def test_a_relay_that_is_not_there_fails(tmp_path: Path) -> None:
    result = doctor(write_config(tmp_path, 9))
    assert result.exit_code == 1
    assert "✗ fail    health" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--site", "nobody"), "There is no site nobody. There are: demo-shop."),
        (("--url", "shop.example"), "is not a page's address"),
        (("--url", "https://[x"), "is not a page's address"),
    ],
)
def test_what_cannot_be_examined_is_one_line_and_exit_code_2(
    tmp_path: Path, arguments: tuple[str, ...], said: str
) -> None:
    result = doctor(write_config(tmp_path, 9), *arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    (line,) = result.stderr.splitlines()
    assert said in line


def test_of_several_sites_one_must_be_named(tmp_path: Path) -> None:
    config = write_config(tmp_path, 9)
    more = '[[site]]\nkey = "second"\norigins = ["https://x.example"]\n[[site.pixels]]\nid = "1"\n'
    config.write_text(config.read_text() + more)
    assert "Say which site by --site KEY. There are: demo-shop, second." in doctor(config).stderr


@pytest.mark.anyio
async def test_findings_come_in_the_order_of_the_checks(tmp_path: Path) -> None:
    async with open_sandbox(tmp_path, None) as opened, network_of() as network:
        subject = subject_of(opened.settings)
        found = await examine(subject, network)
    order = [list(Check).index(finding.check) for finding in found]
    assert order == sorted(order)
    assert set(WHY) == set(Check)


def test_the_report_says_why_and_what_to_do_only_where_it_is_needed() -> None:
    findings: list[Finding] = [
        well(Check.HEALTH, "x", "fine"),
        warned(Check.DNS, "y", "no AAAA\x1b[31m", "Publish\none."),
        failed(Check.TLS, "z", "ended", "Renew."),
        skipped(Check.PAGE, "-", "not named", "Name one."),
    ]
    subject = subject_of(settings_for(Path(), "https://relay.shop.example"))
    assert report_text(subject, findings) == [
        "Counterfoil doctor: site demo-shop, relay https://relay.shop.example",
        "",
        "✓ ok      health        x: fine",
        "! warn    dns           y",
        "    saw: no AAAA [31m",
        f"    why: {WHY[Check.DNS]}",
        "    fix: Publish one.",
        "✗ fail    tls           z",
        "    saw: ended",
        f"    why: {WHY[Check.TLS]}",
        "    fix: Renew.",
        "- skipped page          -",
        "    saw: not named",
        "    fix: Name one.",
        "",
        "1 well, 1 to look at, 1 failed, 1 not looked at.",
    ]
    report = report_json(subject, findings)
    assert (report["well"], report["counts"]) == (False, {"ok": 1, "warn": 1, "fail": 1, "skipped": 1})
    assert [finding.status for finding in findings] == [*Status]
