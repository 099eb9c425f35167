"""What answers at `graph_url` may be no twin, and must never break a receipt."""

from typing import Any

import pytest

from relay.web.twin_view import read_twin


def arrived(pixel: str = "111", **changes: Any) -> dict[str, Any]:
    return {"pixel": pixel, "event_name": "Purchase", "event_id": "e1", "received_ms": 5} | changes


def test_a_twin_s_state_is_read_and_unknown_members_are_left_alone() -> None:
    state = {
        "browser": [arrived(sequence=1)],
        "server": [],
        "rejected": [],
        "counted": {"event-id": {"Purchase": 1}},
    }
    twin = read_twin(state)
    assert twin is not None
    assert twin.browser[0].received_ms == 5
    assert twin.counted == {"event-id": {"Purchase": 1}}


def test_a_receipt_gets_the_arrivals_of_its_own_pixel_and_name() -> None:
    others = [arrived("222"), arrived(event_name="PageView")]
    twin = read_twin({"browser": [arrived(), *others], "server": [*others, arrived()], "counted": {}})
    assert twin is not None
    own = twin.of("111", "Purchase")
    assert [(each.pixel, each.event_name) for each in own.browser + own.server] == [("111", "Purchase")] * 2


@pytest.mark.parametrize(
    "state",
    [
        None,
        {},
        {"browser": None, "server": [], "counted": {}},
        {"browser": [7], "server": [], "counted": {}},
        {"browser": [arrived(received_ms="soon")], "server": [], "counted": {}},
        {"browser": [], "server": [], "counted": {"event-id": 3}},
    ],
)
def test_anything_else_is_no_twin(state: Any) -> None:
    assert read_twin(state) is None
