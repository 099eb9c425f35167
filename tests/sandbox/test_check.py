"""The check: one Purchase through shop, relay and twin, and what it says when something is wrong."""

from pathlib import Path

import msgspec
import pytest

from relay.errors import RelayError
from relay.event.verdict import Profile
from relay.sandbox import check as module
from relay.sandbox.check import Checked, check, receipt_text, troubles
from relay.sandbox.run import open_sandbox

pytestmark = pytest.mark.anyio


@pytest.fixture
async def checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Checked:
    monkeypatch.setenv("COUNTERFOIL_CHROMIUM", str(tmp_path / "none"))
    return await check(tmp_path, None)


async def test_one_purchase_over_http_counts_once_and_passes(checked: Checked) -> None:
    assert checked.troubles == ()
    assert "plain HTTP" in checked.visitor
    assert checked.view.twin_counted == {profile: {"Purchase": 1} for profile in Profile}


async def test_the_receipt_shows_both_halves_the_order_and_every_verdict(checked: Checked) -> None:
    text = "\n".join(receipt_text(checked.view))
    assert "Browser first, server" in text
    assert f"event_id        {checked.view.event_id}" in text
    assert text.count(checked.view.event_id) == 3
    for profile in Profile:
        assert f"{profile:<17} One event counts." in text
        assert f"{profile:<17} counted by the twin: 1 Purchase" in text


async def test_a_second_count_a_missing_half_and_a_wrong_order_are_told(checked: Checked) -> None:
    (receipt,) = checked.view.receipts
    assert receipt.twin is not None
    order = msgspec.structs.replace(receipt.order, first="server", sentence="Server first.")
    twin = msgspec.structs.replace(receipt.twin, browser=())
    wrong = msgspec.structs.replace(
        checked.view,
        receipts=(msgspec.structs.replace(receipt, order=order, twin=twin),),
        twin_counted={**(checked.view.twin_counted or {}), Profile.EVENT_ID: {"Purchase": 2}},
    )
    assert troubles(wrong) == (
        "Under event-id the twin counts {'Purchase': 2}, and one Purchase was made.",
        "The browser half was not first: Server first.",
        "The twin did not get exactly one browser half.",
    )


async def test_a_check_that_hangs_ends_with_what_it_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COUNTERFOIL_CHROMIUM", str(tmp_path / "none"))
    monkeypatch.setattr(module, "LIMIT_SECONDS", 0)
    with pytest.raises(RelayError, match="in vain for the sandbox to start"):
        await check(tmp_path, None)


async def test_a_second_sandbox_on_the_same_ports_is_refused_in_a_sentence(tmp_path: Path) -> None:
    async with open_sandbox(tmp_path / "first", None) as first:
        taken = int(first.links.meta.rpartition(":")[2]) - 20
        with pytest.raises(RelayError, match="Address already in use"):
            async with open_sandbox(tmp_path / "second", taken):
                pass
