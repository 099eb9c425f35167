"""What `make fuzz` has found, and what it starts from, comes back without an exception."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz.targets import TARGETS
from tests.fuzz.texts import TEXTS

CORPUS = Path(__file__).parent / "corpus"
INPUTS = sorted(file for file in CORPUS.rglob("*") if file.is_file())


@pytest.mark.parametrize("file", INPUTS, ids=lambda file: f"{file.parent.name}/{file.name}")
def test_every_input_of_the_corpus_is_survived(file: Path) -> None:
    TARGETS[file.parent.name](file.read_bytes())


@pytest.mark.parametrize("name", TARGETS)
@settings(max_examples=25)
@given(data=st.data())
def test_every_target_survives_inputs_made_for_it(name: str, data: st.DataObject) -> None:
    TARGETS[name](data.draw(TEXTS[name]))


def test_every_target_has_inputs_in_the_corpus_and_a_strategy() -> None:
    assert {file.parent.name for file in INPUTS} == set(TARGETS) == set(TEXTS)
