"""A server's call is read strictly: every refusal has its reason, and nothing that a client can send raises."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.event.build import assemble
from relay.event.enrich_server import enrich_server
from relay.event.fields import Refused
from relay.event.outcome import ActionSource, CallReason
from relay.event.records import ServerSideEvent
from relay.event.server_wire import CallError, parse_call, parse_server_event
from relay.settings import Pixel, Settings, Site
from relay.twin.rules import first_fault
from tests.event.malformed import PIXEL_ID
from tests.event.malformed_server import (
    MALFORMED_CALLS,
    MalformedCall,
    call,
    good_server_event,
    good_user_data,
)
from tests.event.server_side import NOW_MS

SITE = Site(key="demo-shop", origins=("https://shop.example",), pixels=(Pixel(id=PIXEL_ID),))

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)


def parsed(raw: object) -> ServerSideEvent | Refused:
    return parse_server_event(raw, pixel_ids=[PIXEL_ID], received_ms=NOW_MS, sender="test")


def event(**changes: Any) -> ServerSideEvent:
    result = parsed(good_server_event(**changes))
    assert isinstance(result, ServerSideEvent), result
    return result


def answer(body: bytes) -> object:
    """The reason of a refusal, or None for an event that could be sent."""
    try:
        (raw,) = parse_call(body)
    except CallError as refused:
        return refused.reason
    result = parsed(raw)
    if isinstance(result, ServerSideEvent):
        rows = enrich_server(result, received_ms=NOW_MS, site=SITE, settings=Settings())
        return rows.reason if isinstance(rows, Refused) else None
    return result.reason


def test_a_good_event_is_accepted() -> None:
    assert answer(call(good_server_event())) is None


@pytest.mark.parametrize("row", MALFORMED_CALLS, ids=lambda row: row.name)
def test_every_malformed_call_is_refused_with_its_reason(row: MalformedCall) -> None:
    assert answer(row.body) == row.expected


def test_null_members_count_as_left_out_as_some_clients_send_all_of_them() -> None:
    nulls = dict.fromkeys(("referrer_url", "opt_out", "app_data", "original_event_data", "consent"))
    assert event(**nulls) == event()


def test_the_time_may_be_left_out_and_is_now() -> None:
    assert event(event_time=...).event_time_ms == NOW_MS


def test_lists_of_one_are_taken_where_meta_wants_one() -> None:
    stated = event(user_data=good_user_data(fbp=["fb.1.1763859600000.1"], client_ip_address=[]))
    assert (stated.fbp, stated.client_ip_address) == ("fb.1.1763859600000.1", None)


def test_a_partial_event_needs_no_action_source_no_page_and_no_value() -> None:
    whole = ("action_source", "event_source_url", "custom_data")
    partial = event(partial=True, user_data={"ph": "+49 30 1234567"}, **dict.fromkeys(whole, ...))
    assert (partial.partial, partial.action_source) == (True, ActionSource.WEBSITE)


@given(st.binary(max_size=200))
def test_no_bytes_make_it_raise(body: bytes) -> None:
    assert answer(body) in [*CallReason]


@given(st.sampled_from(sorted(good_server_event())), json_values)
def test_an_event_that_is_accepted_passes_the_twin_and_serialises(member: str, value: object) -> None:
    result = parsed(good_server_event(**{member: value}))
    if isinstance(result, ServerSideEvent):
        rows = enrich_server(result, received_ms=NOW_MS, site=SITE, settings=Settings())
        if not isinstance(rows, Refused):
            sent = assemble(rows[0].server_event, rows[0].client_ip_address, rows[0].client_user_agent)
            assert first_fault(sent, 0, NOW_MS) is None
            assert json.loads(msgspec.json.encode(rows[0].why))
