"""What Meta's SDKs send is read as Graph reads it, and nothing that a client can send raises."""

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.event.fields import Refused
from relay.event.graph_wire import GraphCallError, messages, read_data, read_graph_event
from relay.event.outcome import Refusal
from relay.event.records import ServerSideEvent
from tests.event.malformed import PIXEL_ID
from tests.event.malformed_server import MALFORMED_SERVER_EVENTS, good_server_event, good_user_data
from tests.event.server_side import NOW_MS
from tests.event.test_server_wire import json_values

GOOD = good_server_event()


def read(raw: object) -> ServerSideEvent | Refused:
    return read_graph_event(raw, pixel=PIXEL_ID, received_ms=NOW_MS).event


def event(**changes: Any) -> ServerSideEvent:
    result = read(good_server_event(**changes))
    assert isinstance(result, ServerSideEvent), result
    return result


@pytest.mark.parametrize(
    "data",
    [[GOOD], [json.dumps(GOOD)], json.dumps([GOOD]), json.dumps([json.dumps(GOOD)]), f"{json.dumps(GOOD)}\n"],
)
def test_every_shape_that_the_sdks_give_to_data_is_read(data: object) -> None:
    assert read_data(data) == [GOOD]


@pytest.mark.parametrize("data", [None, [], "", "[]", "{", "[", {}, 7, ["{"], [GOOD] * 1001])
def test_data_without_events_is_refused(data: object) -> None:
    with pytest.raises(GraphCallError, match="#100"):
        read_data(data)


def test_texts_for_numbers_and_nulls_are_taken_as_graph_takes_them() -> None:
    assert event(event_time=str(NOW_MS // 1_000), event_id=4711).event_id == "4711"
    assert event(custom_data={"value": "49.90", "currency": "eur"}).custom_data["currency"] == "EUR"
    assert event(opt_out=None, app_data=None, referrer_url=None) == event()


def test_an_event_goes_to_the_pixel_of_its_call() -> None:
    assert event().pixel_ids == (PIXEL_ID,)


def test_an_event_without_an_id_gets_one_that_a_retry_gets_again() -> None:
    first, again, other = event(event_id=...), event(event_id=""), event(event_id=..., event_name="Lead")
    assert first.event_id == event(event_id=...).event_id
    assert len({first.event_id, again.event_id, other.event_id}) == 3
    assert not first.has_own_id
    assert event().has_own_id


def test_what_has_no_place_here_is_left_out_and_told() -> None:
    raw = good_server_event(user_data=good_user_data(f5first="x"), store_data={"store": 1})
    result = read_graph_event(raw, pixel=PIXEL_ID, received_ms=NOW_MS)
    assert result.event == read(good_server_event())
    assert messages([result], {"test_event_code": "TEST1"}) == [
        "test_event_code was left out: set it for the pixel in relay.toml.",
        "data[0].store_data is not known to this relay and was left out.",
        "data[0].user_data.f5first is not known to this relay and was left out.",
    ]


@pytest.mark.parametrize("event_time", [..., "", "soon", 1.5, "-1"])
def test_a_time_is_needed_as_graph_needs_it(event_time: object) -> None:
    assert read(good_server_event(event_time=event_time)) == Refused(
        event_id="e-1", reason=Refusal.INVALID_EVENT_TIME
    )


@pytest.mark.parametrize("raw", [raw for raw, _ in MALFORMED_SERVER_EVENTS], ids=repr)
def test_malformed_events_are_refused_or_read_and_never_raise(raw: object) -> None:
    assert isinstance(read(raw), ServerSideEvent | Refused)


@given(json_values)
def test_no_value_makes_it_raise(raw: object) -> None:
    assert isinstance(read(raw), ServerSideEvent | Refused)


@given(st.text(max_size=60))
def test_no_text_makes_data_raise_anything_else(text: str) -> None:
    with suppress(GraphCallError):
        assert read_data(text)
