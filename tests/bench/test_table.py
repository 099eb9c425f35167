import pytest

from bench.table import Row, print_table


def test_a_figure_stands_beside_its_ratio_to_what_it_is_compared_with(
    capsys: pytest.CaptureFixture[str],
) -> None:
    rows = [Row("ingest", "relay", "requests/s", 1_500.0, 3_000.0, "bare route")]
    assert print_table(rows) == rows
    head, line = capsys.readouterr().out.splitlines()
    assert head.split() == ["part", "case", "figure", "value", "ratio", "to"]
    assert line.split() == ["ingest", "relay", "requests/s", "1,500", "0.50", "bare", "route"]


def test_a_figure_without_a_base_has_no_ratio(capsys: pytest.CaptureFixture[str]) -> None:
    print_table([Row("attack", "flood", "answered 429, %", 99.5)])
    assert capsys.readouterr().out.splitlines()[1].endswith("99.5")
