"""Arrivals and a dedup profile → what Meta counts, and why.

No one outside Meta can know which rule runs there: Meta's own pages disagree with one another, and Segment's
disagree with both. So each published rule is a `Profile`, the twin and the receipts judge under all of them,
and an event is only called safe when every profile counts it once. Nothing here was verified against Meta's
own systems.

A window is 48 hours from the receipt of its first event, however many follow, and is half open: an event
that arrives exactly 48 hours later opens a new one.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from enum import StrEnum
from functools import partial
from typing import Final, Literal, assert_never

import msgspec

from relay.event.gap import gap

WINDOW_MS: Final = 48 * 3_600_000
BROWSER_FAVOURED_MS: Final = 5 * 60_000

SameSource = Literal["keep", "drop"]


class Profile(StrEnum):
    """The dedup rules that have been published, each under a name of its own."""

    SEGMENT_STRICT = (
        "segment-strict"  # browser first, then server: the server's is dropped; nothing else ever is
    )
    EVENT_ID = "event-id"  # Meta's current page: the first received of the two sources wins, in either order
    META_5MIN = (
        "meta-5min"  # as event-id, but a browser event at most 5 minutes behind the server's takes its place
    )
    FBP_EXTERNAL_ID = "fbp-external-id"  # Meta's fallback without ids: name and person, browser first only


class Source(StrEnum):
    BROWSER = "browser"
    SERVER = "server"


class Arrival(msgspec.Struct, frozen=True, kw_only=True):
    """One event as it reached Meta, with all that a dedup rule looks at."""

    source: Source
    pixel: str
    event_name: str
    event_id: str | None
    fbp: str | None
    external_id: tuple[str, ...]  # hashed
    received_ms: int


class Judgement(msgspec.Struct, frozen=True, kw_only=True):
    """Whether one arrival counts under a profile, and a sentence that says why."""

    counted: bool
    reason: str


def judge(
    arrivals: Sequence[Arrival], profile: Profile, *, same_source: SameSource = "keep"
) -> list[Judgement]:
    """Judge every arrival under one profile; the answers are in the order given.

    Receipt decides who came first; of two with the same `received_ms`, the one given first. `same_source`
    says what happens to a second event of one source with the same id, which Meta leaves open under
    `event-id` and `meta-5min`: "keep" shows it as a duplicate. The other two profiles spell out that both
    are kept.
    """
    order = sorted(range(len(arrivals)), key=lambda index: arrivals[index].received_ms)
    judged = _rule(profile, same_source)([arrivals[index] for index in order])
    by_index = dict(zip(order, judged, strict=True))
    return [by_index[index] for index in range(len(arrivals))]


Rule = Callable[
    [Sequence[Arrival]], list[Judgement]
]  # takes arrivals in order of receipt, answers in the same


def _rule(profile: Profile, same_source: SameSource) -> Rule:
    match profile:
        case Profile.SEGMENT_STRICT:
            return partial(_by_window, rule=_browser_then_server)
        case Profile.EVENT_ID:
            by_id = partial(_first_received, browser_favoured_ms=0, same_source=same_source)
            return partial(_by_window, rule=by_id)
        case Profile.META_5MIN:
            by_id = partial(_first_received, browser_favoured_ms=BROWSER_FAVOURED_MS, same_source=same_source)
            return partial(_by_window, rule=by_id)
        case Profile.FBP_EXTERNAL_ID:
            return _by_person
        case _:
            assert_never(profile)


def _by_window(arrivals: Sequence[Arrival], rule: Rule) -> list[Judgement]:
    judged = [_counted("it carries no event_id, so nothing can be matched with it")] * len(arrivals)
    for window in _windows(arrivals):
        for index, judgement in zip(window, rule([arrivals[index] for index in window]), strict=True):
            judged[index] = judgement
    return judged


def _windows(arrivals: Sequence[Arrival]) -> Iterator[list[int]]:
    """Arrivals of one pixel, name and event_id that fall into one window."""
    latest: dict[tuple[str, str, str], list[int]] = {}
    for index, arrival in enumerate(arrivals):
        if not arrival.event_id:
            continue
        window = latest.setdefault((arrival.pixel, arrival.event_name, arrival.event_id), [])
        if window and arrival.received_ms - arrivals[window[0]].received_ms >= WINDOW_MS:
            yield window.copy()
            window.clear()
        window.append(index)
    yield from latest.values()


def _browser_then_server(window: Sequence[Arrival]) -> list[Judgement]:
    first: dict[Source, Arrival] = {}
    judged = []
    for arrival in window:
        browser, server = first.get(Source.BROWSER), first.get(Source.SERVER)
        if arrival.source is Source.SERVER and browser:
            judged.append(_dropped(f"the browser's event came first, {_gap(browser, arrival)} before"))
        elif arrival.source in first:
            judged.append(_counted(f"this rule drops no second {arrival.source} event"))
        elif server:
            gap = _gap(server, arrival)
            judged.append(_counted(f"the server's event came first, {gap} before, so both count"))
        else:
            judged.append(_counted(_FIRST))
        first.setdefault(arrival.source, arrival)
    return judged


def _first_received(
    window: Sequence[Arrival], browser_favoured_ms: int, same_source: SameSource
) -> list[Judgement]:
    """The rule of `event-id`; with a time to favour the browser in, that of `meta-5min`."""
    counted: dict[Source, list[int]] = {Source.BROWSER: [], Source.SERVER: []}
    judged: list[Judgement] = []
    for index, arrival in enumerate(window):
        rivals = counted[_OTHER[arrival.source]]
        if not rivals:
            judged.append(_unrivalled(arrival, bool(counted[arrival.source]), same_source))
        elif _is_favoured(arrival, window[rivals[0]], browser_favoured_ms):
            judged.append(_counted("the browser's event is favoured within 5 minutes of the server's"))
            for rival in rivals:
                gap = _gap(window[rival], arrival)
                judged[rival] = _dropped(f"the browser's event came {gap} later, and is favoured")
            rivals.clear()
        else:
            gap = _gap(window[rivals[0]], arrival)
            judged.append(_dropped(f"the {_OTHER[arrival.source]}'s event was received first, {gap} before"))
        if judged[index].counted:
            counted[arrival.source].append(index)
    return judged


def _is_favoured(arrival: Arrival, rival: Arrival, browser_favoured_ms: int) -> bool:
    return arrival.source is Source.BROWSER and arrival.received_ms - rival.received_ms < browser_favoured_ms


def _unrivalled(arrival: Arrival, repeated: bool, same_source: SameSource) -> Judgement:
    if not repeated:
        return _counted(_FIRST)
    if same_source == "drop":
        return _dropped(f"a {arrival.source} event with this name and event_id was received before")
    return _counted(f"Meta documents no rule for a second {arrival.source} event with the same event_id")


PersonKey = tuple[str, str, str, str]  # pixel, event_name, what the person is known by, its value


def _by_person(arrivals: Sequence[Arrival]) -> list[Judgement]:
    """external_id decides where both events carry one, else fbp; event_id is not looked at."""
    last_browser: dict[PersonKey, Arrival] = {}
    judged = []
    for arrival in arrivals:
        if arrival.source is Source.BROWSER:
            judged.append(_counted("this rule never drops a browser event"))
            last_browser.update((key, arrival) for key in _known_by(arrival))
        else:
            judged.append(_after_browser(arrival, last_browser))
    return judged


def _after_browser(arrival: Arrival, last_browser: Mapping[PersonKey, Arrival]) -> Judgement:
    seen = [last_browser[key] for key in _sought_by(arrival) if key in last_browser]
    browser = max(seen, key=lambda one: one.received_ms, default=None)
    if browser is None or arrival.received_ms - browser.received_ms >= WINDOW_MS:
        return _counted("no browser event of this name and person came in the 48 hours before")
    return _dropped(f"a browser event of this name and person came first, {_gap(browser, arrival)} before")


def _known_by(browser: Arrival) -> Iterator[PersonKey]:
    for external_id in browser.external_id:
        yield (browser.pixel, browser.event_name, "external_id", external_id)
    if browser.fbp:
        kind = "fbp beside external_id" if browser.external_id else "fbp alone"
        yield (browser.pixel, browser.event_name, kind, browser.fbp)


def _sought_by(server: Arrival) -> Iterator[PersonKey]:
    for external_id in server.external_id:
        yield (server.pixel, server.event_name, "external_id", external_id)
    if server.fbp:
        yield (server.pixel, server.event_name, "fbp alone", server.fbp)
        if not server.external_id:
            yield (server.pixel, server.event_name, "fbp beside external_id", server.fbp)


_OTHER: Final = {Source.BROWSER: Source.SERVER, Source.SERVER: Source.BROWSER}
_FIRST: Final = "it is the first event with this name and event_id"


def _counted(why: str) -> Judgement:
    return Judgement(counted=True, reason=f"Counted: {why}.")


def _dropped(why: str) -> Judgement:
    return Judgement(counted=False, reason=f"Dropped: {why}.")


def _gap(earlier: Arrival, later: Arrival) -> str:
    return gap(later.received_ms - earlier.received_ms)
