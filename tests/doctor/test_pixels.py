"""Tokens, by a call without events to a real twin; and that such a call leaves no event."""

from pathlib import Path
from typing import Any

import pytest

from relay.doctor.finding import Finding, Status
from relay.doctor.pixels import check_pixels
from relay.settings import Pixel
from relay.twin.app import create_twin
from tests.doctor.lab import NOBODY_LISTENS, PIXEL, network_of, only, served, settings_for, subject_of

pytestmark = pytest.mark.anyio

GOOD = Pixel(id=PIXEL, token_env="SHOP_TOKEN")


async def look(pixel: Pixel = GOOD, *, tokens: dict[str, str] | None = None, **server: Any) -> Finding:
    twin = create_twin(tokens=tokens or {PIXEL: "EAAtoken"})
    async with served(twin) as port, network_of() as network:
        settings = settings_for(
            Path(),
            **({"relay_url": "http://127.0.0.1:1", "graph_url": f"http://127.0.0.1:{port}"} | server),
            pixels=[pixel],
        )
        finding = only(await check_pixels(subject_of(settings), network))
        state = twin.state.twin.state.snapshot(None)
    assert (state["browser"], state["server"]) == ([], [])
    assert "EAAtoken" not in repr(finding)
    return finding


async def test_a_good_token_passes_and_the_limit_of_the_proof_is_said() -> None:
    finding = await look()
    assert finding.status is Status.OK
    assert finding.seen == (
        "the token passed: (#100) The parameter data is required. (code 100) (not verified against live Meta)"
    )


@pytest.mark.parametrize(
    ("tokens", "code"), [({PIXEL: "EAAother"}, "(code 190)"), ({PIXEL: "x", "1": "EAAtoken"}, "(code 100)")]
)
async def test_a_token_that_may_not_write_fails(tokens: dict[str, str], code: str) -> None:
    finding = await look(tokens=tokens)
    assert finding.status is Status.FAIL
    assert finding.seen.endswith(code)
    assert "into SHOP_TOKEN" in (finding.fix or "")


async def test_a_version_that_meta_has_retired_fails() -> None:
    finding = await look(Pixel(id=PIXEL, token_env="SHOP_TOKEN", graph_version="v3.0"))
    assert (finding.status, "graph_version" in (finding.fix or "")) == (Status.FAIL, True)


@pytest.mark.parametrize("pixel", [Pixel(id=PIXEL), Pixel(id=PIXEL, token_env="NOT_SET")])
async def test_no_token_fails(pixel: Pixel) -> None:
    finding = await look(pixel)
    assert (finding.status, "holds no token" in finding.seen) == (Status.FAIL, True)


async def test_a_token_file_that_cannot_be_read_fails() -> None:
    finding = await look(Pixel(id=PIXEL, token_file="/nowhere/token"))
    assert (finding.status, "cannot be read" in finding.seen) == (Status.FAIL, True)


async def test_a_graph_that_does_not_answer_proves_nothing() -> None:
    finding = await look(graph_url=NOBODY_LISTENS)
    assert (finding.status, NOBODY_LISTENS in (finding.fix or "")) == (Status.SKIPPED, True)


async def test_a_test_event_code_left_behind_is_told() -> None:
    finding = await look(Pixel(id=PIXEL, token_env="SHOP_TOKEN", test_event_code="TEST1"))
    assert (finding.status, "Remove test_event_code" in (finding.fix or "")) == (Status.WARN, True)


async def test_a_deployed_relay_that_sends_to_a_twin_fails() -> None:
    finding = await look(relay_url="https://relay.shop.example", accept_private_addresses=False)
    assert (finding.status, "not to Meta" in finding.seen) == (Status.FAIL, True)
