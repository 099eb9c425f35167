"""The moments of one event in order, and where they stand in the drawing."""

import math
from collections.abc import Sequence
from enum import StrEnum
from itertools import pairwise
from typing import Final

import msgspec

from relay.event.outcome import UNREPORTED
from relay.event.records import BrowserLeg
from relay.store.protocol import Attempt, StoredReceipt

LEFT: Final = 90.0  # drawing units: the lanes' names stand to the left of this
WIDTH: Final = 720.0
LANE_HEIGHT: Final = 40.0
STEP: Final = 30.0  # the least room between two moments, so that their numbers never overlap


class Lane(StrEnum):
    BROWSER = "browser"
    RELAY = "relay"
    META = "meta"


class Moment(msgspec.Struct, frozen=True, kw_only=True):
    step: str
    label: str
    lane: Lane
    at_ms: int
    after_ms: int  # since the event itself


class Dot(msgspec.Struct, frozen=True, kw_only=True):
    """A moment's place in the drawing."""

    number: int
    x: float
    y: float
    moment: Moment


def timeline(stored: StoredReceipt, leg: BrowserLeg | None, deciding: Attempt | None) -> tuple[Moment, ...]:
    """Every moment that is known, oldest first. `deciding` is the call to Graph that the receipt rests on."""
    event_ms = stored.row.event_time_ms
    is_pages = (
        leg is None or leg.state not in UNREPORTED
    )  # what a server has sent did not happen in a browser
    known: list[tuple[str, str, Lane, int | None]] = [
        ("event", "The event happened", Lane.BROWSER if is_pages else Lane.RELAY, event_ms),
    ]
    if leg is not None and leg.state not in UNREPORTED:
        known += [
            ("dispatched", "Meta's script sent the Pixel's request", Lane.BROWSER, leg.dispatched_ms),
            ("settled", f"The Pixel's request settled: {leg.state}", Lane.BROWSER, leg.settled_ms),
        ]
    known.append(("received", "The relay received the event", Lane.RELAY, stored.row.received_ms))
    if leg is not None and leg.state not in UNREPORTED:
        known.append(("reported", "The browser half was last reported", Lane.RELAY, leg.reported_ms))
    known.append(("held", "Held until", Lane.RELAY, stored.not_before_ms))
    if deciding is not None:
        known += [
            ("sent", "The relay called Graph", Lane.RELAY, deciding.started_ms),
            ("answered", "Graph answered", Lane.META, deciding.finished_ms),
        ]
    moments = [
        Moment(step=step, label=label, lane=lane, at_ms=at_ms, after_ms=at_ms - event_ms)
        for step, label, lane, at_ms in known
        if at_ms is not None
    ]
    # Moments within one millisecond keep the order in which they must have happened.
    return tuple(sorted(moments, key=lambda moment: moment.at_ms))


def dots(moments: Sequence[Moment]) -> tuple[Dot, ...]:
    """Places from left to right. Gaps are drawn by their logarithm: milliseconds and days fit on one line."""
    gaps = [math.log1p(after.at_ms - before.at_ms) for before, after in pairwise(moments)]
    room = WIDTH - LEFT - 2 * STEP - STEP * len(gaps)
    scale = room / (sum(gaps) or 1.0)
    x, places = LEFT + STEP, []
    for number, moment in enumerate(moments, start=1):
        x += (STEP + gaps[number - 2] * scale) if number > 1 else 0.0
        y = LANE_HEIGHT * (list(Lane).index(moment.lane) + 0.5)
        places.append(Dot(number=number, x=round(x, 1), y=y, moment=moment))
    return tuple(places)
