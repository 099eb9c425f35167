"""A model of the outbox in a few lines, and a Hypothesis state machine that drives any store beside it.

The model knows what the protocol promises and nothing of SQL. A sequence is posts, duplicates, better reports, claims,
calls that end in every way, crashes, clocks that are set, and replays; after each step the store must say the same.
"""

import asyncio
import os
from collections.abc import Awaitable
from dataclasses import dataclass, field
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from relay.event.outcome import STATE_RANK, Admission, AttemptOutcome, BrowserState, Fate, FateReason
from relay.store.protocol import Again, AttemptResult, Ended, Filters, Lease, Store
from tests.store.samples import CUT_OFF, NOW_MS, RECEIPT, REFUSED, REVOKED, event, leg

Key = tuple[str, str]  # pixel, event_id
LEASE_MS = 60_000
HOLD_MS = 20_000
IDS = ("a", "b", "c", "d")
PIXELS = ("111", "222")
STATES = (BrowserState.PENDING, BrowserState.BLOCKED, BrowserState.SENT)
# `make sequences` asks for two thousand of each store.
SEQUENCES = settings(
    max_examples=int(os.environ.get("COUNTERFOIL_SEQUENCES", "20")),
    stateful_step_count=20,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    database=None,
)
RETRY = AttemptResult(outcome=AttemptOutcome.RETRY, http_status=503)


@dataclass
class Modelled:
    """One event, as the promises have it."""

    order: int
    state: BrowserState
    due_ms: int
    received_ms: int
    fate: Fate | None = None
    duplicates: int = 0
    attempts: int = 0  # those that count against it
    unknown_ms: list[int] = field(default_factory=list)  # when calls without an answer began
    replayed_ms: int = 0
    lease: str | None = None
    lease_until_ms: int = 0

    @property
    def ambiguous(self) -> int:
        """As a courier is told: since the last replay."""
        return sum(at_ms > self.replayed_ms for at_ms in self.unknown_ms) if self.attempts else 0


@dataclass
class OpenLease:
    lease: Lease
    keys: list[Key]


class Outbox(RuleBasedStateMachine):
    """`open_store` is set by a subclass: each call opens the same, empty at first, store again."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.now_ms = NOW_MS
        self.steps = 0
        self.events: dict[Key, Modelled] = {}
        self.leases: list[OpenLease] = []
        self.parked: set[str] = set()
        self.fates: dict[Fate, int] = {}
        self.ambiguous_calls = 0
        self.open_calls: dict[
            str, tuple[int, list[Key]]
        ] = {}  # begun and never settled, by lease: since when

    @initialize()
    def begin(self) -> None:
        self.store = self.run(self.open_store())

    async def open_store(self) -> Store:
        raise NotImplementedError

    def teardown(self) -> None:
        if hasattr(self, "store"):
            self.run(self.store.close())
        self.runner.close()

    def place(self, known: Modelled) -> tuple[int, ...]:
        """What a row id grows with."""
        return (known.order,)

    def run(self, work: Awaitable[Any]) -> Any:
        async def main() -> Any:
            return await work

        return self.runner.run(main())

    # What may happen

    @rule(event_id=st.sampled_from(IDS), pixel=st.sampled_from(PIXELS), state=st.sampled_from(STATES))
    def post(self, event_id: str, pixel: str, state: BrowserState) -> None:
        due_ms = self.now_ms + (HOLD_MS if state is BrowserState.PENDING else 0)
        posted = event(
            event_id, pixel=pixel, leg=leg(state), received_ms=self.now_ms, not_before_ms=due_ms,
            event_time_ms=self.now_ms,
        )  # fmt: skip
        (answer,) = self.run(self.store.admit([posted]))
        assert answer is self._admit((pixel, event_id), state, due_ms)

    @rule(limit=st.integers(1, 3))
    def claim(self, limit: int) -> None:
        self._end_leases()
        lease = self.run(
            self.store.claim(now_ms=self.now_ms, lease_ms=LEASE_MS, limit=limit, busy=frozenset())
        )
        due = self._due()
        if lease is None:
            assert due == []
            return
        assert lease.pixel == due[0][0]
        expected = [key for key in due if key[0] == lease.pixel][:limit]
        assert [(lease.pixel, each.event_id) for each in lease.events] == expected
        for key, each in zip(expected, lease.events, strict=True):
            known = self.events[key]
            assert (each.attempts, each.ambiguous) == (known.attempts, known.ambiguous)
            known.lease, known.lease_until_ms = lease.token, self.now_ms + LEASE_MS
        self.leases.append(OpenLease(lease, expected))

    @precondition(lambda self: self.leases)
    @rule(
        data=st.data(),
        how=st.sampled_from(["delivered", "retry", "unknown", "refused", "rejected", "parked", "cut"]),
    )
    def call(self, data: st.DataObject, how: str) -> None:
        """A courier makes a call for all of its lease, and settles it; "cut" dies in the midst."""
        opened = data.draw(st.sampled_from(self.leases))
        self.leases.remove(opened)
        lease, held = opened.lease, [key for key in opened.keys if self._holds(opened, key)]
        keys = [each.key for each in lease.events]
        if len(held) < len(opened.keys):
            assert self._is_lost(lease, keys)
            return
        attempt = self.run(self.store.begin_attempt(lease, keys, self.now_ms))
        for key in held:
            self.events[key].attempts += 1
        if how == "cut":
            self.open_calls[lease.token] = (self.now_ms, held)
            return
        self._settle(how, lease, held, keys, attempt)

    @rule(minutes=st.sampled_from([0.1, 0.5, 2]))
    def wait(self, minutes: float) -> None:
        self.now_ms += round(minutes * 60_000)

    @rule(hours=st.sampled_from([-30, 30]))
    def set_the_clock(self, hours: int) -> None:
        """Not within a minute of the last post: those are taken for written by the new clock."""
        self.now_ms += 61_000
        self.steps += 1
        step_ms = hours * 3_600_000 + self.steps * 300_000  # no two alike
        expected_ms, self.now_ms = self.now_ms, self.now_ms + step_ms
        self.run(self.store.clock_stepped(expected_ms=expected_ms, now_ms=self.now_ms))
        for known in self.events.values():
            if known.fate is not None:
                continue
            if known.lease is not None:
                known.lease_until_ms += step_ms
            if known.due_ms > min(expected_ms, self.now_ms):
                near = self.now_ms - 60_000 <= known.received_ms <= self.now_ms
                if not near:
                    known.due_ms = max(known.due_ms, expected_ms) + step_ms

    @rule(policy=st.sampled_from(["resend", "hold"]))
    def crash(self, policy: Any) -> None:
        self.run(self.store.close())
        self.store = self.run(self.open_store())
        self.run(self.store.recover(now_ms=self.now_ms, on_unknown=policy))
        for token in list(self.open_calls):
            self._cut_short(token, ends=policy == "hold")
        for known in self.events.values():
            known.lease = None
        self.leases = []

    @rule(fate=st.sampled_from([Fate.REJECTED, Fate.UNKNOWN, Fate.DELIVERED]))
    def replay(self, fate: Fate) -> None:
        back = self.run(self.store.replay(fate=fate, now_ms=self.now_ms))
        expected = [known for known in self.events.values() if known.fate is fate is not Fate.DELIVERED]
        assert back == len(expected)
        for known in expected:
            known.fate, known.due_ms = None, self.now_ms
            known.replayed_ms = max(known.replayed_ms, self.now_ms)
            self.fates[fate] -= 1

    @precondition(lambda self: self.parked)
    @rule()
    def unpark(self) -> None:
        self.run(self.store.unpark(self.parked.pop()))

    # What must be so after each step

    @invariant()
    def the_store_says_what_the_model_says(self) -> None:
        if not hasattr(self, "store"):
            return
        totals = self.run(self.store.totals())
        waiting = [known for known in self.events.values() if known.fate is None]
        assert totals.waiting == len(waiting)
        assert totals.oldest_due_ms == min((known.due_ms for known in waiting), default=None)
        assert totals.fates == {fate.value: n for fate, n in self.fates.items() if n}
        assert totals.duplicates == sum(known.duplicates for known in self.events.values())
        assert totals.ambiguous_attempts == self.ambiguous_calls
        listed = self.run(self.store.recent(Filters()))
        newest = sorted(self.events.items(), key=lambda item: self.place(item[1]), reverse=True)
        assert [(row.pixel, row.event_id, row.fate, row.state) for row in listed] == [
            (pixel, event_id, known.fate, known.state.value) for (pixel, event_id), known in newest
        ]

    # The model's own rules

    def _admit(self, key: Key, state: BrowserState, due_ms: int) -> Admission:
        known = self.events.get(key)
        if known is None:
            self.events[key] = Modelled(len(self.events), state, due_ms, self.now_ms)
            return Admission.ACCEPTED
        is_better = STATE_RANK[state] > STATE_RANK[known.state]
        is_held = known.fate is None and known.lease is None and known.attempts == 0
        if is_better:
            known.state = state
        if is_better and is_held:
            known.due_ms = due_ms
            return Admission.UPDATED
        known.duplicates += 1
        return Admission.DUPLICATE

    def _due(self) -> list[Key]:
        due = [
            (known.due_ms, pixel, self.place(known), event_id)
            for (pixel, event_id), known in self.events.items()
            if known.fate is None and known.lease is None and known.due_ms <= self.now_ms
            and pixel not in self.parked
        ]  # fmt: skip
        if not due:
            return []
        first = min((due_ms, pixel) for due_ms, pixel, _, _ in due)[1]
        rows = sorted((due_ms, order, event_id) for due_ms, pixel, order, event_id in due if pixel == first)
        return [(first, event_id) for _, _, event_id in rows]

    def _end_leases(self) -> None:
        """A claim frees what has run out, and closes the calls that were under way there."""
        over = {
            known.lease
            for known in self.events.values()
            if known.lease is not None and known.lease_until_ms <= self.now_ms
        }
        for token in over & self.open_calls.keys():
            self._cut_short(token, ends=False)
        for known in self.events.values():
            if known.lease in over:
                known.lease = None

    def _cut_short(self, token: str, *, ends: bool) -> None:
        self.ambiguous_calls += 1
        began_ms, keys = self.open_calls.pop(token)
        for key in keys:
            known = self.events[key]
            known.unknown_ms.append(began_ms)
            if ends:
                self._end(known, Fate.UNKNOWN)

    def _holds(self, opened: OpenLease, key: Key) -> bool:
        return self.events[key].lease == opened.lease.token

    def _is_lost(self, lease: Lease, keys: list[bytes]) -> bool:
        """A stale lease changes nothing, whatever its courier says."""
        decisions = [Ended(key=key, fate=Fate.DELIVERED, reason=FateReason.RECEIVED) for key in keys]
        stale = [
            key
            for key, each in zip(keys, lease.events, strict=True)
            if self.events[lease.pixel, each.event_id].lease != lease.token
        ]
        only = [decision for decision in decisions if decision.key in stale]
        return bool(self.run(self.store.settle(lease, only, now_ms=self.now_ms, attempt=None)) == 0)

    def _settle(self, how: str, lease: Lease, held: list[Key], keys: list[bytes], attempt: int) -> None:
        if how == "parked":
            self.run(self.store.park(lease, now_ms=self.now_ms, attempt=(attempt, REVOKED)))
            self.parked.add(lease.pixel)
            for key in held:
                self.events[key].attempts -= 1
                self.events[key].lease = None
            return
        result = {"delivered": RECEIPT, "retry": RETRY, "unknown": CUT_OFF}.get(how, REFUSED)
        ends: dict[str, tuple[Fate, FateReason]] = {
            "delivered": (Fate.DELIVERED, FateReason.RECEIVED),
            "rejected": (Fate.REJECTED, FateReason.REJECTED_BY_META),
        }
        end = ends.get(how)
        due_ms = self.now_ms + 5_000
        decisions: list[Any] = [
            Again(key=key, due_ms=due_ms) if end is None else Ended(key=key, fate=end[0], reason=end[1])
            for key in keys
        ]
        applied = self.run(self.store.settle(lease, decisions, now_ms=self.now_ms, attempt=(attempt, result)))
        assert applied == len(keys)
        self.ambiguous_calls += how == "unknown"
        for key in held:
            known = self.events[key]
            known.lease = None
            known.attempts -= result is REFUSED
            if how == "unknown":
                known.unknown_ms.append(self.now_ms)
            if end is None:
                known.due_ms = due_ms
            else:
                self._end(known, end[0])

    def _end(self, known: Modelled, fate: Fate) -> None:
        known.fate, known.lease = fate, None
        self.fates[fate] = self.fates.get(fate, 0) + 1
