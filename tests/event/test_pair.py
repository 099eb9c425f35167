"""What a receipt says of one event, for each state that the browser half can be in."""

import pytest

from relay.event.outcome import BrowserState, Transport
from relay.event.pair import ServerSend, pair_verdicts
from relay.event.records import BrowserLeg
from relay.event.verdict import Profile

T0 = 1_763_859_600_000


def leg(state: BrowserState, dispatched: int | None = 3, settled: int | None = 120) -> BrowserLeg:
    return BrowserLeg(
        state=state,
        evidence="",
        transport=Transport.IMAGE,
        dispatched_ms=None if dispatched is None else T0 + dispatched,
        settled_ms=None if settled is None else T0 + settled,
        reported_ms=T0 + 200,
    )


def send(sent: int = 1_000, answered: int | None = 1_300) -> ServerSend:
    return ServerSend(sent_ms=T0 + sent, answered_ms=None if answered is None else T0 + answered)


def worst(the_leg: BrowserLeg | None, *sends: ServerSend) -> list[tuple[int, int]]:
    verdicts = pair_verdicts(the_leg, sends)
    return [(verdicts[profile].counted_at_least, verdicts[profile].counted) for profile in Profile]


@pytest.mark.parametrize("state", [BrowserState.SENT, BrowserState.LATE])
def test_a_settled_browser_leg_before_the_send_is_one_event_everywhere(state: BrowserState) -> None:
    assert worst(leg(state), send()) == [(1, 1)] * 4


@pytest.mark.parametrize("state", [BrowserState.BLOCKED, BrowserState.OFF])
def test_a_blocked_browser_leg_leaves_the_server_event_alone(state: BrowserState) -> None:
    assert worst(leg(state), send()) == [(1, 1)] * 4


def test_an_event_that_never_had_a_browser_leg_counts_once() -> None:
    assert worst(None, send()) == [(1, 1)] * 4


def test_a_pending_leg_is_one_event_whether_the_request_arrived_or_not() -> None:
    verdict = pair_verdicts(leg(BrowserState.PENDING, settled=None), [send(20_003, 20_300)])[Profile.EVENT_ID]
    assert (verdict.counted_at_least, verdict.counted) == (1, 1)
    assert verdict.sentence == (
        "If the Pixel's request arrived first: one event counts. "
        "If the Pixel's request never arrived: one event counts."
    )


def test_an_undispatched_leg_tells_what_a_request_after_the_send_would_do() -> None:
    verdicts = pair_verdicts(leg(BrowserState.UNDISPATCHED, None, None), [send(30_000, 30_200)])
    assert verdicts[Profile.SEGMENT_STRICT].counted == 2
    assert verdicts[Profile.EVENT_ID].counted == 1
    assert verdicts[Profile.SEGMENT_STRICT].sentence == (
        "If the Pixel's request never arrived: one event counts. "
        "If the Pixel's request arrived after the server's event: two events count."
    )


def test_a_late_leg_that_was_dispatched_after_the_send_is_told_as_server_first() -> None:
    assert worst(leg(BrowserState.LATE, 40_000, 40_100), send(30_000, 30_200)) == [
        (2, 2),
        (1, 1),
        (1, 1),
        (2, 2),
    ]


def test_a_browser_leg_that_overlaps_the_send_leaves_the_order_open() -> None:
    overlapping = leg(BrowserState.SENT, 900, 1_100)
    assert worst(overlapping, send()) == [(1, 2), (1, 1), (1, 1), (1, 2)]


def test_a_settled_leg_without_times_counts_from_its_report() -> None:
    assert worst(leg(BrowserState.SENT, None, None), send()) == [(1, 1)] * 4


def test_nothing_sent_yet_counts_the_browser_half_alone() -> None:
    assert worst(leg(BrowserState.SENT)) == [(1, 1)] * 4
    assert worst(leg(BrowserState.PENDING, settled=None)) == [(0, 1)] * 4
    verdict = pair_verdicts(leg(BrowserState.BLOCKED), [])[Profile.EVENT_ID]
    assert verdict.sentence == "No event counts. Neither half is known to have reached Meta."


def test_a_call_without_an_answer_is_told_both_ways() -> None:
    verdict = pair_verdicts(None, [send(1_000, None), send(9_000, 9_200)])[Profile.EVENT_ID]
    assert (verdict.counted_at_least, verdict.counted) == (1, 2)
    assert "the call without an answer did reach Meta: two events count" in verdict.sentence


def test_halves_that_share_no_id_count_twice_under_the_rules_by_id() -> None:
    verdicts = pair_verdicts(leg(BrowserState.SENT), [send()], same_event_id=False)
    assert {profile: verdict.counted for profile, verdict in verdicts.items()} == {
        Profile.SEGMENT_STRICT: 2,
        Profile.EVENT_ID: 2,
        Profile.META_5MIN: 2,
        Profile.FBP_EXTERNAL_ID: 1,
    }


def test_halves_that_share_no_person_count_twice_under_the_rule_by_person() -> None:
    verdicts = pair_verdicts(leg(BrowserState.SENT), [send()], same_person=False)
    assert verdicts[Profile.FBP_EXTERNAL_ID].counted == 2
    assert verdicts[Profile.EVENT_ID].counted == 1


def test_a_certain_verdict_says_why() -> None:
    verdict = pair_verdicts(leg(BrowserState.SENT), [send()])[Profile.SEGMENT_STRICT]
    assert verdict.sentence == (
        "One event counts. The server's is dropped: the browser's event came first, 880 ms before."
    )
