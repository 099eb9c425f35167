"""When somebody should be told: what each measure says, and when an alert is raised and resolved. Pure.

Each alert has two thresholds, so that a number that wavers around one of them neither raises nor resolves it again and
again: it is raised once, and resolved once.
"""

from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Final

import msgspec

from relay.event.tally import Outcome

HOUR_MS: Final = 3_600_000
DAY_MS: Final = 24 * HOUR_MS
MINUTE_MS: Final = 60_000


class AlertKind(StrEnum):
    """What an alert is about."""

    TOKEN_INVALID = "token_invalid"  # noqa: S105 - a word, no secret
    ERROR_RATE = "error_rate"
    SILENCE = "silence"
    PAIR_RATE = "pair_rate"
    FOREIGN_SENDER = "foreign_sender"


class AlertWords(msgspec.Struct, frozen=True, kw_only=True):
    """What a person reads."""

    title: str
    fix: str


ALERT_WORDS: Final[dict[AlertKind, AlertWords]] = {
    AlertKind.TOKEN_INVALID: AlertWords(
        title="Meta refuses the token",
        fix="Put a new token where token_env or token_file says. What waits is sent then; after seven days it expires.",
    ),
    AlertKind.ERROR_RATE: AlertWords(
        title="Many events end without delivery",
        fix="Open the receipts with the fate rejected: each holds Meta's own sentence.",
    ),
    AlertKind.SILENCE: AlertWords(
        title="No events come",
        fix="Open the shop and look for c.js in the browser's network panel; run counterfoil doctor.",
    ),
    AlertKind.PAIR_RATE: AlertWords(
        title="Fewer events have both halves",
        fix=(
            "Look at the receipts of the last hour: a policy, a consent banner or a change of the theme stops the "
            "Pixel."
        ),
    ),
    AlertKind.FOREIGN_SENDER: AlertWords(
        title="Somebody else sends events of this pixel",
        fix="Open the radar: it names the sender, what to turn off and how to verify it.",
    ),
}


class AlertState(msgspec.Struct, frozen=True, kw_only=True):
    """One alert as it stands. `subject` is a pixel for TOKEN_INVALID, else a site."""

    kind: AlertKind
    subject: str
    raised: bool
    since_ms: int
    detail: str


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """What one measure says now. Neither bad nor good: it stays as it was."""

    kind: AlertKind
    subject: str
    bad: bool
    good: bool
    detail: str


class Thresholds(msgspec.Struct, frozen=True, kw_only=True):
    """When an alert is raised; it is resolved at half of the two percentages."""

    events_min: int  # below so many events a share says nothing
    error_percent: float
    pair_drop_points: float
    silence_minutes: float  # 0: never


def step(state: AlertState | None, reading: Reading, now_ms: int) -> AlertState | None:
    """The state after this reading, where it is another one: raised, or resolved."""
    raised = state is not None and state.raised
    if reading.bad == raised or (raised and not reading.good):
        return None
    return AlertState(
        kind=reading.kind, subject=reading.subject, raised=not raised, since_ms=now_ms, detail=reading.detail
    )


def token_readings(parked: Mapping[str, str], pixels: Iterable[str]) -> list[Reading]:
    """`parked`: by pixel, in Meta's words, why nothing of it can be sent."""
    return [
        Reading(
            kind=AlertKind.TOKEN_INVALID,
            subject=pixel,
            bad=pixel in parked,
            good=pixel not in parked,
            detail=parked.get(pixel, "Events of the pixel are sent again."),
        )
        for pixel in pixels
    ]


def error_reading(site: str, outcomes: Mapping[str, int], limits: Thresholds) -> Reading | None:
    """`outcomes` of the last hour; what was held back on purpose is no error."""
    ended = sum(n for name, n in outcomes.items() if name != Outcome.HELD_BACK)
    if ended < limits.events_min:
        return None
    percent = 100 * outcomes.get(Outcome.FAILED, 0) / ended
    return Reading(
        kind=AlertKind.ERROR_RATE,
        subject=site,
        bad=percent >= limits.error_percent,
        good=percent < limits.error_percent / 2,
        detail=f"{percent:.1f} % of {ended} events that ended in the last hour were not delivered.",
    )


def pair_reading(
    site: str, last_hour: Mapping[str, int], day_before: Mapping[str, int], limits: Thresholds
) -> Reading | None:
    """Outcomes of the last hour beside those of the day before it."""
    now, before = _paired_percent(last_hour, limits), _paired_percent(day_before, limits)
    if now is None or before is None:
        return None
    drop = before - now
    return Reading(
        kind=AlertKind.PAIR_RATE,
        subject=site,
        bad=drop >= limits.pair_drop_points,
        good=drop < limits.pair_drop_points / 2,
        detail=f"{now:.1f} % of the last hour's events have both halves; {before:.1f} % did the day before.",
    )


def _paired_percent(outcomes: Mapping[str, int], limits: Thresholds) -> float | None:
    delivered = sum(n for name, n in outcomes.items() if name not in (Outcome.HELD_BACK, Outcome.FAILED))
    return 100 * outcomes.get(Outcome.PAIRED, 0) / delivered if delivered >= limits.events_min else None


def silence_reading(
    site: str, *, events_of_day: int, last_ms: int | None, started_ms: int, now_ms: int, limits: Thresholds
) -> Reading | None:
    """`last_ms`: the last event of the day; a relay that has only just started has not listened for long."""
    if not limits.silence_minutes or last_ms is None or events_of_day < limits.events_min:
        return None
    quiet_ms = now_ms - max(last_ms, started_ms)
    limit_ms = limits.silence_minutes * MINUTE_MS
    return Reading(
        kind=AlertKind.SILENCE,
        subject=site,
        bad=quiet_ms >= limit_ms,
        good=now_ms - last_ms < limit_ms,
        detail=f"The last of {events_of_day} events in 24 hours came {(now_ms - last_ms) // MINUTE_MS} minutes ago.",
    )


def foreign_reading(site: str, senders: Sequence[str], *, looked: bool) -> Reading | None:
    """`senders` that were seen in the last day; `looked`: whether pages, or Meta, were asked at all."""
    if not looked and not senders:
        return None
    return Reading(
        kind=AlertKind.FOREIGN_SENDER,
        subject=site,
        bad=bool(senders),
        good=not senders,
        detail=f"Seen in the last day: {', '.join(senders)}."
        if senders
        else "Nobody else was seen for a day.",
    )
