"""Each fault of Meta, and of the way to it: nothing is lost, and what is sent twice has been counted."""

from pathlib import Path

import pytest

from e2e.faults import TROUBLES, Trouble
from e2e.story import play


@pytest.mark.parametrize("trouble", TROUBLES, ids=lambda trouble: trouble.name)
def test_every_fault_is_survived_by_every_event(tmp_path: Path, trouble: Trouble) -> None:
    logs = play(tmp_path, trouble.twin, transport=trouble.way)
    assert [str(violation) for violation in logs.violations()] == []
    ended = {row.event_id: row.fate for row in logs.ledger.rows}
    assert ended == dict.fromkeys(ended, "delivered") | {"poison-1": "rejected"}
    calls = [call.outcome for row in logs.ledger.rows for call in row.calls]
    assert ("unknown" in calls) is trouble.ambiguous
