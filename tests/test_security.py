"""SECURITY.md is held against the tests that it names."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "SECURITY.md").read_text("utf-8")
ROWS = [line.strip("| ").split(" | ") for line in PAGE.splitlines() if re.match(r"\| \d+ \|", line)]


def test_the_threat_model_has_25_rows_in_order() -> None:
    assert [int(number) for number, *_ in ROWS] == list(range(1, 26))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"threat-{row[0]}")
def test_every_threat_has_a_defence_and_tests_that_exist(row: list[str]) -> None:
    _, threat, defence, proof = row
    assert threat
    assert defence
    named = re.findall(r"`([^`]+)`", proof)
    assert named
    for name in named:
        assert name.startswith(("tests/", "e2e/"))
        text = (ROOT / name).read_text("utf-8")
        assert re.search(r"^ *(async )?def test_", text, re.MULTILINE), name


def test_every_setting_and_file_that_the_page_names_exists() -> None:
    known = "\n".join(file.read_text("utf-8") for file in (ROOT / "docs").glob("*.md"))
    words = [word for word in re.findall(r"`([^`]+)`", PAGE) if re.fullmatch(r"[a-z]+(_[a-z]+)+", word)]
    assert {word for word in words if f"`{word}`" not in known} == set()
