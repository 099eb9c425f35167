"""GA4's events are Meta's in Python as they are in the page."""

from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.event.ga4 import Choices, map_event, read_push

# The page's own mapper is held to the same rows by tests/js/ga4.test.js.
ROWS: list[dict[str, Any]] = msgspec.json.decode(
    (Path(__file__).parent.parent / "js" / "data" / "ga4.json").read_bytes()
)

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
values = st.fixed_dictionaries(
    {},
    optional=dict.fromkeys(
        ("value", "currency", "items", "transaction_id", "user_data", "search_term"), json_values
    ),
)


@pytest.mark.parametrize("row", ROWS, ids=[row["about"] for row in ROWS])
def test_every_event_becomes_what_the_page_makes_of_it(row: dict[str, Any]) -> None:
    event, of_event = read_push(row["push"])
    mapped = map_event(event, of_event, msgspec.convert(row["choices"], Choices))
    assert (None if mapped is None else msgspec.to_builtins(mapped)) == row["mapped"]


def test_the_form_of_the_measurement_protocol_is_read_too() -> None:
    assert read_push({"name": "search", "params": {"search_term": "x"}}) == ("search", {"search_term": "x"})


@given(push=json_values, event=st.sampled_from(["purchase", "begin_checkout", "view_item"]), of_event=values)
def test_no_push_is_too_odd(push: Any, event: str, of_event: dict[str, Any]) -> None:
    read_push(push)
    mapped = map_event(event, of_event, Choices())
    assert mapped is None or msgspec.json.encode(mapped)
