"""How often somebody may ask: posts by address, events by site, failed sign-ins by address.

The counts live in memory, bounded, and end with the process. Each kind has its own, so that no flood of addresses
pushes a site's count out, and no site's events use up another's.
"""

import asyncio
import math
from collections.abc import Awaitable, Callable, Sequence
from ipaddress import IPv6Address, IPv6Network
from typing import Final

import structlog
from limits import RateLimitItem, RateLimitItemPerDay, RateLimitItemPerHour, RateLimitItemPerMinute
from limits.storage import Storage
from limits.strategies import FixedWindowRateLimiter
from starlette.responses import Response

from relay.event.address import ClientAddress, parse_hop
from relay.event.outcome import RATE_SENTENCES, RateReason
from relay.event.records import RequestFacts
from relay.settings import Limits, Settings
from relay.web.errors import error

log = structlog.get_logger("relay.web")

IPV6_PREFIX: Final = 64  # what one household or one server has to itself
# Failures per minute, hour and day grow more slowly than time: whoever goes on trying waits longer and longer.
HOURLY: Final = 4
DAILY: Final = 10
HELD_BACK_STEP: Final = 50  # that many who wait double the wait of the next, as many again add as much


class Limited(Exception):
    """Too much of it; `retry_after_seconds` is when the count starts again."""

    def __init__(self, reason: RateReason, retry_after_seconds: int) -> None:
        super().__init__(reason)
        self.reason, self.retry_after_seconds = reason, retry_after_seconds


class Windows(Storage):
    """Counts by key for the `limits` package, by a clock of ours, and never more than `size` of them.

    Its own in-memory storage reads the wall clock, starts a thread, and keeps as many keys as are sent.
    """

    STORAGE_SCHEME = None

    def __init__(self, now_seconds: Callable[[], float], size: int) -> None:
        super().__init__()
        self._now_seconds, self._size = now_seconds, size
        self._counts: dict[str, tuple[int, float]] = {}  # key -> count, end of its window; oldest first

    @property
    def base_exceptions(self) -> type[Exception]:
        return LookupError

    def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        count = self.get(key)
        if count == 0:
            self._counts.pop(key, None)
            self._make_room()
        ends = self._counts[key][1] if count else self._now_seconds() + expiry
        self._counts[key] = (count + amount, ends)
        return count + amount

    def get(self, key: str) -> int:
        count, ends = self._counts.get(key, (0, -math.inf))
        return count if self._now_seconds() < ends else 0

    def get_expiry(self, key: str) -> float:
        return self._counts.get(key, (0, self._now_seconds()))[1]

    def check(self) -> bool:
        return True

    def reset(self) -> int | None:
        kept = len(self._counts)
        self._counts.clear()
        return kept

    def clear(self, key: str) -> None:
        self._counts.pop(key, None)

    def __len__(self) -> int:
        return len(self._counts)

    def _make_room(self) -> None:
        """Let the oldest go: it ends first, or has ended."""
        while len(self._counts) >= self._size:
            del self._counts[next(iter(self._counts))]


class Budget:
    """What one kind of asker may do, in one or several windows at once."""

    def __init__(
        self, reason: RateReason, items: Sequence[RateLimitItem], now_seconds: Callable[[], float], size: int
    ) -> None:
        self.windows = Windows(now_seconds, size)
        self._reason, self._items, self._now_seconds = reason, items, now_seconds
        self._limiter = FixedWindowRateLimiter(self.windows)

    def check(self, who: str, cost: int = 1) -> None:
        """Raise Limited where `cost` more would be too much; nothing is taken."""
        for item in self._items:
            if not self._limiter.test(item, who, cost=cost):
                ends = self._limiter.get_window_stats(item, who).reset_time
                raise Limited(self._reason, max(1, math.ceil(ends - self._now_seconds())))

    def take(self, who: str, cost: int = 1) -> None:
        """Take `cost`, or raise Limited and take nothing."""
        self.check(who, cost)
        for item in self._items:
            self._limiter.hit(item, who, cost=cost)


class Rates:
    """Every budget of one relay."""

    def __init__(
        self,
        limits: Limits,
        sites: int,
        now_seconds: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        *,
        held_back_max: int = 1_000,
    ) -> None:
        """`held_back_max`: who waits for a 429 has a connection that others may need."""
        self._now_seconds = now_seconds
        self._delay_seconds = limits.answer_delay_ms / 1_000
        self._sleep = sleep
        self._held_back, self._held_back_max = 0, held_back_max
        self.addresses = Budget(
            RateReason.ADDRESS,
            [RateLimitItemPerMinute(limits.address_posts_per_minute)],
            now_seconds,
            limits.addresses_max,
        )
        self.sites = Budget(
            RateReason.SITE,
            [RateLimitItemPerMinute(limits.site_events_per_minute)],
            now_seconds,
            max(1, sites),
        )
        self.servers = Budget(
            RateReason.SERVER,
            [RateLimitItemPerMinute(limits.server_events_per_minute)],
            now_seconds,
            max(1, sites),
        )
        failures = limits.sign_in_failures_per_minute
        self.sign_ins = Budget(
            RateReason.SIGN_IN,
            [
                RateLimitItemPerMinute(failures),
                RateLimitItemPerHour(failures * HOURLY),
                RateLimitItemPerDay(failures * DAILY),
            ],
            now_seconds,
            limits.addresses_max,
        )
        self._told: dict[RateReason, float] = {}

    async def hold_back(self) -> None:
        """Let a sender that is over its budget wait: the next of its connection comes after the answer.

        The more wait, the longer: a flood on many connections comes no faster than one on a few.
        """
        if self._held_back >= self._held_back_max:
            return
        seconds = self._delay_seconds * (1 + self._held_back / HELD_BACK_STEP)
        self._held_back += 1
        try:
            await self._sleep(seconds)
        finally:
            self._held_back -= 1

    async def answer(self, limited: Limited) -> Response:
        """429, after a while, and one line in the log per reason and minute: it must not become a flood of its own."""
        await self.hold_back()
        now = self._now_seconds()
        if now >= self._told.get(limited.reason, -math.inf) + 60:
            self._told[limited.reason] = now
            log.warning("rate_limited", reason=limited.reason)
        headers = {"retry-after": str(limited.retry_after_seconds)}
        return error(429, limited.reason, RATE_SENTENCES[limited.reason], headers)


def asker(facts: RequestFacts, connection: ClientAddress, settings: Settings) -> str | None:
    """Whose budget a request uses: an IPv4 address or an IPv6 network. None: nobody's.

    Nobody's are loopback, and addresses behind a proxy that is not configured: all visitors would share its one.
    Those whom a trusted proxy does not name share one: a confusing header must not be a way around.
    """
    if connection.address is None:
        is_direct = not (facts.forwarded_for or facts.forwarded or facts.provider_headers)
        return None if is_direct or not settings.server.trusted_proxies else "unnamed"
    parsed = parse_hop(connection.address)
    if parsed is None or parsed.is_loopback:
        return None
    if isinstance(parsed, IPv6Address):
        return str(IPv6Network((parsed, IPV6_PREFIX), strict=False))
    return str(parsed)
