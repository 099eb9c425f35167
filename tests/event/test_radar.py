"""What a sighting means, and that every meaning has its words."""

import pytest

from relay.event.radar import VERDICT_WORDS, Verdict, fix_of, name_of, verdict_of
from relay.event.report import KNOWN, Ids
from relay.senders import SENDERS

OURS = ("111",)


@pytest.mark.parametrize("verdict", list(Verdict))
def test_every_verdict_says_what_it_is_and_how_to_verify_that_it_is_gone(verdict: Verdict) -> None:
    words = VERDICT_WORDS[verdict]
    assert all((words.title, words.sentence, words.verify))


@pytest.mark.parametrize("sender", sorted(KNOWN - {"page"}))
def test_every_sender_that_a_page_may_name_has_a_name_and_a_way_to_turn_it_off(sender: str) -> None:
    verdict = verdict_of(sender, "111", "none", OURS)
    assert verdict is not None
    assert name_of(sender)
    assert fix_of(sender, verdict)


@pytest.mark.parametrize(
    ("sender", "pixel", "ids", "verdict"),
    [
        ("page", "", "", None),
        ("pixel", "111", "ours", None),
        ("pixel", "111", "none", Verdict.NO_ID),
        ("pixel", "111", "own", Verdict.OWN_ID),
        ("pixel", "222", "none", Verdict.OTHER_PIXEL),
        ("pixel", "222", "ours", Verdict.OTHER_PIXEL),
        ("pixel", "111", "", None),
        ("second_init", "111", "", Verdict.SECOND_INIT),
        ("gtm", "", "", Verdict.MAY_SEND),
        ("gtm", "111", "ours", Verdict.MAY_SEND),
        ("openbridge", "", "", Verdict.SENDS),
    ],
)
def test_a_row_means(sender: str, pixel: str, ids: Ids, verdict: Verdict | None) -> None:
    assert verdict_of(sender, pixel, ids, OURS) is verdict


def test_a_gateway_certainly_sends_and_the_others_may() -> None:
    certain = {sender.id for sender in SENDERS if verdict_of(sender.id, "", "", OURS) is Verdict.SENDS}
    assert certain == {"openbridge", "signals_gateway"}
