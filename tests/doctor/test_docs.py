"""docs/doctor.md has a section for each check, with its reason, and names every loader."""

import re
from pathlib import Path

import pytest

from relay.doctor.finding import WHY, Check, Status
from relay.senders import SENDERS

PAGE = (Path(__file__).parents[2] / "docs" / "doctor.md").read_text("utf-8")
SECTIONS = dict(re.findall(r"^## (\w+)\n(.*?)(?=^## |\Z)", PAGE, flags=re.MULTILINE | re.DOTALL))


def test_the_sections_are_the_checks_in_their_order() -> None:
    assert list(SECTIONS) == list(Check)


@pytest.mark.parametrize("check", list(Check))
def test_each_section_begins_with_why_it_matters(check: Check) -> None:
    assert SECTIONS[check].strip().startswith(WHY[check])


@pytest.mark.parametrize("status", list(Status))
def test_every_status_has_a_row(status: Status) -> None:
    assert f"| `{status}` |" in PAGE


def test_every_loader_is_named() -> None:
    words = " ".join(SECTIONS["loaders"].split())
    parts = {"Conversions API Gateway", "Signals Gateway", "server container"} | {
        sender.name for sender in SENDERS if "Gateway" not in sender.name and "container" not in sender.name
    }
    assert {part for part in parts if part not in words} == set()
