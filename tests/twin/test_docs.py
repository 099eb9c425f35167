"""docs/twin.md lists what there is."""

import re
from pathlib import Path

import msgspec
import pytest

from relay.twin import graph, state
from relay.twin.faults import TAKES_IN, Fault, FaultKind

DOCS = (Path(__file__).parents[2] / "docs" / "twin.md").read_text()


def test_every_kind_of_fault_is_listed_with_what_becomes_of_its_events() -> None:
    rows = dict(re.findall(r"^\| `([a-z_]+)` \| .* \| (taken in|lost)", DOCS, re.MULTILINE))
    assert rows.pop("status") == "taken in"
    assert rows == {
        kind.value: "taken in" if kind in TAKES_IN else "lost"
        for kind in FaultKind
        if kind is not FaultKind.STATUS
    }


@pytest.mark.parametrize("field", msgspec.structs.fields(Fault), ids=lambda field: field.name)
def test_every_field_of_a_fault_is_named(field: msgspec.structs.FieldInfo) -> None:
    assert re.search(rf"\b{field.name}\b", DOCS)


def test_the_versions_and_bounds_are_those_of_the_code() -> None:
    assert f"v{graph.OLDEST_VERSION}.0 to v{graph.NEWEST_VERSION}.0" in DOCS
    assert f"{state.MAX_EVENTS:,} events ({state.MAX_BYTES // 1024**2} MiB)" in DOCS
