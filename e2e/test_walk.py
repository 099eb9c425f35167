"""The walk from `init` to an event of a static page takes no more of a person than the documentation says."""

import sys
from pathlib import Path

from e2e.walk import PAGE, walk_to_an_event
from tests.ports import free_port


def test_five_answers_and_two_commands_lead_to_an_event_at_meta(tmp_path: Path) -> None:
    walk = walk_to_an_event(tmp_path, [sys.executable, "-m", "relay"], port=free_port())
    assert (len(walk.commands), walk.answers, len(walk.edits)) == (2, 5, 2)
    assert f"| {walk.name} | 2 | 5 | 2 |" in PAGE.read_text("utf-8")
