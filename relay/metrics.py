"""What Prometheus is told: counters of this process since its start, and of the store what waits.

Labels come from closed lists or from the settings, never from what a sender writes: a page that makes up event
names must not make up time series. No label and no number says anything of one visitor.
"""

from collections import Counter as Tally
from collections.abc import Iterable, Sequence
from functools import cache
from typing import Final

import msgspec
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)

from relay.event.families import family_path
from relay.event.fields import STANDARD_EVENTS
from relay.event.outcome import Admission, AttemptOutcome, Fate, Refusal
from relay.event.records import OutboxEvent
from relay.event.tally import outcome_of
from relay.store.protocol import AttemptResult, Backlog, LeasedEvent, PixelState

disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series for each counter, with the moment it was made, says nothing here

CUSTOM: Final = "custom"  # every other name
NO_CODE: Final = ""
# Of the events that are refused, those whose reason is the visitor's decision.
CONSENT_OF_REFUSED: Final[dict[str, str]] = {
    Refusal.CONSENT_DENIED: "denied",
    Refusal.CONSENT_MISSING: "missing",
    Refusal.PRIVACY_CONTROL: "denied",
}
LATENCY_SECONDS: Final = (0.05, 0.1, 0.2, 0.4, 0.6, 1.0, 1.5, 2.5, 5.0, 10.0, 15.0, 30.0)
REQUEST_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)


class _Kept(msgspec.Struct, frozen=True):
    user_data: dict[str, msgspec.Raw] = {}


_KEPT: Final = msgspec.json.Decoder(_Kept)


class _Gathered:
    """A counter of what every event counts, which learns of it when somebody asks: each `inc` takes a lock."""

    def __init__(self, counter: Counter) -> None:
        self._counter = counter
        self._seen: Tally[tuple[str, ...]] = Tally()

    def count(self, *labels: str) -> None:
        self._seen[labels] += 1

    def hand_over(self) -> None:
        for labels, n in self._seen.items():
            self._counter.labels(*labels).inc(n)
        self._seen.clear()


class Metrics:
    """The time series of one relay. Not thread-safe beyond what prometheus_client promises; one event loop feeds it."""

    def __init__(self, site_of_pixel: dict[str, str]) -> None:
        """`site_of_pixel`: the site key of every configured pixel."""
        self._site_of_pixel = site_of_pixel
        self._registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        self._received = _Gathered(
            Counter(
                "relay_events_received_total",
                "Events that senders posted, those refused for want of consent among them.",
                ("site", "event", "consent"),
                registry=registry,
            )
        )
        self._refused = Counter(
            "relay_events_refused_total",
            "Events and posts that were not accepted, by reason.",
            ("site", "reason"),
            registry=registry,
        )
        self._duplicates = Counter(
            "relay_duplicates_total",
            "Posts of an event that was known and that changed nothing.",
            ("site",),
            registry=registry,
        )
        self._ip_family = _Gathered(
            Counter(
                "relay_ip_family_total",
                "Accepted events by the address family of the page's connection, of the best token, and sent.",
                ("page", "relay", "sent"),
                registry=registry,
            )
        )
        self._match_key = _Gathered(
            Counter(
                "relay_match_key_total",
                "Accepted events that carry a match key.",
                ("event", "key"),
                registry=registry,
            )
        )
        self._sent = Counter(
            "relay_events_sent_total",
            "Events written to Graph, once for each call, by how the call ended and Meta's error code.",
            ("site", "result", "code"),
            registry=registry,
        )
        self._order = Counter(
            "relay_browser_first_total",
            "Events that Meta received, by what was known of their browser half when they were sent.",
            ("site", "result"),
            registry=registry,
        )
        self._latency = Histogram(
            "relay_graph_latency_seconds",
            "Time from writing a call to Graph to its answer.",
            ("site",),
            buckets=LATENCY_SECONDS,
            registry=registry,
        )
        # `labels` takes a lock and looks; these are of a closed list.
        self._requests = cache(
            Histogram(
                "relay_http_request_seconds",
                "Time to answer a request, by route and class of status.",
                ("route", "status"),
                buckets=REQUEST_SECONDS,
                registry=registry,
            ).labels
        )
        self._foreign = Counter(
            "relay_foreign_pixel_total",
            "Reports of pages that saw another sender of Meta events.",
            ("site", "sender"),
            registry=registry,
        )
        self._depth = Gauge(
            "relay_queue_depth", "Events that wait in the store.", ("site", "pixel"), registry=registry
        )
        self._oldest = Gauge(
            "relay_queue_oldest_seconds",
            "How long the oldest event that may be sent has been due; 0 where none is.",
            ("site", "pixel"),
            registry=registry,
        )
        self._parked = Gauge(
            "relay_pixel_parked",
            "1 while a pixel waits for a new token or permission.",
            ("site", "pixel"),
            registry=registry,
        )
        self._spilled = Gauge(
            "relay_spilled_posts",
            "Posts that a local file keeps until the database is back.",
            registry=registry,
        )
        self._ready = Gauge("relay_ready", "1 while /readyz would answer 200.", registry=registry)

    def admitted(self, event: OutboxEvent, admission: Admission) -> None:
        """What the outbox did with an event; one for several pixels is told once, by its best row."""
        name = event_label(event.event_name)
        self._received.count(event.site, name, "not_refused")
        if admission is Admission.DUPLICATE:
            self._duplicates.labels(event.site).inc()
        if admission is Admission.ACCEPTED and event.fate is None:
            self._count_accepted(event, name)

    def _count_accepted(self, event: OutboxEvent, name: str) -> None:
        if (way := family_path(event.addresses)) is not None:
            self._ip_family.count(way.page or "none", way.token or "none", way.sent or "none")
        for key in _KEPT.decode(event.server_event).user_data:
            self._match_key.count(name, key)
        for key, value in (
            ("client_ip_address", event.client_ip_address),
            ("client_user_agent", event.client_user_agent),
        ):
            if value:
                self._match_key.count(name, key)

    def refused(self, site: str, reasons: Iterable[str]) -> None:
        """`site` is empty where a post was refused before its site was known."""
        for reason in reasons:
            self._refused.labels(site, reason).inc()
            if reason in CONSENT_OF_REFUSED:
                self._received.count(site, "", CONSENT_OF_REFUSED[reason])

    def called(
        self, pixel: str, result: AttemptResult, events: Sequence[LeasedEvent], sent_ms: int, answered_ms: int
    ) -> None:
        """One call to Graph has ended."""
        site = self._site_of_pixel.get(pixel, "")
        code = NO_CODE if result.code is None else str(result.code)
        self._sent.labels(site, result.outcome.value, code).inc(len(events))
        if result.outcome is not AttemptOutcome.UNKNOWN:
            self._latency.labels(site).observe(max(0, answered_ms - sent_ms) / 1_000)
        if result.outcome is AttemptOutcome.RECEIPT:
            for event in events:
                self._order.labels(site, outcome_of(Fate.DELIVERED, event.leg, sent_ms).value).inc()

    def seen_elsewhere(self, site: str, senders: Iterable[str]) -> None:
        """A page told of other senders; `senders` are names of the radar's closed list."""
        for sender in senders:
            self._foreign.labels(site, sender).inc()

    def answered(self, route: str, status: int, seconds: float) -> None:
        """`route` is the pattern of the route, never the address that was asked for."""
        self._requests(route, f"{status // 100}xx").observe(seconds)

    def render(
        self,
        *,
        backlog: Sequence[Backlog],
        parked: Sequence[PixelState],
        ready: bool,
        now_ms: int,
        spilled: int = 0,
    ) -> bytes:
        """Everything in Prometheus' text format."""
        self._wait(backlog, parked, now_ms)
        return self.render_without_store(ready=ready, spilled=spilled)

    def render_without_store(self, *, ready: bool, spilled: int) -> bytes:
        """The same while the store does not answer: what waits there is told as it was known last."""
        for gathered in (self._received, self._ip_family, self._match_key):
            gathered.hand_over()
        self._spilled.set(spilled)
        self._ready.set(ready)
        return generate_latest(self._registry)

    def _wait(self, backlog: Sequence[Backlog], parked: Sequence[PixelState], now_ms: int) -> None:
        waiting = {each.pixel: each for each in backlog}
        stopped = {each.pixel for each in parked}
        for pixel, site in self._site_of_pixel.items():
            due = waiting.get(pixel)
            oldest_ms = now_ms if due is None or due.oldest_due_ms is None else due.oldest_due_ms
            self._depth.labels(site, pixel).set(0 if due is None else due.waiting)
            self._oldest.labels(site, pixel).set(max(0, now_ms - oldest_ms) / 1_000)
            self._parked.labels(site, pixel).set(pixel in stopped)


def event_label(event_name: str) -> str:
    return event_name if event_name in STANDARD_EVENTS else CUSTOM
