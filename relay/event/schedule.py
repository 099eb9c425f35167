"""When an event may be sent, when it is tried again, and when it is given up. Arithmetic only.

The hold keeps the server's event behind the browser's: an event whose Pixel request is settled goes at once,
one that is still open waits until the request has surely arrived or surely failed. It is a time in a column,
so a restart keeps it.
"""

from typing import Final, assert_never

from relay.event.outcome import ActionSource, BrowserState
from relay.settings import Delivery

EVENT_AGE_MAX_MS: Final = 7 * 86_400_000  # Meta refuses the whole batch for one event older than this
STORE_AGE_MAX_MS: Final = 62 * 86_400_000  # but for what was bought in a physical store
RETRY_CEILINGS_MS: Final = (5_000, 30_000, 120_000, 600_000, 1_800_000, 3_600_000)  # the last repeats
RETRY_MIN_MS: Final = 1_000  # so that no draw of the jitter becomes a busy loop
THROTTLED_MIN_MS: Final = 60_000
LAST_TRY_MS: Final = 120_000  # before the limit: the courier gives up a minute early, and may sleep for one


def not_before_ms(
    state: BrowserState,
    *,
    event_time_ms: int,
    dispatched_ms: int | None,
    received_ms: int,
    delivery: Delivery,
) -> int:
    """The hold: Unix milliseconds before which the event must not go to Meta; never before it was received.

    All times are on the relay's clock. A `pending` request without a dispatch time counts as dispatched at
    the event.
    """
    match state:
        case (
            BrowserState.SENT
            | BrowserState.LATE
            | BrowserState.BLOCKED
            | BrowserState.OFF
            | BrowserState.ABSENT
        ):
            return received_ms
        case BrowserState.PENDING:
            began_ms = event_time_ms if dispatched_ms is None else dispatched_ms
            return max(received_ms, began_ms + _ms(delivery.hold_pending_seconds))
        case BrowserState.UNDISPATCHED:
            return max(received_ms, event_time_ms + _ms(delivery.hold_undispatched_seconds))
        case BrowserState.AWAITED:
            return received_ms + _ms(delivery.hold_awaited_seconds)
        case _:
            assert_never(state)


def retry_delay_ms(
    attempts: int, jitter: float, retry_after_ms: int | None = None, *, throttled: bool = False
) -> int:
    """Milliseconds to wait after `attempts` failed calls (1 or more), with a `jitter` drawn from 0 to 1.

    Full jitter: between the least wait (1 s) and the ceiling of the attempt, so that events which failed
    together do not come back together. The ceilings are 5 s, 30 s, 2 m, 10 m, 30 m, 1 h, then 1 h again.
    Meta's Retry-After is honoured up to an hour and is the least wait, with jitter on top; after a throttle
    the least is a minute. The first retry comes within 60 s unless Meta asked for more.
    """
    if attempts < 1:
        raise ValueError(f"a retry follows at least one attempt, not {attempts}")
    ceiling_ms = RETRY_CEILINGS_MS[min(attempts, len(RETRY_CEILINGS_MS)) - 1]
    return _least_wait_ms(retry_after_ms, throttled) + round(ceiling_ms * jitter)


def retry_due_ms(
    event_time_ms: int,
    now_ms: int,
    attempts: int,
    jitter: float,
    retry_after_ms: int | None = None,
    *,
    throttled: bool = False,
) -> int:
    """When the event is tried again: after `retry_delay_ms`, or earlier where that would miss Meta's limit.

    The last try comes two minutes before the limit. What Meta asked for is waited for even then.
    """
    due_ms = now_ms + retry_delay_ms(attempts, jitter, retry_after_ms, throttled=throttled)
    last_ms = event_time_ms + EVENT_AGE_MAX_MS - LAST_TRY_MS
    if now_ms < last_ms < due_ms:
        return max(last_ms, now_ms + _least_wait_ms(retry_after_ms, throttled))
    return due_ms


def rest_ms(
    failures: int, jitter: float, retry_after_ms: int | None = None, *, throttled: bool = False
) -> int:
    """Milliseconds that a pixel rests after `failures` failed calls on end, before it is probed again.

    At most 31 s, unless Meta asked for more: what waits behind the probe has done nothing wrong.
    """
    return retry_delay_ms(min(failures, 2), jitter, retry_after_ms, throttled=throttled)


def age_max_ms(action_source: str) -> int:
    """How old an event may be when Meta gets it."""
    return STORE_AGE_MAX_MS if action_source == ActionSource.PHYSICAL_STORE else EVENT_AGE_MAX_MS


def gives_up(event_time_ms: int, now_ms: int, limit_ms: int = EVENT_AGE_MAX_MS) -> bool:
    """Whether the event has passed Meta's limit; at exactly the limit it has."""
    return now_ms - event_time_ms >= limit_ms


def _least_wait_ms(retry_after_ms: int | None, throttled: bool) -> int:
    asked_ms = min(max(retry_after_ms or 0, 0), RETRY_CEILINGS_MS[-1])
    return max(asked_ms, THROTTLED_MIN_MS if throttled else RETRY_MIN_MS)


def _ms(seconds: float) -> int:
    return round(seconds * 1_000)
