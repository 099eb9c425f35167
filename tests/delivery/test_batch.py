"""From leased events to a body, from an answer to decisions, from a refused batch to its guilty events."""

import json
from collections.abc import Collection
from math import log2

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.delivery.answer import Answer
from relay.delivery.batch import (
    EXPIRY_MARGIN_MS,
    PARTNER_AGENT,
    Events,
    bisecting,
    decide,
    exhausted,
    expired,
    request_body,
)
from relay.event.outcome import AttemptOutcome, Fate, FateReason
from relay.event.schedule import EVENT_AGE_MAX_MS
from relay.store.protocol import Again, AttemptResult, Ended, LeasedEvent

NOW_MS = 1_763_859_600_000


def leased(number: int, *, attempts: int = 0, ambiguous: int = 0, event_time_ms: int = NOW_MS) -> LeasedEvent:
    server_event = {"event_name": "Purchase", "event_id": f"e{number}", "user_data": {"fbp": "fb.1.1.1"}}
    return LeasedEvent(
        key=number.to_bytes(16),
        event_name="Purchase",
        event_id=f"e{number}",
        event_time_ms=event_time_ms,
        received_ms=NOW_MS,
        attempts=attempts,
        ambiguous=ambiguous,
        server_event=json.dumps(server_event).encode(),
        client_ip_address="2001:db8::1",
        client_user_agent="Agent/1",
    )


def answered(
    outcome: AttemptOutcome, retry_after_ms: int | None = None, *, throttled: bool = False
) -> Answer:
    return Answer(
        result=AttemptResult(outcome=outcome, message="Words"),
        retry_after_ms=retry_after_ms,
        throttled=throttled,
    )


def test_a_body_carries_the_events_the_agent_and_the_test_code() -> None:
    body = json.loads(request_body([leased(1), leased(2)], "TEST123"))
    assert [event["event_id"] for event in body["data"]] == ["e1", "e2"]
    assert body["data"][0]["user_data"]["client_ip_address"] == "2001:db8::1"
    assert body["data"][0]["user_data"]["client_user_agent"] == "Agent/1"
    assert body["test_event_code"] == "TEST123"
    assert body["partner_agent"] == PARTNER_AGENT


def test_no_test_code_means_no_such_member() -> None:
    assert set(json.loads(request_body([leased(1)], None))) == {"data", "partner_agent"}


def test_the_same_events_give_the_same_bytes() -> None:
    assert request_body([leased(1)], "T") == request_body([leased(1)], "T")


def test_the_partner_agent_is_one_that_meta_takes() -> None:
    assert len(PARTNER_AGENT) < 23
    assert PARTNER_AGENT.startswith("counterfoil-")


def test_an_event_is_given_up_a_minute_before_metas_limit() -> None:
    limit_ms = NOW_MS - EVENT_AGE_MAX_MS + EXPIRY_MARGIN_MS
    old, young = leased(1, event_time_ms=limit_ms), leased(2, event_time_ms=limit_ms + 1)
    assert expired([old, young], NOW_MS) == [old]


def hunt(events: Events, guilty: Collection[bytes]) -> tuple[list[Events], list[bytes], list[bytes]]:
    """Play Meta: refuse each batch that holds a guilty event. Returns batches, taken keys, convicted keys."""
    plan = bisecting(events)
    batches, taken, convicted = [next(plan)], list[bytes](), list[bytes]()
    while True:
        keys = [event.key for event in batches[-1]]
        refused = any(key in guilty for key in keys)
        if not refused:
            taken += keys
        elif len(keys) == 1:
            convicted += keys
        try:
            batches.append(plan.send(refused))
        except StopIteration:
            return batches, taken, convicted


def check(count: int, guilty: Collection[int]) -> int:
    events = [leased(number) for number in range(count)]
    batches, taken, convicted = hunt(events, {number.to_bytes(16) for number in guilty})
    assert sorted(convicted) == sorted(number.to_bytes(16) for number in guilty)
    assert sorted(taken + convicted) == [event.key for event in events]
    assert len(batches) <= 2 * len(guilty) * log2(count) + 1
    return len(batches)


def test_a_batch_that_meta_takes_is_one_call() -> None:
    assert check(1_000, ()) == 1


@pytest.mark.parametrize("count", range(1, 65))
def test_one_bad_event_is_found_wherever_it_stands(count: int) -> None:
    for bad in range(count):
        check(count, {bad})


@given(
    st.integers(1, 200).flatmap(lambda count: st.tuples(st.just(count), st.sets(st.integers(0, count - 1))))
)
def test_every_set_of_bad_events_is_found_in_time_and_no_good_one_is_left(case: tuple[int, set[int]]) -> None:
    check(*case)


@given(st.integers(2, 64), st.data())
def test_a_meta_of_moods_still_gets_every_event_answered(count: int, data: st.DataObject) -> None:
    """Even where a refused batch has no guilty event, each event ends in a batch taken or alone refused."""
    plan = bisecting([leased(number) for number in range(count)])
    batch, answered_keys = next(plan), list[bytes]()
    while True:
        refused = data.draw(st.booleans())
        if not refused or len(batch) == 1:
            answered_keys += [event.key for event in batch]
        try:
            batch = plan.send(refused)
        except StopIteration:
            break
    assert sorted(answered_keys) == [number.to_bytes(16) for number in range(count)]


def test_a_receipt_ends_every_event_as_delivered() -> None:
    decisions = decide(
        answered(AttemptOutcome.RECEIPT), [leased(1), leased(2)], now_ms=NOW_MS, jitter=0, resends=0
    )
    assert decisions == [
        Ended(key=leased(n).key, fate=Fate.DELIVERED, reason=FateReason.RECEIVED, detail="Words")
        for n in (1, 2)
    ]


def test_a_lone_refused_event_ends_with_metas_sentence() -> None:
    decisions = decide(answered(AttemptOutcome.REJECT), [leased(1)], now_ms=NOW_MS, jitter=0, resends=1)
    assert decisions == [
        Ended(key=leased(1).key, fate=Fate.REJECTED, reason=FateReason.REJECTED_BY_META, detail="Words")
    ]


@pytest.mark.parametrize("outcome", [AttemptOutcome.REJECT, AttemptOutcome.PARK])
def test_a_refused_batch_and_a_parked_one_decide_nothing_yet(outcome: AttemptOutcome) -> None:
    batch = [leased(1), leased(2)]
    assert decide(answered(outcome), batch, now_ms=NOW_MS, jitter=0, resends=1) == []


@pytest.mark.parametrize("outcome", [AttemptOutcome.RETRY, AttemptOutcome.UNKNOWN])
def test_what_may_be_sent_again_waits_longer_the_more_often_it_failed(outcome: AttemptOutcome) -> None:
    batch = [leased(1), leased(2, attempts=2)]
    decisions = decide(answered(outcome), batch, now_ms=NOW_MS, jitter=1, resends=1)
    assert decisions == [
        Again(key=batch[0].key, due_ms=NOW_MS + 6_000),
        Again(key=batch[1].key, due_ms=NOW_MS + 121_000),
    ]


@pytest.mark.parametrize(("throttled", "after_ms"), [(False, 20_000), (True, 60_000)])
def test_a_wish_to_be_left_alone_is_the_least_wait_and_a_throttle_a_minute(
    throttled: bool, after_ms: int
) -> None:
    answer = answered(AttemptOutcome.RETRY, 20_000, throttled=throttled)
    decisions = decide(answer, [leased(1)], now_ms=NOW_MS, jitter=0, resends=1)
    assert decisions == [Again(key=leased(1).key, due_ms=NOW_MS + after_ms)]


@pytest.mark.parametrize("resends", [0, 1, 5])
def test_an_ambiguous_send_goes_again_as_often_as_the_policy_says(resends: int) -> None:
    for ambiguous in range(resends):
        events = [leased(1, attempts=ambiguous, ambiguous=ambiguous)]
        (again,) = decide(answered(AttemptOutcome.UNKNOWN), events, now_ms=NOW_MS, jitter=0, resends=resends)
        assert isinstance(again, Again)
        assert exhausted(events, resends) == []
    last = leased(1, attempts=resends, ambiguous=resends)
    (ended,) = decide(answered(AttemptOutcome.UNKNOWN), [last], now_ms=NOW_MS, jitter=0, resends=resends)
    assert isinstance(ended, Ended)
    assert (ended.fate, ended.reason) == (Fate.UNKNOWN, FateReason.AMBIGUOUS_SEND)
    assert exhausted([leased(1, attempts=resends + 1, ambiguous=resends + 1)], resends) != []
