"""The Quality page and its JSON: Meta's words beside what this relay sent, degraded where Meta says nothing."""

from html import unescape
from typing import Any

import msgspec
import pytest

from relay.event.quality import QualityRecord, read_quality
from tests.event.malformed import PIXEL_ID
from tests.event.test_quality import ROW
from tests.web.lab import NOW_MS, RELAY_URL, Relay

pytestmark = pytest.mark.anyio

SAME_SITE = {"sec-fetch-site": "same-origin"}


def record(**changes: Any) -> QualityRecord:
    plain = QualityRecord(
        pixel=PIXEL_ID, scope="all", at_ms=NOW_MS, problem=None, events=read_quality({"web": [ROW]})
    )
    return msgspec.structs.replace(plain, **changes)


async def first_pixel(relay: Relay) -> Any:
    return (await relay.http.get("/api/quality")).raise_for_status().json()["pixels"][0]


async def test_quality_needs_a_session(relay: Relay) -> None:
    assert (await relay.http.get("/api/quality")).status_code == 401
    assert (await relay.http.post("/quality/ask", headers=SAME_SITE)).status_code == 401


async def test_before_meta_was_asked_it_says_so(console: Relay) -> None:
    pixel = await first_pixel(console)
    assert (pixel["pixel"], pixel["asked_ms"], pixel["events"]) == (PIXEL_ID, None, [])
    assert "Not asked yet" in (await console.http.get("/quality")).text


async def test_meta_s_words_stand_there_with_their_time_and_that_they_are_not_verified(
    console: Relay,
) -> None:
    await console.store.keep_quality([record()])
    (event,) = (await first_pixel(console))["events"]
    assert (event["event_name"], event["match_quality"], event["coverage"]) == ("Purchase", 7.2, 88)
    assert event["keys"][0] == {
        "identifier": "email",
        "key": "em",
        "at_meta": 99.9,
        "sent": None,
        "gain": 58.96,
    }
    page = unescape((await console.http.get("/quality")).text)
    assert all(
        text in page
        for text in (
            "7.2 of 10",
            "not verified against live Meta",
            "Server sending mismatched IP addresses",
            "real time",
        )
    )


async def test_a_token_that_may_not_read_is_told_with_the_next_step(console: Relay) -> None:
    await console.store.keep_quality([record(problem="(#200) No (code 200)", refused=True, events=())])
    page = unescape((await console.http.get("/quality")).text)
    assert all(text in page for text in ("(#200) No (code 200)", "ads_read", "Events are sent all the same"))
    radar = unescape((await console.http.get("/radar")).text)
    assert "cannot be compared" in radar


async def test_the_score_is_shown_over_the_days(console: Relay) -> None:
    day_ms = 86_400_000
    worse = [msgspec.structs.replace(record().events[0], match_quality=5.0)]
    await console.store.keep_quality([record(at_ms=NOW_MS - day_ms, events=tuple(worse)), record()])
    (event,) = (await first_pixel(console))["events"]
    assert [score["match_quality"] for score in event["trend"]] == [5.0, 7.2]


async def test_another_sender_at_meta_shows_here_and_on_the_radar(console: Relay) -> None:
    ours = msgspec.structs.replace(record().events[0], coverage=40.0)
    lead = msgspec.structs.replace(ours, event_name="Lead")
    await console.store.keep_quality(
        [record(events=(*record().events, lead)), record(scope="ours", events=(ours,))]
    )
    shares = {event["event_name"]: event["share"] for event in (await first_pixel(console))["events"]}
    assert shares == {"Purchase": "others_too", "Lead": "others_only"}
    (at_meta, *_) = (await console.http.get("/api/radar")).json()["at_meta"]
    assert [(event["event_name"], event["share"]) for event in at_meta["events"]] == list(shares.items())
    assert "somebody else sends this event too" in (await console.http.get("/radar")).text


async def test_an_answer_for_us_that_is_older_is_not_compared(console: Relay) -> None:
    await console.store.keep_quality([record(scope="ours", at_ms=NOW_MS - 1), record()])
    (event,) = (await first_pixel(console))["events"]
    assert (event["share"], event["coverage_ours"]) == ("unknown", None)


async def test_asking_by_hand_must_come_from_the_page_itself(console: Relay) -> None:
    assert (
        await console.http.post("/quality/ask", headers={"sec-fetch-site": "cross-site"})
    ).status_code == 403
    answer = await console.http.post("/quality/ask?range=7d", headers=SAME_SITE | {"origin": RELAY_URL})
    assert (answer.status_code, answer.headers["location"]) == (303, "/quality?range=7d")
    pixel = await first_pixel(console)
    assert "no access token" in pixel["problem"]  # this relay has none; so it did ask


async def test_words_of_meta_are_shown_as_text(console: Relay) -> None:
    found = msgspec.structs.replace(record().events[0].diagnostics[0], name="<script>alert(1)</script>")
    event = msgspec.structs.replace(record().events[0], diagnostics=(found,), event_name="<b>x</b>")
    await console.store.keep_quality([record(events=(event,))])
    page = (await console.http.get("/quality")).text
    assert "<script>alert" not in page
    assert "<b>x</b>" not in page
