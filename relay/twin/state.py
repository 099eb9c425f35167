"""What the twin has received, bounded in memory, and what of it counts.

Raw parameters are kept as the JSON text they are shown as, so that a long load run costs bytes and not
objects. When a bound is passed the oldest events go, and `dropped` says how many.
"""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec

from relay.event.verdict import Arrival, Judgement, Profile, SameSource, Source, judge

MAX_EVENTS: Final = 100_000
MAX_BYTES: Final = 128 * 1024 * 1024
MAX_REJECTED: Final = 2_000


class Received(msgspec.Struct, frozen=True, kw_only=True):
    """One event as it reached Meta: what dedup and diagnostics look at, and the raw parameters."""

    sequence: int  # order of receipt over both sources, from 1
    source: Source
    pixel: str
    event_name: str
    event_id: str | None
    received_ms: int
    ip: str | None  # browser: the connection's other end; server: client_ip_address
    user_agent: str | None  # browser: the request's header; server: client_user_agent
    fbp: str | None
    fbc: str | None
    external_id: tuple[str, ...]  # hashed
    value: str | None
    currency: str | None
    via: str  # browser: GET, POST urlencoded, POST multipart; server: the Graph version
    test_event_code: str | None = None
    partner_agent: str | None = None
    params: msgspec.Raw

    def arrival(self) -> Arrival:
        return Arrival(
            source=self.source,
            pixel=self.pixel,
            event_name=self.event_name,
            event_id=self.event_id,
            fbp=self.fbp,
            external_id=self.external_id,
            received_ms=self.received_ms,
        )


class Rejected(msgspec.Struct, frozen=True, kw_only=True):
    """One event of a refused call. The whole batch is refused; `guilty` marks the event that caused it."""

    source: Source
    pixel: str
    event_name: str | None
    event_id: str | None
    received_ms: int
    ip: str | None
    guilty: bool
    error: dict[str, Any]  # as answered
    params: msgspec.Raw


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """An event and its judgement under every profile."""

    event: Received
    judgements: dict[Profile, Judgement]


class TwinState:
    """Everything received, in order. Lives on one event loop; nothing here waits."""

    def __init__(self, *, clock_ms: Callable[[], int], same_source: SameSource = "keep") -> None:
        self.clock_ms = clock_ms
        self.same_source = same_source
        self.events: deque[Received] = deque()
        self.rejected: deque[Rejected] = deque(maxlen=MAX_REJECTED)
        self.dropped = 0
        self._sequence = 0
        self._bytes = 0
        self._standings: list[Standing] | None = None

    def next_sequence(self) -> int:
        self._sequence += 1
        return self._sequence

    def take(self, event: Received) -> None:
        self.events.append(event)
        self._bytes += len(event.params)
        while len(self.events) > MAX_EVENTS or self._bytes > MAX_BYTES:
            self._bytes -= len(self.events.popleft().params)
            self.dropped += 1
        self._standings = None

    def reject(self, events: Sequence[Rejected]) -> None:
        self.rejected.extend(events)

    def clear(self) -> None:
        """Forget every event; the order of receipt starts anew."""
        self.events.clear()
        self.rejected.clear()
        self.dropped = self._sequence = self._bytes = 0
        self._standings = None

    def standings(self) -> list[Standing]:
        """Every event with its judgements, in order of receipt. Computed once per change."""
        if self._standings is None:
            arrivals = [event.arrival() for event in self.events]
            judged = {profile: judge(arrivals, profile, same_source=self.same_source) for profile in Profile}
            self._standings = [
                Standing(event=event, judgements={profile: judged[profile][index] for profile in Profile})
                for index, event in enumerate(self.events)
            ]
        return self._standings

    def snapshot(self, event_id: str | None = None) -> Mapping[str, Any]:
        """The body of `GET /twin/state`. With an event_id: that id only, judged among all events."""
        chosen = [each for each in self.standings() if event_id is None or each.event.event_id == event_id]
        return {
            "browser": [each.event for each in chosen if each.event.source is Source.BROWSER],
            "server": [each.event for each in chosen if each.event.source is Source.SERVER],
            "rejected": [each for each in self.rejected if event_id is None or each.event_id == event_id],
            "counted": count(chosen),
            "dropped": self.dropped,
        }


def count(standings: Sequence[Standing]) -> dict[Profile, dict[str, int]]:
    """Events that count, by profile and event name; a name of which nothing counts is there with 0."""
    names = dict.fromkeys(each.event.event_name for each in standings)
    counted = {profile: dict.fromkeys(names, 0) for profile in Profile}
    for each in standings:
        for profile, judgement in each.judgements.items():
            counted[profile][each.event.event_name] += judgement.counted
    return counted
