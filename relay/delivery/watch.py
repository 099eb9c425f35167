"""Looks every minute whether somebody should be told, and tells them: readings, transitions, notices, tries."""

import asyncio
import secrets
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Final

import msgspec
import structlog

from relay.delivery.webhook import Webhooks
from relay.errors import RelayError
from relay.event.alert import (
    DAY_MS,
    HOUR_MS,
    AlertState,
    Reading,
    Thresholds,
    error_reading,
    foreign_reading,
    pair_reading,
    silence_reading,
    step,
    token_readings,
)
from relay.event.notice import Notice, after_try, alert_body, sample_body, target_of
from relay.event.quality import Share, shares
from relay.event.radar import Verdict, name_of, verdict_of
from relay.event.report import PAGE
from relay.event.tally import Topic
from relay.settings import Alerts, Settings, Site
from relay.store.protocol import MINUTE_MS, QUARTER_MS, Counts, Store

NOTICES_AT_ONCE: Final = 20
LEASE_MS: Final = 60_000  # a try that was cut short comes again after it

log = structlog.get_logger(__name__)


class Watch:
    """One task. Its alerts and notices are rows, so that a restart neither repeats nor forgets one."""

    def __init__(
        self,
        store: Store,
        settings: Settings,
        webhooks: Webhooks | None,
        clock_ms: Callable[[], int],
        jitter: Callable[[], float],
    ) -> None:
        """Without `webhooks` the alerts are kept for the console, and nobody is told."""
        self._store = store
        self._settings = settings
        self._alerts: Alerts = settings.alerts
        self._webhooks = webhooks
        self._clock_ms = clock_ms
        self._jitter = jitter
        self._started_ms: int | None = (
            None  # of the first look; a shared store's clock may not be known before
        )
        self._limits = Thresholds(
            events_min=self._alerts.events_min,
            error_percent=self._alerts.error_percent,
            pair_drop_points=self._alerts.pair_drop_points,
            silence_minutes=self._alerts.silence_minutes,
        )
        self._wake = asyncio.Event()

    async def run(self) -> None:
        """Look and tell until cancelled."""
        while True:
            try:
                await self.look()
                await self.tell()
            except RelayError as failure:
                log.error("alerts.look_failed", kind=type(failure).__name__)
            await self._rest()

    async def _rest(self) -> None:
        self._wake.clear()
        try:
            async with asyncio.timeout(self._alerts.check_seconds):
                await self._wake.wait()
        except TimeoutError:
            pass

    async def look(self) -> list[AlertState]:
        """Take every reading; the alerts that were raised or resolved by it."""
        now_ms = self._clock_ms()
        if self._started_ms is None:
            self._started_ms = now_ms
        states = {(state.kind, state.subject): state for state in await self._store.alerts()}
        changed = []
        for reading in await self._readings(now_ms):
            state = step(states.get((reading.kind, reading.subject)), reading, now_ms)
            if state is None:
                continue
            body = alert_body(state, self._settings.server.console())
            if await self._store.change_alert(state, self._notices(body, now_ms)):
                log.warning("alert", kind=state.kind, subject=state.subject, raised=state.raised)
                changed.append(state)
        return changed

    async def tell(self) -> None:
        """Try every notice whose time has come."""
        if self._webhooks is None:
            return
        urls = {target_of(url): url for url in self._alerts.urls}
        for notice in await self._store.notices(due_by_ms=self._clock_ms(), limit=NOTICES_AT_ONCE):
            await self._try(self._webhooks, notice, urls.get(notice.target))

    async def send_test(self) -> None:
        """A notice for every address, as the console's button asks for."""
        now_ms = self._clock_ms()
        for notice in self._notices(sample_body(now_ms, self._settings.server.console()), now_ms):
            await self._store.keep_notice(notice)
        self._wake.set()

    async def _try(self, webhooks: Webhooks, notice: Notice, url: str | None) -> None:
        if url is None:
            said = "The address is no longer among [alerts] urls."
            await self._store.keep_notice(msgspec.structs.replace(notice, due_ms=None, problem=said))
            return
        now_ms = self._clock_ms()
        await self._store.keep_notice(msgspec.structs.replace(notice, due_ms=now_ms + LEASE_MS))
        told = await webhooks.post(url, notice, now_ms // 1_000)
        after = after_try(
            notice, told.problem, gone=told.gone, now_ms=self._clock_ms(), jitter=self._jitter()
        )
        await self._store.keep_notice(after)
        log.info("alerts.notice", target=notice.target, told=told.problem is None, attempts=after.attempts)

    def _notices(self, body: bytes, now_ms: int) -> list[Notice]:
        return [
            Notice(
                id=f"msg_{secrets.token_urlsafe(16)}",
                target=target_of(url),
                created_ms=now_ms,
                body=body,
                due_ms=now_ms,
            )
            for url in self._alerts.urls
        ]

    async def _readings(self, now_ms: int) -> list[Reading]:
        pixels = [pixel for site in self._settings.site for pixel in site.pixel_ids()]
        parked = {state.pixel: state.message for state in await self._store.parked()}
        readings: list[Reading | None] = [*token_readings(parked, pixels)]
        for site in self._settings.site:
            readings += await self._rates(site.key, now_ms)
            readings.append(await self._silence(site.key, now_ms))
            readings.append(await self._foreign(site, now_ms))
        return [reading for reading in readings if reading is not None]

    async def _rates(self, site: str, now_ms: int) -> list[Reading | None]:
        last = await self._store.counts(
            Topic.OUTCOME, step_ms=MINUTE_MS, since_ms=now_ms - HOUR_MS, site=site
        )
        day = await self._store.counts(
            Topic.OUTCOME, step_ms=QUARTER_MS, since_ms=now_ms - HOUR_MS - DAY_MS, site=site
        )
        before = [count for count in day if count.at_ms + QUARTER_MS <= now_ms - HOUR_MS]
        last_hour, day_before = _by_name(last), _by_name(before)
        return [
            error_reading(site, last_hour, self._limits),
            pair_reading(site, last_hour, day_before, self._limits),
        ]

    async def _silence(self, site: str, now_ms: int) -> Reading | None:
        counts = await self._store.counts(
            Topic.ACCEPTED, step_ms=MINUTE_MS, since_ms=now_ms - DAY_MS, site=site
        )
        return silence_reading(
            site,
            events_of_day=sum(count.n for count in counts),
            last_ms=max((count.at_ms for count in counts), default=None),
            started_ms=self._started_ms or now_ms,
            now_ms=now_ms,
            limits=self._limits,
        )

    async def _foreign(self, site: Site, now_ms: int) -> Reading | None:
        """Who certainly sends server events too, by the pages and by Meta."""
        rows = await self._store.senders(since_ms=now_ms - DAY_MS, site=site.key)
        recent = [row for row in rows if row.last_ms > now_ms - DAY_MS]
        named = [
            name_of(row.sender)
            for row in recent
            if verdict_of(row.sender, row.pixel, row.ids, site.pixel_ids()) is Verdict.SENDS
        ]
        at_meta = await self._others_at_meta(site, now_ms)
        looked = at_meta is not None or any(row.sender == PAGE for row in recent)
        return foreign_reading(site.key, sorted({*named, *(at_meta or ())}), looked=looked)

    async def _others_at_meta(self, site: Site, now_ms: int) -> list[str] | None:
        """Event names that somebody else sends too; None where Meta has not said so of the last day."""
        records = [
            record
            for record in await self._store.quality(since_ms=now_ms - DAY_MS)
            if record.pixel in site.pixel_ids() and record.problem is None and record.at_ms > now_ms - DAY_MS
        ]
        last = {(record.pixel, record.scope): record for record in records}
        pairs = [
            (last[pixel, "all"], last[pixel, "ours"])
            for pixel in site.pixel_ids()
            if (pixel, "all") in last and (pixel, "ours") in last
        ]
        if not pairs:
            return None
        return [
            f"another sender of {name} (Meta)"
            for everybody, ours in pairs
            for name, share in shares(everybody.events, ours.events).items()
            if share in (Share.OTHERS_TOO, Share.OTHERS_ONLY)
        ]


def _by_name(counts: Sequence[Counts]) -> Counter[str]:
    summed: Counter[str] = Counter()
    for count in counts:
        summed[count.name] += count.n
    return summed
