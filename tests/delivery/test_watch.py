"""From what happened to what somebody is told: a real store, a real receiver, and each alert once."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace
from standardwebhooks import Webhook

from relay.delivery.watch import LEASE_MS, Watch
from relay.delivery.webhook import Webhooks
from relay.event.alert import DAY_MS, HOUR_MS, AlertKind
from relay.event.notice import RETRY_SECONDS, read_secret_bytes
from relay.event.outcome import BrowserState, Fate, FateReason
from relay.event.quality import QualityRecord, read_quality
from relay.event.report import Sighting
from relay.settings import Alerts, Pixel, Settings, Site
from relay.store.protocol import Ended, Store
from relay.store.sqlite import SqliteStore
from tests.clock import Clock
from tests.delivery.test_webhook import Receiver, receiving
from tests.event.test_notice import SECRET
from tests.store.samples import LEASE_MS as CLAIM_MS
from tests.store.samples import NOW_MS, RECEIPT, REVOKED, event, leg

pytestmark = pytest.mark.anyio

MINUTE_MS = 60_000


@pytest.fixture
def clock() -> Clock:
    return Clock(NOW_MS)


@pytest.fixture
async def store(tmp_path: Path, anyio_backend: str) -> AsyncIterator[Store]:
    async with await SqliteStore.open(tmp_path / "a.db") as opened:
        yield opened


def settings_with(*urls: str) -> Settings:
    site = Site(key="shop", origins=("https://shop.example",), pixels=(Pixel(id="111"),))
    alerts = Alerts(urls=urls, secret_env="S" if urls else None, events_min=5, allow_private=True)
    return Settings(site=(site,), alerts=alerts)


def watch_over(store: Store, clock: Clock, *urls: str) -> Watch:
    webhooks = Webhooks(read_secret_bytes(SECRET), allow_private=True) if urls else None
    return Watch(store, settings_with(*urls), webhooks, clock, lambda: 0.0)


async def end(store: Store, clock: Clock, number: int, fate: Fate, *, start: int = 0) -> None:
    """So many events come, and end so."""
    await store.admit(
        [
            replace(event(f"e{clock()}-{start + n}"), received_ms=clock(), not_before_ms=clock())
            for n in range(number)
        ]
    )
    lease = await store.claim(now_ms=clock(), lease_ms=CLAIM_MS, limit=1000, busy=frozenset())
    assert lease is not None
    attempt = await store.begin_attempt(lease, [each.key for each in lease.events], clock())
    reason = FateReason.RECEIVED if fate is Fate.DELIVERED else FateReason.REJECTED_BY_META
    await store.settle(
        lease,
        [Ended(key=each.key, fate=fate, reason=reason) for each in lease.events],
        now_ms=clock(),
        attempt=(attempt, RECEIPT),
    )


async def park(store: Store, clock: Clock) -> None:
    await store.admit([replace(event(f"p{clock()}"), received_ms=clock(), not_before_ms=clock())])
    lease = await store.claim(now_ms=clock(), lease_ms=CLAIM_MS, limit=1, busy=frozenset())
    assert lease is not None
    attempt = await store.begin_attempt(lease, [each.key for each in lease.events], clock())
    await store.park(lease, now_ms=clock(), attempt=(attempt, REVOKED))


async def made(watch: Watch) -> list[tuple[AlertKind, bool]]:
    return [(state.kind, state.raised) for state in await watch.look()]


def told(receiver: Receiver) -> list[tuple[str, str]]:
    """Type and kind of each message that arrived, once its signature has been verified."""
    bodies: list[dict[str, Any]] = [msgspec.json.decode(body) for _, _, body in receiver.requests]
    return [(body["type"], body["data"].get("kind", "")) for body in bodies]


async def test_a_refused_token_is_told_once_when_it_begins_and_once_when_it_ends(
    store: Store, clock: Clock
) -> None:
    async with receiving() as (receiver, port):
        watch = watch_over(store, clock, f"http://127.0.0.1:{port}/")
        assert await made(watch) == []
        await park(store, clock)
        for _ in range(3):
            await watch.look()
            await watch.tell()
            clock.now_ms += MINUTE_MS
        assert told(receiver) == [("alert.raised", "token_invalid")]
        await store.unpark("111")
        for _ in range(3):
            await watch.look()
            await watch.tell()
        assert told(receiver)[1:] == [("alert.resolved", "token_invalid")]
        ids = [headers["webhook-id"] for _, headers, _ in receiver.requests]
        assert len(set(ids)) == 2


async def test_a_restart_neither_repeats_nor_forgets(store: Store, clock: Clock) -> None:
    async with receiving() as (receiver, port):
        url = f"http://127.0.0.1:{port}/"
        await park(store, clock)
        await watch_over(store, clock, url).look()  # and then the relay was killed
        again = watch_over(store, clock, url)
        assert await made(again) == []
        await again.tell()
        assert told(receiver) == [("alert.raised", "token_invalid")]


async def test_two_that_look_at_once_raise_it_once(store: Store, clock: Clock) -> None:
    await park(store, clock)
    looks = [watch_over(store, clock, "http://a.example/").look() for _ in range(5)]
    changed = [state for states in await asyncio.gather(*looks) for state in states]
    assert len(changed) == 1
    assert len(await store.notices(limit=9)) == 1


async def test_events_that_are_not_delivered_raise_the_error_rate_and_better_ones_resolve_it(
    store: Store, clock: Clock
) -> None:
    watch = watch_over(store, clock)
    await end(store, clock, 9, Fate.DELIVERED)
    assert await made(watch) == []
    await end(store, clock, 1, Fate.REJECTED, start=9)
    assert await made(watch) == [(AlertKind.ERROR_RATE, True)]
    clock.now_ms += HOUR_MS + MINUTE_MS
    await end(store, clock, 30, Fate.DELIVERED)
    assert await made(watch) == [(AlertKind.ERROR_RATE, False)]


async def test_a_shop_that_falls_silent_is_told_and_its_first_event_resolves_it(
    store: Store, clock: Clock
) -> None:
    watch = watch_over(store, clock)
    await end(store, clock, 9, Fate.DELIVERED)
    assert await made(watch) == []
    clock.now_ms += 119 * MINUTE_MS
    assert await made(watch) == []
    clock.now_ms += 2 * MINUTE_MS
    assert await made(watch) == [(AlertKind.SILENCE, True)]
    await end(store, clock, 1, Fate.DELIVERED)
    assert await made(watch) == [(AlertKind.SILENCE, False)]


async def test_pairs_that_become_rare_are_told(store: Store, clock: Clock) -> None:
    watch = watch_over(store, clock)
    await end(store, clock, 20, Fate.DELIVERED)
    clock.now_ms += 3 * HOUR_MS
    blocked = [
        replace(
            event(f"b{n}"),
            received_ms=clock(),
            not_before_ms=clock(),
            leg=leg(BrowserState.BLOCKED),
        )
        for n in range(20)
    ]
    await store.admit(blocked)
    lease = await store.claim(now_ms=clock(), lease_ms=CLAIM_MS, limit=1000, busy=frozenset())
    assert lease is not None
    ended = [Ended(key=each.key, fate=Fate.DELIVERED, reason=FateReason.RECEIVED) for each in lease.events]
    attempt = await store.begin_attempt(lease, [each.key for each in lease.events], clock())
    await store.settle(lease, ended, now_ms=clock(), attempt=(attempt, RECEIPT))
    assert (AlertKind.PAIR_RATE, True) in await made(watch)


async def test_a_gateway_that_pages_name_is_told_and_gone_after_a_day_of_pages_without_it(
    store: Store, clock: Clock
) -> None:
    watch = watch_over(store, clock)
    await store.note_senders("shop", [Sighting(sender="page"), Sighting(sender="gtm")], clock())
    assert await made(watch) == []
    await store.note_senders("shop", [Sighting(sender="openbridge")], clock())
    assert await made(watch) == [(AlertKind.FOREIGN_SENDER, True)]
    clock.now_ms += DAY_MS + MINUTE_MS
    assert await made(watch) == []  # nobody has looked since
    await store.note_senders("shop", [Sighting(sender="page")], clock())
    assert await made(watch) == [(AlertKind.FOREIGN_SENDER, False)]


async def test_what_meta_says_of_others_is_told_too(store: Store, clock: Clock) -> None:
    events = read_quality({"web": [{"event_name": "Lead"}]})
    everybody = QualityRecord(pixel="111", scope="all", at_ms=clock(), problem=None, events=events)
    await store.keep_quality([everybody, replace(everybody, scope="ours", events=())])
    (state,) = await watch_over(store, clock).look()
    assert (state.kind, "another sender of Lead (Meta)" in state.detail) == (AlertKind.FOREIGN_SENDER, True)


async def test_a_receiver_that_is_away_is_tried_again_under_the_same_id_and_then_given_up(
    store: Store, clock: Clock
) -> None:
    async with receiving(503) as (receiver, port):
        watch = watch_over(store, clock, f"http://127.0.0.1:{port}/")
        await watch.send_test()
        for wait in (0, *RETRY_SECONDS, 86_400):
            clock.now_ms += wait * 1_000
            await watch.tell()
            await watch.tell()  # not before its time
        assert len(receiver.requests) == len(RETRY_SECONDS) + 1
        assert len({headers["webhook-id"] for _, headers, _ in receiver.requests}) == 1
    (notice,) = await store.notices(limit=9)
    assert (notice.due_ms, notice.told_ms, notice.problem) == (None, None, "HTTP 503.")


async def test_every_message_is_verified_by_a_library_of_others(store: Store, clock: Clock) -> None:
    clock.now_ms = round(time.time() * 1_000)  # the library compares with its own clock
    async with receiving() as (receiver, port):
        watch = watch_over(store, clock, f"http://127.0.0.1:{port}/a", f"http://127.0.0.1:{port}/b")
        await watch.send_test()
        await watch.tell()
    assert sorted(line.split()[1] for line, _, _ in receiver.requests) == ["/a", "/b"]
    for _, headers, body in receiver.requests:
        assert Webhook(SECRET).verify(body, headers)["type"] == "alert.test"


async def test_an_address_that_was_taken_out_is_not_told(store: Store, clock: Clock) -> None:
    await watch_over(store, clock, "http://127.0.0.1:9/").send_test()
    await watch_over(store, clock, "http://127.0.0.1:9/other").tell()
    (notice,) = await store.notices(limit=9)
    assert (notice.due_ms, notice.problem) == (None, "The address is no longer among [alerts] urls.")


async def test_a_try_that_was_cut_short_comes_again(store: Store, clock: Clock) -> None:
    watch = watch_over(store, clock, "http://127.0.0.1:9/")
    await watch.send_test()
    (notice,) = await store.notices(due_by_ms=clock(), limit=9)
    await store.keep_notice(replace(notice, due_ms=clock() + LEASE_MS))  # and then the relay was killed
    assert await store.notices(due_by_ms=clock() + LEASE_MS - 1, limit=9) == []
    assert len(await store.notices(due_by_ms=clock() + LEASE_MS, limit=9)) == 1
