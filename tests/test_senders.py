"""The one list of other senders: complete, and the same to Python and to JavaScript."""

import re

import pytest

from relay.senders import SENDERS, Sender


def test_every_sender_has_an_id_of_its_own() -> None:
    assert len({sender.id for sender in SENDERS}) == len(SENDERS) > 10
    assert all(re.fullmatch(r"[a-z_]+", sender.id) for sender in SENDERS)


@pytest.mark.parametrize("sender", SENDERS, ids=lambda sender: sender.id)
def test_every_sender_says_where_its_mark_is_from_and_how_it_is_switched_off(sender: Sender) -> None:
    assert sender.source.endswith(".")
    assert sender.fix.endswith(".")


@pytest.mark.parametrize("sender", SENDERS, ids=lambda sender: sender.id)
def test_no_pattern_uses_what_only_python_knows(sender: Sender) -> None:
    patterns = "".join(filter(None, (sender.mark, sender.agent, sender.event_id)))
    assert not re.search(r"\(\?(?![:!=])|\\[AZ]|\(\?P", patterns)


def test_a_mark_is_found_whatever_its_case() -> None:
    (gtm,) = [sender for sender in SENDERS if sender.id == "gtm"]
    assert gtm.is_in("https://WWW.GoogleTagManager.com/gtm.js?id=GTM-1")
    assert not gtm.is_in("https://www.googletagmanager.com/gtag/js?id=G-1")
