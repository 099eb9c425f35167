"""Counts of the store, summed the ways that pages need them."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Final, NamedTuple

from relay.event.tally import Topic
from relay.store.protocol import MINUTE_MS, QUARTER_MS, TWO_HOURS_MS, Counts, Store
from relay.web.plots import Axis
from relay.web.scope import Scope


class Grain(NamedTuple):
    """How finely a period is drawn: by `step_ms`, from the roll-up of `read_ms`."""

    read_ms: int
    step_ms: int


GRAINS: Final = {
    "1h": Grain(MINUTE_MS, MINUTE_MS),
    "24h": Grain(QUARTER_MS, QUARTER_MS),
    "7d": Grain(TWO_HOURS_MS, TWO_HOURS_MS),
    "30d": Grain(TWO_HOURS_MS, 4 * TWO_HOURS_MS),
}


def axis_of(scope: Scope, now_ms: int) -> Axis:
    """The steps of the period; the last one is the step that now is in."""
    step_ms = GRAINS[scope.range.name].step_ms
    steps = scope.range.length_ms // step_ms
    return Axis(now_ms - now_ms % step_ms - (steps - 1) * step_ms, step_ms, steps)


class Sums:
    """The counts of one topic over a period."""

    def __init__(self, axis: Axis, counts: Sequence[Counts]) -> None:
        self.by_step: dict[int, Counter[str]] = defaultdict(Counter)
        self.by_name: Counter[str] = Counter()
        self.by_event: dict[str, Counter[str]] = defaultdict(Counter)
        for each in counts:
            step = axis.step(each.at_ms)
            if 0 <= step < axis.steps:
                self.by_step[step][each.name] += each.n
                self.by_name[each.name] += each.n
                self.by_event[each.event_name][each.name] += each.n

    @property
    def all(self) -> int:
        return self.by_name.total()

    def total(self, *names: str) -> int:
        return sum(self.by_name[name] for name in names)


async def read_sums(store: Store, topic: Topic, scope: Scope, now_ms: int) -> Sums:
    axis = axis_of(scope, now_ms)
    read_ms = GRAINS[scope.range.name].read_ms
    return Sums(axis, await store.counts(topic, step_ms=read_ms, since_ms=axis.since_ms, site=scope.site))
