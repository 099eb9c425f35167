"""`POST /v1/events`: what is taken, what is refused and how, and what the answer lets the page see."""

from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import httpx
import pytest
from starlette.requests import Request

from relay.errors import StoreError, StoreFull
from relay.event.outcome import BODY_STATUS, Admission, BodyReason, Refusal
from relay.event.records import OutboxEvent
from relay.event.wire import BODY_MAX_BYTES
from relay.store.protocol import Filters
from relay.store.sqlite import SqliteStore
from relay.web.ingest import request_facts
from tests.event.malformed import MALFORMED, PIXEL_ID, SITE_KEY, Malformed, good_event, post
from tests.web.lab import NOW_MS, ORIGIN, OTHER_PIXEL_ID, OTHER_SITE, Relay, lab_settings, open_relay

pytestmark = pytest.mark.anyio


async def stored(relay: Relay) -> int:
    return len(await relay.store.recent(Filters()))


async def test_a_good_post_is_committed_and_counted(relay: Relay) -> None:
    response = await relay.post(good_event())
    assert response.status_code == 202
    assert response.json() == {"accepted": 1, "updated": 0, "duplicates": 0, "refused": [], "family": "ipv4"}
    [receipt] = await relay.store.find("e-1")
    assert receipt.row.event_time_ms == NOW_MS - 412
    assert receipt.row.pixel == PIXEL_ID


@pytest.mark.parametrize(
    "content_type", ["text/plain", "text/plain;charset=UTF-8", "application/json", "TEXT/PLAIN"]
)
async def test_text_and_json_are_taken_with_any_parameters(relay: Relay, content_type: str) -> None:
    assert (await relay.post(content_type=content_type)).status_code == 202


@pytest.mark.parametrize(
    "content_type",
    ["", "text/html", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "text/plain2"],
)
async def test_other_content_types_are_refused(relay: Relay, content_type: str) -> None:
    response = await relay.post(content_type=content_type)
    assert (response.status_code, response.json()["error"]["reason"]) == (415, "content_type")


@pytest.mark.parametrize("encoding", ["gzip", "br", "identity", ""])
async def test_any_content_encoding_is_refused(relay: Relay, encoding: str) -> None:
    response = await relay.post(content_encoding=encoding)
    assert (response.status_code, response.json()["error"]["reason"]) == (415, "content_encoding")


@pytest.mark.parametrize(("size", "status"), [(-1, 202), (0, 202), (1, 413)])
@pytest.mark.parametrize("chunked", [False, True])
async def test_the_body_is_bounded_by_what_arrives(
    relay: Relay, size: int, status: int, chunked: bool
) -> None:
    body = post(good_event()).ljust(BODY_MAX_BYTES + size)

    async def chunks() -> AsyncIterator[bytes]:
        for start in range(0, len(body), 10_000):
            yield body[start : start + 10_000]

    response = await relay.post_raw(chunks() if chunked else body)
    assert response.status_code == status
    assert await stored(relay) == (status == 202)


async def test_every_malformed_body_is_a_4xx_or_a_refusal_and_stores_nothing(relay: Relay) -> None:
    for case in MALFORMED:
        response = await relay.post_raw(case.body)
        assert (response.status_code, reason_of(response)) == expected_answer(case), case.name
    assert await stored(relay) == 0
    assert (await relay.store.totals()).refused == len(MALFORMED)


def reason_of(response: httpx.Response) -> str:
    answer = response.json()
    said = answer["error"] if "error" in answer else answer["refused"][0]
    assert said["message"]
    return str(said["reason"])


def expected_answer(case: Malformed) -> tuple[int, str]:
    status = BODY_STATUS[case.expected] if isinstance(case.expected, BodyReason) else 202
    return status, case.expected


async def test_a_bad_event_does_not_touch_its_neighbours(relay: Relay) -> None:
    response = await relay.post(good_event(), good_event(event_id="e-2", custom_data={}), 7)
    answer = response.json()
    assert answer["accepted"] == 1
    assert [(each["event_id"], each["reason"]) for each in answer["refused"]] == [
        ("e-2", "missing_value"),
        (None, "invalid_event"),
    ]
    assert (await relay.store.totals()).refused == 2


async def test_an_event_twice_in_one_post_is_taken_once(relay: Relay) -> None:
    answer = (await relay.post(good_event(), good_event())).json()
    assert answer == {"accepted": 1, "updated": 0, "duplicates": 1, "refused": [], "family": "ipv4"}
    assert await stored(relay) == 1


async def test_a_second_post_with_a_better_browser_leg_updates(relay: Relay) -> None:
    pending = good_event()["pixel"] | {"state": "pending", "settled_ms": None}
    await relay.post(good_event(pixel=pending))
    assert (await relay.post(good_event())).json()["updated"] == 1
    assert (await relay.post(good_event())).json()["duplicates"] == 1


async def test_an_event_for_two_pixels_counts_once(tmp_path: Path) -> None:
    async with open_relay(lab_settings(tmp_path, pixels=(PIXEL_ID, OTHER_PIXEL_ID))) as relay:
        assert (await relay.post(good_event(pixel_ids=[PIXEL_ID]))).json()["accepted"] == 1
        answer = (await relay.post(good_event())).json()
        assert answer == {"accepted": 1, "updated": 0, "duplicates": 0, "refused": [], "family": "ipv4"}, (
            "new for one pixel"
        )
        assert await stored(relay) == 2


async def test_everything_of_a_post_is_admitted_in_one_call(
    relay: Relay, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []
    admit = SqliteStore.admit

    async def counted(self: SqliteStore, events: Sequence[OutboxEvent]) -> list[Admission]:
        calls.append(len(events))
        return await admit(self, events)

    monkeypatch.setattr(SqliteStore, "admit", counted)
    await relay.post(*(good_event(event_id=f"e-{number}") for number in range(20)))
    assert calls == [20]


async def test_an_accepted_post_wakes_the_courier(relay: Relay, monkeypatch: pytest.MonkeyPatch) -> None:
    woken: list[int] = []
    monkeypatch.setattr(relay.app.state.courier, "wake", woken.append)
    await relay.post(7)
    assert woken == []
    await relay.post(good_event())
    (waiting,) = await relay.store.find("e-1")
    assert woken == [waiting.due_ms]
    await relay.post(good_event())  # a duplicate: nothing is due that was not
    assert woken == [waiting.due_ms]


@pytest.mark.parametrize("failure", [StoreFull("full"), StoreError("broken")])
async def test_a_store_that_cannot_commit_asks_the_sender_to_come_back(
    relay: Relay, monkeypatch: pytest.MonkeyPatch, failure: StoreError
) -> None:
    async def refuse(self: SqliteStore, events: Sequence[OutboxEvent]) -> list[Admission]:
        raise failure

    monkeypatch.setattr(SqliteStore, "admit", refuse)
    response = await relay.post()
    assert response.status_code == 503
    assert int(response.headers["retry-after"]) > 0
    assert response.headers["access-control-allow-origin"] == ORIGIN, "the page must be able to read it"
    assert "Retry-After" in response.headers["access-control-expose-headers"]


async def test_a_refusal_that_cannot_be_counted_does_not_change_the_answer(
    relay: Relay, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(self: SqliteStore, site: str, reason: str, now_ms: int) -> None:
        raise StoreFull("full")

    monkeypatch.setattr(SqliteStore, "count_refused", refuse)
    assert (await relay.post(good_event(), 7)).status_code == 202
    assert (await relay.post_raw(b"[")).status_code == 400


async def test_an_unknown_site_is_refused(relay: Relay) -> None:
    response = await relay.post(site="somebody-else")
    assert (response.status_code, response.json()["error"]["reason"]) == (403, "unknown_site")
    assert "access-control-allow-origin" not in response.headers


REFUSED_ORIGINS = {
    "null": "null",
    "another scheme": "http://shop.example",
    "another port": "https://shop.example:8443",
    "the default port spelt out": "https://shop.example:443",
    "a sub-domain": "https://www.shop.example",
    "a name that ends alike": "https://evilshop.example",
    "a name that begins alike": "https://shop.example.evil.example",
    "a path": "https://shop.example/",
    "upper case": "https://SHOP.EXAMPLE",
    "another site's": OTHER_SITE.origins[0],
    "several": "https://shop.example, https://shop.example",
    "empty": "",
}


@pytest.mark.parametrize("origin", REFUSED_ORIGINS.values(), ids=REFUSED_ORIGINS.keys())
async def test_only_the_site_s_own_origin_may_post(relay: Relay, origin: str) -> None:
    response = await relay.post(origin=origin)
    assert (response.status_code, response.json()["error"]["reason"]) == (403, "origin_not_allowed")
    assert "access-control-allow-origin" not in response.headers
    assert response.headers["vary"] == "Origin"
    assert await stored(relay) == 0


async def test_a_post_without_an_origin_is_refused(relay: Relay) -> None:
    headers = {"content-type": "text/plain"}
    response = await relay.http.post("/v1/events", content=post(good_event()), headers=headers)
    assert (response.status_code, response.json()["error"]["reason"]) == (403, "origin_missing")


async def test_the_page_may_read_the_answer_and_send_its_cookies(relay: Relay) -> None:
    response = await relay.post()
    assert response.headers["access-control-allow-origin"] == ORIGIN
    assert response.headers["access-control-allow-credentials"] == "true"
    assert response.headers["vary"] == "Origin"


async def test_a_page_can_read_why_its_body_was_refused(relay: Relay) -> None:
    response = await relay.post_raw(b"{")
    assert (response.status_code, response.headers["access-control-allow-origin"]) == (400, ORIGIN)


async def test_unknown_site_keys_are_counted_without_their_names(
    relay: Relay, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted: list[tuple[str, str]] = []

    async def note(self: SqliteStore, site: str, reason: str, now_ms: int) -> None:
        counted.append((site, reason))

    monkeypatch.setattr(SqliteStore, "count_refused", note)
    await relay.post(site="made-up-1")
    await relay.post(origin="https://evil.example")
    await relay.post(good_event(consent="denied"))
    assert counted == [
        ("", BodyReason.UNKNOWN_SITE),
        (SITE_KEY, BodyReason.ORIGIN_NOT_ALLOWED),
        (SITE_KEY, Refusal.CONSENT_DENIED),
    ]


async def test_a_prefetched_page_is_refused_per_event(relay: Relay) -> None:
    answer = (await relay.post(sec_purpose="prefetch;prerender")).json()
    assert [each["reason"] for each in answer["refused"]] == ["prefetch"]


async def test_a_forwarded_address_is_not_believed_without_a_trusted_proxy(relay: Relay) -> None:
    await relay.post(x_forwarded_for="192.0.2.99")
    [receipt] = await relay.store.find("e-1")
    assert receipt.client_ip_address == "198.51.100.7"


def test_the_facts_are_what_the_request_carried() -> None:
    headers = [
        (b"x-forwarded-for", b"192.0.2.1"),
        (b"x-forwarded-for", b"192.0.2.2, 10.0.0.1"),
        (b"forwarded", b"for=192.0.2.3"),
        (b"user-agent", b"Browser/1"),
        (b"cookie", b"_fbp=fb.1.1.2; other=x"),
        (b"sec-purpose", b"prefetch"),
        (b"sec-gpc", b"1"),
    ]
    facts = request_facts(Request({"type": "http", "headers": headers, "client": ("2001:db8::1", 5)}), NOW_MS)
    assert facts.peer == "2001:db8::1"
    assert facts.forwarded_for == ("192.0.2.1", "192.0.2.2, 10.0.0.1")
    assert facts.forwarded == ("for=192.0.2.3",)
    assert (facts.user_agent, facts.sec_purpose, facts.sec_gpc) == ("Browser/1", "prefetch", True)
    assert facts.cookies == {"_fbp": "fb.1.1.2", "other": "x"}


def test_a_request_without_headers_has_few_facts() -> None:
    facts = request_facts(Request({"type": "http", "headers": [], "client": None}), NOW_MS)
    assert (facts.peer, facts.user_agent, facts.sec_purpose, facts.sec_gpc) == (None, None, None, False)
    assert facts.cookies == {}
