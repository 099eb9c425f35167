import pytest

from bench.backlog import BUSY, CLAIM, EMPTY, IDLE, verdict
from bench.table import Row


@pytest.mark.parametrize(
    "row",
    [
        Row("backlog", f"SQLite, {EMPTY}", IDLE, 121),
        Row("backlog", "SQLite, 1,000,000 queued", BUSY, 251),
        Row("backlog", "SQLite, 1,000,000 queued", CLAIM, 21, 10),
    ],
)
def test_a_missed_aim_is_told_and_ends_the_command_with_1(
    row: Row, capsys: pytest.CaptureFixture[str]
) -> None:
    assert verdict([row]) == 1
    assert row.case in capsys.readouterr().out


def test_met_aims_end_the_command_with_0() -> None:
    met = [
        Row("backlog", f"SQLite, {EMPTY}", IDLE, 65),
        Row("backlog", "SQLite, 1,000,000 queued", IDLE, 121),
        Row("backlog", "SQLite, 1,000,000 queued", BUSY, 249),
        Row("backlog", "SQLite, 1,000,000 queued", CLAIM, 19, 10),
    ]
    assert verdict(met) == 0
