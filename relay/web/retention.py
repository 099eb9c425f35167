"""Forgetting what was kept as long as the settings say."""

import asyncio
from collections.abc import Callable
from typing import Final

import structlog

from relay.errors import StoreError
from relay.settings import Settings
from relay.store.protocol import Store

PRUNE_SECONDS: Final = 3_600.0
HOUR_MS: Final = 3_600_000
DAY_MS: Final = 24 * HOUR_MS

log = structlog.get_logger("relay.web")


async def prune_once(store: Store, settings: Settings, now_ms: int) -> None:
    """Forget what was kept as long as the settings say."""
    await store.prune(
        now_ms=now_ms,
        retention_ms=settings.store.retention_days * DAY_MS,
        address_ms=round(settings.privacy.address_hours * HOUR_MS),
        counter_ms=settings.store.counter_days * DAY_MS,
        order_ms=settings.store.order_days * DAY_MS,
    )


async def prune_regularly(store: Store, settings: Settings, clock_ms: Callable[[], int]) -> None:
    """Forget, now and every hour, what was kept as long as the settings say."""
    while True:
        try:
            await prune_once(store, settings, clock_ms())
        except StoreError as failure:
            log.error("prune_failed", kind=type(failure).__name__, next_try_seconds=PRUNE_SECONDS)
        await asyncio.sleep(PRUNE_SECONDS)
