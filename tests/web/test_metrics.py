"""`/metrics`: what it counts, and who may read it."""

from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
from prometheus_client.parser import text_string_to_metric_families

from relay.settings import Telemetry
from tests.event.malformed import SITE_KEY, good_event
from tests.web.lab import Relay, lab_settings, open_relay

pytestmark = pytest.mark.anyio

KEY = "k" * 32


async def numbers(relay: Relay, name: str, **labels: str) -> float:
    """The sum of the samples of a series that carry these labels; the relay must answer."""
    response = await relay.http.get("/metrics", headers={"authorization": f"Bearer {KEY}"})
    assert response.status_code == 200, response.text
    return sum(
        sample.value
        for family in text_string_to_metric_families(response.text)
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    )


@pytest.fixture
async def metered(tmp_path: Path) -> AsyncIterator[Relay]:
    settings = msgspec.structs.replace(
        lab_settings(tmp_path, pixels=("1234567890", "9876543210")),
        telemetry=Telemetry(metrics_key_env="METRICS_KEY"),
    )
    async with open_relay(settings, environ={"METRICS_KEY": KEY}) as relay:
        yield relay


async def test_an_event_for_two_pixels_is_received_once_and_waits_twice(metered: Relay) -> None:
    await metered.post(good_event())
    assert await numbers(metered, "relay_events_received_total", site=SITE_KEY, event="Purchase") == 1
    assert await numbers(metered, "relay_queue_depth", site=SITE_KEY) == 2
    assert await numbers(metered, "relay_match_key_total", event="Purchase", key="client_user_agent") == 1
    assert await numbers(metered, "relay_ip_family_total", page="ipv4", sent="ipv4") == 1


async def test_a_repeated_post_is_a_duplicate(metered: Relay) -> None:
    for _ in range(3):
        await metered.post(good_event())
    assert await numbers(metered, "relay_duplicates_total", site=SITE_KEY) == 2


async def test_an_event_without_consent_is_received_and_refused(metered: Relay) -> None:
    await metered.post(good_event(consent="denied"))
    assert await numbers(metered, "relay_events_received_total", site=SITE_KEY, consent="denied") == 1
    assert await numbers(metered, "relay_events_refused_total", reason="consent_denied") == 1


async def test_names_that_a_page_makes_up_make_no_series(metered: Relay) -> None:
    for number in range(5):
        await metered.post(good_event(event_name=f"Made up {number}", event_id=f"e-{number}"))
    assert await numbers(metered, "relay_events_received_total", event="custom") == 5
    assert (
        "Made up" not in (await metered.http.get("/metrics", headers={"authorization": f"Bearer {KEY}"})).text
    )


async def test_requests_are_timed_by_route_and_never_by_address(metered: Relay) -> None:
    await metered.http.get("/receipts/some-event-id")
    await metered.http.get("/nowhere")
    assert await numbers(metered, "relay_http_request_seconds_count", route="/receipts/{event_id:path}") == 1
    assert await numbers(metered, "relay_http_request_seconds_count", route="none", status="4xx") == 1
    text = (await metered.http.get("/metrics", headers={"authorization": f"Bearer {KEY}"})).text
    assert "some-event-id" not in text
    assert "nowhere" not in text


@pytest.mark.parametrize("authorization", ["", "Bearer wrong", f"Basic {KEY}", f"Bearer {KEY}x"])
async def test_a_stranger_gets_no_numbers(metered: Relay, authorization: str) -> None:
    response = await metered.http.get("/metrics", headers={"authorization": authorization})
    assert (response.status_code, response.json()["error"]["reason"]) == (401, "metrics_key")
    assert response.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize(
    ("peer", "headers", "status"),
    [
        ("127.0.0.1", {}, 200),
        ("::1", {}, 200),
        ("198.51.100.7", {}, 401),
        ("127.0.0.1", {"x-forwarded-for": "198.51.100.7"}, 401),
        ("127.0.0.1", {"forwarded": "for=198.51.100.7"}, 401),
    ],
)
async def test_without_a_key_only_this_machine_may_read(
    tmp_path: Path,
    peer: str,
    headers: dict[str, str],
    status: int,
) -> None:
    async with open_relay(lab_settings(tmp_path), peer=peer) as relay:
        assert (await relay.http.get("/metrics", headers=headers)).status_code == status


async def test_every_answer_and_every_log_line_of_a_request_carry_its_id(
    metered: Relay, capsys: pytest.CaptureFixture[str]
) -> None:
    response = await metered.http.get("/healthz", headers={"x-request-id": "forged"})
    assert len(response.headers["x-request-id"]) == 16
    other = await metered.http.get("/healthz")
    assert other.headers["x-request-id"] != response.headers["x-request-id"]
